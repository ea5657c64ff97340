package dev.marque.keycloak.approval;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

import com.fasterxml.jackson.core.type.TypeReference;
import org.keycloak.models.AuthenticatedClientSessionModel;
import org.keycloak.protocol.oidc.OIDCLoginProtocol;
import org.keycloak.sessions.AuthenticationSessionModel;
import org.keycloak.util.JsonSerialization;

/**
 * What the ID token says about the person's answer. It travels from the sign-in to the token as a client note whose
 * name holds the OIDC nonce, so that two tabs of one browser cannot take each other's.
 */
final class ApprovalEvidence {

    private static final String NOTE_PREFIX = "marque.evidence.";
    private static final int VERSION = 1;

    private ApprovalEvidence() {
    }

    /**
     * The evidence of an approval.
     *
     * @param passkey as stored before this assertion, so that its counter is the one from before
     */
    static Map<String, Object> approved(PendingApproval pending, PostedAssertion assertion, Passkey passkey) {
        Map<String, Object> evidence = decision("approved", pending);
        evidence.put(pending.kind().digestMember, pending.digest());
        evidence.put("display", pending.display().members());
        evidence.put("nonce", pending.nonce());
        evidence.put("credential_id", passkey.credentialId());
        evidence.put("public_key", passkey.publicKey());
        evidence.put("sign_count", passkey.signCount());
        evidence.put("user_handle", assertion.userHandle());
        evidence.put("client_data_json", assertion.clientDataJson());
        evidence.put("authenticator_data", assertion.authenticatorData());
        evidence.put("signature", assertion.signature());
        evidence.values().removeIf(value -> value == null);
        return evidence;
    }

    /** The evidence of a denial; the reason may be null. */
    static Map<String, Object> denied(PendingApproval pending, String reason) {
        Map<String, Object> evidence = decision("denied", pending);
        if (reason != null) {
            evidence.put("reason", reason);
        }
        return evidence;
    }

    private static Map<String, Object> decision(String decision, PendingApproval pending) {
        Map<String, Object> evidence = new LinkedHashMap<>();
        evidence.put("v", VERSION);
        evidence.put("decision", decision);
        evidence.put(pending.kind().idMember, pending.id());
        return evidence;
    }

    static void store(AuthenticationSessionModel authSession, Map<String, Object> evidence) {
        String nonce = authSession.getClientNote(OIDCLoginProtocol.NONCE_PARAM);
        try {
            authSession.setClientNote(NOTE_PREFIX + nonce, JsonSerialization.writeValueAsString(evidence));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Reads and removes the evidence of the sign-in with this nonce: it goes out in one token. */
    static Optional<Map<String, Object>> take(AuthenticatedClientSessionModel clientSession, String nonce) {
        String note = nonce == null ? null : clientSession.getNote(NOTE_PREFIX + nonce);
        if (note == null) {
            return Optional.empty();
        }
        clientSession.removeNote(NOTE_PREFIX + nonce);
        try {
            return Optional.of(JsonSerialization.readValue(note, new TypeReference<Map<String, Object>>() { }));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
