//! The ledger of uses in the resource server's own database.

use super::choice::{Choice, choose};
use super::home::{Division, Home};
use super::settlement::Kept;
use super::store::{self, NewPermit, PermitRow};
use super::{ANSWER, GateDatabase, is_broken};
use crate::keys::Pending;
use crate::ledger::{Ledger, NoLedger, Outcome, Reservation, Reserved, Settlement};
use crate::refusal::Refusal;
use crate::replay::proof_id;
use marque_core::canonical::{Digest, canonical_text};
use marque_core::envelope::EnvelopeStep;
use marque_core::facts::{Facts, PastCall};
use marque_core::plan::Blocked;
use marque_core::reason::Reason;
use marque_core::recall::Recall;
use marque_core::{json, limits};
use serde_json::{Map, Value};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::time::timeout;

/// How long a permitted call may take before what became of it is unknown, unless configured otherwise.
const RESERVATION: Duration = Duration::from_secs(60);
/// What the permits of this ledger are called; those of another have other names.
const PREFIX: &str = "pg-";

/// Counts uses in the resource server's own database. All gates of the location share it; see the
/// [module](crate::postgres) for what it decides and what the operator answers for.
#[derive(Clone)]
pub struct PgLedger {
    pub(super) database: GateDatabase,
    fallback: Arc<dyn Ledger>,
    lasts: Duration,
    blocked: Arc<[Blocked]>,
    /// Locations at which this ledger counts, as Marque said, and the epoch of the feed in which it did: a database that lost commits
    /// may have forgotten it.
    own: Arc<RwLock<BTreeMap<String, String>>>,
}

impl std::fmt::Debug for PgLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PgLedger").field("database", &self.database).finish_non_exhaustive()
    }
}

/// Why a question is not answered as it was asked.
pub(super) enum Failure {
    Refused(Refusal),
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// What comes of a reservation here.
enum Decided {
    Here(Reserved),
    /// Marque decides, about one of these steps.
    AskMarque(BTreeSet<String>),
}

pub(super) fn unavailable(problem: impl std::fmt::Display) -> Refusal {
    tracing::warn!(%problem, "the ledger is not available");
    Refusal::new(Reason::LedgerUnavailable)
}

pub(super) fn is_local(permit_id: &str) -> bool {
    permit_id.starts_with(PREFIX)
}

impl PgLedger {
    pub(super) fn new(database: GateDatabase) -> Self {
        Self { database, fallback: Arc::new(NoLedger), lasts: RESERVATION, blocked: Arc::new([]), own: Arc::default() }
    }

    /// The ledger with another one, Marque's, for what it cannot decide alone.
    #[must_use]
    pub fn with_fallback(mut self, ledger: impl Ledger + 'static) -> Self {
        (self.fallback, self.own) = (Arc::new(ledger), Arc::default());
        self
    }

    /// How long a permitted call may take before what became of it is unknown.
    #[must_use]
    pub fn with_reservation(mut self, lasts: Duration) -> Self {
        self.lasts = lasts;
        self
    }

    /// What is blocked beside what the plans themselves block.
    #[must_use]
    pub fn with_blocked(mut self, blocked: Vec<Blocked>) -> Self {
        self.blocked = blocked.into();
        self
    }

    /// Whether no other ledger counts at the location: asked once in each epoch of the feed, before the first call there.
    async fn expect_own(&self, location: &str, epoch: Option<&str>) -> Result<(), Refusal> {
        let epoch = epoch.ok_or_else(|| unavailable("the revocation feed is not followed"))?;
        if self.own.read().unwrap_or_else(PoisonError::into_inner).get(location).is_some_and(|told| told == epoch) {
            return Ok(());
        }
        self.fallback.yields(location, &self.database.0.ledger).await?;
        self.own.write().unwrap_or_else(PoisonError::into_inner).insert(location.to_owned(), epoch.to_owned());
        Ok(())
    }

    /// Decides, once more if the connection broke: a call id is given one permit.
    async fn decide(&self, reservation: &Reservation<'_>) -> Result<Decided, Failure> {
        match self.attempt(reservation).await {
            Err(Failure::Database(error)) if is_broken(&error) => self.attempt(reservation).await,
            decided => decided,
        }
    }

