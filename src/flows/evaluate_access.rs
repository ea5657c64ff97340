//! The remote gate: one AuthZEN evaluation, ending in the same `decide` as every gate, and the ledger.
//!
//! 1. The resource server answers for the location.
//! 2. The token: signature, kind, domain, time.
//! 3. The proof: this request, this token, the token's key; for everything but reads, this very call.
//! 4. The intent is still active.
//! 5. Decide, with the uses so far and what the person approved of exactly this call.
//! 6. Count the use, use up the approval and reserve a permit. A repeat of the same call id gets the same permit; a proof is good
//!    for one call id.

use super::authenticate_resource_server::ResourceServer;
use super::envelopes::carried;
use super::ledger::Permitted;
use super::use_step_up::{Presenter, step_ups};
use super::{Context, FlowError, OAuthError, Refusal, parse_intent_id};
use crate::store::permits::NewPermit;
use crate::{random, store};
use marque_core::call::Call;
use marque_core::canonical::Digest;
use marque_core::claims::{TxnClaims, token_hash};
use marque_core::decide::{self, Decision, LateValue};
use marque_core::dpop::{self, Proof};
use marque_core::envelope::EnvelopeStep;
use marque_core::jws::{JwsError, Verified};
use marque_core::plan::{Class, Uses};
use marque_core::reason::Reason;
use serde_json::json;
use sqlx::PgConnection;
use std::sync::Arc;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// How long a resource server has to report what became of a permitted call.
const RESERVATION: Duration = Duration::seconds(60);

/// A call that a resource server asks about.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// `subject.id`: the acting client.
    pub client_id: String,
    /// The concrete call.
    pub call: Call,
    /// `context.txn_token`.
    pub txn_token: String,
    /// `context.dpop`.
    pub dpop: String,
    /// `context.method`.
    pub method: String,
    /// `context.url`.
    pub url: String,
    /// `context.call_id`.
    pub call_id: String,
}

/// The answer.
#[derive(Clone, Debug)]
pub enum Evaluated {
    /// The call is permitted.
    Permit(Permit),
    /// It is not.
    Refused(Box<decide::Refusal>, Option<String>),
    /// It would be, once the person has approved this very call.
    StepUp(StepUpNeeded),
}

/// What the person would have to approve.
#[derive(Clone, Debug)]
pub struct StepUpNeeded {
    /// The intent.
    pub intent_id: Uuid,
    /// The step.
    pub step: String,
    /// The values that were not in the plan, and where each came from.
    pub values: Vec<LateValue>,
}

/// A permit for one call.
#[derive(Clone, Debug)]
pub struct Permit {
    /// Its id.
    pub permit_id: Uuid,
    /// The intent.
    pub intent_id: Uuid,
    /// The step it uses.
    pub step: String,
    /// Digest of the call.
    pub call_digest: marque_core::canonical::Digest,
    /// Until when it is good; seconds since the Unix epoch.
    pub expires_at: i64,
    /// `reserved`, or `uncounted` where there is nothing to settle.
    pub state: &'static str,
    /// Its number among the intent's permits; none where nothing is counted.
    pub seq: Option<u64>,
}

/// Evaluates a call.
///
/// # Errors
/// `invalid_target` if the resource server does not answer for the location; a refused call is not an error.
pub async fn evaluate_access(
    cx: Context<'_>,
    resource_server: &ResourceServer,
    evaluation: &Evaluation,
) -> Result<Evaluated, FlowError> {
    if !resource_server.answers_for(&evaluation.call.location) {
        let text = "context.location: the client does not answer for it (attribute marque.locations)";
        return Err(Refusal::new(OAuthError::InvalidTarget, text).into());
    }
    let claims = match verify_token(cx, &evaluation.txn_token, Some(&evaluation.client_id)) {
        Ok(claims) => claims,
        Err(reason) => return Ok(refused(reason, None)),
    };
    let intent = Some(claims.tctx.intent.id.clone());
    let proof = match verify_proof(cx, evaluation, &claims) {
        Ok(proof) => proof,
        Err(reason) => return Ok(refused(reason, intent)),
    };
    let Some(intent_id) = parse_intent_id(&claims.tctx.intent.id) else {
        return Ok(refused(Reason::TokenInvalid, None));
    };
    charge(cx, resource_server, evaluation, &claims, &proof, intent_id).await
}

