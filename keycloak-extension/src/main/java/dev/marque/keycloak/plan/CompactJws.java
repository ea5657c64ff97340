package dev.marque.keycloak.plan;

import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PublicKey;
import java.security.Signature;
import java.security.interfaces.ECPublicKey;
import java.security.spec.ECFieldFp;
import java.security.spec.X509EncodedKeySpec;

/** A compact JWS (RFC 7515 section 7.1) with the one algorithm that Marque and its resource servers use, ES256. */
public final class CompactJws {

    private static final int SIGNATURE_BYTES = 64;
    private static final BigInteger P256_PRIME = new BigInteger(
            "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff", 16);

    private final String compact;
    private final byte[] payload;
    private final byte[] signature;

    private CompactJws(String compact, byte[] payload, byte[] signature) {
        this.compact = compact;
        this.payload = payload;
        this.signature = signature;
    }

    /**
     * Splits and checks the form; the signature is not verified yet.
     *
     * @param type the required {@code typ}
     * @throws PlanRefused for another type or algorithm, a missing {@code kid}, a {@code crit}, or a malformed part
     */
    public static CompactJws of(String compact, String type) throws PlanRefused {
        String[] parts = compact.split("\\.", -1);
        if (parts.length != 3) {
            throw new PlanRefused("not a compact JWS");
        }
        try {
            Members header = Members.of(StrictJson.object(Binary.decode(parts[0]), "a JWS header"), "JWS header");
            header.require("typ", type);
            header.require("alg", "ES256");
            header.text("kid");
            if (header.has("crit")) {
                throw new PlanRefused("a JWS header with crit");
            }
            return new CompactJws(compact, Binary.decode(parts[1]), Binary.decode(parts[2]));
        } catch (IllegalArgumentException e) {
            throw new PlanRefused("a part of a JWS is not base64url");
        }
    }

    /** The JWS as received. */
    public String compact() {
        return compact;
    }

    /** The payload's octets as signed; believe them only after {@link #verify}. */
    byte[] payload() {
        return payload;
    }

    /**
     * Verifies the signature with the key that the signer has registered.
     *
     * @throws PlanRefused if the signer has no such key or the signature is not by it
     */
    void verify(RegisteredClient signer) throws PlanRefused {
        PublicKey key = signer.signingKey(this)
                .orElseThrow(() -> new PlanRefused("the signer has no such key registered"));
        if (!isP256(key) || signature.length != SIGNATURE_BYTES || !verifies(key)) {
            throw new PlanRefused("the signature does not verify");
        }
    }

    private static boolean isP256(PublicKey key) {
        return key instanceof ECPublicKey ec
                && ec.getParams().getCurve().getField() instanceof ECFieldFp field
                && field.getP().equals(P256_PRIME);
    }

    /** Keycloak may load keys as objects of another security provider, which the platform's own refuses. */
    private static PublicKey platformKey(PublicKey key) throws GeneralSecurityException {
        return KeyFactory.getInstance("EC").generatePublic(new X509EncodedKeySpec(key.getEncoded()));
    }

    private boolean verifies(PublicKey key) {
        try {
            Signature verifier = Signature.getInstance("SHA256withECDSAinP1363Format");
            verifier.initVerify(platformKey(key));
            verifier.update(compact.substring(0, compact.lastIndexOf('.')).getBytes(StandardCharsets.US_ASCII));
            return verifier.verify(signature);
        } catch (GeneralSecurityException e) {
            return false;
        }
    }
}
