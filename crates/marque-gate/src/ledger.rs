//! The ledger of uses, as a gate sees it.

use crate::caller::Caller;
use crate::keys::Pending;
use crate::refusal::Refusal;
use marque_core::call::Call;
use marque_core::canonical::Digest;
use marque_core::reason::Reason;

/// What a gate asks the ledger to reserve: one use for one call.
#[derive(Debug)]
pub struct Reservation<'a> {
    /// Who calls, with token and proof as they came: the ledger judges them again.
    pub caller: &'a Caller,
    /// The concrete call.
    pub call: &'a Call,
    /// The same for every attempt to reserve for this one request.
    pub call_id: String,
}

/// A use that the ledger holds for this call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reserved {
    /// The permit's id.
    pub permit_id: String,
    /// The intent whose step is used.
    pub intent_id: String,
    /// Id of the step that is used.
    pub step: String,
    /// The digest of the call that the ledger decided on.
    pub call_digest: Digest,
}

/// How a permitted action ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It happened, or may have happened: the use counts.
    Committed,
    /// It certainly did not happen: the use is free again.
    Released,
}

impl Outcome {
    /// The word on the wire.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Released => "released",
        }
    }
}

/// Which reservation to settle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservationId {
    /// The permit's id.
    pub permit_id: String,
    /// The intent's id.
    pub intent_id: String,
}

/// Counts uses. One ledger per intent serves all gates; the server's is reached with `remote`.
pub trait Ledger: Send + Sync {
    /// Reserves one use. Must answer within a deadline of its own.
    ///
    /// # Errors
    /// The ledger's refusal, or [`Reason::LedgerUnavailable`] if it did not answer.
    fn reserve<'a>(&'a self, reservation: Reservation<'a>) -> Pending<'a, Result<Reserved, Refusal>>;

    /// Says how a reserved use ended.
    ///
    /// # Errors
    /// [`Reason::PermitNotOpen`] or [`Reason::LedgerUnavailable`].
    fn settle<'a>(&'a self, id: &'a ReservationId, outcome: Outcome) -> Pending<'a, Result<(), Refusal>>;

    /// Told when a permitted call was broken off, so that nobody waits for its end: the effect may
    /// have happened. Does not wait; what cannot be done is left to the reservation's own end.
    fn broken_off(&self, id: ReservationId);
}

/// No ledger: every step that is counted is refused.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLedger;

impl Ledger for NoLedger {
    fn reserve<'a>(&'a self, _: Reservation<'a>) -> Pending<'a, Result<Reserved, Refusal>> {
        Box::pin(std::future::ready(Err(Refusal::new(Reason::LedgerUnavailable))))
    }

    fn settle<'a>(&'a self, _: &'a ReservationId, _: Outcome) -> Pending<'a, Result<(), Refusal>> {
        Box::pin(std::future::ready(Err(Refusal::new(Reason::LedgerUnavailable))))
    }

    fn broken_off(&self, _: ReservationId) {}
}
