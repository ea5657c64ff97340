package dev.marque.keycloak.api;

import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;

import jakarta.ws.rs.GET;
import jakarta.ws.rs.Path;
import jakarta.ws.rs.PathParam;
import jakarta.ws.rs.Produces;
import jakarta.ws.rs.core.HttpHeaders;
import jakarta.ws.rs.core.MediaType;
import jakarta.ws.rs.core.Response;
import org.keycloak.models.KeycloakSession;
import org.keycloak.models.RealmModel;

/**
 * What Marque may read of a realm, and nothing more: a user's state, passkeys and Marque's
 * own roles, a client's keys and {@code marque.*} attributes.
 * Callers need the realm role {@code marque-read}.
 */
@Produces(MediaType.APPLICATION_JSON)
public class MarqueResource {

    private final KeycloakSession session;

    MarqueResource(KeycloakSession session) {
        this.session = session;
    }

    /** A user's state, passkeys and roles. */
    @GET
    @Path("users/{sub}")
    public Response user(@PathParam("sub") String sub) {
        return answer(() -> Optional.ofNullable(session.users().getUserById(realm(), sub))
                .map(user -> UserView.of(realm(), user)));
    }

    /** A client's state, public keys and {@code marque.*} attributes. */
    @GET
    @Path("clients/{client_id: .+}")
    public Response client(@PathParam("client_id") String clientId) {
        return answer(() -> Optional.ofNullable(realm().getClientByClientId(clientId)).filter(ClientView::isVisible)
                .map(client -> ClientView.of(session, client)));
    }

    private Response answer(Supplier<Optional<Map<String, Object>>> view) {
        return switch (Caller.of(session)) {
            case UNKNOWN -> error(Response.Status.UNAUTHORIZED, "invalid_token");
            case WITHOUT_ROLE -> error(Response.Status.FORBIDDEN, "insufficient_scope");
            case READER -> view.get().map(body -> json(Response.ok(body)))
                    .orElseGet(() -> json(Response.status(Response.Status.NOT_FOUND).entity(Map.of("error", "not_found"))));
        };
    }

    private static Response error(Response.Status status, String code) {
        return json(Response.status(status).entity(Map.of("error", code))
                .header(HttpHeaders.WWW_AUTHENTICATE, "Bearer error=\"" + code + "\""));
    }

    private static Response json(Response.ResponseBuilder response) {
        return response.type(MediaType.APPLICATION_JSON_TYPE).header(HttpHeaders.CACHE_CONTROL, "no-store").build();
    }

    private RealmModel realm() {
        return session.getContext().getRealm();
    }
}
