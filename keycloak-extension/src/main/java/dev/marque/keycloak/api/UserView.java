package dev.marque.keycloak.api;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

import dev.marque.keycloak.approval.Passkey;
import org.keycloak.models.UserModel;

/** What is said about a user. */
final class UserView {

    private UserView() {
    }

    static Map<String, Object> of(UserModel user) {
        List<Map<String, Object>> passkeys = Passkey.of(user).map(UserView::of).toList();
        Map<String, Object> view = new LinkedHashMap<>();
        view.put("sub", user.getId());
        view.put("username", user.getUsername());
        view.put("enabled", user.isEnabled());
        view.put("passkeys", passkeys);
        return view;
    }

    private static Map<String, Object> of(Passkey passkey) {
        Map<String, Object> view = new LinkedHashMap<>();
        view.put("credential_id", passkey.credentialId());
        view.put("public_key", passkey.publicKey());
        view.put("sign_count", passkey.signCount());
        view.put("created_at", passkey.createdAt());
        return view;
    }
}
