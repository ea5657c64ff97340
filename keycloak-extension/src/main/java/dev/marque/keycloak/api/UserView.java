package dev.marque.keycloak.api;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

import dev.marque.keycloak.approval.Passkey;
import org.keycloak.models.RealmModel;
import org.keycloak.models.RoleModel;
import org.keycloak.models.UserModel;

/** What is said about a user. */
final class UserView {

    /** The realm roles that Marque knows; of others nothing is said. */
    private static final List<String> ROLES = List.of("marque-admin");

    private UserView() {
    }

    static Map<String, Object> of(RealmModel realm, UserModel user) {
        List<Map<String, Object>> passkeys = Passkey.of(user).map(UserView::of).toList();
        Map<String, Object> view = new LinkedHashMap<>();
        view.put("sub", user.getId());
        view.put("username", user.getUsername());
        view.put("enabled", user.isEnabled());
        view.put("passkeys", passkeys);
        view.put("service_account", user.getServiceAccountClientLink() != null);
        view.put("roles", ROLES.stream().filter(name -> has(user, realm.getRole(name))).toList());
        return view;
    }

    private static boolean has(UserModel user, RoleModel role) {
        return role != null && user.hasRole(role);
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
