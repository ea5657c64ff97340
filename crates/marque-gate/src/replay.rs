//! Single use of proofs (RFC 9449 §11.1), in bounded memory.

use crate::keys::Pending;
use crate::refusal::Refusal;
use marque_core::canonical::Digest;
use marque_core::dpop::Proof;
use marque_core::limits;
use marque_core::reason::Reason;
use std::collections::{BTreeSet, HashSet};
use std::sync::Mutex;

/// Remembers proofs for several gates, so that all of them together take each one once. With feature `postgres` there is
/// one in the resource server's database; without any, a gate remembers its own proofs alone, in memory.
pub trait ProofStore: Send + Sync {
    /// Takes a proof that holds, once per key and id. It may be forgotten after [`Proof::over_at`]. `now` is in seconds
    /// since the Unix epoch. Must answer within a deadline of its own.
    ///
    /// # Errors
    /// Why it was not taken: [`NotTaken::Unavailable`] too if that cannot be told.
    fn take<'a>(&'a self, proof: &'a Proof, now: i64) -> Pending<'a, Result<(), NotTaken>>;
}

/// Names a proof: the key and the id that it is used once with.
pub(crate) fn proof_id(jkt: &str, jti: &str) -> Digest {
    Digest::of(format!("{jkt}\0{jti}").as_bytes())
}

/// Ids of the proofs of the last minute.
#[derive(Debug)]
pub(crate) struct ReplayMemory {
    capacity: usize,
    entries: Mutex<Entries>,
}

#[derive(Debug)]
struct Entries {
    seen: HashSet<Digest>,
    by_end: BTreeSet<(i64, Digest)>,
    /// Proofs that ended before this instant may have been forgotten: none of them is taken again,
    /// even if the clock is set back.
    forgotten_before: i64,
}

/// Why a proof was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// It was used before.
    Replayed,
    /// There is no room to remember it.
    Full,
    /// Whether it was used before is not known.
    Unavailable,
}

impl From<NotTaken> for Refusal {
    fn from(error: NotTaken) -> Self {
        match error {
            NotTaken::Replayed => Self::new(Reason::ProofReplayed),
            NotTaken::Full => Self::new(Reason::StateUnavailable).because("too many calls within the last minute"),
            NotTaken::Unavailable => Self::new(Reason::StateUnavailable)
                .because("whether the proof was used before cannot be told now: call again, with a new proof"),
        }
    }
}

impl ReplayMemory {
    pub(crate) fn new(capacity: usize) -> Self {
        let entries = Entries { seen: HashSet::new(), by_end: BTreeSet::new(), forgotten_before: i64::MIN };
        Self { capacity, entries: Mutex::new(entries) }
    }

    /// Takes a proof that holds, once. `now` in seconds since the Unix epoch.
    pub(crate) fn take(&self, proof: &Proof, now: i64) -> Result<(), NotTaken> {
        let end = proof.iat.saturating_add(limits::PROOF_SECS);
        let id = proof_id(&proof.jkt, &proof.jti);
        let Ok(mut entries) = self.entries.lock() else {
            return Err(NotTaken::Full);
        };
        entries.forget_ended(now);
        if end < entries.forgotten_before || entries.seen.contains(&id) {
            return Err(NotTaken::Replayed);
        }
        if entries.seen.len() >= self.capacity {
            return Err(NotTaken::Full);
        }
        entries.seen.insert(id);
        entries.by_end.insert((end, id));
        Ok(())
    }
}

impl Entries {
    fn forget_ended(&mut self, now: i64) {
        while let Some(&(end, id)) = self.by_end.first().filter(|(end, _)| *end < now) {
            self.by_end.remove(&(end, id));
            self.seen.remove(&id);
            self.forgotten_before = self.forgotten_before.max(end.saturating_add(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(jti: &str, iat: i64) -> Proof {
        Proof { jkt: "key".into(), jti: jti.into(), iat, call_digest: None }
    }

    #[test]
    fn a_proof_is_taken_once_per_key() {
        let memory = ReplayMemory::new(10);
        assert_eq!(memory.take(&proof("a", 100), 100), Ok(()));
        assert_eq!(memory.take(&proof("a", 100), 160), Err(NotTaken::Replayed));
        assert_eq!(memory.take(&Proof { jkt: "other".into(), ..proof("a", 100) }, 100), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_frees_itself() {
        let memory = ReplayMemory::new(2);
        assert_eq!(memory.take(&proof("a", 100), 100), Ok(()));
        assert_eq!(memory.take(&proof("b", 130), 130), Ok(()));
        assert_eq!(memory.take(&proof("c", 150), 150), Err(NotTaken::Full));
        assert_eq!(memory.take(&proof("c", 161), 161), Ok(()));
    }

    #[test]
    fn a_clock_that_is_set_back_revives_no_proof() {
        let memory = ReplayMemory::new(10);
        assert_eq!(memory.take(&proof("a", 100), 100), Ok(()));
        assert_eq!(memory.take(&proof("b", 200), 200), Ok(()));
        assert_eq!(memory.take(&proof("a", 100), 120), Err(NotTaken::Replayed));
    }
}
