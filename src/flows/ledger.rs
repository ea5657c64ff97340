//! What the ledger remembers of an intent: how often each step was used, the calls that were permitted and what they gave.
//! All of it is sealed for its place.
//!
//! A record that does not open is none: what depends on it is then unknown, and refused. Counts that do not open refuse
//! every counted step of their intent.

use super::{Context, FlowError, OAuthError, Refusal};
use crate::keys::{IntentSeal, Record, RecordSeal};
use crate::store;
use crate::store::permits::{PastPermit, Wanted};
use marque_core::call::Call;
use marque_core::canonical::canonical_text;
use marque_core::envelope::Envelope;
use marque_core::facts::{Facts, Past, PastCall};
use marque_core::reason::Reason;
use marque_core::recall::{self, Recall};
use marque_core::receipt::{KnownResult, Outcome, Receipt};
use marque_core::{json, jws, limits};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::PgConnection;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;
use uuid::Uuid;

/// Queues of one server; intents that share one wait for each other, which is rare and harmless.
const QUEUES: usize = 256;
/// How long a request waits for those before it: longer only makes the queue longer.
const WAIT: Duration = Duration::from_secs(3);

/// Requests of this server that count uses of the same intent wait here for each other: so they hold no connection while
/// they wait, and a ledger that somebody else holds keeps one connection and not all.
pub struct Queues(Vec<Mutex<()>>);

impl Default for Queues {
    fn default() -> Self {
        Self((0..QUEUES).map(|_| Mutex::new(())).collect())
    }
}

impl Queues {
    /// The intent's turn; held until dropped.
    pub(super) async fn wait(&self, intent_id: Uuid) -> Result<Option<MutexGuard<'_, ()>>, FlowError> {
        let (high, low) = intent_id.as_u64_pair();
        let queue = usize::try_from((high ^ low) % QUEUES as u64).ok().and_then(|index| self.0.get(index));
        let Some(queue) = queue else { return Ok(None) };
        let waited = timeout(WAIT, queue.lock()).await;
        waited.map(Some).map_err(|_| FlowError::Unavailable("too many calls of one plan wait for its ledger".into()))
    }
}

/// A receipt as the ledger keeps it. It was verified when it came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptReceipt {
    /// The compact JWS.
    pub(super) receipt: String,
    /// What was disclosed of it.
    pub(super) disclosures: Vec<String>,
}

impl KeptReceipt {
    fn known(&self) -> Option<KnownResult> {
        let payload = jws::unverified_payload(&self.receipt).ok()?;
        Receipt::parse(&payload).ok()?.known(&self.disclosures).ok()
    }
}

/// What was counted of an intent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Counts {
    /// Permits that were given, which is the number of the last one.
    permits: i64,
    /// By step id.
    steps: BTreeMap<String, Count>,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Count {
    /// Permits that are reserved, committed or unknown.
    uses: u64,
    /// Permits that are committed.
    committed: u64,
}

/// The ledger of one intent, as it stood when it was read. Where it was locked it stands so until the transaction ends.
pub(super) struct IntentLedger {
    intent_id: Uuid,
    seal: IntentSeal,
    pub(super) counts: Counts,
}

/// What is asked of a ledger.
pub(super) struct Sought<'s> {
    /// What is decided about.
    pub(super) envelope: &'s Envelope,
    /// What the decision may read of the past.
    pub(super) recall: Recall<'s>,
    /// The call chain that asks, which is a turn even if it is the first to be heard of.
    pub(super) txn: Option<Uuid>,
}

impl Counts {
    /// Counts one more use of a step. Returns the number of its permit.
    pub(super) fn reserve(&mut self, step_id: &str) -> i64 {
        self.steps.entry(step_id.to_owned()).or_default().uses += 1;
        self.permits += 1;
        self.permits
    }

    /// What a decision may know of them.
    pub(super) fn known(&self) -> BTreeMap<String, Past> {
        let past = |(step, count): (&String, &Count)| (step.clone(), Past::counted(count.uses, count.committed));
        self.steps.iter().map(past).collect()
    }
}

/// The ledger of an intent from its sealed counts; from none if it was never used.
///
/// # Errors
/// Refused with `ledger_unavailable` if they do not open.
pub(super) fn opened(
    records: &RecordSeal,
    realm: &str,
    intent_id: Uuid,
    sealed: Option<&[u8]>,
) -> Result<IntentLedger, FlowError> {
    let seal = records.of_intent(realm, intent_id)?;
    let Some(sealed) = sealed else { return Ok(IntentLedger { intent_id, seal, counts: Counts::default() }) };
    let counts = seal.open(Record::Counts, sealed).and_then(|opened| serde_json::from_slice(&opened).ok());
    let counts = counts.ok_or_else(|| unreadable(intent_id, "the counts do not open"))?;
    Ok(IntentLedger { intent_id, seal, counts })
}