    async fn attempt(&self, reservation: &Reservation<'_>) -> Result<Decided, Failure> {
        let Reservation { caller, call, .. } = *reservation;
        let (intent_id, envelope) = (caller.intent_id(), caller.envelope());
        if caller.verified.claims.issuer != self.database.0.issuer {
            return Err(unavailable("the ledger counts the plans of another issuer").into());
        }
        let mut tx = self.database.0.pool.begin().await?;
        store::lock_intent(&mut tx, intent_id).await?;
        if let Some(earlier) = store::find_by_call(&mut tx, intent_id, &reservation.call_id).await? {
            return Ok(Decided::Here(repeated(earlier, reservation)?));
        }
        let homes = store::homes(&mut tx, intent_id).await?;
        let facts = self.facts(&mut tx, intent_id, &Recall::of_call(envelope, call)).await?;
        let division = Division::of(envelope, &call.location, &homes);
        let decided = match choose(&division, envelope, call, &facts, reservation.now) {
            Choice::Refuse(refusal) => return Err(refusal.into()),
            Choice::Permit(step) => {
                store::write_homes(&mut tx, intent_id, &division.unwritten(step, Home::Here), Home::Here).await?;
                Decided::Here(self.insert(&mut tx, reservation, step).await?)
            }
            Choice::AskMarque(steps) => {
                let unwritten: BTreeSet<String> =
                    steps.iter().flat_map(|step| division.unwritten(step, Home::Marque)).collect();
                let unwritten: Vec<String> = unwritten.into_iter().collect();
                store::write_homes(&mut tx, intent_id, &unwritten, Home::Marque).await?;
                Decided::AskMarque(steps.into_iter().map(|step| step.id.clone()).collect())
            }
        };
        tx.commit().await?;
        Ok(decided)
    }

    /// What is known of an intent here, as far as a decision may read it.
    async fn facts(&self, tx: &mut PgConnection, intent_id: &str, recall: &Recall<'_>) -> Result<Facts, Failure> {
        let steps = store::uses(tx, intent_id).await?;
        let mut facts = Facts { steps, blocked: self.blocked.to_vec(), ..Facts::default() };
        if recall.is_empty() {
            return Ok(facts);
        }
        let (past, is_all) = store::past(tx, intent_id, recall).await?;
        if !is_all {
            return Err(Refusal::new(Reason::TooMuchWork)
                .because("it depends on more earlier calls, or longer ones, than one decision reads")
                .into());
        }
        for row in past {
            let args = row.args.as_deref().map_or_else(|| Some(Map::new()), read_args);
            let Some(args) = args else { continue };
            let (result, disclosed) = match row.result.as_deref().and_then(Kept::read) {
                Some(Kept::Whole(value)) => (Some(value), BTreeMap::new()),
                Some(Kept::Leaves(leaves)) => (None, leaves),
                None => Default::default(),
            };
            let call = PastCall { args, committed: row.is_committed, result, disclosed };
            facts.steps.entry(row.step_id).or_default().calls.push(call);
        }
        Ok(facts)
    }

    async fn insert(
        &self,
        tx: &mut PgConnection,
        reservation: &Reservation<'_>,
        step: &EnvelopeStep,
    ) -> Result<Reserved, Failure> {
        let Reservation { caller, call, .. } = *reservation;
        let (permit_id, call_digest, proof_id) = (new_permit_id(), call.digest(), proof_of(reservation));
        let row = NewPermit {
            permit_id: &permit_id,
            intent_id: caller.intent_id(),
            step_id: &step.id,
            call_id: &reservation.call_id,
            call_digest: call_digest.as_bytes(),
            proof_id: proof_id.as_bytes(),
            args: &canonical_text(&Value::Object(call.args.clone())),
            lasts: self.lasts,
        };
        let seq = store::insert(tx, &row).await?;
        let seq = Some(seq.ok_or_else(|| Refusal::new(Reason::ProofReplayed))?.unsigned_abs());
        Ok(Reserved { permit_id, intent_id: caller.intent_id().into(), step: step.id.clone(), call_digest, seq })
    }

