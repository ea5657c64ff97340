//! Who calls: a verified token with proven possession of the key or the certificate that it is bound to.

use crate::token::VerifiedToken;
use marque_core::canonical::Digest;
use marque_core::claims::IntentRef;
use marque_core::envelope::{Envelope, EnvelopeStep};
use marque_core::names::TYP_ACCESS;
use std::sync::Arc;

/// A caller whose token and proof hold. It says who calls and what the token carries; it permits
/// nothing. Only a [`Gate`](crate::Gate) makes one, one per proof.
pub struct Caller {
    pub(crate) verified: Arc<VerifiedToken>,
    pub(crate) token: String,
    pub(crate) possession: Possession,
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) accepts_challenge: bool,
}

/// What the caller proved to hold.
pub(crate) enum Possession {
    /// A key, by a proof for this request, which may name the call that it covers.
    Proof { proof: String, jti: String, call_digest: Option<Digest> },
    /// A certificate, to the TLS of this server. The id is drawn for the call.
    Certificate { thumbprint: Digest, call: String },
}

impl Possession {
    /// The call that it covers, if it names one. A certificate signs no call.
    pub(crate) fn call_digest(&self) -> Option<Digest> {
        match self {
            Self::Proof { call_digest, .. } => *call_digest,
            Self::Certificate { .. } => None,
        }
    }

    /// What is never the same for two calls.
    pub(crate) fn of_call(&self) -> &str {
        match self {
            Self::Proof { proof, .. } => proof,
            Self::Certificate { call, .. } => call,
        }
    }

    /// The id that is used once with the key or the certificate.
    #[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "only a ledger of its own keeps it"))]
    pub(crate) fn single_use_id(&self) -> &str {
        match self {
            Self::Proof { jti, .. } => jti,
            Self::Certificate { call, .. } => call,
        }
    }
}

/// Says who, never the token or the proof.
impl std::fmt::Debug for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Caller");
        shown.field("client_id", &self.client_id()).field("intent", &self.intent_id()).finish_non_exhaustive()
    }
}

impl Caller {
    /// The person for whom the caller acts (claim `sub`).
    pub fn subject(&self) -> &str {
        &self.verified.claims.subject
    }

    /// Client id of the current actor (RFC 8693 §4.1, outermost `act`).
    pub fn client_id(&self) -> &str {
        &self.verified.claims.act.sub
    }

    /// Client ids of all actors, the current one first, the agent last.
    pub fn actors(&self) -> Vec<&str> {
        self.verified.claims.act.chain()
    }

    /// The call chain that this call belongs to (claim `txn`).
    pub fn transaction(&self) -> &str {
        &self.verified.claims.txn
    }

    /// The signed plan that the token comes from.
    pub fn intent(&self) -> &IntentRef {
        &self.verified.claims.intent
    }

    /// The steps that the token carries.
    pub fn steps(&self) -> &[EnvelopeStep] {
        &self.envelope().steps
    }

    /// When the token ends; seconds since the Unix epoch.
    pub fn expires_at(&self) -> i64 {
        self.verified.claims.exp
    }

    /// The token as it came. A transaction token is a subject token for the holder of its key, or for a delegate of the
    /// signed plan; an access token is for this resource server alone.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Whether the token is an access token, and no transaction token.
    pub fn has_access_token(&self) -> bool {
        self.verified.claims.typ() == TYP_ACCESS
    }

    /// The proof as it came; none where the token is bound to a certificate.
    pub fn proof(&self) -> Option<&str> {
        match &self.possession {
            Possession::Proof { proof, .. } => Some(proof),
            Possession::Certificate { .. } => None,
        }
    }

    /// The thumbprint (`x5t#S256`) of the certificate that the token is bound to and that the caller proved; none where it
    /// proved a key.
    pub fn certificate(&self) -> Option<Digest> {
        match self.possession {
            Possession::Proof { .. } => None,
            Possession::Certificate { thumbprint, .. } => Some(thumbprint),
        }
    }

    /// The method that the proof covers, or was asked with.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The URL that the proof covers, or was asked for.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// All that the token carries: the steps and what holds for all of them.
    pub fn envelope(&self) -> &Envelope {
        self.verified.envelope()
    }

    pub(crate) fn intent_id(&self) -> &str {
        &self.verified.claims.intent.id
    }
}
