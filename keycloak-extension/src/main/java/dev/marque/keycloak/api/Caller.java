package dev.marque.keycloak.api;

import jakarta.ws.rs.NotAuthorizedException;
import org.keycloak.models.KeycloakSession;
import org.keycloak.models.RoleModel;
import org.keycloak.representations.AccessToken;
import org.keycloak.services.managers.AppAuthManager.BearerTokenAuthenticator;
import org.keycloak.services.managers.AuthenticationManager.AuthResult;

/** What a request's access token makes of its sender. */
enum Caller {
    UNKNOWN,
    WITHOUT_ROLE,
    READER;

    private static final String ROLE = "marque-read";

    /** The role must be in the token and still be held by the token's user. */
    static Caller of(KeycloakSession session) {
        AuthResult caller = authenticate(session);
        if (caller == null) {
            return UNKNOWN;
        }
        RoleModel role = session.getContext().getRealm().getRole(ROLE);
        AccessToken.Access inToken = caller.token().getRealmAccess();
        boolean granted = role != null && inToken != null && inToken.isUserInRole(ROLE) && caller.user().hasRole(role);
        return granted ? READER : WITHOUT_ROLE;
    }

    private static AuthResult authenticate(KeycloakSession session) {
        try {
            return new BearerTokenAuthenticator(session).authenticate();
        } catch (NotAuthorizedException e) {
            return null;
        }
    }
}
