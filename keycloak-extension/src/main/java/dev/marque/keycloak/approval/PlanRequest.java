package dev.marque.keycloak.approval;

import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.UUID;

import org.keycloak.crypto.SignatureProvider;
import org.keycloak.jose.jws.JWSBuilder;
import org.keycloak.models.KeycloakSession;
import org.keycloak.models.RealmModel;

/** The realm's signed request for one plan. */
final class PlanRequest {

    private static final String TYPE = "marque-plan-request+jwt";
    private static final long LIFETIME_SECONDS = 60;

    private PlanRequest() {
    }

    /** Signs with the realm's active key for its default signature algorithm. */
    static String sign(KeycloakSession session, RealmModel realm, String realmIssuer, String marqueIssuer, String intentId) {
        long now = Instant.now().getEpochSecond();
        Map<String, Object> claims = new LinkedHashMap<>();
        claims.put("iss", realmIssuer);
        claims.put("aud", marqueIssuer);
        claims.put("intent_id", intentId);
        claims.put("iat", now);
        claims.put("exp", now + LIFETIME_SECONDS);
        claims.put("jti", UUID.randomUUID().toString());
        SignatureProvider signatures = session.getProvider(SignatureProvider.class, realm.getDefaultSignatureAlgorithm());
        return new JWSBuilder().type(TYPE).jsonContent(claims).sign(signatures.signer());
    }
}