impl Context<'_> {
    fn opened(&self, intent_id: Uuid, sealed: Option<&[u8]>) -> Result<IntentLedger, FlowError> {
        opened(&self.app.records, self.realm_name(), intent_id, sealed)
    }

    /// The ledger of an intent as it stands. The next moment it may be otherwise.
    ///
    /// # Errors
    /// Refused with `ledger_unavailable` if its row was changed by hand.
    pub(super) async fn ledger(&self, conn: &mut PgConnection, intent_id: Uuid) -> Result<IntentLedger, FlowError> {
        let sealed = store::permits::counts(conn, intent_id).await?;
        self.opened(intent_id, sealed.as_deref())
    }

    /// [`Self::ledger`], held until the transaction ends: what one call finds out of order, used up or within a budget, no
    /// other call changes meanwhile.
    pub(super) async fn lock_ledger(&self, tx: &mut PgConnection, intent_id: Uuid) -> Result<IntentLedger, FlowError> {
        if let Some(sealed) = store::permits::lock_counts(tx, intent_id).await? {
            return self.opened(intent_id, Some(&sealed));
        }
        let nothing = self.opened(intent_id, None)?.sealed_counts()?;
        store::permits::begin_counts(tx, intent_id, &nothing).await?;
        let sealed = store::permits::lock_counts(tx, intent_id).await?;
        self.opened(intent_id, sealed.as_deref())
    }

    /// What the ledger knows of an intent, as far as what is asked can depend on it.
    ///
    /// # Errors
    /// Refused with `too_much_work` where it would have to read more of the past than one decision may.
    pub(super) async fn facts(
        &self,
        conn: &mut PgConnection,
        ledger: &IntentLedger,
        sought: &Sought<'_>,
    ) -> Result<Facts, FlowError> {
        let mut facts = Facts { blocked: self.realm.config.blocked.clone(), ..Facts::default() };
        facts.steps = ledger.counts.known();
        if sought.envelope.bounds.turns.is_some() {
            facts.turns = store::tokens::turns(conn, ledger.intent_id, sought.txn).await?;
        }
        if sought.recall.is_empty() {
            return Ok(facts);
        }
        for row in past(conn, ledger.intent_id, &sought.recall).await? {
            let wants_args = sought.recall.arguments.contains(row.step_id.as_str());
            match ledger.past_call(&row, wants_args) {
                Some(Some(call)) => facts.steps.entry(row.step_id).or_default().calls.push(call),
                Some(None) => {}
                None => tracing::error!(permit = %row.permit_id, "a call of the ledger does not open"),
            }
        }
        // A row that is hidden or does not open would leave room in a budget that is used up, or give way to another value.
        let is_whole = |step: &&str| facts.past(step).is_none_or(|past| past.calls.len() as u64 == past.uses);
        if !sought.recall.arguments.iter().chain(&sought.recall.results).all(is_whole) {
            return Err(unreadable(ledger.intent_id, "calls are missing that were counted"));
        }
        Ok(facts)
    }
}

/// The calls that a decision may read; refused where they are too many, or too long.
async fn past(conn: &mut PgConnection, intent_id: Uuid, recall: &Recall<'_>) -> Result<Vec<PastPermit>, FlowError> {
    let owned = |ids: &std::collections::BTreeSet<&str>| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    let (calls_of, receipts_of) = (owned(&recall.arguments), owned(&recall.results));
    let rows = i64::try_from(recall::PAST_ROWS).unwrap_or(i64::MAX - 1);
    let bytes = i64::try_from(recall::PAST_BYTES).unwrap_or(i64::MAX);
    let wanted = Wanted { calls_of: &calls_of, receipts_of: &receipts_of, rows: rows + 1, bytes };
    let past = store::permits::past(conn, intent_id, &wanted).await?;
    let is_over = past.len() > recall::PAST_ROWS || past.last().is_some_and(|last| last.bytes > bytes);
    if is_over {
        let text = format!(
            "what depends on earlier calls needs more than {} of them, or more than {} bytes",
            recall::PAST_ROWS,
            recall::PAST_BYTES
        );
        return Err(Refusal::new(OAuthError::AccessDenied, text).because(Reason::TooMuchWork).about(intent_id).into());
    }
    Ok(past)
}

