package dev.marque.keycloak.approval;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;

import dev.marque.keycloak.plan.Binary;

/**
 * The WebAuthn challenge of an approval, specified by {@code vectors/challenge}: it commits to the realm, the intent,
 * the plan, the display and Marque's nonce.
 */
final class ApprovalChallenge {

    private static final String DOMAIN = "marque/approval/v1";
    private static final int DIGEST_BYTES = 32;

    private ApprovalChallenge() {
    }

    /**
     * Computes the 32 bytes.
     *
     * @throws IllegalArgumentException for a text with NUL or a part that is not 32 bytes
     */
    static byte[] of(String realmIssuer, String intentId, byte[] planDigest, byte[] displayDigest, byte[] nonce) {
        ByteArrayOutputStream message = new ByteArrayOutputStream();
        for (String text : new String[] {DOMAIN, realmIssuer, intentId}) {
            if (text.indexOf('\0') >= 0) {
                throw new IllegalArgumentException("a text of the challenge holds NUL");
            }
            message.writeBytes(text.getBytes(StandardCharsets.UTF_8));
            message.write(0);
        }
        for (byte[] part : new byte[][] {planDigest, displayDigest, nonce}) {
            if (part.length != DIGEST_BYTES) {
                throw new IllegalArgumentException("a part of the challenge is not 32 bytes");
            }
            message.writeBytes(part);
        }
        return Binary.sha256(message.toByteArray());
    }
}
