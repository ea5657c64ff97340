//! Counted calls that come at once share a transaction, where a decision reads no more of the past than how often the steps
//! were used. Whatever does not end in a permit here is asked again by itself, in `reserve_permit`: a refusal, a repeat, a
//! ledger that somebody else holds.
//!
//! 1. The intents are active, and held against their revocation.
//! 2. Their ledgers, held.
//! 3. Decide, one call after the other, each with what those before it used.
//! 4. Use the proofs; a call whose proof was used before counts nothing.
//! 5. Count the uses and keep the permits.

use super::FlowError;
use super::evaluate_access::{Permit, is_proven};
use super::ledger::{Counts, IntentLedger, opened};
use crate::batch::Batch;
use crate::clock::Clock;
use crate::keys::RecordSeal;
use crate::store::Database;
use crate::store::replays::SingleUse;
use crate::store::reservations::{self, CallKey, Reservation};
use crate::{random, store};
use marque_core::call::Call;
use marque_core::canonical::Digest;
use marque_core::claims::{Carried, TxnClaims};
use marque_core::constraint::Work;
use marque_core::decide::{Decision, decide_within};
use marque_core::envelope::{Envelope, EnvelopeStep};
use marque_core::facts::Facts;
use marque_core::plan::{Approve, Blocked, Uses};
use marque_core::recall::Recall;
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// How long a resource server has to report what became of a permitted call.
const RESERVATION: Duration = Duration::seconds(60);
/// Work on one decision, in the units of [`marque_core::limits::DECISION_WORK`]: most take a few hundred, and while one is
/// worked on, the others of its batch wait. One that needs more is asked by itself.
const WORK: u64 = 2_000;

/// Takes counted calls.
pub type Reservations = Batch<CountedCall, Option<Permit>>;

/// A counted call whose token and proof were verified.
pub struct CountedCall {
    pub(super) key: CallKey,
    pub(super) claims: Arc<TxnClaims>,
    pub(super) call: Call,
    pub(super) call_digest: Digest,
    /// Digest of what the call came with.
    pub(super) presented: Digest,
    pub(super) proof: SingleUse,
    /// What the proof says of the call.
    pub(super) proven: Option<Digest>,
    /// What the realm's configuration forbids.
    pub(super) blocked: Vec<Blocked>,
}

/// Whether a decision about a call depends on nothing but how often the steps were used: it may share a transaction.
pub(super) fn may_share(envelope: &Envelope, call: &Call) -> bool {
    let asks_a_person = envelope.steps.iter().any(|step| step.approve != Approve::Plan);
    Recall::of_call(envelope, call).is_empty() && envelope.bounds.turns.is_none() && !asks_a_person
}

/// Starts to take calls.
pub fn start(db: Database, clock: Clock, records: RecordSeal) -> Reservations {
    Batch::start(2, move |calls: Vec<CountedCall>| {
        let (db, now, records) = (db.clone(), clock.now(), records.clone());
        async move {
            match db.write_together(async |tx| reserve(tx, &calls, &records, now).await).await {
                // Counts that are older than their permits: each is told so by itself.
                Err(error) if store::violates(&error, "permits_seq") => Ok(vec![None; calls.len()]),
                reserved => reserved,
            }
        }
    })
}

/// A call of a batch, by its place, with the step that permits it.
type Permitted<'c> = (usize, &'c CountedCall, &'c EnvelopeStep);

async fn reserve(
    tx: &mut PgConnection,
    calls: &[CountedCall],
    records: &RecordSeal,
    now: OffsetDateTime,
) -> Result<Vec<Option<Permit>>, store::StoreError> {
    let mut none = vec![None; calls.len()];
    let ledgers = held(tx, calls, records, now).await?;
    let keys: Vec<&CallKey> = calls.iter().map(|call| &call.key).collect();
    let repeated = reservations::permitted_before(tx, &keys).await?;
    let candidates = calls.iter().enumerate().filter(|(place, _)| repeated.get(*place) == Some(&false));
    let permitted = permitted(candidates, counts_of(&ledgers), now);
    if permitted.is_empty() {
        return Ok(none);
    }
    let proofs: Vec<SingleUse> = permitted.iter().map(|(_, call, _)| call.proof).collect();
    let is_new = store::replays::use_once(tx, &proofs).await?;
    let new = permitted.into_iter().zip(is_new).filter_map(|(one, is_new)| is_new.then_some(one));
    for (place, permit) in keep(tx, new.collect(), ledgers, now).await? {
        if let Some(slot) = none.get_mut(place) {
            *slot = Some(permit);
        }
    }
    Ok(none)
}

/// The ledgers that could be held, of intents that are active. One that does not open is left for who asks by himself.
async fn held(
    tx: &mut PgConnection,
    calls: &[CountedCall],
    records: &RecordSeal,
    now: OffsetDateTime,
) -> Result<BTreeMap<Uuid, IntentLedger>, store::StoreError> {
    let asked: BTreeSet<(String, Uuid)> =
        calls.iter().map(|call| (call.key.realm.clone(), call.key.intent_id)).collect();
    let active = reservations::hold_active(tx, &asked.into_iter().collect::<Vec<_>>(), now).await?;
    let ids: Vec<Uuid> = active.iter().map(|(_, intent_id)| *intent_id).collect();
    let counts = reservations::hold_counts(tx, &ids).await?;
    let opened = active.into_iter().filter_map(|(realm, intent_id)| {
        let ledger = opened(records, &realm, intent_id, Some(counts.get(&intent_id)?)).ok()?;
        Some((intent_id, ledger))
    });
    Ok(opened.collect())
}