/// A ledger whose rows cannot be right permits nothing.
pub(super) fn unreadable(intent_id: Uuid, problem: &str) -> FlowError {
    tracing::error!(intent = %intent_id, problem, "the ledger's rows were changed");
    let reason = Reason::LedgerUnavailable;
    Refusal::new(OAuthError::Conflict, reason.meaning()).because(reason).about(intent_id).into()
}

impl IntentLedger {
    /// Uses of a step so far.
    pub(super) fn uses(&self, step_id: &str) -> u64 {
        self.counts.steps.get(step_id).map_or(0, |count| count.uses)
    }

    /// Counts the end of a permit that was open: a released use is free again.
    ///
    /// # Errors
    /// Refused with `ledger_unavailable` if no such use was counted.
    pub(super) fn settle(&mut self, step_id: &str, outcome: Outcome) -> Result<(), FlowError> {
        let count = self.counts.steps.get_mut(step_id).filter(|count| count.uses > count.committed);
        let count = count.ok_or_else(|| unreadable(self.intent_id, "a permit ends that was not counted"))?;
        match outcome {
            Outcome::Committed => count.committed += 1,
            Outcome::Released => count.uses -= 1,
        }
        Ok(())
    }

    /// The counts, sealed.
    pub(super) fn sealed_counts(&self) -> Result<Vec<u8>, FlowError> {
        let counts = serde_json::to_vec(&self.counts).map_err(FlowError::internal)?;
        Ok(self.seal.seal(Record::Counts, &counts)?)
    }

    /// The arguments of a call, sealed for its permit.
    pub(super) fn seal_call(&self, permit_id: Uuid, step_id: &str, call: &Call) -> Result<Vec<u8>, FlowError> {
        let args = canonical_text(&Value::Object(call.args.clone()));
        Ok(self.seal.seal(Record::Call(permit_id, step_id), args.as_bytes())?)
    }

    /// How a permit ended, sealed for it.
    pub(super) fn seal_outcome(&self, permit_id: Uuid, step_id: &str, outcome: Outcome) -> Result<Vec<u8>, FlowError> {
        Ok(self.seal.seal(Record::Outcome(permit_id, step_id), outcome.code().as_bytes())?)
    }

    /// How a permit ended; nothing if what is kept of it does not open.
    pub(super) fn open_outcome(&self, permit_id: Uuid, step_id: &str, sealed: &[u8]) -> Option<Outcome> {
        let code = self.seal.open(Record::Outcome(permit_id, step_id), sealed)?;
        [Outcome::Committed, Outcome::Released].into_iter().find(|outcome| outcome.code().as_bytes() == code.as_slice())
    }

    /// A receipt, sealed for its permit.
    pub(super) fn seal_receipt(&self, permit_id: Uuid, step: &str, kept: &KeptReceipt) -> Result<Vec<u8>, FlowError> {
        let bytes = serde_json::to_vec(kept).map_err(FlowError::internal)?;
        Ok(self.seal.seal(Record::Result(permit_id, step), &bytes)?)
    }

    /// A receipt that was kept; nothing if it does not open.
    pub(super) fn open_receipt(&self, permit_id: Uuid, step_id: &str, sealed: &[u8]) -> Option<KeptReceipt> {
        serde_json::from_slice(&self.seal.open(Record::Result(permit_id, step_id), sealed)?).ok()
    }

    /// A call of the past, or that it was released; nothing if its row cannot be right.
    fn past_call(&self, row: &PastPermit, wants_args: bool) -> Option<Option<PastCall>> {
        let (permit_id, step_id) = (row.permit_id, row.step_id.as_str());
        let committed = match &row.outcome {
            None => false,
            Some(sealed) => match self.open_outcome(permit_id, step_id, sealed)? {
                Outcome::Committed => true,
                Outcome::Released => return Some(None),
            },
        };
        let args = if wants_args { self.open_args(permit_id, step_id, row.call.as_deref()?)? } else { Map::new() };
        let kept = row.receipt.as_deref().and_then(|sealed| self.open_receipt(permit_id, step_id, sealed));
        let known = kept.and_then(|kept| kept.known()).unwrap_or_default();
        Some(Some(PastCall { args, committed, result: known.whole, disclosed: known.leaves }))
    }

    fn open_args(&self, permit_id: Uuid, step_id: &str, sealed: &[u8]) -> Option<Map<String, Value>> {
        let args = self.seal.open(Record::Call(permit_id, step_id), sealed)?;
        match json::parse_call(&args, limits::CALL_BYTES) {
            Ok(Value::Object(args)) => Some(args),
            _ => None,
        }
    }
}
