package dev.marque.keycloak.approval;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;

import dev.marque.keycloak.plan.Binary;

/**
 * The WebAuthn challenge of an approval, specified by {@code vectors/challenge} and {@code vectors/step-up}: it commits
 * to the realm, to the id and digest of what is approved, to the display and to Marque's nonce.
 */
final class ApprovalChallenge {

    private static final int DIGEST_BYTES = 32;

    private ApprovalChallenge() {
    }

    /**
     * Computes the 32 bytes.
     *
     * @throws IllegalArgumentException for a text with NUL or a part that is not 32 bytes
     */
    static byte[] of(String domain, String realmIssuer, String id, byte[] digest, byte[] displayDigest, byte[] nonce) {
        ByteArrayOutputStream message = new ByteArrayOutputStream();
        for (String text : new String[] {domain, realmIssuer, id}) {
            if (text.indexOf('\0') >= 0) {
                throw new IllegalArgumentException("a text of the challenge holds NUL");
            }
            message.writeBytes(text.getBytes(StandardCharsets.UTF_8));
            message.write(0);
        }
        for (byte[] part : new byte[][] {digest, displayDigest, nonce}) {
            if (part.length != DIGEST_BYTES) {
                throw new IllegalArgumentException("a part of the challenge is not 32 bytes");
            }
            message.writeBytes(part);
        }
        return Binary.sha256(message.toByteArray());
    }
}
