package dev.marque.keycloak.api;

import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

import com.fasterxml.jackson.core.type.TypeReference;
import org.keycloak.crypto.KeyType;
import org.keycloak.crypto.KeyWrapper;
import org.keycloak.jose.jwk.JWK;
import org.keycloak.jose.jwk.JWKBuilder;
import org.keycloak.keys.PublicKeyStorageProvider;
import org.keycloak.keys.PublicKeyStorageUtils;
import org.keycloak.keys.loader.ClientPublicKeyLoader;
import org.keycloak.models.ClientModel;
import org.keycloak.models.KeycloakSession;
import org.keycloak.util.JsonSerialization;

/** A client's signature keys as Keycloak would load them to authenticate the client: public members only. */
final class PublicKeys {

    private static final Set<String> MEMBERS = Set.of("kty", "kid", "use", "alg", "crv", "x", "y", "n", "e");

    private PublicKeys() {
    }

    static List<Map<String, Object>> of(KeycloakSession session, ClientModel client) {
        String cacheKey = PublicKeyStorageUtils.getClientModelCacheKey(client.getRealm().getId(), client.getId());
        return session.getProvider(PublicKeyStorageProvider.class)
                .getKeys(cacheKey, new ClientPublicKeyLoader(session, client)).stream()
                .map(PublicKeys::jwk).filter(Objects::nonNull).map(PublicKeys::publicMembers).toList();
    }

    /** Null for a key of a type that no client of Marque signs with. */
    private static JWK jwk(KeyWrapper key) {
        JWKBuilder builder = JWKBuilder.create().kid(key.getKid()).algorithm(key.getAlgorithm());
        return switch (key.getType()) {
            case KeyType.EC -> builder.ec(key.getPublicKey());
            case KeyType.RSA -> builder.rsa(key.getPublicKey());
            case KeyType.OKP -> builder.okp(key.getPublicKey());
            default -> null;
        };
    }

    private static Map<String, Object> publicMembers(JWK jwk) {
        Map<String, Object> members = JsonSerialization.mapper.convertValue(jwk, new TypeReference<Map<String, Object>>() { });
        members.keySet().retainAll(MEMBERS);
        return members;
    }
}