fn counts_of(ledgers: &BTreeMap<Uuid, IntentLedger>) -> BTreeMap<Uuid, Counts> {
    ledgers.iter().map(|(intent_id, ledger)| (*intent_id, ledger.counts.clone())).collect()
}

/// The calls that are permitted, one after the other. No two have one proof or one id.
fn permitted<'c>(
    calls: impl Iterator<Item = (usize, &'c CountedCall)>,
    mut counts: BTreeMap<Uuid, Counts>,
    now: OffsetDateTime,
) -> Vec<Permitted<'c>> {
    let (mut proofs, mut ids) = (HashSet::new(), HashSet::new());
    let mut all = Vec::new();
    for (place, call) in calls {
        let Some(counts) = counts.get_mut(&call.key.intent_id) else { continue };
        let Some(step) = permitting(call, counts, now) else { continue };
        let is_first =
            proofs.insert(call.proof.id) && ids.insert((call.key.intent_id, &call.key.client_id, &call.key.call_id));
        if is_first {
            counts.reserve(&step.id);
            all.push((place, call, step));
        }
    }
    all
}

/// The counted step that permits a call now, if its proof covers the call.
fn permitting<'c>(call: &'c CountedCall, counts: &Counts, now: OffsetDateTime) -> Option<&'c EnvelopeStep> {
    let Carried::Inline(envelope) = &call.claims.tctx.carried else { return None };
    let facts = Facts { blocked: call.blocked.clone(), steps: counts.known(), ..Facts::default() };
    match decide_within(envelope, &call.call, &facts, now.unix_timestamp(), &Work::new(WORK)) {
        Decision::Permit(step) if step.uses != Uses::Any && is_proven(step, call.proven, call.call_digest) => {
            Some(step)
        }
        _ => None,
    }
}

/// Counts the uses and keeps the permits.
async fn keep(
    tx: &mut PgConnection,
    permitted: Vec<Permitted<'_>>,
    mut ledgers: BTreeMap<Uuid, IntentLedger>,
    now: OffsetDateTime,
) -> Result<Vec<(usize, Permit)>, store::StoreError> {
    let (mut rows, mut given) = (Vec::new(), Vec::new());
    for (place, call, step) in permitted {
        let Some(ledger) = ledgers.get_mut(&call.key.intent_id) else { continue };
        let CountedCall { key, call, call_digest, presented, .. } = call;
        let used = Use { key: key.clone(), call, call_digest: *call_digest, presented: *presented };
        let (row, permit) = used.counted(ledger, step, now).map_err(unsealed)?;
        rows.push(row);
        given.push((place, permit));
    }
    let changed: BTreeSet<Uuid> = rows.iter().map(|row| row.key.intent_id).collect();
    let counts = ledgers.iter().filter(|(intent_id, _)| changed.contains(intent_id));
    let counts = counts.map(|(intent_id, ledger)| Ok((*intent_id, ledger.sealed_counts().map_err(unsealed)?)));
    let counts = counts.collect::<Result<BTreeMap<_, _>, store::StoreError>>()?;
    reservations::keep(tx, &rows, &counts, now).await?;
    Ok(given)
}

/// A call that uses a step.
pub(super) struct Use<'u> {
    pub(super) key: CallKey,
    pub(super) call: &'u Call,
    pub(super) call_digest: Digest,
    /// Digest of what the call came with.
    pub(super) presented: Digest,
}

impl Use<'_> {
    /// Counts the use: the permit, and the row that keeps it.
    ///
    /// # Errors
    /// When the crypto library refuses to seal the call.
    pub(super) fn counted(
        self,
        ledger: &mut IntentLedger,
        step: &EnvelopeStep,
        now: OffsetDateTime,
    ) -> Result<(Reservation, Permit), FlowError> {
        let Self { key, call, call_digest, presented } = self;
        let (permit_id, seq, expires_at) = (random::id(), ledger.counts.reserve(&step.id), now + RESERVATION);
        let permit = Permit {
            permit_id,
            intent_id: key.intent_id,
            step: step.id.clone(),
            call_digest,
            expires_at: expires_at.unix_timestamp(),
            state: "reserved",
            seq: Some(seq.unsigned_abs()),
        };
        let row = Reservation {
            key,
            permit_id,
            step_id: step.id.clone(),
            call_digest: call_digest.as_bytes().to_vec(),
            presented: presented.to_base64(),
            call: ledger.seal_call(permit_id, &step.id, call)?,
            seq,
            expires_at,
        };
        Ok((row, permit))
    }
}

/// The crypto library refused: nothing is kept.
fn unsealed(error: impl std::fmt::Display) -> store::StoreError {
    store::StoreError::Protocol(format!("a record cannot be sealed: {error}"))
}
