//! A call that the ledger has to be asked about: its use is counted and its permit reserved, in one transaction.
//!
//! 1. The intent is active, and held against its revocation.
//! 2. Its ledger, held where something is to be counted.
//! 3. A repeat of the same call id gets its earlier permit.
//! 4. Decide, with the uses so far and what the person approved of exactly this call.
//! 5. Count the use, use up the proof and the approval, and keep the permit.

use super::evaluate_access::{Asked, Evaluated, Permit, StepUpNeeded};
use super::ledger::{IntentLedger, Sought};
use super::reserve_together::{self, CountedCall};
use super::uncounted_permits::{self, Standing};
use super::use_step_up::{Presenter, StepUps, step_ups};
use super::{Context, FlowError, location_ledger, parse_intent_id};
use crate::store;
use crate::store::reservations;
use marque_core::claims::Carried;
use marque_core::decide::{self, Decision};
use marque_core::envelope::{Envelope, EnvelopeStep};
use marque_core::plan::Uses;
use marque_core::reason::Reason;
use marque_core::recall::Recall;
use sqlx::PgConnection;
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// Decides with the ledger. What it finds wrong with its own rows, or too much to read, is a refusal of the call.
pub(super) async fn reserve_permit(
    cx: Context<'_>,
    asked: &Asked<'_>,
    envelope: &Envelope,
) -> Result<Evaluated, FlowError> {
    let (location, by) = (&asked.evaluation.call.location, asked.evaluation.ledger.as_deref());
    if !location_ledger::may_count(cx, asked.client_id, location, by).await? {
        return Ok(asked.refused(Reason::LedgerUnavailable));
    }
    if let Some(permit) = together(cx, asked, envelope).await? {
        return Ok(Evaluated::Permit(permit));
    }
    match charge(cx, asked, envelope).await {
        Err(FlowError::Refused(refusal)) if refusal.reason.is_some() => {
            Ok(asked.refused(refusal.reason.unwrap_or(Reason::LedgerUnavailable)))
        }
        charged => charged,
    }
}

/// A permit from a transaction that calls share, if the call may share one and is permitted by it.
async fn together(cx: Context<'_>, asked: &Asked<'_>, envelope: &Envelope) -> Result<Option<Permit>, FlowError> {
    let call = &asked.evaluation.call;
    let is_inline = matches!(asked.claims.tctx.carried, Carried::Inline(_));
    if !is_inline || !reserve_together::may_share(envelope, call) {
        return Ok(None);
    }
    let counted = CountedCall {
        key: asked.key(cx),
        claims: asked.claims.clone(),
        call: call.clone(),
        call_digest: asked.call_digest,
        presented: asked.presented,
        proof: asked.used_proof(cx)?,
        proven: asked.proven.call_digest(),
        blocked: cx.realm.config.blocked.clone(),
    };
    // Nothing, whether the batch failed or left the call alone: it is charged by itself.
    Ok(cx.app.reservations.ask_with_others(asked.intent_id, counted).await?.flatten())
}

async fn charge(cx: Context<'_>, asked: &Asked<'_>, envelope: &Envelope) -> Result<Evaluated, FlowError> {
    let (call, now) = (&asked.evaluation.call, cx.app.clock.now());
    let recall = Recall::of_call(envelope, call);
    // What is read in two statements is held, too: between them nothing may be counted.
    let counts = recall.counts || !recall.is_empty();
    let _turn = if counts { cx.realm.queues.wait(asked.intent_id).await? } else { None };
    let mut tx = cx.app.db.begin().await?;
    if !store::intents::lock_active(&mut tx, cx.realm_name(), asked.intent_id, now).await? {
        return asked.inactive(cx, &mut tx).await;
    }
    if store::tokens::is_revoked(&mut tx, asked.intent_id, asked.token_id).await? {
        return Ok(asked.refused(Reason::TokenRevoked));
    }
    let mut ledger = match counts {
        true => cx.lock_ledger(&mut tx, asked.intent_id).await?,
        false => cx.ledger(&mut tx, asked.intent_id).await?,
    };
    if let Some(answer) = repeated(&mut tx, asked, now).await? {
        return Ok(answer);
    }
    let sought = Sought { envelope, recall, txn: parse_intent_id(&asked.claims.txn) };
    let facts = cx.facts(&mut tx, &ledger, &sought).await?;
    let approved = if counts { approvals(cx, &mut tx, asked, envelope).await? } else { StepUps::default() };
    let facts = approved.known_to(facts);
    let step = match decide::decide(envelope, call, &facts, cx.now_secs()) {
        Decision::Permit(step) => step,
        Decision::StepUp(needed) => {
            let (step, values) = (needed.step.id.clone(), needed.values);
            return Ok(Evaluated::StepUp(StepUpNeeded { intent_id: asked.intent_id, step, values }));
        }
        Decision::Escalate(refusal) | Decision::Deny(refusal) => {
            return Ok(Evaluated::Refused(Box::new(refusal), Some(asked.intent_id.to_string())));
        }
    };
    if !asked.is_proven(step) {
        return Ok(asked.refused(Reason::CallDigestMismatch));
    }
    let permit = match step.uses {
        Uses::Any => uncounted(cx, &mut tx, asked, step).await?,
        Uses::Count(_) => reserve(cx, &mut tx, asked, &mut ledger, step).await?,
    };
    let permit = match permit {
        Ok(permit) => permit,
        Err(reason) => return Ok(asked.refused(reason)),
    };
    if !approved.use_up(&mut tx, step, permit.permit_id, now).await? {
        return Ok(asked.refused(Reason::StepUpRequired));
    }
    tx.commit().await?;
    Ok(Evaluated::Permit(permit))
}

