package dev.marque.keycloak.approval;

import jakarta.ws.rs.core.Response;
import org.jboss.logging.Logger;
import org.keycloak.authentication.AuthenticationFlowContext;
import org.keycloak.events.Errors;
import org.keycloak.protocol.LoginProtocol;

/** The ends of the ceremony at which nothing is decided. */
final class ApprovalEnd {

    private static final Logger LOG = Logger.getLogger(ApprovalEnd.class);

    private ApprovalEnd() {
    }

    /** Back to the client with {@code access_denied} and the refusal's code. */
    static Response refused(AuthenticationFlowContext context, Refusal refusal) {
        context.getEvent().user(context.getUser()).detail("marque_refusal", refusal.code).error(Errors.ACCESS_DENIED);
        LoginProtocol protocol = context.getSession().getProvider(LoginProtocol.class,
                context.getAuthenticationSession().getProtocol());
        protocol.setRealm(context.getRealm()).setHttpHeaders(context.getHttpRequest().getHttpHeaders())
                .setUriInfo(context.getUriInfo()).setEventBuilder(context.getEvent());
        return protocol.sendError(context.getAuthenticationSession(), LoginProtocol.Error.CONSENT_DENIED, refusal.code);
    }

    /** Keycloak's error page: Marque gave no answer that may be shown. Reloading it asks again. */
    static Response unavailable(AuthenticationFlowContext context, String reason) {
        String printable = reason.replaceAll("[^\\x20-\\x7E]", "?");
        LOG.warnf("No plan to show in realm %s: %s", context.getRealm().getName(), printable);
        context.getEvent().user(context.getUser()).detail("marque_refusal", "plan_unavailable")
                .error(Errors.GENERIC_AUTHENTICATION_ERROR);
        return context.form().setError("marquePlanUnavailable").createErrorPage(Response.Status.BAD_GATEWAY);
    }
}
