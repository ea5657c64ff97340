//! The feed over a real connection: whatever somebody in between withholds, repeats, reorders or delays, a revoked intent
//! is refused, and the gate closes until it knows everything again.

#[path = "../common/mod.rs"]
mod common;
mod support;

use common::*;
use marque_core::names::TYP_TXN;
use marque_gate::Reason;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{Rule, STALENESS, Wire, now};

const STALE: Result<(), Reason> = Err(Reason::RevocationStateStale);
const REVOKED: Result<(), Reason> = Err(Reason::IntentRevoked);

#[tokio::test]
async fn a_middlebox_that_passes_heartbeats_only_closes_the_gate() {
    let wire = Wire::open().await;
    wire.middlebox.set(Rule::HeartbeatsOnly);
    tokio::time::sleep(secs(STALENESS + 1)).await;
    assert_eq!(wire.says("other"), Ok(()), "nothing was withheld yet");
    let start = Instant::now();
    wire.server.revoke("revoked");
    wire.becomes("revoked", STALE).await;
    assert!(start.elapsed() < Duration::from_secs(1), "the next heartbeat shows it: {:?}", start.elapsed());
    wire.stays_closed(secs(STALENESS + 2)).await;
    wire.middlebox.set(Rule::Pass);
    wire.becomes("revoked", REVOKED).await;
    wire.becomes("other", Ok(())).await;
}

#[tokio::test]
async fn a_revocation_that_is_dropped_is_missed_at_once_and_learned_anew() {
    let wire = Wire::open().await;
    wire.middlebox.set(Rule::DropOne);
    wire.server.revoke("dropped");
    wire.server.revoke("passed");
    wire.becomes("passed", REVOKED).await;
    assert_ne!(wire.says("dropped"), Ok(()), "the gap was seen with the very message after it");
    wire.becomes("dropped", REVOKED).await;
    wire.becomes("other", Ok(())).await;
}

#[tokio::test]
async fn a_heartbeat_that_is_replayed_keeps_no_gate_open() {
    let wire = Wire::open().await;
    wire.middlebox.set(Rule::Replay(None));
    tokio::time::sleep(Duration::from_millis(500)).await;
    wire.server.revoke("withheld");
    wire.becomes("withheld", STALE).await;
    wire.stays_closed(secs(STALENESS)).await;
    wire.middlebox.set(Rule::Pass);
    wire.becomes("withheld", REVOKED).await;
    wire.becomes("other", Ok(())).await;
}

#[tokio::test]
async fn revocations_that_change_places_close_the_gate_and_both_count() {
    let wire = Wire::open().await;
    wire.middlebox.set(Rule::SwapTwo);
    wire.server.revoke("first");
    wire.server.revoke("second");
    wire.becomes("second", REVOKED).await;
    assert_ne!(wire.says("first"), Ok(()));
    wire.becomes("first", REVOKED).await;
    wire.becomes("other", Ok(())).await;
}

#[tokio::test]
async fn silence_closes_the_gate_within_its_limit() {
    let wire = Wire::open().await;
    wire.middlebox.set(Rule::Silence);
    let start = Instant::now();
    wire.becomes("other", STALE).await;
    assert!(start.elapsed() < secs(STALENESS + 2), "{:?}", start.elapsed());
    wire.stays_closed(secs(STALENESS)).await;
    wire.middlebox.set(Rule::Pass);
    wire.becomes("other", Ok(())).await;
}

#[tokio::test]
async fn a_feed_that_is_held_back_is_as_old_as_it_was_signed() {
    let wire = Wire::open().await;
    wire.middlebox.set(Rule::Hold(secs(STALENESS + 2)));
    wire.becomes("other", STALE).await;
    wire.stays_closed(secs(STALENESS + 1)).await;
    wire.middlebox.set(Rule::Pass);
    wire.becomes("other", Ok(())).await;
}

#[tokio::test]
async fn a_server_that_is_away_closes_the_gate_until_it_is_back() {
    let wire = Wire::open().await;
    wire.middlebox.set(Rule::Cut);
    wire.becomes("other", STALE).await;
    wire.server.revoke("meanwhile");
    wire.stays_closed(secs(STALENESS)).await;
    wire.middlebox.set(Rule::Pass);
    wire.becomes("meanwhile", REVOKED).await;
    wire.becomes("other", Ok(())).await;
}

/// Whether the gate takes a token of the server's.
async fn token_is(wire: &Wire) -> Result<(), Reason> {
    let mut claims = World::new().claims(&steps());
    (claims["iss"], claims["iat"], claims["exp"]) =
        (wire.server.issuer.as_str().into(), now().into(), (now() + 60).into());
    let token = wire.server.txn_key.sign(TYP_TXN, &claims);
    wire.gate.verify_token(&token, now()).await.map(drop).map_err(|refusal| refusal.reason())
}

