//! Permits whose end nobody has told: what a gate finds that was started again.

use super::ledger::{RemoteLedger, unavailable};
use crate::ledger::Reserved;
use crate::refusal::Refusal;
use marque_core::canonical::Digest;
use marque_core::json;
use marque_core::limits;
use serde::Deserialize;

/// A permit that was given and not settled: for whoever finds out, from the resource server's own records, what became of
/// the call that [`Reserved::call_digest`] names. Settle it with [`Gate::settle_open`](crate::Gate::settle_open).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenPermit {
    /// The permit.
    pub reserved: Reserved,
    /// Whether the reservation is over, and nobody knows what became of it: it counts as used until it is settled. Until
    /// then it may be the permit of a call that is being carried out.
    pub is_unknown: bool,
    /// When it was given, by Marque's clock; seconds since the Unix epoch.
    pub reserved_at: i64,
}

/// Marque's answer. It may hold members of later versions.
#[derive(Deserialize)]
struct Listed {
    permits: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    permit_id: String,
    intent_id: String,
    step: String,
    seq: u64,
    call_digest: Digest,
    state: State,
    reserved_at: i64,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum State {
    Reserved,
    Unknown,
}

impl RemoteLedger {
    /// The resource server's own permits that are not settled, of all its gates.
    ///
    /// # Errors
    /// [`Reason::LedgerUnavailable`](crate::Reason::LedgerUnavailable).
    pub async fn open_permits(&self) -> Result<Vec<OpenPermit>, Refusal> {
        let (status, answer) = self.ask("/results", None).await.map_err(unavailable)?;
        if status != 200 {
            return Err(unavailable(format!("Marque answered {status}")));
        }
        let value = json::parse_call(&answer, limits::JWS_BYTES).map_err(unavailable)?;
        let listed: Listed = json::typed(value).map_err(unavailable)?;
        Ok(listed.permits.into_iter().map(Entry::open).collect())
    }
}

impl Entry {
    fn open(self) -> OpenPermit {
        let Self { permit_id, intent_id, step, seq, call_digest, state, reserved_at } = self;
        let reserved = Reserved { permit_id, intent_id, step, call_digest, seq: Some(seq) };
        OpenPermit { reserved, is_unknown: state == State::Unknown, reserved_at }
    }
}
