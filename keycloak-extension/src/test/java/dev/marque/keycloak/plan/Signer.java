package dev.marque.keycloak.plan;

import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PublicKey;
import java.security.Signature;
import java.security.spec.ECGenParameterSpec;
import java.util.List;
import java.util.Optional;

/** A client with a key of its own, for tests. */
final class Signer implements RegisteredClient {

    private final KeyPair keys;
    private final List<String> locations;
    private boolean enabled = true;

    Signer(String... locations) {
        this(new ECGenParameterSpec("secp256r1"), List.of(locations));
    }

    private Signer(ECGenParameterSpec curve, List<String> locations) {
        this.locations = locations;
        try {
            KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
            generator.initialize(curve);
            keys = generator.generateKeyPair();
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException(e);
        }
    }

    static Signer onAnotherCurve() {
        return new Signer(new ECGenParameterSpec("secp384r1"), List.of());
    }

    Signer disabled() {
        enabled = false;
        return this;
    }

    String sign(String header, byte[] payload) {
        String input = Binary.encode(header.getBytes(StandardCharsets.UTF_8)) + "." + Binary.encode(payload);
        try {
            Signature signature = Signature.getInstance("SHA256withECDSAinP1363Format");
            signature.initSign(keys.getPrivate());
            signature.update(input.getBytes(StandardCharsets.US_ASCII));
            return input + "." + Binary.encode(signature.sign());
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException(e);
        }
    }

    @Override
    public boolean enabled() {
        return enabled;
    }

    @Override
    public List<String> locations() {
        return locations;
    }

    @Override
    public Optional<PublicKey> signingKey(CompactJws jws) {
        return Optional.of(keys.getPublic());
    }
}