fn refused(reason: Reason, intent: Option<String>) -> Evaluated {
    Evaluated::Refused(Box::new(decide::Refusal { reason, nearest: None }), intent)
}

/// A transaction token of this trust domain that is not over; of this actor, where one is named.
pub(super) fn verify_token(cx: Context<'_>, token: &str, actor: Option<&str>) -> Result<Arc<TxnClaims>, Reason> {
    let read = |verified: &Verified| TxnClaims::parse(&verified.payload).map_err(|_| Malformed);
    let claims = cx.realm.txn_tokens.read(token, cx.realm.keyring.public(), read);
    let claims = claims.map_err(|Malformed| Reason::TokenInvalid)?;
    let is_actor = actor.is_none_or(|actor| actor == claims.act.sub);
    if claims.iss != cx.issuer() || claims.aud != cx.realm.config.trust_domain || !is_actor {
        return Err(Reason::TokenInvalid);
    }
    if claims.exp <= cx.now_secs() {
        return Err(Reason::TokenExpired);
    }
    Ok(claims)
}

/// A token that is none of ours.
struct Malformed;

impl From<JwsError> for Malformed {
    fn from(_: JwsError) -> Self {
        Self
    }
}

fn verify_proof(cx: Context<'_>, evaluation: &Evaluation, claims: &TxnClaims) -> Result<Proof, Reason> {
    let expected =
        dpop::Expected { method: &evaluation.method, uri: &evaluation.url, token: Some(&evaluation.txn_token) };
    let proof = dpop::verify(&evaluation.dpop, &expected, cx.now_secs()).map_err(|_| Reason::ProofInvalid)?;
    if proof.jkt == claims.cnf.jkt { Ok(proof) } else { Err(Reason::ProofKeyMismatch) }
}

async fn charge(
    cx: Context<'_>,
    resource_server: &ResourceServer,
    evaluation: &Evaluation,
    claims: &TxnClaims,
    proof: &Proof,
    intent_id: Uuid,
) -> Result<Evaluated, FlowError> {
    let intent = Some(claims.tctx.intent.id.clone());
    let now = cx.app.clock.now();
    let mut tx = cx.app.pool.begin().await?;
    if !store::intents::lock_active(&mut tx, cx.realm_name(), intent_id, now).await? {
        let reason = cx.why_not_active(&mut tx, intent_id).await?.unwrap_or(Reason::IntentRevoked);
        return Ok(refused(reason, intent));
    }
    store::permits::lock_call(&mut tx, intent_id, resource_server.client_id(), &evaluation.call_id).await?;
    if let Some(answer) = repeated(&mut tx, resource_server, evaluation, proof, intent_id, now).await? {
        return Ok(answer);
    }
    let Some(envelope) = carried(cx, &mut tx, &claims.tctx.carried).await? else {
        return Ok(refused(Reason::TokenInvalid, intent));
    };
    let facts = cx.facts(&mut tx, intent_id, &envelope).await?;
    let presenter =
        Presenter { intent: &claims.tctx.intent, sub: &claims.sub, client_id: &claims.act.sub, jkt: &proof.jkt };
    let steps = envelope.steps.as_slice();
    let step_ups = step_ups(cx, &mut tx, (intent_id, steps), presenter, &evaluation.call).await?;
    let facts = step_ups.known_to(facts);
    let step = match decide::decide(&envelope, &evaluation.call, &facts, cx.now_secs()) {
        Decision::Permit(step) => step,
        Decision::StepUp(needed) => {
            let (step, values) = (needed.step.id.clone(), needed.values);
            return Ok(Evaluated::StepUp(StepUpNeeded { intent_id, step, values }));
        }
        Decision::Escalate(refusal) | Decision::Deny(refusal) => {
            return Ok(Evaluated::Refused(Box::new(refusal), intent));
        }
    };
    if step.class != Class::Read && proof.call_digest != Some(evaluation.call.digest()) {
        return Ok(refused(Reason::CallDigestMismatch, intent));
    }
    // In the permit's transaction: a proof is used only if its permit stands.
    if !cx.use_once_in(&mut tx, "evaluation", &proof.jkt, &proof.jti, proof.over_at()).await? {
        return Ok(refused(Reason::ProofReplayed, intent));
    }
    let permit = reserve(cx, &mut tx, resource_server, evaluation, (step, proof), intent_id).await?;
    let Some(permit) = permit else { return Ok(refused(Reason::UsesExhausted, intent)) };
    if !step_ups.use_up(&mut tx, step, permit.permit_id, now).await? {
        return Ok(refused(Reason::StepUpRequired, intent));
    }
    tx.commit().await?;
    Ok(Evaluated::Permit(permit))
}

