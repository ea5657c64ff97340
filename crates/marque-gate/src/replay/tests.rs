use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn proof(jti: &str, iat: i64) -> Proof {
    Proof { jkt: "key".into(), jti: jti.into(), iat, call_digest: None, nonce: None }
}

#[test]
fn a_proof_is_taken_once_per_key() {
    let memory = ReplayMemory::new(10);
    assert_eq!(memory.take(&proof("a", 100), "agent", 100), Ok(()));
    assert_eq!(memory.take(&proof("a", 100), "agent", 160), Err(NotTaken::Replayed));
    assert_eq!(memory.take(&proof("a", 100), "another", 160), Err(NotTaken::Replayed), "whoever says it is his");
    assert_eq!(memory.take(&Proof { jkt: "other".into(), ..proof("a", 100) }, "agent", 100), Ok(()));
}

#[test]
fn memory_is_bounded_and_frees_itself() {
    let memory = ReplayMemory::new(4);
    assert_eq!(memory.take(&proof("a", 100), "agent", 100), Ok(()));
    assert_eq!(memory.take(&proof("b", 130), "agent", 130), Ok(()));
    assert_eq!(memory.take(&proof("c", 150), "agent", 150), Err(NotTaken::Full));
    assert_eq!(memory.take(&proof("c", 161), "agent", 161), Ok(()));
}

/// A proof by a key of its own.
fn fresh(number: usize) -> Proof {
    Proof { jkt: format!("key-{number}"), ..proof("proof", 100) }
}

/// How many proofs are taken of a client that sends until one is not.
fn all_of(memory: &ReplayMemory, client: usize) -> usize {
    let name = format!("client-{client}");
    let is_taken = |at: &usize| memory.take(&fresh(client * 1_000_000 + at), &name, 100).is_ok();
    (0..1_000_000).take_while(is_taken).count()
}

#[test]
fn a_client_with_any_number_of_keys_has_one_share() {
    let memory = ReplayMemory::new(100_000);
    assert_eq!(all_of(&memory, 0), 37_500, "one alone has half of what is not kept for clients that have few");
    assert_eq!(all_of(&memory, 1), 18_750, "a second one has half of what is left");
    assert_eq!(memory.take(&fresh(0), "client-0", 100), Err(NotTaken::Replayed), "nothing was forgotten for it");
}

#[test]
fn a_hundred_clients_that_take_all_they_can_leave_something_to_the_next() {
    let memory = ReplayMemory::new(100_000);
    let taken: Vec<usize> = (0..100).map(|client| all_of(&memory, client)).collect();
    assert!(taken.iter().all(|taken| *taken >= 250), "each has few at least: {taken:?}");
    assert_eq!(all_of(&memory, 100), 250, "and so has the next");
    let more: Vec<usize> = (101..150).map(|client| all_of(&memory, client)).collect();
    assert_eq!(more.last(), Some(&0), "to more than a hundred it promises nothing");
    assert_eq!(memory.entries.lock().unwrap().seen.len(), 100_000);
}

#[test]
fn clients_at_the_same_time_have_equal_shares() {
    let memory = ReplayMemory::new(1000);
    let mut taken = [0_usize; 4];
    for round in 0..1000 {
        for (client, taken) in taken.iter_mut().enumerate() {
            let is_taken = memory.take(&fresh(round * 4 + client), &format!("client-{client}"), 100).is_ok();
            *taken += usize::from(is_taken);
        }
    }
    assert_eq!(taken, [150; 4], "a fifth of three quarters");
}

#[test]
fn what_is_kept_for_clients_that_have_few_is_for_more_than_a_hundred_of_them() {
    for capacity in (400..5_000).chain([10_000, 100_000, 1_234_567, usize::MAX]) {
        let Shares { common, few, .. } = Shares::of(capacity);
        assert!((capacity - common) / few >= 100 && few >= 1, "{capacity}");
        assert!(few >= capacity / 400 && common >= capacity / 4 * 3, "{capacity}");
    }
    for capacity in 0..400 {
        let Shares { common, few, .. } = Shares::of(capacity);
        assert_eq!((common, few), (capacity - capacity / 4, 1));
    }
}

#[test]
fn what_is_over_is_forgotten_with_its_client() {
    let memory = ReplayMemory::new(100);
    for client in 0..40 {
        assert_eq!(memory.take(&fresh(client), &format!("client-{client}"), 100), Ok(()));
    }
    assert_eq!(memory.take(&proof("later", 200), "client-1", 200), Ok(()));
    let entries = memory.entries.lock().unwrap();
    assert_eq!((entries.seen.len(), entries.held.len(), entries.by_end.len()), (1, 1, 1));
    assert_eq!(entries.held.get("client-1"), Some(&1));
}

#[test]
fn a_clock_that_is_set_back_revives_no_proof() {
    let memory = ReplayMemory::new(10);
    assert_eq!(memory.take(&proof("a", 100), "agent", 100), Ok(()));
    assert_eq!(memory.take(&proof("b", 200), "agent", 200), Ok(()));
    assert_eq!(memory.take(&proof("a", 100), "agent", 120), Err(NotTaken::Replayed));
}

/// A client, how old its proof is, and how many seconds pass before it sends it.
fn sent() -> impl Strategy<Value = (usize, i64, i64)> {
    let client = prop_oneof![0..3_usize, 0..200_usize];
    let passing = prop_oneof![20 => Just(0_i64), 1 => 1..8_i64];
    (client, 0..60_i64, passing)
}

fn shares() -> impl Strategy<Value = Shares> {
    (1..80_usize, 0..40_usize, 1..6_usize).prop_map(|(common, kept, few)| Shares {
        capacity: common + kept,
        common,
        few,
    })
}

proptest! {
    /// Whoever calls, when and in whichever order: a client that has few is refused only where more than
    /// (`capacity` − `common`) / `few` others have something there.
    #[test]
    fn a_client_that_has_few_is_taken_unless_many_others_have_called(
        shares in shares(),
        calls in prop::collection::vec(sent(), 1..600),
    ) {
        let memory = ReplayMemory::with(shares);
        let mut now = 1_000;
        for (at, (client, age, passing)) in calls.into_iter().enumerate() {
            now += passing;
            let name = format!("client-{client}");
            let taken = memory.take(&Proof { iat: now - age, ..fresh(at) }, &name, now);
            let entries = memory.entries.lock().unwrap();
            let held: usize = entries.held.values().sum();
            prop_assert!(held == entries.seen.len() && held <= shares.capacity);
            let own = entries.held.get(name.as_str()).copied().unwrap_or(0);
            if taken == Err(NotTaken::Full) && own < shares.few {
                let others: BTreeSet<_> = entries.held.keys().filter(|other| ***other != *name).collect();
                prop_assert!(others.len() > (shares.capacity - shares.common) / shares.few, "{} others", others.len());
            }
        }
    }
}
