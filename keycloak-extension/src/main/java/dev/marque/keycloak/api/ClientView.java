package dev.marque.keycloak.api;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;

import org.keycloak.models.ClientModel;
import org.keycloak.models.KeycloakSession;

/** What is said about a client; one without any {@code marque.*} attribute is not spoken of. */
final class ClientView {

    private static final String PREFIX = "marque.";

    private ClientView() {
    }

    static boolean isVisible(ClientModel client) {
        return client.getAttributes().keySet().stream().anyMatch(name -> name.startsWith(PREFIX));
    }

    static Map<String, Object> of(KeycloakSession session, ClientModel client) {
        Map<String, String> attributes = new TreeMap<>(client.getAttributes());
        attributes.keySet().removeIf(name -> !name.startsWith(PREFIX));
        Map<String, Object> view = new LinkedHashMap<>();
        view.put("client_id", client.getClientId());
        view.put("enabled", client.isEnabled());
        view.put("jwks", Map.of("keys", PublicKeys.of(session, client)));
        view.put("attributes", attributes);
        return view;
    }
}
