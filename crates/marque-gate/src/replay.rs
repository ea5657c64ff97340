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
pub(crate) fn proof_id(jkt: &str, jti: &str) -> Digest {
    Digest::of(format!("{jkt}\0{jti}").as_bytes())
}

/// Proofs of the last minute, each of which is remembered until it is over. Room is shared by client: a key costs nothing,
/// while clients are registered. See [`Shares`].
#[derive(Debug)]
pub(crate) struct ReplayMemory {
    shares: Shares,
    entries: Mutex<Entries>,
}

/// How many proofs each client may have remembered.
///
/// A client that has fewer than `few` is given room while there is any. Any other is given room while what it has is less
/// than what is left of `common`. So whatever is remembered beyond `common` came from clients with `few` at most, and there
/// is room for a client that has fewer, unless more than (`capacity` − `common`) / `few` others have called: each of them
/// has at most `few` there. Of `common`, *k* clients that take all they can at the same time have 1/(*k*+1) each.
#[derive(Clone, Copy, Debug)]
struct Shares {
    capacity: usize,
    common: usize,
    few: usize,
}

impl Shares {
    /// A quarter is kept for clients that have few, and a hundredth of that is few.
    fn of(capacity: usize) -> Self {
        Self { capacity, common: capacity - capacity / 4, few: (capacity / 400).max(1) }
    }

    /// Whether a client that has `own` is given room for one more where all together have `count`.
    fn has_room(&self, own: usize, count: usize) -> bool {
        count < self.capacity && (own < self.few || own < self.common.saturating_sub(count))
    }
}

#[derive(Debug, Default)]
struct Entries {
    seen: HashSet<Digest>,
    /// How many of them each client has.
    held: HashMap<Arc<str>, usize>,
    by_end: BTreeMap<i64, Vec<(Arc<str>, Digest)>>,
    /// Proofs that ended before this instant may have been forgotten: none of them is taken again,
    /// even if the clock is set back.
    forgotten_before: Option<i64>,
}

/// Why a proof was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// It was used before.
    Replayed,
    /// There is no room to remember it, or the client has used up its share.
    Full,
    /// Whether it was used before is not known.
    Unavailable,
}

impl From<NotTaken> for Refusal {
    fn from(error: NotTaken) -> Self {
        match error {
            NotTaken::Replayed => Self::new(Reason::ProofReplayed),
            NotTaken::Full => Self::new(Reason::StateUnavailable)
                .because("too many calls by this client, or by all, within the last minute: call again later"),
            NotTaken::Unavailable => Self::new(Reason::StateUnavailable)
                .because("whether the proof was used before cannot be told now: call again, with a new proof"),
        }
    }
}

impl ReplayMemory {
    pub(crate) fn new(capacity: usize) -> Self {
        Self::with(Shares::of(capacity))
    }

    fn with(shares: Shares) -> Self {
        Self { shares, entries: Mutex::default() }
    }

    /// Takes a proof that holds, once; it counts for the client that acts. `now` in seconds since the Unix epoch.
    pub(crate) fn take(&self, proof: &Proof, client_id: &str, now: i64) -> Result<(), NotTaken> {
        let end = proof.iat.saturating_add(limits::PROOF_SECS);
        let id = proof_id(&proof.jkt, &proof.jti);
        let Ok(mut entries) = self.entries.lock() else {
            return Err(NotTaken::Full);
        };
        entries.forget_ended(now);
        if entries.forgotten_before.is_some_and(|instant| end < instant) || entries.seen.contains(&id) {
            return Err(NotTaken::Replayed);
        }
        let own = entries.held.get(client_id).copied().unwrap_or(0);
        if !self.shares.has_room(own, entries.seen.len()) {
            return Err(NotTaken::Full);
        }
        entries.remember(id, client_id, end);
        Ok(())
    }
}

impl Entries {
    fn remember(&mut self, id: Digest, client_id: &str, end: i64) {
        let client =
            self.held.get_key_value(client_id).map_or_else(|| Arc::from(client_id), |(client, _)| client.clone());
        *self.held.entry(client.clone()).or_default() += 1;
        self.seen.insert(id);
        self.by_end.entry(end).or_default().push((client, id));
    }

    fn forget_ended(&mut self, now: i64) {
        while let Some(ended) = self.by_end.first_entry().filter(|entry| *entry.key() < now) {
            self.forgotten_before = self.forgotten_before.max(Some(ended.key().saturating_add(1)));
            for (client, id) in ended.remove() {
                self.seen.remove(&id);
                let Some(held) = self.held.get_mut(&client) else { continue };
                *held -= 1;
                if *held == 0 {
                    self.held.remove(&client);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
