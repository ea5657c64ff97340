package dev.marque.keycloak.approval;

import com.fasterxml.jackson.databind.JsonNode;
import dev.marque.keycloak.plan.PlanRefused;
import dev.marque.keycloak.plan.StrictJson;

/** The checks on a WebAuthn {@code clientDataJSON} that Keycloak leaves out or makes later. */
final class ClientData {

    private ClientData() {
    }

    /**
     * Refuses an assertion for another page and one made inside a frame.
     *
     * @throws PlanRefused for another type or challenge, {@code crossOrigin} other than false, or any {@code topOrigin}
     */
    static void check(byte[] clientDataJson, String challenge) throws PlanRefused {
        JsonNode data = StrictJson.object(clientDataJson, "the client data");
        if (!"webauthn.get".equals(data.path("type").textValue())) {
            throw new PlanRefused("the client data is not of an assertion");
        }
        if (!challenge.equals(data.path("challenge").textValue())) {
            throw new PlanRefused("the assertion is for another page");
        }
        JsonNode crossOrigin = data.get("crossOrigin");
        boolean framed = crossOrigin != null && !(crossOrigin.isBoolean() && !crossOrigin.booleanValue());
        if (framed || data.has("topOrigin")) {
            throw new PlanRefused("the assertion was made inside a frame");
        }
    }
}