async fn token_becomes(wire: &Wire, expected: Result<(), Reason>) {
    for _ in 0..800 {
        if token_is(wire).await == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never {expected:?}, still {:?}", token_is(wire).await);
}

#[tokio::test]
async fn a_withdrawn_key_is_refused_while_the_published_keys_still_have_it() {
    let wire = Wire::open().await;
    assert_eq!(token_is(&wire).await, Ok(()));
    wire.server.let_keys_be_read(false);
    let start = Instant::now();
    wire.server.withdraw(&wire.server.txn_key.jkt);
    token_becomes(&wire, Err(Reason::TokenInvalid)).await;
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    wire.becomes("other", Ok(())).await;
    assert_eq!(token_is(&wire).await, Err(Reason::TokenInvalid), "and stays so when the feed began anew");
    wire.server.let_keys_be_read(true);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(token_is(&wire).await, Err(Reason::TokenInvalid));
}

#[tokio::test]
async fn a_withdrawal_that_is_withheld_closes_the_gate() {
    let wire = Wire::open().await;
    wire.middlebox.set(Rule::HeartbeatsOnly);
    wire.server.withdraw(&wire.server.txn_key.jkt);
    wire.becomes("other", STALE).await;
    wire.stays_closed(secs(STALENESS)).await;
    wire.middlebox.set(Rule::Pass);
    wire.becomes("other", Ok(())).await;
    assert_eq!(token_is(&wire).await, Err(Reason::TokenInvalid));
}

#[tokio::test]
async fn a_withdrawn_key_of_the_feed_signs_nothing_more() {
    let wire = Wire::open().await;
    let stolen = wire.sign_with(Arc::new(Key::new())).await;
    wire.server.withdraw(&stolen.jkt);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(wire.gate.revocations().is_withdrawn(&stolen.jkt));
    wire.becomes("other", Ok(())).await;
    wire.server.sign_with(stolen);
    wire.becomes("other", STALE).await;
    wire.stays_closed(secs(STALENESS)).await;
}

#[tokio::test]
async fn no_key_withdraws_itself() {
    let wire = Wire::open().await;
    let signer = Arc::new(Key::new());
    let jkt = signer.jkt.clone();
    wire.sign_with(signer).await;
    wire.server.withdraw(&jkt);
    wire.becomes("other", STALE).await;
    assert!(!wire.gate.revocations().is_withdrawn(&jkt), "a message that is not believed says nothing");
    wire.stays_closed(secs(STALENESS)).await;
}

#[tokio::test]
async fn keys_that_cannot_be_read_again_are_believed_for_so_long_and_no_longer() {
    let wire = Wire::open_with(|config| config.with_key_max_age(secs(4))).await;
    assert_eq!(token_is(&wire).await, Ok(()));
    tokio::time::sleep(secs(5)).await;
    assert_eq!(token_is(&wire).await, Ok(()), "they are read anew in time");
    wire.server.let_keys_be_read(false);
    let start = Instant::now();
    token_becomes(&wire, Err(Reason::StateUnavailable)).await;
    assert!(start.elapsed() >= secs(1) && start.elapsed() < secs(6), "{:?}", start.elapsed());
    wire.becomes("other", STALE).await;
    wire.server.let_keys_be_read(true);
    token_becomes(&wire, Ok(())).await;
    wire.becomes("other", Ok(())).await;
}

#[tokio::test]
async fn a_call_at_a_closed_gate_is_told_what_is_wrong() {
    let wire = Wire::open().await;
    wire.middlebox.set(Rule::HeartbeatsOnly);
    wire.server.revoke("withheld");
    wire.becomes("other", STALE).await;
    let (world, call) = (World::new(), call("look", "a", json!({})));
    let mut claims = world.claims(&steps());
    (claims["iss"], claims["iat"], claims["exp"]) =
        (wire.server.issuer.as_str().into(), now().into(), (now() + 60).into());
    let token = wire.server.txn_key.sign(TYP_TXN, &claims);
    let mut proof = world.proof_claims(&token, "POST", "/act", Some(&call));
    proof["iat"] = now().into();
    let request = presented(&token, &world.agent.proof(&proof));
    let refusal = wire.gate.check(&request, action(&call), now()).await.unwrap_err();
    assert_eq!((refusal.reason(), refusal.status()), (Reason::RevocationStateStale, 503));
    assert!(refusal.description().contains("is missing"), "{refusal}");
}
