//! Who calls: a verified transaction token with a verified proof of its key.

use crate::config::GateConfig;
use crate::refusal::Refusal;
use marque_core::canonical::Digest;
use marque_core::claims::{IntentRef, TxnClaims};
use marque_core::envelope::{Envelope, EnvelopeStep};
use marque_core::jws::{self, JwsError, KeySet};
use marque_core::limits;
use marque_core::names::TYP_TXN;
use marque_core::reason::Reason;

/// A caller whose token and proof hold. It says who calls and what the token carries; it permits
/// nothing. Only a [`Gate`](crate::Gate) makes one, one per proof.
pub struct Caller {
    pub(crate) claims: TxnClaims,
    pub(crate) token: String,
    pub(crate) proof: String,
    pub(crate) call_digest: Option<Digest>,
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) accepts_challenge: bool,
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
        &self.claims.sub
    }

    /// Client id of the current actor (RFC 8693 §4.1, outermost `act`).
    pub fn client_id(&self) -> &str {
        &self.claims.act.sub
    }

    /// Client ids of all actors, the current one first, the agent last.
    pub fn actors(&self) -> Vec<&str> {
        self.claims.act.chain()
    }

    /// The call chain that this call belongs to (claim `txn`).
    pub fn transaction(&self) -> &str {
        &self.claims.txn
    }

    /// The signed plan that the token comes from.
    pub fn intent(&self) -> &IntentRef {
        &self.claims.tctx.intent
    }

    /// The steps that the token carries.
    pub fn steps(&self) -> &[EnvelopeStep] {
        &self.claims.tctx.envelope.steps
    }

    /// When the token ends; seconds since the Unix epoch.
    pub fn expires_at(&self) -> i64 {
        self.claims.exp
    }

    /// The token as it came: a subject token for the holder of its key, or for a delegate of the
    /// signed plan.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The proof as it came.
    pub fn proof(&self) -> &str {
        &self.proof
    }

    /// The method that the proof covers.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The URL that the proof covers.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// All that the token carries: the steps and what holds for all of them.
    pub fn envelope(&self) -> &Envelope {
        &self.claims.tctx.envelope
    }

    pub(crate) fn intent_id(&self) -> &str {
        &self.claims.tctx.intent.id
    }
}

/// What came of a token: a key that is not known may be learned.
pub(crate) enum TokenError {
    UnknownKey,
    Refused(Refusal),
}

/// Verifies a transaction token: signature, `typ`, `iss`, `aud`, `exp`, `iat`, in this order.
///
/// `exp` is taken without leeway: what a person approved until an instant ends at that instant.
pub(crate) fn verify_token(token: &str, keys: &KeySet, config: &GateConfig, now: i64) -> Result<TxnClaims, TokenError> {
    let invalid = |what: String| TokenError::Refused(Refusal::new(Reason::TokenInvalid).because(what));
    let verified = jws::verify(token, TYP_TXN, keys).map_err(|error| match error {
        JwsError::UnknownKey => TokenError::UnknownKey,
        JwsError::WrongType(_) => {
            invalid(format!("the token {error}: an intent token is exchanged at Marque and used nowhere else"))
        }
        error => invalid(format!("the token {error}")),
    })?;
    let claims =
        TxnClaims::parse(&verified.payload).map_err(|refused| invalid(format!("the token's claims: {refused}")))?;
    if claims.iss != config.issuer {
        return Err(invalid("the token is from another issuer".into()));
    }
    if claims.aud != config.trust_domain {
        return Err(invalid("the token is for another trust domain".into()));
    }
    if claims.exp <= now {
        return Err(TokenError::Refused(Refusal::new(Reason::TokenExpired).of_intent(&claims.tctx.intent.id)));
    }
    if claims.iat > now.saturating_add(limits::CLOCK_LEEWAY_SECS) {
        return Err(invalid("the token is not valid yet (iat)".into()));
    }
    Ok(claims)
}
