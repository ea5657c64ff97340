//! Proofs that several gates take once.

use super::{ANSWER, GateDatabase, is_broken, store};
use crate::keys::Pending;
use crate::replay::{NotTaken, ProofStore, proof_id};
use marque_core::canonical::Digest;
use marque_core::dpop::Proof;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::time::timeout;

/// Of so many proofs, one is followed by forgetting old ones, at most a thousand at a time.
const FORGET_EVERY: u64 = 256;
/// How long a proof that is over is kept still: longer than any two gates' clocks differ and each finds its caller's proof
/// in time.
const KEPT_SECS: i64 = 600;

/// Takes each proof once among all gates that use the same schema; refuses while the database cannot be asked. For counted
/// steps the ledger does so already: this is for calls that no ledger sees.
#[derive(Clone, Debug)]
pub struct PgProofs {
    database: GateDatabase,
    taken: Arc<AtomicU64>,
}

impl PgProofs {
    pub(super) fn new(database: GateDatabase) -> Self {
        Self { database, taken: Arc::default() }
    }

    /// A connection that broke is met by one repetition. A proof that was taken by an answer that was lost is then refused:
    /// its caller makes a new one.
    async fn insert(&self, id: &Digest, over_at: i64) -> Result<bool, sqlx::Error> {
        let attempt =
            async || store::take_proof(&mut *self.database.0.pool.acquire().await?, id.as_bytes(), over_at).await;
        match attempt().await {
            Err(error) if is_broken(&error) => attempt().await,
            answered => answered,
        }
    }

    async fn forget(&self, now: i64) {
        if !self.taken.fetch_add(1, Ordering::Relaxed).is_multiple_of(FORGET_EVERY) {
            return;
        }
        let forgotten = async {
            let before = now.saturating_sub(KEPT_SECS);
            store::forget_proofs(&mut *self.database.0.pool.acquire().await?, before).await
        };
        if let Err(error) = forgotten.await {
            tracing::warn!(%error, "old proofs are not forgotten");
        }
    }
}

impl ProofStore for PgProofs {
    fn take<'a>(&'a self, proof: &'a Proof, now: i64) -> Pending<'a, Result<(), NotTaken>> {
        Box::pin(async move {
            let id = proof_id(&proof.jkt, &proof.jti);
            match timeout(ANSWER, self.insert(&id, proof.over_at())).await {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => return Err(NotTaken::Replayed),
                Ok(Err(error)) => {
                    tracing::warn!(%error, "proofs cannot be remembered");
                    return Err(NotTaken::Unavailable);
                }
                Err(_) => return Err(NotTaken::Unavailable),
            }
            let _ = timeout(ANSWER, self.forget(now)).await;
            Ok(())
        })
    }
}
