//! What keys are for.

use marque_core::names;
use time::Duration;

/// What a key signs. No key signs two kinds of thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Intent tokens.
    IntentToken,
    /// Transaction tokens.
    TxnToken,
    /// Access tokens for one resource server.
    AccessToken,
    /// Answers to the extension's plan requests.
    PlanAnswer,
    /// Evidence files.
    Evidence,
    /// Answers to the extension's step-up requests.
    StepUpAnswer,
    /// Evidence files of step-ups.
    StepUpEvidence,
    /// The revocation feed.
    Revocation,
    /// Marque's own client assertions at Keycloak.
    ClientAssertion,
    /// The decision point's signed metadata.
    PdpMetadata,
    /// Marque's own statements that a catalog counts.
    CatalogAdmission,
    /// Answers to introspection that are asked for as a JWT.
    Introspection,
    /// Status lists.
    StatusList,
    /// Grants for foreign issuers, for a call chain.
    DomainGrant,
    /// Grants for foreign issuers, for an intent.
    IntentGrant,
    /// What binds a request for access to the denial before it.
    AccessRequest,
}

impl Purpose {
    /// All purposes.
    pub const ALL: [Self; 16] = [
        Self::IntentToken,
        Self::TxnToken,
        Self::AccessToken,
        Self::PlanAnswer,
        Self::Evidence,
        Self::StepUpAnswer,
        Self::StepUpEvidence,
        Self::Revocation,
        Self::ClientAssertion,
        Self::PdpMetadata,
        Self::CatalogAdmission,
        Self::Introspection,
        Self::StatusList,
        Self::DomainGrant,
        Self::IntentGrant,
        Self::AccessRequest,
    ];

    /// The JWS `typ` it signs, which is published with the key.
    pub const fn typ(self) -> &'static str {
        match self {
            Self::IntentToken => names::TYP_INTENT,
            Self::TxnToken => names::TYP_TXN,
            Self::AccessToken => names::TYP_ACCESS,
            Self::PlanAnswer => names::TYP_PLAN,
            Self::Evidence => names::TYP_EVIDENCE,
            Self::StepUpAnswer => names::TYP_STEP_UP,
            Self::StepUpEvidence => names::TYP_STEP_UP_EVIDENCE,
            Self::Revocation => names::TYP_REVOCATION,
            Self::ClientAssertion => names::TYP_CLIENT_ASSERTION,
            Self::PdpMetadata => names::TYP_PDP_METADATA,
            Self::CatalogAdmission => names::TYP_CATALOG_ADMISSION,
            Self::Introspection => names::TYP_INTROSPECTION,
            Self::StatusList => names::TYP_STATUS_LIST,
            Self::DomainGrant => names::TYP_DOMAIN_GRANT,
            Self::IntentGrant => names::TYP_INTENT_GRANT,
            Self::AccessRequest => names::TYP_ACCESS_REQUEST,
        }
    }

    /// How long something lives at most that such a key signed; without an end what is kept and verified again. The next
    /// key stays published beside it for so long.
    pub const fn lifetime(self) -> Option<Duration> {
        match self {
            Self::Evidence | Self::StepUpEvidence | Self::CatalogAdmission => None,
            Self::IntentToken => Some(Duration::hours(1)),
            // These name no end, or are kept by whoever asked.
            Self::PdpMetadata | Self::Introspection => Some(Duration::days(1)),
            Self::TxnToken
            | Self::AccessToken
            | Self::PlanAnswer
            | Self::StepUpAnswer
            | Self::Revocation
            | Self::ClientAssertion
            | Self::StatusList
            | Self::DomainGrant
            | Self::IntentGrant
            | Self::AccessRequest => Some(Duration::minutes(5)),
        }
    }
}
