package dev.marque.keycloak.api;

import org.keycloak.Config;
import org.keycloak.models.KeycloakSession;
import org.keycloak.models.KeycloakSessionFactory;
import org.keycloak.services.resource.RealmResourceProvider;
import org.keycloak.services.resource.RealmResourceProviderFactory;

/** Puts the read endpoints under {@code /realms/{realm}/marque}. */
public class MarqueResourceProviderFactory implements RealmResourceProviderFactory {

    /** The first part of the path after the realm. */
    public static final String PROVIDER_ID = "marque";

    @Override
    public RealmResourceProvider create(KeycloakSession session) {
        return new MarqueResourceProvider(session);
    }

    @Override
    public String getId() {
        return PROVIDER_ID;
    }

    @Override
    public void init(Config.Scope config) {
        // no options
    }

    @Override
    public void postInit(KeycloakSessionFactory factory) {
        // nothing depends on other factories
    }

    @Override
    public void close() {
        // holds nothing
    }

    private record MarqueResourceProvider(KeycloakSession session) implements RealmResourceProvider {

        @Override
        public Object getResource() {
            return new MarqueResource(session);
        }

        @Override
        public void close() {
            // holds nothing
        }
    }
}
