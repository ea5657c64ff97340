//! Single use of proofs (RFC 9449 §11.1), in bounded memory.

use crate::keys::Pending;
use crate::refusal::Refusal;
use marque_core::canonical::Digest;
use marque_core::dpop::Proof;
use marque_core::limits;
use marque_core::reason::Reason;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};

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
#[cfg(feature = "postgres")]
pub(crate) fn proof_id(jkt: &str, jti: &str) -> Digest {
    Digest::of(format!("{jkt}\0{jti}").as_bytes())
}

/// Ids of the proofs of the last minute. A key may hold no more of them than there is room left: however many senders
/// take all they can, each has an equal share, and as much is left for one who was quiet.
#[derive(Debug)]
pub(crate) struct ReplayMemory {
    capacity: usize,
    entries: Mutex<Entries>,
}

#[derive(Debug)]
struct Entries {
    /// The ids of each key.
    seen: HashMap<Arc<str>, HashSet<Digest>>,
    by_end: BTreeMap<i64, Vec<(Arc<str>, Digest)>>,
    count: usize,
    /// Proofs that ended before this instant may have been forgotten: none of them is taken again,
    /// even if the clock is set back.
    forgotten_before: i64,
}

/// Why a proof was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// It was used before.
    Replayed,
    /// There is no room to remember it, or the key has used up its share.
    Full,
    /// Whether it was used before is not known.
    Unavailable,
}

impl From<NotTaken> for Refusal {
    fn from(error: NotTaken) -> Self {
        match error {
            NotTaken::Replayed => Self::new(Reason::ProofReplayed),
            NotTaken::Full => {
                Self::new(Reason::StateUnavailable).because("too many calls by this key within the last minute")
            }
            NotTaken::Unavailable => Self::new(Reason::StateUnavailable)
                .because("whether the proof was used before cannot be told now: call again, with a new proof"),
        }
    }
}

impl ReplayMemory {
    pub(crate) fn new(capacity: usize) -> Self {
        let (seen, by_end) = (HashMap::new(), BTreeMap::new());
        Self { capacity, entries: Mutex::new(Entries { seen, by_end, count: 0, forgotten_before: i64::MIN }) }
    }

    /// Takes a proof that holds, once. `now` in seconds since the Unix epoch.
    pub(crate) fn take(&self, proof: &Proof, now: i64) -> Result<(), NotTaken> {
        let end = proof.iat.saturating_add(limits::PROOF_SECS);
        let id = Digest::of(proof.jti.as_bytes());
        let Ok(mut entries) = self.entries.lock() else {
            return Err(NotTaken::Full);
        };
        entries.forget_ended(now);
        let own = entries.seen.get(proof.jkt.as_str());
        if end < entries.forgotten_before || own.is_some_and(|ids| ids.contains(&id)) {
            return Err(NotTaken::Replayed);
        }
        if own.map_or(0, HashSet::len) >= self.capacity.saturating_sub(entries.count) {
            return Err(NotTaken::Full);
        }
        entries.remember(&proof.jkt, id, end);
        Ok(())
    }
}

impl Entries {
    fn remember(&mut self, jkt: &str, id: Digest, end: i64) {
        let key = self.seen.get_key_value(jkt).map_or_else(|| Arc::from(jkt), |(key, _)| key.clone());
        self.seen.entry(key.clone()).or_default().insert(id);
        self.by_end.entry(end).or_default().push((key, id));
        self.count += 1;
    }

    fn forget_ended(&mut self, now: i64) {
        while let Some(ended) = self.by_end.first_entry().filter(|entry| *entry.key() < now) {
            self.forgotten_before = self.forgotten_before.max(ended.key().saturating_add(1));
            for (key, id) in ended.remove() {
                self.count -= 1;
                let Some(ids) = self.seen.get_mut(&key) else { continue };
                ids.remove(&id);
                if ids.is_empty() {
                    self.seen.remove(&key);
                }
            }
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
        let memory = ReplayMemory::new(4);
        assert_eq!(memory.take(&proof("a", 100), 100), Ok(()));
        assert_eq!(memory.take(&proof("b", 130), 130), Ok(()));
        assert_eq!(memory.take(&proof("c", 150), 150), Err(NotTaken::Full));
        assert_eq!(memory.take(&proof("c", 161), 161), Ok(()));
    }

    fn by(key: usize, jti: usize) -> Proof {
        Proof { jkt: format!("key-{key}"), ..proof(&format!("proof-{jti}"), 100) }
    }

    #[test]
    fn a_sender_who_takes_all_he_can_leaves_as_much_to_the_others() {
        let memory = ReplayMemory::new(1000);
        let all = |key: usize| (0..2000).take_while(|jti| memory.take(&by(key, *jti), 100).is_ok()).count();
        assert_eq!(all(0), 500, "one alone has half");
        assert_eq!(all(1), 250, "a second one has half of what is left");
        let quiet = (2..30).filter(|key| memory.take(&by(*key, 0), 100).is_ok()).count();
        assert_eq!(quiet, 28, "whoever was quiet is served");
        assert_eq!(memory.take(&by(0, 0), 100), Err(NotTaken::Replayed), "nothing was forgotten for it");
    }

    #[test]
    fn senders_at_the_same_time_have_equal_shares() {
        let memory = ReplayMemory::new(1000);
        let mut taken = [0_usize; 4];
        for jti in 0..1000 {
            for (key, taken) in taken.iter_mut().enumerate() {
                *taken += usize::from(memory.take(&by(key, jti), 100).is_ok());
            }
        }
        assert_eq!(taken, [200; 4], "a fifth is left for a fifth");
    }

    #[test]
    fn what_is_over_is_forgotten_with_its_key() {
        let memory = ReplayMemory::new(100);
        for key in 0..40 {
            assert_eq!(memory.take(&by(key, 0), 100), Ok(()));
        }
        assert_eq!(memory.take(&proof("later", 200), 200), Ok(()));
        let entries = memory.entries.lock().unwrap();
        assert_eq!((entries.count, entries.seen.len(), entries.by_end.len()), (1, 1, 1));
    }

    #[test]
    fn a_clock_that_is_set_back_revives_no_proof() {
        let memory = ReplayMemory::new(10);
        assert_eq!(memory.take(&proof("a", 100), 100), Ok(()));
        assert_eq!(memory.take(&proof("b", 200), 200), Ok(()));
        assert_eq!(memory.take(&proof("a", 100), 120), Err(NotTaken::Replayed));
    }
}
