//! The calls of the last minute, in bounded memory: a proof is good for one call, a call id for one call, and the same
//! again gets the same permit. Nothing else keeps what is not counted.
//!
//! Counted permits are kept by their rows, too, which all servers on one database share. What is not counted each server
//! remembers alone, and forgets with its end: a proof of an uncounted read is then good once at each of them, for as long
//! as it lasts.

use super::FlowError;
use marque_core::canonical::Digest;
use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use uuid::Uuid;

/// Entries at most, two for a call: more than 15,000 calls a second for as long as a proof lasts. One takes some 60 bytes.
const ENTRIES: usize = 3_000_000;

/// Half of a SHA-256: names an entry.
type Name = [u8; 16];

/// A call that was decided about.
pub(super) struct Recent<'r> {
    /// The intent.
    pub(super) intent_id: Uuid,
    /// The resource server.
    pub(super) client_id: &'r str,
    /// The resource server's id of the call.
    pub(super) call_id: &'r str,
    /// The key that proved the call, and the id of its proof.
    pub(super) proof: (&'r str, &'r str),
    /// Digest of what the call came with.
    pub(super) presented: &'r Digest,
    /// Until when its proof is good; seconds since the Unix epoch.
    pub(super) over_at: i64,
}

/// What is known of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is the first of its id and its proof, or the very same again.
    Permit(Uuid),
    /// The call id is another call's.
    OtherCall,
    /// The proof is another call's, or is over.
    ProofReplayed,
}

/// The calls of the last minute.
pub struct RecentCalls {
    capacity: usize,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    /// Which call a call id or a proof is for.
    calls: HashMap<Name, Name>,
    by_end: BTreeMap<i64, Vec<Name>>,
    /// Proofs that ended before may have been forgotten: none of them is taken, even if the clock is set back.
    forgotten_before: i64,
}

impl Default for RecentCalls {
    fn default() -> Self {
        Self::new(ENTRIES)
    }
}

fn name(parts: &[&[u8]]) -> Name {
    // Nothing of it contains NUL, but for ids of fixed length in front.
    let digest = Digest::of(&parts.join(&0));
    let mut name = Name::default();
    name.iter_mut().zip(digest.as_bytes()).for_each(|(to, from)| *to = *from);
    name
}

impl RecentCalls {
    fn new(capacity: usize) -> Self {
        Self { capacity, entries: Mutex::default() }
    }

    /// Takes a call, once for its id and once for its proof. The same again is taken again, and has the same permit.
    ///
    /// # Errors
    /// Unavailable where there is no room to remember it.
    pub(super) fn take(&self, recent: &Recent<'_>, now: i64) -> Result<Taken, FlowError> {
        let Recent { intent_id, client_id, call_id, proof: (jkt, jti), presented, over_at } = recent;
        let intent = intent_id.as_bytes().as_slice();
        let by_id = name(&[b"call", intent, client_id.as_bytes(), call_id.as_bytes()]);
        let by_proof = name(&[b"proof", jkt.as_bytes(), jti.as_bytes()]);
        let call = name(&[b"permit", intent, presented.as_bytes(), client_id.as_bytes(), call_id.as_bytes()]);
        let poisoned = |_| FlowError::internal("the memory of recent calls is broken");
        let mut entries = self.entries.lock().map_err(poisoned)?;
        entries.forget_ended(now);
        if *over_at < entries.forgotten_before {
            return Ok(Taken::ProofReplayed);
        }
        if entries.calls.get(&by_id).is_some_and(|earlier| *earlier != call) {
            return Ok(Taken::OtherCall);
        }
        if entries.calls.get(&by_proof).is_some_and(|earlier| *earlier != call) {
            return Ok(Taken::ProofReplayed);
        }
        if !entries.calls.contains_key(&by_id) {
            if entries.calls.len() + 2 > self.capacity {
                return Err(FlowError::Unavailable("too many calls within the last minute".into()));
            }
            entries.calls.extend([(by_id, call), (by_proof, call)]);
            entries.by_end.entry(*over_at).or_default().extend([by_id, by_proof]);
        }
        Ok(Taken::Permit(uuid::Builder::from_custom_bytes(call).into_uuid()))
    }
}

impl Entries {
    fn forget_ended(&mut self, now: i64) {
        while let Some(ended) = self.by_end.first_entry().filter(|ended| *ended.key() < now) {
            let end = *ended.key();
            for name in ended.remove() {
                self.calls.remove(&name);
            }
            self.forgotten_before = self.forgotten_before.max(end.saturating_add(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(calls: &RecentCalls, (call_id, jti, call): (&str, &str, &str), over_at: i64, now: i64) -> Option<Taken> {
        let (intent_id, presented) = (Uuid::from_u128(1), Digest::of(call.as_bytes()));
        let proof = ("key", jti);
        calls.take(&Recent { intent_id, client_id: "rs", call_id, proof, presented: &presented, over_at }, now).ok()
    }

    #[test]
    fn the_same_again_has_the_same_permit_and_anything_else_is_refused() {
        let calls = RecentCalls::default();
        let first = take(&calls, ("id-1", "p-1", "call"), 170, 100);
        assert!(matches!(first, Some(Taken::Permit(_))));
        assert_eq!(take(&calls, ("id-1", "p-1", "call"), 170, 169), first);
        assert_eq!(take(&calls, ("id-1", "p-1", "another"), 170, 100), Some(Taken::OtherCall));
        assert_eq!(take(&calls, ("id-1", "p-2", "another"), 170, 100), Some(Taken::OtherCall));
        assert_eq!(take(&calls, ("id-2", "p-1", "call"), 170, 100), Some(Taken::ProofReplayed));
        let second = take(&calls, ("id-2", "p-2", "call"), 170, 100);
        assert!(matches!(second, Some(Taken::Permit(_))) && second != first);
    }

    #[test]
    fn memory_is_bounded_and_frees_itself_and_a_clock_that_is_set_back_revives_nothing() {
        let calls = RecentCalls::new(4);
        assert!(take(&calls, ("a", "a", "c"), 170, 100).is_some());
        assert!(take(&calls, ("b", "b", "c"), 180, 100).is_some());
        assert_eq!(take(&calls, ("c", "c", "c"), 180, 100), None, "full");
        assert!(matches!(take(&calls, ("c", "c", "c"), 240, 171), Some(Taken::Permit(_))), "the first is over");
        assert_eq!(take(&calls, ("a", "a", "other"), 170, 100), Some(Taken::ProofReplayed));
    }
}
