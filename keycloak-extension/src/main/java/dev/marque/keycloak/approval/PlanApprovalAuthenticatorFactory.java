package dev.marque.keycloak.approval;

import java.util.List;

import org.keycloak.Config;
import org.keycloak.authentication.Authenticator;
import org.keycloak.authentication.AuthenticatorFactory;
import org.keycloak.models.AuthenticationExecutionModel.Requirement;
import org.keycloak.models.KeycloakSession;
import org.keycloak.models.KeycloakSessionFactory;
import org.keycloak.models.credential.WebAuthnCredentialModel;
import org.keycloak.provider.ProviderConfigProperty;

/** Registers the authenticator, and stops the start of a server that is too old for it. */
public class PlanApprovalAuthenticatorFactory implements AuthenticatorFactory {

    /** The authenticator's id in a realm file. */
    public static final String PROVIDER_ID = "marque-plan-approval";
    private final String templateSha256 = ApprovalTemplate.sha256();
    private MarqueEndpoint marque;

    @Override
    public void init(Config.Scope config) {
        ServerVersion.check();
        marque = new MarqueEndpoint();
    }

    @Override
    public void postInit(KeycloakSessionFactory factory) {
        // nothing depends on other factories
    }

    @Override
    public Authenticator create(KeycloakSession session) {
        return new PlanApprovalAuthenticator(session, marque, templateSha256);
    }

    @Override
    public void close() {
        // the HTTP client ends with the server
    }

    @Override
    public String getId() {
        return PROVIDER_ID;
    }

    @Override
    public String getDisplayType() {
        return "Marque plan approval";
    }

    @Override
    public String getHelpText() {
        return "Shows an agent's plan and asks for a passkey gesture that commits to it.";
    }

    @Override
    public String getReferenceCategory() {
        return WebAuthnCredentialModel.TYPE_PASSWORDLESS;
    }

    @Override
    public boolean isConfigurable() {
        return true;
    }

    @Override
    public Requirement[] getRequirementChoices() {
        return new Requirement[] {Requirement.REQUIRED, Requirement.DISABLED};
    }

    /** False: otherwise Keycloak would let a user without a passkey register one and skip the approval. */
    @Override
    public boolean isUserSetupAllowed() {
        return false;
    }

    @Override
    public List<ProviderConfigProperty> getConfigProperties() {
        return List.of(
                new ProviderConfigProperty(ApprovalPage.MARQUE_ISSUER, "Marque issuer",
                        "The issuer that signs this realm's plans.", ProviderConfigProperty.STRING_TYPE, null),
                new ProviderConfigProperty(ApprovalPage.MARQUE_URL, "Marque URL",
                        "Where plans are fetched, if not at the issuer.", ProviderConfigProperty.STRING_TYPE, null));
    }
}
