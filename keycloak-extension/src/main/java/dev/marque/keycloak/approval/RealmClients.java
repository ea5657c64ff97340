package dev.marque.keycloak.approval;

import java.security.PublicKey;
import java.util.List;
import java.util.Optional;

import dev.marque.keycloak.plan.ClientRegistry;
import dev.marque.keycloak.plan.CompactJws;
import dev.marque.keycloak.plan.RegisteredClient;
import org.jboss.logging.Logger;
import org.keycloak.crypto.KeyWrapper;
import org.keycloak.jose.jws.JWSInput;
import org.keycloak.jose.jws.JWSInputException;
import org.keycloak.keys.loader.PublicKeyStorageManager;
import org.keycloak.models.ClientModel;
import org.keycloak.models.KeycloakSession;
import org.keycloak.models.RealmModel;

/** The clients of a realm, with the keys that Keycloak itself would authenticate them by. */
record RealmClients(KeycloakSession session, RealmModel realm) implements ClientRegistry {

    private static final Logger LOG = Logger.getLogger(RealmClients.class);
    private static final String LOCATIONS = "marque.locations";

    @Override
    public Optional<RegisteredClient> client(String clientId) {
        return Optional.ofNullable(realm.getClientByClientId(clientId)).map(model -> new Registered(session, model));
    }

    private record Registered(KeycloakSession session, ClientModel model) implements RegisteredClient {

        @Override
        public boolean enabled() {
            return model.isEnabled();
        }

        @Override
        public List<String> locations() {
            String locations = model.getAttribute(LOCATIONS);
            return locations == null ? List.of() : List.of(locations.trim().split(" +"));
        }

        @Override
        public Optional<PublicKey> signingKey(CompactJws jws) {
            try {
                JWSInput input = new JWSInput(jws.compact());
                KeyWrapper key = PublicKeyStorageManager.getClientPublicKeyWrapper(session, model, input);
                return Optional.ofNullable(key).map(KeyWrapper::getPublicKey).map(PublicKey.class::cast);
            } catch (JWSInputException | RuntimeException e) {
                LOG.warnf("The keys of client %s cannot be loaded: %s", model.getClientId(), e.getMessage());
                return Optional.empty();
            }
        }
    }
}
