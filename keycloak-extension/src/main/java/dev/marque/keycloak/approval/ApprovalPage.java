package dev.marque.keycloak.approval;

import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;

import dev.marque.keycloak.plan.PlanAnswer;
import dev.marque.keycloak.plan.PlanRefused;
import dev.marque.keycloak.plan.PlanWords;
import dev.marque.keycloak.plan.Presented;
import dev.marque.keycloak.plan.StepUpAnswer;
import jakarta.ws.rs.core.Response;
import org.keycloak.WebAuthnConstants;
import org.keycloak.authentication.AuthenticationFlowContext;
import org.keycloak.forms.login.LoginFormsProvider;
import org.keycloak.http.HttpResponse;
import org.keycloak.models.AuthenticatorConfigModel;
import org.keycloak.models.KeycloakSession;
import org.keycloak.protocol.oidc.OIDCLoginProtocol;
import org.keycloak.protocol.oidc.endpoints.AuthorizationEndpoint;
import org.keycloak.sessions.AuthenticationSessionModel;

/** Makes the approval page: asks Marque, verifies, renders, sets the challenge and remembers what was shown. */
final class ApprovalPage {

    static final String MARQUE_URL = "marqueUrl";
    static final String MARQUE_ISSUER = "marqueIssuer";
    private static final String NOTE = AuthorizationEndpoint.LOGIN_SESSION_NOTE_ADDITIONAL_REQ_PARAMS_PREFIX;
    private static final Pattern UUID = Pattern.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}");
    /** Keycloak has no nonce for inline scripts; the browser enforces this header beside the realm's own. */
    private static final String CSP = "frame-ancestors 'none'; base-uri 'none'; object-src 'none'";

    private final PlanApprovalAuthenticator authenticator;
    private final KeycloakSession session;
    private final MarqueEndpoint marque;
    private final String templateSha256;

    ApprovalPage(PlanApprovalAuthenticator authenticator, KeycloakSession session, MarqueEndpoint marque,
                 String templateSha256) {
        this.authenticator = authenticator;
        this.session = session;
        this.marque = marque;
        this.templateSha256 = templateSha256;
    }

    /** The id that the client pushed for something of this kind, if it is a UUID. */
    static Optional<String> id(AuthenticationFlowContext context, Presented.Kind kind) {
        return Optional.ofNullable(context.getAuthenticationSession().getClientNote(NOTE + kind.parameter))
                .filter(id -> UUID.matcher(id).matches());
    }

    /**
     * The page, or the end of the ceremony if there can be none.
     *
     * @param error key of a message to show above the plan, or null
     */
    Response show(AuthenticationFlowContext context, String error) {
        try {
            return make(context, error);
        } catch (Refusal.Refused e) {
            return ApprovalEnd.refused(context, e.refusal);
        } catch (PlanUnavailable | PlanRefused e) {
            return ApprovalEnd.unavailable(context, e.getMessage());
        }
    }

    private Response make(AuthenticationFlowContext context, String error)
            throws Refusal.Refused, PlanUnavailable, PlanRefused {
        AuthenticationSessionModel authSession = context.getAuthenticationSession();
        Presented answer = answer(context);
        if (!answer.isFor(context.getUser().getUsername(), context.getUser().getId())) {
            throw new Refusal.Refused(Refusal.WRONG_USER);
        }
        LoginFormsProvider form = authenticator.fillContextForm(context); // sets a challenge of its own
        if (form == null) {
            throw new Refusal.Refused(Refusal.NO_PASSKEY);
        }
        PendingApproval pending = PendingApproval.of(answer, realmIssuer(authSession), context.getUser().getId(),
                templateSha256);
        pending.store(authSession);
        authSession.setAuthNote(WebAuthnConstants.AUTH_CHALLENGE_NOTE, pending.challenge());
        lockDown();
        if (error != null) {
            form.setError(error, ""); // some of Keycloak's messages have a place for a detail
        }
        return fill(form, pending, answer).createForm(ApprovalTemplate.NAME);
    }

    private Presented answer(AuthenticationFlowContext context) throws Refusal.Refused, PlanUnavailable, PlanRefused {
        AuthenticationSessionModel authSession = context.getAuthenticationSession();
        Presented.Kind kind = id(context, Presented.Kind.STEP_UP).isPresent() ? Presented.Kind.STEP_UP
                : Presented.Kind.PLAN;
        String id = id(context, kind).orElseThrow(() -> new Refusal.Refused(Refusal.PLAN_GONE));
        if (!PlanAnswer.MARQUE_CLIENT.equals(authSession.getClient().getClientId())
                || authSession.getClientNote(OIDCLoginProtocol.NONCE_PARAM) == null) {
            throw new PlanUnavailable("the flow is for the client marque, with a nonce");
        }
        Map<String, String> config = config(context);
        String issuer = config.get(MARQUE_ISSUER);
        String realmIssuer = realmIssuer(authSession);
        String url = config.getOrDefault(MARQUE_URL, issuer);
        String request = PlanRequest.sign(session, context.getRealm(), realmIssuer, issuer, kind, id);
        byte[] body = marque.fetch(url + kind.path + id, request);
        PlanAnswer.Expected expected = new PlanAnswer.Expected(issuer, realmIssuer, id, Instant.now());
        RealmClients clients = new RealmClients(session, context.getRealm());
        return kind == Presented.Kind.STEP_UP ? StepUpAnswer.verify(body, expected, clients)
                : PlanAnswer.verify(body, expected, clients);
    }

    private static Map<String, String> config(AuthenticationFlowContext context) throws PlanUnavailable {
        AuthenticatorConfigModel config = context.getAuthenticatorConfig();
        if (config == null || config.getConfig() == null || config.getConfig().get(MARQUE_ISSUER) == null) {
            throw new PlanUnavailable("the authenticator has no configuration " + MARQUE_ISSUER);
        }
        return config.getConfig();
    }

    private static String realmIssuer(AuthenticationSessionModel authSession) {
        return authSession.getClientNote(OIDCLoginProtocol.ISSUER);
    }

    private void lockDown() {
        HttpResponse response = session.getContext().getHttpResponse();
        response.addHeader("Content-Security-Policy", CSP);
        response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
    }

    private static LoginFormsProvider fill(LoginFormsProvider form, PendingApproval pending, Presented answer) {
        return form.setAttribute(WebAuthnConstants.CHALLENGE, pending.challenge())
                .setAttribute("isStepUp", answer.kind() == Presented.Kind.STEP_UP)
                .setAttribute("intentId", pending.id())
                .setAttribute("planDigest", pending.digest())
                .setAttribute("planWords", PlanWords.of(answer.digest()))
                .setAttribute("planLines", lines(answer))
                .setAttribute("longestReason", Denial.LONGEST_REASON);
    }

    /** The template engine reads maps; it cannot tell a record's accessors from methods. */
    private static List<Map<String, Object>> lines(Presented answer) {
        return answer.lines().stream().map(line -> Map.<String, Object>of("text", line.text(), "danger", line.danger()))
                .toList();
    }
}
