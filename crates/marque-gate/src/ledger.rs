//! The ledger of uses, as a gate sees it.

use crate::caller::Caller;
use crate::keys::Pending;
use crate::refusal::Refusal;
use marque_core::call::Call;
use marque_core::canonical::Digest;
use marque_core::reason::Reason;
pub use marque_core::receipt::Outcome;

/// What a gate asks the ledger to reserve: one use for one call.
#[derive(Debug)]
pub struct Reservation<'a> {
    /// Who calls, with token and proof as they came: the ledger judges them again.
    pub caller: &'a Caller,
    /// The concrete call.
    pub call: &'a Call,
    /// The same for every attempt to reserve for this one request.
    pub call_id: String,
    /// When the gate decides; seconds since the Unix epoch.
    pub now: i64,
    /// The ledger that counts at the location and hands this call over, if it is another one.
    pub handed_over_by: Option<String>,
    /// The epoch of the revocation feed in which the gate decides: what Marque said of ledgers in an earlier one is to be asked again.
    pub epoch: Option<String>,
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
    /// The permit's number among all permits of the intent. A call is given none where nothing is counted, and nothing is
    /// to be settled. An open permit that is listed without one is older than these numbers: it is settled like any other,
    /// but for a receipt, which would have to state it.
    pub seq: Option<u64>,
}

/// A result receipt, signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedReceipt {
    /// The compact JWS.
    pub receipt: String,
    /// What is disclosed of its result.
    pub disclosures: Vec<String>,
}

/// What the ledger is told about a permitted action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// How it ended.
    pub outcome: Outcome,
    /// The same under the resource server's signature, with what it gave.
    pub receipt: Option<SignedReceipt>,
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
    /// [`Reason::PermitNotOpen`], [`Reason::ReceiptInvalid`] or [`Reason::LedgerUnavailable`].
    fn settle<'a>(&'a self, reserved: &'a Reserved, settlement: Settlement) -> Pending<'a, Result<(), Refusal>>;

    /// Whether another ledger, named by its id, may count at a location. This one then counts there no call but what that one
    /// hands over. A ledger that cannot tell leaves it to the operator.
    ///
    /// # Errors
    /// [`Reason::LedgerUnavailable`] if it may not, or there was no answer.
    fn yields<'a>(&'a self, location: &'a str, ledger: &'a str) -> Pending<'a, Result<(), Refusal>> {
        let _ = (location, ledger);
        Box::pin(std::future::ready(Ok(())))
    }

    /// Told when a permitted call was broken off, so that nobody waits for its end: the effect may
    /// have happened. Does not wait; what cannot be done is left to the reservation's own end.
    fn broken_off(&self, reserved: Reserved);
}

/// No ledger: every step that is counted is refused.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLedger;

impl Ledger for NoLedger {
    fn reserve<'a>(&'a self, _: Reservation<'a>) -> Pending<'a, Result<Reserved, Refusal>> {
        Box::pin(std::future::ready(Err(Refusal::new(Reason::LedgerUnavailable))))
    }

    fn settle<'a>(&'a self, _: &'a Reserved, _: Settlement) -> Pending<'a, Result<(), Refusal>> {
        Box::pin(std::future::ready(Err(Refusal::new(Reason::LedgerUnavailable))))
    }

    fn broken_off(&self, _: Reserved) {}
}
