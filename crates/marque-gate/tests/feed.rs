//! The revocation feed's state machine: gaps, replays, reordering, silence, epochs, clocks.

mod common;

use common::*;
use marque_gate::revocations::{Applied, FeedMessage};
use marque_gate::{Reason, Revocations};
use proptest::prelude::*;
use serde_json::json;

const LIMIT: u64 = 5;

fn state(revocations: &Revocations, intent: &str, now: i64) -> Result<(), Reason> {
    revocations.check(intent, now, secs(LIMIT))
}

fn following() -> Revocations {
    let revocations = Revocations::new();
    assert_eq!(revocations.apply(snapshot("e1", 7, NOW, &[("old", NOW + 60)]), NOW), Applied::Current);
    revocations
}

#[test]
fn nothing_is_fresh_before_the_first_snapshot() {
    let revocations = Revocations::new();
    assert_eq!(state(&revocations, "i", NOW), Err(Reason::RevocationStateStale));
    assert_eq!(revocations.apply(heartbeat("e1", 0, NOW), NOW), Applied::Gap);
    assert_eq!(state(&revocations, "i", NOW), Err(Reason::RevocationStateStale));
}

#[test]
fn a_revocation_takes_effect_with_its_message() {
    let revocations = following();
    assert_eq!(state(&revocations, "i", NOW), Ok(()));
    assert_eq!(state(&revocations, "old", NOW), Err(Reason::IntentRevoked));
    assert_eq!(revocations.apply(revocation("e1", 8, NOW, "i"), NOW), Applied::Current);
    assert_eq!(state(&revocations, "i", NOW), Err(Reason::IntentRevoked));
    assert_eq!(state(&revocations, "other", NOW), Ok(()));
}

#[test]
fn silence_closes_the_gate_after_exactly_the_limit() {
    let revocations = following();
    assert_eq!(state(&revocations, "i", NOW + 5), Ok(()));
    assert_eq!(state(&revocations, "i", NOW + 6), Err(Reason::RevocationStateStale));
    assert_eq!(state(&revocations, "old", NOW + 6), Err(Reason::IntentRevoked), "revoked stays the reason");
    assert_eq!(revocations.apply(heartbeat("e1", 7, NOW + 20), NOW + 20), Applied::Current);
    assert_eq!(state(&revocations, "i", NOW + 20), Ok(()));
}

#[test]
fn a_gap_closes_the_gate_until_a_snapshot() {
    let revocations = following();
    assert_eq!(revocations.apply(revocation("e1", 9, NOW, "i"), NOW), Applied::Gap);
    assert_eq!(state(&revocations, "other", NOW), Err(Reason::RevocationStateStale));
    assert_eq!(state(&revocations, "i", NOW), Err(Reason::IntentRevoked), "what was heard counts");
    assert_eq!(revocations.apply(revocation("e1", 8, NOW, "k"), NOW), Applied::Gap, "the missing one is too late");
    assert_eq!(revocations.apply(heartbeat("e1", 9, NOW), NOW), Applied::Gap);
    assert_eq!(revocations.apply(snapshot("e1", 9, NOW, &[("i", NOW + 60), ("k", NOW + 60)]), NOW), Applied::Current);
    assert_eq!(state(&revocations, "other", NOW), Ok(()));
}

#[test]
fn a_heartbeat_that_is_ahead_shows_a_withheld_revocation() {
    let revocations = following();
    assert_eq!(revocations.apply(heartbeat("e1", 8, NOW), NOW), Applied::Gap);
    assert_eq!(state(&revocations, "i", NOW), Err(Reason::RevocationStateStale));
}

#[test]
fn replayed_messages_make_nothing_fresher() {
    let revocations = following();
    revocations.apply(revocation("e1", 8, NOW + 1, "i"), NOW + 1);
    assert_eq!(revocations.apply(heartbeat("e1", 7, NOW), NOW + 4), Applied::Old);
    assert_eq!(revocations.apply(revocation("e1", 8, NOW + 1, "i"), NOW + 4), Applied::Old);
    assert_eq!(revocations.apply(snapshot("e1", 7, NOW, &[]), NOW + 4), Applied::Old, "never back within an epoch");
    assert_eq!(revocations.apply(heartbeat("e1", 8, NOW + 1), NOW + 30), Applied::Current, "held back for 29 s");
    assert_eq!(state(&revocations, "other", NOW + 7), Err(Reason::RevocationStateStale));
    assert_eq!(state(&revocations, "i", NOW + 1), Err(Reason::IntentRevoked));
}

