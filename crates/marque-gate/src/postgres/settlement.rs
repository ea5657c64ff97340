//! How a use ends: with its effect in one transaction, or as the gate is told.

use super::ledger::{Failure, PgLedger, is_local, unavailable};
use super::{is_broken, store};
use crate::ending::{CallResult, Ending};
use crate::ledger::{Outcome, Reserved, Settlement};
use crate::permit::Permit;
use crate::refusal::Refusal;
use marque_core::canonical::canonical_text;
use marque_core::reason::Reason;
use marque_core::receipt::{Expected, KnownResult, Receipt};
use marque_core::{json, jws, limits};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// When the use of a permit is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "what is settled afterwards has to be settled with Gate::settle"]
pub enum Commit {
    /// In the transaction of the effect: both stand, or neither.
    WithEffect,
    /// Not here: the use is counted at Marque, or not at all. Once the transaction is committed, settle the permit with
    /// [`Gate::settle`](crate::Gate::settle).
    Afterwards,
}

/// What is kept of a result.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kept {
    Whole(Value),
    Leaves(BTreeMap<String, Value>),
}

impl PgLedger {
    /// Settles a permit in a transaction of the caller's, on a connection to the same database, together with its effect:
    /// both stand when the caller commits, and neither does when it rolls back or breaks off. The permit then stays open,
    /// and becomes [`PermitState::Unknown`](super::PermitState::Unknown) after its time, unless it is settled as released.
    ///
    /// Begin the transaction after the permit was given. The permit is only read: where the use is not counted here, it is
    /// still to be settled; see [`Commit`].
    ///
    /// # Errors
    /// [`Reason::PermitNotOpen`] where the permit was settled otherwise, [`Reason::LedgerUnavailable`] where the database
    /// refused. The transaction can then no longer be committed.
    pub async fn commit_in(
        &self,
        tx: &mut PgConnection,
        permit: &Permit,
        ending: impl Into<Ending>,
    ) -> Result<Commit, Refusal> {
        let Some(reserved) = permit.reservation().filter(|reserved| is_local(&reserved.permit_id)) else {
            return Ok(Commit::Afterwards);
        };
        let ending = ending.into();
        if ending.outcome != Outcome::Committed {
            let _ = store::refuse_effect(tx).await;
            return Err(
                Refusal::new(Reason::PermitNotOpen).because("an effect is committed; what was not done has none")
            );
        }
        let known = ending.known().map_err(|problem| Refusal::new(Reason::ReceiptInvalid).because(problem));
        let path = store::enter(tx, &self.database.0.schema).await.map_err(unavailable)?;
        let settled = match known {
            Ok(known) => settle(tx, reserved, (ending.outcome, Again::Refused), known).await,
            Err(refusal) => Err(Failure::Refused(refusal)),
        };
        match settled {
            Ok(()) => {
                store::leave(tx, &path).await.map_err(unavailable)?;
                Ok(Commit::WithEffect)
            }
            Err(Failure::Refused(refusal)) => {
                // Fails by its nature, and the transaction with it.
                let _ = store::refuse_effect(tx).await;
                Err(refusal)
            }
            Err(Failure::Database(error)) => Err(unavailable(error)),
        }
    }

    /// Tells more of what a committed call gave: further leaves of the same result.
    ///
    /// # Errors
    /// [`Reason::PermitNotOpen`] where the permit is not committed, is not counted here, or gave something else;
    /// [`Reason::LedgerUnavailable`].
    pub async fn disclose(&self, permit: &Permit, result: CallResult) -> Result<(), Refusal> {
        let not_open = || Refusal::new(Reason::PermitNotOpen);
        let reserved = permit.reservation().filter(|reserved| is_local(&reserved.permit_id)).ok_or_else(not_open)?;
        let known = Ending::from(result).known();
        let known = known.map_err(|problem| Refusal::new(Reason::ReceiptInvalid).because(problem))?;
        let disclosed = async {
            let mut tx = self.database.0.pool.begin().await?;
            let found = store::lock_permit(&mut tx, &reserved.intent_id, &reserved.permit_id).await?;
            if found.is_none_or(|(state, _)| state != Outcome::Committed.code()) {
                return Err(Failure::Refused(not_open()));
            }
            settle(&mut tx, reserved, (Outcome::Committed, Again::Answered), known).await?;
            Ok(tx.commit().await?)
        };
        disclosed.await.map_err(|failure| match failure {
            Failure::Refused(refusal) => refusal,
            Failure::Database(error) => unavailable(error),
        })
    }

