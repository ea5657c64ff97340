package dev.marque.keycloak.plan;

import java.util.Optional;

/** The clients of one realm. */
@FunctionalInterface
public interface ClientRegistry {

    /** The client with this {@code client_id}. */
    Optional<RegisteredClient> client(String clientId);
}