/// What step-ups say of a call whose ledger is held. Where it is not held, no step that may fit the call asks for one.
async fn approvals(
    cx: Context<'_>,
    tx: &mut PgConnection,
    asked: &Asked<'_>,
    envelope: &Envelope,
) -> Result<StepUps, FlowError> {
    let claims = asked.claims;
    let presenter =
        Presenter { intent: &claims.tctx.intent, sub: &claims.sub, client_id: &claims.act.sub, cnf: &claims.cnf };
    step_ups(cx, tx, (asked.intent_id, &envelope.steps), presenter, &asked.evaluation.call).await
}

/// The earlier permit for this call id; the same id for another call, or with another proof, is refused.
async fn repeated(
    tx: &mut PgConnection,
    asked: &Asked<'_>,
    now: OffsetDateTime,
) -> Result<Option<Evaluated>, FlowError> {
    let call_id = &asked.evaluation.call_id;
    let found = store::permits::find_by_call(tx, asked.intent_id, asked.client_id, call_id).await?;
    let Some(earlier) = found else { return Ok(None) };
    let is_open = earlier.outcome.is_none() && now < earlier.expires_at;
    if earlier.presented != asked.presented.to_base64() || !is_open {
        return Ok(Some(asked.refused(Reason::CallMalformed)));
    }
    Ok(Some(Evaluated::Permit(Permit {
        permit_id: earlier.permit_id,
        intent_id: asked.intent_id,
        step: earlier.step_id,
        call_digest: asked.call_digest,
        expires_at: earlier.expires_at.unix_timestamp(),
        state: "reserved",
        seq: earlier.seq.map(i64::unsigned_abs),
    })))
}

/// A permit that nothing counts, of a step that the ledger was asked about for another reason, or says why not.
async fn uncounted(
    cx: Context<'_>,
    tx: &mut PgConnection,
    asked: &Asked<'_>,
    step: &EnvelopeStep,
) -> Result<Result<Permit, Reason>, FlowError> {
    let call = asked.uncounted(cx)?;
    let standing = uncounted_permits::take(tx, &[call], cx.app.clock.now()).await?;
    Ok(match standing.first() {
        Some(Standing::Permit(permit_id)) => Ok(asked.uncounted_permit(cx, *permit_id, step)),
        Some(Standing::ProofReplayed) => Err(Reason::ProofReplayed),
        Some(Standing::Counted) => Err(Reason::CallMalformed),
        Some(Standing::NotActive) | None => Err(Reason::IntentRevoked),
    })
}

/// Counts the use and keeps the permit, or says why not.
async fn reserve(
    cx: Context<'_>,
    tx: &mut PgConnection,
    asked: &Asked<'_>,
    ledger: &mut IntentLedger,
    step: &EnvelopeStep,
) -> Result<Result<Permit, Reason>, FlowError> {
    if store::replays::use_once(tx, &[asked.used_proof(cx)?]).await? != [true] {
        return Ok(Err(Reason::ProofReplayed));
    }
    let (now, intent_id) = (cx.app.clock.now(), asked.intent_id);
    let (row, permit) = asked.as_use(cx).counted(ledger, step, now)?;
    let counts = BTreeMap::from([(intent_id, ledger.sealed_counts()?)]);
    match reservations::keep(tx, &[row], &counts, now).await {
        Ok(()) => Ok(Ok(permit)),
        // The counts were put back from before: a permit of this number is there already.
        Err(error) if store::violates(&error, "permits_seq") => {
            tracing::error!(intent = %intent_id, "the ledger's counts are older than its permits");
            Ok(Err(Reason::LedgerUnavailable))
        }
        Err(error) => Err(error.into()),
    }
}