    /// Asks the other ledger. Whatever it permits must be a step that is counted there: it knows nothing of the others.
    async fn ask_marque(
        &self,
        mut reservation: Reservation<'_>,
        steps: &BTreeSet<String>,
    ) -> Result<Reserved, Refusal> {
        reservation.handed_over_by = Some(self.database.0.ledger.clone());
        let reserved = self.fallback.reserve(reservation).await?;
        if steps.contains(&reserved.step) && !is_local(&reserved.permit_id) {
            return Ok(reserved);
        }
        let released = Settlement { outcome: Outcome::Released, receipt: None };
        if let Err(refusal) = self.fallback.settle(&reserved, released).await {
            let (permit, intent) = (&reserved.permit_id, &reserved.intent_id);
            tracing::error!(permit, intent, %refusal, "a permit was not settled");
        }
        Err(Refusal::new(Reason::LedgerUnavailable)
            .because("the step that fits first is counted at this resource server: ask for a token without it"))
    }
}

/// The earlier permit for this call id; the same id for another call, or with another proof, is refused.
fn repeated(earlier: PermitRow, reservation: &Reservation<'_>) -> Result<Reserved, Refusal> {
    let call_digest = reservation.call.digest();
    let is_same = earlier.call_digest == call_digest.as_bytes() && earlier.proof_id == proof_of(reservation).as_bytes();
    if !is_same || !earlier.is_open {
        return Err(Refusal::new(Reason::CallMalformed).because("the call id was used for another call, or is over"));
    }
    Ok(Reserved {
        permit_id: earlier.permit_id,
        intent_id: reservation.caller.intent_id().into(),
        step: earlier.step_id,
        call_digest,
        seq: Some(earlier.seq.unsigned_abs()),
    })
}

/// Arguments as they were kept; nothing, so that what depends on them is unknown, if they are none.
pub(super) fn read_args(text: &str) -> Option<Map<String, Value>> {
    match json::parse_call(text.as_bytes(), limits::CALL_BYTES) {
        Ok(Value::Object(args)) => Some(args),
        _ => {
            tracing::error!("the arguments of a call of the ledger cannot be read");
            None
        }
    }
}

/// Names the call's proof, or in place of one its id, with what the token is bound to.
fn proof_of(reservation: &Reservation<'_>) -> Digest {
    let caller = reservation.caller;
    proof_id(&caller.verified.claims.cnf.to_string(), caller.possession.single_use_id())
}

#[expect(clippy::disallowed_methods, reason = "names one permit; no decision depends on it")]
fn new_permit_id() -> String {
    format!("{PREFIX}{}", uuid::Uuid::new_v4())
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refusal) => refusal,
            Failure::Database(error) => unavailable(error),
        }
    }
}

impl Ledger for PgLedger {
    fn reserve<'a>(&'a self, reservation: Reservation<'a>) -> Pending<'a, Result<Reserved, Refusal>> {
        Box::pin(async move {
            self.expect_own(&reservation.call.location, reservation.epoch.as_deref()).await?;
            let decided = timeout(ANSWER, self.decide(&reservation)).await;
            match decided.map_err(|_| unavailable("no answer in time"))?? {
                Decided::Here(reserved) => Ok(reserved),
                Decided::AskMarque(steps) => self.ask_marque(reservation, &steps).await,
            }
        })
    }

    fn settle<'a>(&'a self, reserved: &'a Reserved, settlement: Settlement) -> Pending<'a, Result<(), Refusal>> {
        if !is_local(&reserved.permit_id) {
            return self.fallback.settle(reserved, settlement);
        }
        Box::pin(async move {
            let settled = timeout(ANSWER, self.settle_here(reserved, &settlement)).await;
            Ok(settled.map_err(|_| unavailable("no answer in time"))??)
        })
    }

    /// A call that is counted here and was broken off stays reserved, unless its effect was committed with its use.
    fn broken_off(&self, reserved: Reserved) {
        if !is_local(&reserved.permit_id) {
            self.fallback.broken_off(reserved);
        }
    }
}
