package dev.marque.keycloak.approval;

import jakarta.ws.rs.core.MultivaluedMap;
import jakarta.ws.rs.core.Response;

import dev.marque.keycloak.plan.PlanRefused;
import org.keycloak.WebAuthnConstants;
import org.keycloak.authentication.AuthenticationFlowContext;
import org.keycloak.authentication.FlowStatus;
import org.keycloak.authentication.authenticators.browser.WebAuthnAuthenticator;
import org.keycloak.credential.CredentialProvider;
import org.keycloak.credential.WebAuthnPasswordlessCredentialProvider;
import org.keycloak.credential.WebAuthnPasswordlessCredentialProviderFactory;
import org.keycloak.models.KeycloakSession;
import org.keycloak.models.RealmModel;
import org.keycloak.models.UserModel;
import org.keycloak.models.WebAuthnPolicy;
import org.keycloak.models.credential.WebAuthnCredentialModel;
import org.keycloak.services.managers.AuthenticationManager;
import org.keycloak.services.managers.AuthenticationManager.AuthResult;
import org.keycloak.services.messages.Messages;
import org.keycloak.sessions.AuthenticationSessionModel;
import org.keycloak.utils.StringUtil;

/**
 * Shows a plan and asks for a passkey assertion whose challenge commits to it, or for a denial. Keycloak's own WebAuthn
 * authenticator verifies the assertion; this class chooses the challenge, narrows what is accepted and keeps the
 * evidence.
 */
public class PlanApprovalAuthenticator extends WebAuthnAuthenticator {

    private final ApprovalPage page;

    PlanApprovalAuthenticator(KeycloakSession session, MarqueEndpoint marque, String templateSha256) {
        super(session);
        this.page = new ApprovalPage(this, session, marque, templateSha256);
    }

    @Override
    public void authenticate(AuthenticationFlowContext context) {
        context.forceChallenge(page.show(context, null));
    }

    @Override
    public void action(AuthenticationFlowContext context) {
        AuthenticationSessionModel authSession = context.getAuthenticationSession();
        PendingApproval pending = PendingApproval.take(authSession).orElse(null);
        if (sessionEnded(context)) {
            context.forceChallenge(ApprovalEnd.refused(context, Refusal.SESSION_ENDED));
        } else if (pending == null || !isOf(pending, context)) {
            authenticate(context);
        } else if (Denial.isIn(form(context))) {
            deny(context, pending);
        } else if (StringUtil.isNotBlank(form(context).getFirst(WebAuthnConstants.ERROR))) {
            // A dismissed dialog is no failed attempt: the page comes again, and nobody gets locked out.
            context.forceChallenge(page.show(context, "marqueGestureMissing"));
        } else {
            approve(context, pending);
        }
    }

    /** A failed assertion shows the plan again, with a new nonce. */
    @Override
    protected Response createErrorResponse(AuthenticationFlowContext context, String errorCase) {
        return page.show(context, errorCase);
    }

    private void deny(AuthenticationFlowContext context, PendingApproval pending) {
        if (!Denial.isWellFormed(form(context), pending.challenge())) {
            context.forceChallenge(page.show(context, "marqueDenialMalformed"));
            return;
        }
        ApprovalEvidence.store(context.getAuthenticationSession(),
                ApprovalEvidence.denied(pending, Denial.reason(form(context))));
        context.getEvent().detail("marque_decision", "denied").detail(pending.kind().parameter, pending.id());
        context.success();
    }

    private void approve(AuthenticationFlowContext context, PendingApproval pending) {
        PostedAssertion assertion = PostedAssertion.of(form(context)).orElse(null);
        String flaw = assertion == null ? "no assertion" : flaw(assertion, pending);
        if (flaw != null) {
            setErrorResponse(context, Messages.WEBAUTHN_ERROR_AUTH_VERIFICATION, flaw);
            return;
        }
        Passkey passkey = Passkey.of(context.getUser(), assertion.credentialIdBytes()).orElse(null);
        if (passkey == null) {
            unknownPasskey(context);
            return;
        }
        super.action(context);
        if (context.getStatus() == FlowStatus.SUCCESS) {
            ApprovalEvidence.store(context.getAuthenticationSession(),
                    ApprovalEvidence.approved(pending, assertion, passkey));
            context.getEvent().detail("marque_decision", "approved").detail(pending.kind().parameter, pending.id());
        }
    }

    private static String flaw(PostedAssertion assertion, PendingApproval pending) {
        try {
            ClientData.check(assertion.clientDataBytes(), pending.challenge());
            return AuthenticatorData.userVerified(assertion.authenticatorDataBytes()) ? null : "the user was not verified";
        } catch (PlanRefused e) {
            return e.getMessage();
        }
    }

    private void unknownPasskey(AuthenticationFlowContext context) {
        if (Passkey.of(context.getUser()).findAny().isEmpty()) {
            context.forceChallenge(ApprovalEnd.refused(context, Refusal.NO_PASSKEY));
        } else {
            setErrorResponse(context, Messages.WEBAUTHN_ERROR_USER_NOT_FOUND, null);
        }
    }

    /** Someone who came with a single-sign-on cookie must still have that session now. */
    private boolean sessionEnded(AuthenticationFlowContext context) {
        if (!"true".equals(context.getAuthenticationSession().getAuthNote(AuthenticationManager.SSO_AUTH))) {
            return false;
        }
        AuthResult current = AuthenticationManager.authenticateIdentityCookie(session, context.getRealm(), true);
        return current == null || !current.user().getId().equals(context.getUser().getId());
    }

    private static boolean isOf(PendingApproval pending, AuthenticationFlowContext context) {
        return pending.userId().equals(context.getUser().getId())
                && pending.id().equals(ApprovalPage.id(context, pending.kind()).orElse(null));
    }

    private static MultivaluedMap<String, String> form(AuthenticationFlowContext context) {
        return context.getHttpRequest().getDecodedFormParameters();
    }

    @Override
    protected WebAuthnPolicy getWebAuthnPolicy(AuthenticationFlowContext context) {
        return context.getRealm().getWebAuthnPolicyPasswordless();
    }

    @Override
    protected String getCredentialType() {
        return WebAuthnCredentialModel.TYPE_PASSWORDLESS;
    }

    @Override
    public WebAuthnPasswordlessCredentialProvider getCredentialProvider(KeycloakSession keycloak) {
        return (WebAuthnPasswordlessCredentialProvider) keycloak.getProvider(CredentialProvider.class,
                WebAuthnPasswordlessCredentialProviderFactory.PROVIDER_ID);
    }

    /** Always true: Keycloak would skip the approval of a user without a passkey; this class refuses them instead. */
    @Override
    public boolean configuredFor(KeycloakSession keycloak, RealmModel realm, UserModel user) {
        return true;
    }
}