    pub(super) async fn settle_here(&self, reserved: &Reserved, settlement: &Settlement) -> Result<(), Failure> {
        let known = known_of(reserved, settlement, &self.database.0.issuer)
            .map_err(|problem| Refusal::new(Reason::ReceiptInvalid).because(problem))?;
        let attempt = async || {
            let mut tx = self.database.0.pool.begin().await?;
            settle(&mut tx, reserved, (settlement.outcome, Again::Answered), known.clone()).await?;
            Ok(tx.commit().await?)
        };
        match attempt().await {
            Err(Failure::Database(error)) if is_broken(&error) => attempt().await,
            settled => settled,
        }
    }
}

/// What is done where a permit was settled so before: with an effect beside it the same again would be a double.
#[derive(Clone, Copy, PartialEq)]
enum Again {
    Answered,
    Refused,
}

/// Settles a permit in a transaction. What is settled stays so: at most the same again is answered, and more of the same
/// result may follow.
async fn settle(
    tx: &mut PgConnection,
    reserved: &Reserved,
    (outcome, again): (Outcome, Again),
    known: Option<KnownResult>,
) -> Result<(), Failure> {
    let not_open = || Refusal::new(Reason::PermitNotOpen);
    let found = store::lock_permit(tx, &reserved.intent_id, &reserved.permit_id).await?;
    let (state, earlier) = found.ok_or_else(not_open)?;
    let is_again = again == Again::Answered && state == outcome.code();
    if state != "reserved" && !is_again {
        return Err(not_open().into());
    }
    let kept = known.map(|known| known.whole.map_or(Kept::Leaves(known.leaves), Kept::Whole));
    let kept = match (&earlier, kept) {
        (_, None) => earlier,
        (None, Some(kept)) => Some(kept.write()?),
        (Some(earlier), Some(kept)) => {
            let more = Kept::read(earlier).and_then(|earlier| earlier.and(kept));
            Some(more.ok_or_else(not_open)?.write()?)
        }
    };
    Ok(store::settle(tx, &reserved.permit_id, outcome.code(), kept.as_deref()).await?)
}

impl Kept {
    fn write(&self) -> Result<String, Refusal> {
        let text = canonical_text(&serde_json::to_value(self).unwrap_or_default());
        let problem = "the result is no strict JSON, or longer than a receipt may be";
        Self::read(&text).map(|_| text).ok_or_else(|| Refusal::new(Reason::ReceiptInvalid).because(problem))
    }

    /// Reads what was kept; nothing, so that what depends on it is unknown, if it cannot be read.
    pub(super) fn read(text: &str) -> Option<Self> {
        json::typed(json::parse_call(text.as_bytes(), limits::RECEIPT_BYTES).ok()?).ok()
    }

    /// The same result with more of it disclosed; nothing where the two disagree.
    fn and(self, more: Self) -> Option<Self> {
        match (self, more) {
            (Self::Whole(whole), Self::Whole(again)) => (whole == again).then_some(Self::Whole(whole)),
            (Self::Whole(whole), Self::Leaves(leaves)) | (Self::Leaves(leaves), Self::Whole(whole)) => {
                let is_part = leaves.iter().all(|(pointer, leaf)| whole.pointer(pointer) == Some(leaf));
                is_part.then_some(Self::Whole(whole))
            }
            (Self::Leaves(mut leaves), Self::Leaves(more)) => {
                let agrees = more.iter().all(|(pointer, leaf)| leaves.get(pointer).is_none_or(|known| known == leaf));
                leaves.extend(more);
                agrees.then_some(Self::Leaves(leaves))
            }
        }
    }
}

/// What a receipt says of the result. It comes from this process's own gate: what it must be is about this permit.
fn known_of(reserved: &Reserved, settlement: &Settlement, issuer: &str) -> Result<Option<KnownResult>, String> {
    let Some(signed) = &settlement.receipt else { return Ok(None) };
    let payload = jws::unverified_payload(&signed.receipt).map_err(|error| error.to_string())?;
    let receipt = Receipt::parse(&payload).map_err(|error| error.to_string())?;
    let expected = Expected {
        client_id: &receipt.iss,
        issuer,
        permit_id: &reserved.permit_id,
        intent_id: &reserved.intent_id,
        step: &reserved.step,
        call_digest: reserved.call_digest,
        seq: reserved.seq.ok_or("nothing was counted")?,
        now: receipt.iat,
    };
    receipt.check(&expected).map_err(|error| error.to_string())?;
    if receipt.outcome != settlement.outcome {
        return Err("the receipt: $.outcome: is not the outcome beside it".into());
    }
    let known = receipt.known(&signed.disclosures).map_err(|error| error.to_string())?;
    Ok(receipt.result.is_some().then_some(known))
}