/// The earlier permit for this call id; the same id for another call, or with another proof, is refused.
async fn repeated(
    tx: &mut PgConnection,
    resource_server: &ResourceServer,
    evaluation: &Evaluation,
    proof: &Proof,
    intent_id: Uuid,
    now: OffsetDateTime,
) -> Result<Option<Evaluated>, FlowError> {
    let client_id = resource_server.client_id();
    let found = store::permits::find_by_call(tx, intent_id, client_id, &evaluation.call_id).await?;
    let Some(earlier) = found else { return Ok(None) };
    let call_digest = evaluation.call.digest();
    let is_open = earlier.state == "reserved" && now < earlier.expires_at;
    if earlier.call_digest != call_digest.as_bytes() || earlier.presented != presented(evaluation, proof) || !is_open {
        return Ok(Some(refused(Reason::CallMalformed, Some(intent_id.to_string()))));
    }
    Ok(Some(Evaluated::Permit(Permit {
        permit_id: earlier.permit_id,
        intent_id,
        step: earlier.step_id,
        call_digest,
        expires_at: earlier.expires_at.unix_timestamp(),
        state: "reserved",
        seq: earlier.seq.map(i64::unsigned_abs),
    })))
}

/// What the call came with: the very token, key and proof, for the call at its place. Only the same again is a repeat.
fn presented(evaluation: &Evaluation, proof: &Proof) -> String {
    let Evaluation { call, txn_token, client_id, .. } = evaluation;
    let all = json!([
        client_id,
        token_hash(txn_token),
        proof.jkt,
        proof.jti,
        call.approval(),
        call.environment,
        call.records
    ]);
    Digest::of_canonical(&all).to_base64()
}

/// Counts the use and keeps the permit; nothing if somebody else used the step up meanwhile.
async fn reserve(
    cx: Context<'_>,
    tx: &mut PgConnection,
    resource_server: &ResourceServer,
    evaluation: &Evaluation,
    (step, proof): (&EnvelopeStep, &Proof),
    intent_id: Uuid,
) -> Result<Option<Permit>, FlowError> {
    let now = cx.app.clock.now();
    let (call_digest, expires_at, permit_id) = (evaluation.call.digest(), now + RESERVATION, random::id());
    let permit = |state, seq| Permit {
        permit_id,
        intent_id,
        step: step.id.clone(),
        call_digest,
        expires_at: expires_at.unix_timestamp(),
        state,
        seq,
    };
    let Uses::Count(allowed) = step.uses else { return Ok(Some(permit("uncounted", None))) };
    if !store::permits::reserve_use(tx, intent_id, &step.id, allowed).await? {
        return Ok(None);
    }
    let row = NewPermit {
        intent_id,
        permit_id,
        step_id: &step.id,
        client_id: resource_server.client_id(),
        call_id: &evaluation.call_id,
        call_digest: call_digest.as_bytes(),
        call: &cx.seal_call(Permitted { intent_id, permit_id, step_id: &step.id }, &evaluation.call)?,
        presented: &presented(evaluation, proof),
        expires_at,
    };
    let seq = store::permits::insert(tx, &row, now).await?;
    Ok(Some(permit("reserved", Some(seq))))
}
