package dev.marque.keycloak.approval;

import java.util.Arrays;
import java.util.Base64;
import java.util.Optional;
import java.util.stream.Stream;

import dev.marque.keycloak.plan.Binary;
import org.keycloak.credential.CredentialModel;
import org.keycloak.models.UserModel;
import org.keycloak.models.credential.WebAuthnCredentialModel;
import org.keycloak.models.credential.dto.WebAuthnCredentialData;

/**
 * A passkey as Keycloak stores it. Second factors are not passkeys.
 *
 * @param credentialId base64url
 * @param publicKey the COSE key, base64url
 * @param signCount the stored signature counter
 * @param createdAt in milliseconds since 1970
 */
public record Passkey(String credentialId, String publicKey, long signCount, long createdAt) {

    /** All passkeys of a user. */
    public static Stream<Passkey> of(UserModel user) {
        return user.credentialManager().getStoredCredentialsByTypeStream(WebAuthnCredentialModel.TYPE_PASSWORDLESS)
                .map(Passkey::of);
    }

    /** The user's passkey with this id. */
    public static Optional<Passkey> of(UserModel user, byte[] credentialId) {
        return of(user).filter(each -> Arrays.equals(Binary.decode(each.credentialId), credentialId)).findFirst();
    }

    /** Keycloak keeps the id in standard base64 and the key in base64url, with or without padding. */
    private static Passkey of(CredentialModel model) {
        WebAuthnCredentialData data = WebAuthnCredentialModel.createFromCredentialModel(model).getWebAuthnCredentialData();
        byte[] id = Base64.getMimeDecoder().decode(data.getCredentialId());
        byte[] key = Base64.getUrlDecoder().decode(data.getCredentialPublicKey());
        long created = model.getCreatedDate() == null ? 0 : model.getCreatedDate();
        return new Passkey(Binary.encode(id), Binary.encode(key), data.getCounter(), created);
    }
}
