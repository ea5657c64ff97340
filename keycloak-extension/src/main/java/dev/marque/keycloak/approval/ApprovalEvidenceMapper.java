package dev.marque.keycloak.approval;

import java.util.ArrayList;
import java.util.List;

import org.keycloak.models.ClientSessionContext;
import org.keycloak.models.KeycloakSession;
import org.keycloak.models.ProtocolMapperModel;
import org.keycloak.models.UserSessionModel;
import org.keycloak.protocol.oidc.OIDCLoginProtocol;
import org.keycloak.protocol.oidc.mappers.AbstractOIDCProtocolMapper;
import org.keycloak.protocol.oidc.mappers.OIDCAttributeMapperHelper;
import org.keycloak.protocol.oidc.mappers.OIDCIDTokenMapper;
import org.keycloak.provider.ProviderConfigProperty;
import org.keycloak.representations.IDToken;

/** Puts the evidence of this very sign-in into its ID token, as the claim {@code marque_approval}. */
public class ApprovalEvidenceMapper extends AbstractOIDCProtocolMapper implements OIDCIDTokenMapper {

    /** The mapper's id in a realm file. */
    public static final String PROVIDER_ID = "marque-approval-evidence";
    /** The claim. */
    public static final String CLAIM = "marque_approval";

    @Override
    protected void setClaim(IDToken token, ProtocolMapperModel model, UserSessionModel userSession,
                            KeycloakSession session, ClientSessionContext context) {
        String nonce = context.getAttribute(OIDCLoginProtocol.NONCE_PARAM, String.class);
        ApprovalEvidence.take(context.getClientSession(), nonce)
                .ifPresent(evidence -> token.getOtherClaims().put(CLAIM, evidence));
    }

    @Override
    public String getId() {
        return PROVIDER_ID;
    }

    @Override
    public String getDisplayCategory() {
        return TOKEN_MAPPER_CATEGORY;
    }

    @Override
    public String getDisplayType() {
        return "Marque approval evidence";
    }

    @Override
    public String getHelpText() {
        return "Adds to the ID token how the person answered a plan, with the passkey's assertion.";
    }

    @Override
    public List<ProviderConfigProperty> getConfigProperties() {
        List<ProviderConfigProperty> properties = new ArrayList<>();
        OIDCAttributeMapperHelper.addIncludeInTokensConfig(properties, ApprovalEvidenceMapper.class);
        return properties;
    }
}
