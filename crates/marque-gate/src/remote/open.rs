//! Permits whose end nobody has told: what a gate finds that was started again.

use super::ledger::{RemoteLedger, unavailable};
use crate::ledger::Reserved;
use crate::refusal::Refusal;
use marque_core::canonical::Digest;
use marque_core::json;
use marque_core::limits;
use serde::Deserialize;
use std::collections::HashSet;

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
    /// Where the next page begins; nothing if this is the last.
    next: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    permit_id: String,
    intent_id: String,
    step: String,
    /// None for a permit that was given before permits were numbered.
    seq: Option<u64>,
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
    /// The resource server's own permits that are not settled, of all its gates, oldest first. All of them: Marque tells a
    /// hundred at a time, and each page is asked for until the last. A permit that is settled or given meanwhile may be
    /// among them or not. Unlike a ledger of the resource server's own, Marque does not tell the arguments, so that they
    /// fit in memory together.
    ///
    /// # Errors
    /// [`Reason::LedgerUnavailable`](crate::Reason::LedgerUnavailable), also where the list was not told to its end.
    pub async fn open_permits(&self) -> Result<Vec<OpenPermit>, Refusal> {
        let (mut permits, mut places) = (Vec::new(), HashSet::new());
        let mut page = self.open_page("/results").await?;
        while let Some(place) = page.next {
            if page.permits.is_empty() || !is_place(&place) || places.contains(&place) {
                return Err(unavailable("the list of open permits has no end"));
            }
            permits.append(&mut page.permits);
            page = self.open_page(&format!("/results?after={place}")).await?;
            places.insert(place);
        }
        permits.append(&mut page.permits);
        Ok(permits.into_iter().map(Entry::open).collect())
    }

    async fn open_page(&self, path: &str) -> Result<Listed, Refusal> {
        let (status, answer) = self.ask(path, None).await.map_err(unavailable)?;
        if status != 200 {
            return Err(unavailable(format!("Marque answered {status}")));
        }
        let value = json::parse_call(&answer, limits::JWS_BYTES).map_err(unavailable)?;
        json::typed(value).map_err(unavailable)
    }
}

/// Whether a place can stand in a query as it is (RFC 3986 §2.3).
fn is_place(text: &str) -> bool {
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_unreserved)
}

impl Entry {
    fn open(self) -> OpenPermit {
        let Self { permit_id, intent_id, step, seq, call_digest, state, reserved_at } = self;
        let reserved = Reserved { permit_id, intent_id, step, call_digest, seq };
        OpenPermit { reserved, is_unknown: state == State::Unknown, reserved_at }
    }
}