#[test]
fn after_a_gap_an_old_snapshot_does_not_open_the_gate() {
    let revocations = following();
    revocations.apply(revocation("e1", 8, NOW, "i"), NOW);
    revocations.apply(revocation("e1", 10, NOW, "k"), NOW);
    assert_eq!(revocations.apply(snapshot("e1", 7, NOW, &[]), NOW), Applied::Old);
    assert_eq!(state(&revocations, "other", NOW), Err(Reason::RevocationStateStale));
}

#[test]
fn a_new_epoch_begins_with_a_snapshot_and_brings_nothing_back() {
    let revocations = following();
    revocations.apply(revocation("e1", 8, NOW, "i"), NOW);
    assert_eq!(revocations.apply(heartbeat("e2", 8, NOW), NOW), Applied::Gap);
    assert_eq!(state(&revocations, "other", NOW), Err(Reason::RevocationStateStale));
    assert_eq!(revocations.apply(snapshot("e2", 0, NOW, &[]), NOW), Applied::Current);
    assert_eq!(state(&revocations, "other", NOW), Ok(()));
    assert_eq!(state(&revocations, "i", NOW), Err(Reason::IntentRevoked), "a restored database revives no intent");
}

#[test]
fn entries_are_forgotten_once_the_intent_has_ended_by_itself() {
    let revocations = following();
    revocations.apply(heartbeat("e1", 7, NOW + 100), NOW + 100);
    assert_eq!(state(&revocations, "old", NOW + 100), Ok(()), "its tokens are over by then");
}

#[test]
fn the_earlier_of_both_clocks_counts() {
    let revocations = Revocations::new();
    revocations.apply(snapshot("e1", 0, NOW + 100, &[]), NOW);
    assert_eq!(state(&revocations, "i", NOW + 6), Err(Reason::RevocationStateStale), "Marque's clock is ahead");
    revocations.apply(heartbeat("e1", 0, NOW), NOW + 6);
    assert_eq!(state(&revocations, "i", NOW + 6), Err(Reason::RevocationStateStale), "an old heartbeat");
}

#[test]
fn a_clock_that_is_set_back_closes_the_gate_until_the_next_message() {
    let revocations = following();
    assert_eq!(state(&revocations, "i", NOW - 10), Ok(()));
    assert_eq!(state(&revocations, "i", NOW - 11), Err(Reason::RevocationStateStale));
    revocations.apply(heartbeat("e1", 7, NOW - 3600), NOW - 3600);
    assert_eq!(state(&revocations, "i", NOW - 3600), Ok(()));
}

#[test]
fn refuses_messages_that_it_does_not_understand() {
    let good = json!({"kind": "heartbeat", "iss": ISSUER, "epoch": "e1", "seq": 1, "at": NOW});
    let parse = |value: &serde_json::Value| FeedMessage::parse(value.to_string().as_bytes());
    assert!(parse(&good).is_ok());
    for (name, value) in [
        ("kind", json!("suspension")),
        ("seq", json!(-1)),
        ("seq", json!("1")),
        ("at", json!(1.5)),
        ("epoch", json!(1)),
        ("min_version", json!(2)),
        ("key", json!("k")),
        ("state", json!("withdrawn")),
    ] {
        let mut bad = good.clone();
        bad[name] = value;
        assert!(parse(&bad).is_err(), "{bad}");
    }
}

#[test]
fn a_withdrawal_is_of_one_key_by_another() {
    let message = withdrawal("e1", 8, NOW, "k");
    assert!(message.withdraws("k") && !message.withdraws("l"));
    let listed = json!({"kind": "snapshot", "iss": ISSUER, "epoch": "e1", "seq": 1, "at": NOW, "page": 1, "pages": 1,
                        "intents": [], "keys": ["k"]});
    assert!(feed(listed.clone()).withdraws("k") && !heartbeat("e1", 8, NOW).withdraws("k"));
    let mut without = listed;
    without.as_object_mut().unwrap().remove("keys");
    assert!(FeedMessage::parse(without.to_string().as_bytes()).is_err(), "a snapshot says which keys are withdrawn");
}

