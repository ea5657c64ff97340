//! The resource server's challenge for a call that the person has to approve first.
//!
//! Only a client that says `Accept-Txn-Challenge: ?1` is given one (draft-rosomakho-oauth-txn-challenge); the others
//! are refused with 403 `step_up_required`. The challenge names exactly the call that was checked, its step and the
//! key it was presented with; the agent hands it to Marque, waits for the person, and repeats the call.

use crate::caller::Caller;
use crate::config::GateConfig;
use marque_core::call::Call;
use marque_core::claims::Confirmation;
use marque_core::names::TYP_CHALLENGE;
use marque_core::step_up::challenge::{CallDetail, Challenge};
use std::sync::Arc;

/// Seconds that a challenge lives: its client hands it in at once.
const LIFETIME_SECS: i64 = 120;
/// Why a challenge is made, unless the resource server has better words.
const REASON: &str = "The plan asks for the person's approval of each such call.";

/// The key with which a resource server signs challenges: one of those that are registered for its client. It may be
/// kept wherever signing is possible.
pub trait ChallengeKey: Send + Sync {
    /// A compact JWS (RFC 7515 §7.1) by ES256 with the header members `alg`, `typ` and `kid`.
    ///
    /// # Errors
    /// Says why it cannot sign; the call is then refused without a challenge.
    fn sign(&self, typ: &str, payload: &[u8]) -> Result<String, String>;
}

/// Who signs challenges, and what they say.
#[derive(Clone)]
pub struct Challenger {
    client_id: String,
    key: Arc<dyn ChallengeKey>,
    reason: String,
}

impl Challenger {
    /// Challenges of a resource server's client.
    pub fn new(client_id: &str, key: impl ChallengeKey + 'static) -> Self {
        Self { client_id: client_id.into(), key: Arc::new(key), reason: REASON.into() }
    }

    /// Other words for why it asks: at most 280 characters, which the person is shown as unchecked.
    #[must_use]
    pub fn because(mut self, reason: &str) -> Self {
        self.reason = reason.into();
        self
    }

    /// The signed challenge for one call of a caller.
    pub(crate) fn challenge(
        &self,
        config: &GateConfig,
        caller: &Caller,
        call: &Call,
        step: &str,
        (jti, now): (String, i64),
    ) -> Result<String, String> {
        let challenge = Challenge {
            iss: self.client_id.clone(),
            aud: config.issuer.clone(),
            iat: now,
            exp: now.saturating_add(LIFETIME_SECS),
            jti,
            txn: caller.claims.txn.clone(),
            authorization_details: [CallDetail::from(call)],
            reason: self.reason.clone(),
            intent: caller.claims.tctx.intent.clone(),
            step: step.into(),
            call_digest: call.digest(),
            cnf: Confirmation { jkt: caller.claims.cnf.jkt.clone() },
            act: caller.claims.act.clone(),
        };
        let payload = challenge.payload();
        // What Marque would refuse is not handed out.
        Challenge::parse(&payload).map_err(|refused| refused.to_string())?;
        self.key.sign(TYP_CHALLENGE, &payload)
    }
}
