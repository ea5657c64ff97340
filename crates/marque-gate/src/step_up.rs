//! The resource server's challenge for a call that the person has to approve first.
//!
//! Only a client that says `Accept-Txn-Challenge: ?1` is given one (draft-rosomakho-oauth-txn-challenge); the others
//! are refused with 403 `step_up_required`. The challenge names exactly the call that was checked, its step and the
//! key it was presented with, and of the records that were looked up what the step's conditions read; the agent hands
//! it to Marque, waits for the person, and repeats the call.

use crate::caller::Caller;
use crate::config::GateConfig;
use crate::signer::Signer;
use marque_core::call::Call;
use marque_core::envelope::EnvelopeStep;
use marque_core::names::TYP_CHALLENGE;
use marque_core::step_up::challenge::{CallDetail, Challenge};

/// Seconds that a challenge lives: its client hands it in at once.
const LIFETIME_SECS: i64 = 120;

/// The signed challenge for one call of a caller by one step.
pub(crate) fn challenge(
    config: &GateConfig,
    signer: &Signer,
    (caller, call, step): (&Caller, &Call, &EnvelopeStep),
    (jti, now): (String, i64),
) -> Result<String, String> {
    let challenge = Challenge {
        iss: signer.client_id().into(),
        aud: config.issuer.clone(),
        iat: now,
        exp: now.saturating_add(LIFETIME_SECS),
        jti,
        txn: caller.verified.claims.txn.clone(),
        authorization_details: [CallDetail::from(&call.seen_by(step))],
        reason: config.step_up_reason.clone(),
        intent: caller.verified.claims.intent.clone(),
        step: step.id.clone(),
        call_digest: call.digest(),
        cnf: caller.verified.claims.cnf.clone(),
        act: caller.verified.claims.act.clone(),
    };
    let payload = challenge.payload();
    // What Marque would refuse is not handed out.
    Challenge::parse(&payload).map_err(|refused| refused.to_string())?;
    signer.sign(TYP_CHALLENGE, &payload)
}