#[test]
fn a_withdrawal_between_two_pages_lets_no_later_page_complete_them() {
    let revocations = Revocations::new();
    assert_eq!(revocations.apply(page(1, 2, "a"), NOW), Applied::Page);
    assert_eq!(revocations.apply(withdrawal("e1", 8, NOW, "k"), NOW), Applied::Anew);
    assert_eq!(revocations.apply(page(2, 2, "b"), NOW), Applied::Gap);
    assert_eq!(state(&revocations, "free", NOW), Err(Reason::RevocationStateStale));
}

proptest! {
    /// However messages are lost, repeated and reordered: a gate that is open has heard of every
    /// revocation up to its position, so no revoked intent ever passes as fresh.
    #[test]
    fn an_open_gate_never_lacks_a_revocation(order in prop::collection::vec(0..12_u64, 0..40)) {
        let revocations = Revocations::new();
        revocations.apply(snapshot("e1", 0, NOW, &[]), NOW);
        let mut reached = 0;
        for seq in order {
            let (message, is_news) = match seq {
                0 => (heartbeat("e1", reached, NOW), false),
                seq => (revocation("e1", seq, NOW, &format!("i{seq}")), true),
            };
            if revocations.apply(message, NOW) == Applied::Current && is_news {
                prop_assert_eq!(seq, reached + 1);
                reached = seq;
            }
            if state(&revocations, "other", NOW).is_ok() {
                for known in 1..=reached {
                    prop_assert_eq!(state(&revocations, &format!("i{known}"), NOW), Err(Reason::IntentRevoked));
                }
            }
        }
    }
}

fn page(page: u64, pages: u64, revoked: &str) -> FeedMessage {
    feed(json!({"kind": "snapshot", "iss": ISSUER, "epoch": "e1", "seq": 7, "at": NOW, "page": page, "pages": pages,
                "intents": [{"intent": revoked, "until": NOW + 60}], "keys": []}))
}

#[test]
fn a_snapshot_in_pages_is_current_with_its_last_page() {
    let revocations = Revocations::new();
    assert_eq!(revocations.apply(page(1, 3, "a"), NOW), Applied::Page);
    assert_eq!(revocations.apply(page(2, 3, "b"), NOW), Applied::Page);
    assert_eq!(revocations.check("free", NOW, secs(5)), Err(Reason::RevocationStateStale), "a page is missing");
    assert_eq!(revocations.apply(page(3, 3, "c"), NOW), Applied::Current);
    assert_eq!(revocations.check("free", NOW, secs(5)), Ok(()));
    for revoked in ["a", "b", "c"] {
        assert_eq!(revocations.check(revoked, NOW, secs(5)), Err(Reason::IntentRevoked), "{revoked}");
    }
}

#[test]
fn a_page_that_is_missing_repeated_or_interrupted_closes_the_gate() {
    let begun = || {
        let revocations = Revocations::new();
        assert_eq!(revocations.apply(page(1, 3, "a"), NOW), Applied::Page);
        revocations
    };
    assert_eq!(begun().apply(page(3, 3, "c"), NOW), Applied::Gap, "page 2 is missing");
    assert_eq!(begun().apply(page(4, 3, "c"), NOW), Applied::Gap, "there is no page 4");
    assert_eq!(begun().apply(heartbeat("e1", 7, NOW), NOW), Applied::Gap, "no message between two pages");
    assert_eq!(Revocations::new().apply(page(2, 3, "b"), NOW), Applied::Gap, "page 1 is missing");
    let revocations = begun();
    assert_eq!(revocations.apply(page(1, 3, "a"), NOW), Applied::Page, "it begins again");
    assert_eq!(revocations.apply(snapshot("e1", 8, NOW, &[]), NOW), Applied::Current, "another snapshot");
}
