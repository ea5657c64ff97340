package dev.marque.keycloak.approval;

import java.util.Optional;

import dev.marque.keycloak.plan.Binary;
import jakarta.ws.rs.core.MultivaluedMap;
import org.keycloak.WebAuthnConstants;

/**
 * A passkey's assertion as the page posted it, every part base64url.
 *
 * @param userHandle null if the passkey gave none
 */
record PostedAssertion(String credentialId, String userHandle, String clientDataJson, String authenticatorData,
                       String signature) {

    /** Reads the form; empty if a part is missing, repeated or not base64url. */
    static Optional<PostedAssertion> of(MultivaluedMap<String, String> form) {
        try {
            String handle = form.getFirst(WebAuthnConstants.USER_HANDLE);
            return Optional.of(new PostedAssertion(part(form, WebAuthnConstants.CREDENTIAL_ID),
                    handle == null || handle.isEmpty() ? null : part(form, WebAuthnConstants.USER_HANDLE),
                    part(form, WebAuthnConstants.CLIENT_DATA_JSON), part(form, WebAuthnConstants.AUTHENTICATOR_DATA),
                    part(form, WebAuthnConstants.SIGNATURE)));
        } catch (IllegalArgumentException e) {
            return Optional.empty();
        }
    }

    byte[] credentialIdBytes() {
        return Binary.decode(credentialId);
    }

    byte[] clientDataBytes() {
        return Binary.decode(clientDataJson);
    }

    byte[] authenticatorDataBytes() {
        return Binary.decode(authenticatorData);
    }

    private static String part(MultivaluedMap<String, String> form, String name) {
        if (!form.containsKey(name) || form.get(name).size() != 1 || Binary.decode(form.getFirst(name)).length == 0) {
            throw new IllegalArgumentException(name);
        }
        return form.getFirst(name);
    }
}
