package dev.marque.keycloak.plan;

import java.security.PublicKey;
import java.util.List;
import java.util.Optional;

/** A client as its realm knows it. */
public interface RegisteredClient {

    /** Whether an administrator has left it switched on. */
    boolean enabled();

    /** The locations that it answers for: its attribute {@code marque.locations}. */
    List<String> locations();

    /** The registered key that this JWS names by {@code kid}, if there is one for its algorithm. */
    Optional<PublicKey> signingKey(CompactJws jws);
}
