//! What is known of permits, for whoever has to find out what became of them.

use super::ledger::{PgLedger, read_args, unavailable};
use super::{ANSWER, store};
use crate::ledger::Reserved;
use crate::refusal::Refusal;
use marque_core::canonical::Digest;
use marque_core::limits;
use marque_core::reason::Reason;
use serde_json::{Map, Value};
use tokio::time::timeout;

/// Intents that nobody used for so long are forgotten: four times as long as any plan lives, in seconds.
const KEPT_SECS: i64 = 4 * limits::LIFETIME_SECS;

/// Permits that one page of [`PgLedger::open_permits`] has at most: each brings its arguments.
pub const OPEN_PAGE: u32 = 100;

/// What is known of a permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PermitState {
    /// The call is permitted, and has not ended.
    Reserved,
    /// Its effect happened, or may have happened.
    Committed,
    /// It certainly had no effect: the use is free again.
    Released,
    /// Nobody said in time what became of it. It counts as used until it is settled.
    Unknown,
}

/// A permit whose end nobody has told: for whoever finds out, from the resource server's own records, what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenPermit {
    /// The permit.
    pub reserved: Reserved,
    /// The arguments it was given for.
    pub args: Map<String, Value>,
    /// [`PermitState::Reserved`] or [`PermitState::Unknown`].
    pub state: PermitState,
    /// When it was given, by the database's clock; seconds since the Unix epoch.
    pub reserved_at: i64,
}

impl PgLedger {
    /// The permits whose end nobody has told, oldest first, up to a number, at most [`OPEN_PAGE`]: further ones with
    /// [`Self::open_permits_after`]. Settle them with
    /// [`Ledger::settle`](crate::ledger::Ledger::settle).
    ///
    /// # Errors
    /// [`Reason::LedgerUnavailable`] where the database refused.
    pub async fn open_permits(&self, limit: u32) -> Result<Vec<OpenPermit>, Refusal> {
        self.open_page(None, limit).await
    }

    /// [`Self::open_permits`] after the last of an earlier page, whether that was settled meanwhile or not. The last page is
    /// shorter than asked for.
    ///
    /// # Errors
    /// [`Reason::LedgerUnavailable`] where the database refused; [`Reason::PermitNotOpen`] after a permit that is unknown
    /// here.
    pub async fn open_permits_after(&self, last: &OpenPermit, limit: u32) -> Result<Vec<OpenPermit>, Refusal> {
        if self.state(&last.reserved.permit_id).await?.is_none() {
            return Err(Refusal::new(Reason::PermitNotOpen));
        }
        self.open_page(Some(&last.reserved.permit_id), limit).await
    }

    async fn open_page(&self, after: Option<&str>, limit: u32) -> Result<Vec<OpenPermit>, Refusal> {
        let limit = i64::from(limit.min(OPEN_PAGE));
        let rows = async { store::open(&mut *self.database.0.pool.acquire().await?, after, limit).await };
        let rows: Vec<store::OpenRow> = answered(timeout(ANSWER, rows).await)?;
        rows.into_iter()
            .map(|row| {
                let digest = Digest::from_slice(&row.call_digest);
                let call_digest = digest.ok_or_else(|| unavailable("a row of the ledger cannot be read"))?;
                Ok(OpenPermit {
                    args: read_args(&row.args).unwrap_or_default(),
                    state: if row.is_over { PermitState::Unknown } else { PermitState::Reserved },
                    reserved_at: row.reserved_at,
                    reserved: Reserved {
                        permit_id: row.permit_id,
                        intent_id: row.intent_id,
                        step: row.step_id,
                        call_digest,
                        seq: Some(row.seq.unsigned_abs()),
                    },
                })
            })
            .collect()
    }

    /// What is known of a permit by its id; nothing of one that is not counted here.
    ///
    /// # Errors
    /// [`Reason::LedgerUnavailable`] where the database refused.
    pub async fn state(&self, permit_id: &str) -> Result<Option<PermitState>, Refusal> {
        let state = async { store::state(&mut *self.database.0.pool.acquire().await?, permit_id).await };
        let state: Option<String> = answered(timeout(ANSWER, state).await)?;
        Ok(state.map(|word| match word.as_str() {
            "reserved" => PermitState::Reserved,
            "committed" => PermitState::Committed,
            "released" => PermitState::Released,
            _ => PermitState::Unknown,
        }))
    }

    /// Forgets the intents that nobody used for four weeks, which is four times as long as any plan lives, but for those
    /// with an open permit. Returns how many.
    ///
    /// # Errors
    /// [`Reason::LedgerUnavailable`] where the database refused.
    pub async fn forget_old(&self) -> Result<u64, Refusal> {
        let forgotten = async { store::forget(&mut *self.database.0.pool.acquire().await?, KEPT_SECS).await };
        answered(timeout(ANSWER, forgotten).await)
    }
}

fn answered<T>(answer: Result<Result<T, sqlx::Error>, tokio::time::error::Elapsed>) -> Result<T, Refusal> {
    answer.map_err(|_| unavailable("no answer in time"))?.map_err(unavailable)
}
