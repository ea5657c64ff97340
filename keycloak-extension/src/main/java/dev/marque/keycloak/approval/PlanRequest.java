package dev.marque.keycloak.approval;

import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.UUID;

import dev.marque.keycloak.plan.Presented;
import org.keycloak.crypto.SignatureProvider;
import org.keycloak.jose.jws.JWSBuilder;
import org.keycloak.models.KeycloakSession;
import org.keycloak.models.RealmModel;

/** The realm's signed request for what a page shows. */
final class PlanRequest {

    private static final long LIFETIME_SECONDS = 60;

    private PlanRequest() {
    }

    /** Signs with the realm's active key for its default signature algorithm. */
    static String sign(KeycloakSession session, RealmModel realm, String realmIssuer, String marqueIssuer,
                       Presented.Kind kind, String id) {
        long now = Instant.now().getEpochSecond();
        Map<String, Object> claims = new LinkedHashMap<>();
        claims.put("iss", realmIssuer);
        claims.put("aud", marqueIssuer);
        claims.put(kind.idMember, id);
        claims.put("iat", now);
        claims.put("exp", now + LIFETIME_SECONDS);
        claims.put("jti", UUID.randomUUID().toString());
        SignatureProvider signatures = session.getProvider(SignatureProvider.class, realm.getDefaultSignatureAlgorithm());
        return new JWSBuilder().type(kind.requestType).jsonContent(claims).sign(signatures.signer());
    }
}
