//! Tokens that were verified before: believed again only while key and time allow it.

mod common;

use common::*;
use marque_core::jws::KeySet;
use marque_core::names::TYP_TXN;
use marque_gate::keys::Pending;
use marque_gate::{Gate, KeySource, Reason};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// Keys that a test publishes and withdraws.
#[derive(Clone)]
struct Published(Arc<Mutex<Arc<KeySet>>>);

impl Published {
    fn new(keys: &[&Key]) -> Self {
        let published = Self(Arc::default());
        published.publish(keys, TYP_TXN);
        published
    }

    fn publish(&self, keys: &[&Key], typ: &str) {
        let keys: Vec<Value> = keys.iter().map(|key| key.published(typ)).collect();
        *self.0.lock().unwrap() = Arc::new(KeySet::from_jwks(&json!({"keys": keys})).unwrap());
    }
}

impl KeySource for Published {
    fn current(&self) -> Arc<KeySet> {
        self.0.lock().unwrap().clone()
    }

    fn refreshed<'a>(&'a self, _kid: &'a str) -> Pending<'a, Arc<KeySet>> {
        Box::pin(std::future::ready(self.current()))
    }
}

/// A world whose gate takes its keys from what is published.
fn world() -> (World, Published, Gate) {
    let world = World::new();
    let published = Published::new(&[&world.marque]);
    let gate = Gate::new(world.gate.config().clone(), published.clone(), world.revocations.clone());
    (world, published, gate)
}

/// A call by a token, with a fresh proof. The feed goes on at number 0, unless it is further by then.
async fn look(world: &World, gate: &Gate, token: &str, now: i64) -> Result<(), Reason> {
    let call = call("look", "a", json!({}));
    let mut claims = world.proof_claims(token, "POST", "/act", Some(&call));
    claims["iat"] = now.into();
    let request = presented(token, &world.agent.proof(&claims));
    world.revocations.apply(heartbeat("e1", 0, now), now);
    gate.check(&request, action(&call), now).await.map(drop).map_err(|refusal| refusal.reason())
}

#[tokio::test]
async fn a_token_is_verified_once() {
    let (world, published, gate) = world();
    let token = world.token(&world.claims(&steps()));
    let first = gate.verify_token(&token, NOW).await.unwrap();
    published.publish(&[&Key::new(), &world.marque], TYP_TXN);
    let second = gate.verify_token(&token, NOW).await.unwrap();
    assert!(Arc::ptr_eq(&first, &second), "new keys beside the one that signed it change nothing");
    assert_eq!(look(&world, &gate, &token, NOW).await, Ok(()));
}

#[tokio::test]
async fn a_withdrawn_key_takes_with_it_what_it_signed() {
    let (world, published, gate) = world();
    let token = world.token(&world.claims(&steps()));
    assert_eq!(look(&world, &gate, &token, NOW).await, Ok(()));
    published.publish(&[&Key::new()], TYP_TXN);
    assert_eq!(look(&world, &gate, &token, NOW).await, Err(Reason::TokenInvalid), "the key is gone");
    published.publish(&[&world.marque], "another+jwt");
    assert_eq!(look(&world, &gate, &token, NOW).await, Err(Reason::TokenInvalid), "the key is for something else now");
    published.publish(&[&world.marque], TYP_TXN);
    assert_eq!(look(&world, &gate, &token, NOW).await, Ok(()), "it is back");
}

#[tokio::test]
async fn a_token_that_is_known_ends_with_its_time() {
    let (world, _, gate) = world();
    let token = world.token(&world.claims(&steps()));
    assert_eq!(look(&world, &gate, &token, NOW + 299).await, Ok(()));
    assert_eq!(look(&world, &gate, &token, NOW + 300).await, Err(Reason::TokenExpired));
    assert_eq!(look(&world, &gate, &token, NOW - 12).await, Err(Reason::TokenInvalid), "not valid yet");
    assert!(gate.verify_token(&token, NOW).await.is_ok());
    assert_eq!(reason(gate.verify_token(&token, NOW + 300).await), Reason::TokenExpired, "without a proof too");
    assert_eq!(reason(gate.verify_token(&token, NOW - 12).await), Reason::TokenInvalid);
}

#[tokio::test]
async fn a_known_token_is_held_to_revocation_and_proof_each_time() {
    let (world, _, gate) = world();
    let token = world.token(&world.claims(&steps()));
    assert_eq!(look(&world, &gate, &token, NOW).await, Ok(()));
    let call = call("look", "a", json!({}));
    let proof = world.proof_claims(&token, "POST", "/act", Some(&call));
    let stolen = presented(&token, &Key::new().proof(&proof));
    assert_eq!(reason(gate.check(&stolen, action(&call), NOW).await), Reason::ProofKeyMismatch);
    let good = presented(&token, &world.agent.proof(&proof));
    assert!(gate.check(&good, action(&call), NOW).await.is_ok());
    assert_eq!(reason(gate.check(&good, action(&call), NOW).await), Reason::ProofReplayed);
    world.revocations.apply(revocation("e1", 1, NOW, INTENT), NOW);
    assert_eq!(look(&world, &gate, &token, NOW).await, Err(Reason::IntentRevoked));
}

#[tokio::test]
async fn two_tokens_never_share_what_was_verified() {
    let (world, _, gate) = world();
    let wide = world.token(&world.claims(&steps()));
    assert_eq!(look(&world, &gate, &wide, NOW).await, Ok(()));
    let narrow = world.token(&world.claims(&json!([steps()[2]])));
    assert_eq!(look(&world, &gate, &narrow, NOW).await, Err(Reason::ActionNotInPlan), "all else is the same");
    let (signed, _) = wide.rsplit_once('.').unwrap();
    let (_, signature) = narrow.rsplit_once('.').unwrap();
    let mixed = format!("{signed}.{signature}");
    assert_eq!(look(&world, &gate, &mixed, NOW).await, Err(Reason::TokenInvalid), "another signature is another token");
}

#[tokio::test]
async fn a_gate_remembers_no_more_tokens_than_it_may() {
    let world = World::with(|config| config.with_token_capacity(0));
    let token = world.token(&world.claims(&steps()));
    let (first, second) = (world.gate.verify_token(&token, NOW).await, world.gate.verify_token(&token, NOW).await);
    assert!(!Arc::ptr_eq(&first.unwrap(), &second.unwrap()));
    let weight = world.token(&world.claims(&steps())).len() * 10 + 1024;
    let world = World::with(|config| config.with_token_capacity(10 * weight));
    let tokens: Vec<String> = (0..30).map(|_| world.token(&world.claims(&steps()))).collect();
    let mut first = Vec::new();
    for token in &tokens {
        first.push(world.gate.verify_token(token, NOW).await.unwrap());
    }
    let kept = first.iter().filter(|verified| Arc::strong_count(verified) > 1).count();
    assert!((5..=10).contains(&kept), "{kept}");
}

/// A token of so many steps.
fn long_token(world: &World, count: usize) -> String {
    let steps: Vec<Value> = (0..count)
        .map(|at| step(&format!("s{at}"), "look", "read", &format!("{at}"), json!("any"), json!({})))
        .collect();
    world.token(&world.claims(&json!(steps)))
}

#[tokio::test]
async fn a_long_token_weighs_what_it_is_long() {
    let world = World::with(|config| config.with_token_capacity(512 * 1024));
    let (mut long, mut short) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        let token = long_token(&world, 80);
        assert!((8 * 1024..16 * 1024).contains(&token.len()), "{}", token.len());
        long.push(world.gate.verify_token(&token, NOW).await.unwrap());
    }
    let kept = long.iter().filter(|verified| Arc::strong_count(verified) > 1).count();
    assert!((2..=7).contains(&kept), "{kept} of some 9 KiB, ten times, in 512");
    let world = World::with(|config| config.with_token_capacity(512 * 1024));
    for _ in 0..60 {
        short.push(world.gate.verify_token(&long_token(&world, 1), NOW).await.unwrap());
    }
    let kept = short.iter().filter(|verified| Arc::strong_count(verified) > 1).count();
    assert!((20..=50).contains(&kept), "{kept} of one KiB, ten times, with their entry");
}

#[tokio::test]
async fn a_token_that_is_longer_than_the_memory_is_verified_each_time() {
    let world = World::with(|config| config.with_token_capacity(32 * 1024));
    let token = long_token(&world, 80);
    let (first, second) = (world.gate.verify_token(&token, NOW).await, world.gate.verify_token(&token, NOW).await);
    assert!(!Arc::ptr_eq(&first.unwrap(), &second.unwrap()));
}

#[tokio::test]
async fn a_key_that_the_feed_withdraws_takes_with_it_what_it_signed() {
    let (world, published, gate) = world();
    let token = world.token(&world.claims(&steps()));
    assert_eq!(look(&world, &gate, &token, NOW).await, Ok(()));
    world.revocations.apply(withdrawal("e1", 1, NOW, &world.marque.jkt), NOW);
    world.revocations.apply(snapshot("e1", 1, NOW, &[]), NOW);
    let fresh = world.token(&world.claims(&json!([steps()[0]])));
    for token in [&token, &fresh] {
        let refusal = gate.verify_token(token, NOW).await.unwrap_err();
        assert_eq!(refusal.reason(), Reason::TokenInvalid, "its key is still published");
        assert!(refusal.description().contains("withdrawn"), "{refusal}");
        assert_eq!(look(&world, &gate, token, NOW).await, Err(Reason::TokenInvalid));
    }
    let other = Key::new();
    published.publish(&[&world.marque, &other], TYP_TXN);
    let token = other.sign(TYP_TXN, &world.claims(&steps()));
    assert!(gate.verify_token(&token, NOW).await.is_ok(), "another key signs");
}

#[tokio::test]
async fn without_any_key_the_gate_is_what_is_wrong_and_not_the_token() {
    let (world, published, gate) = world();
    let token = world.token(&world.claims(&steps()));
    published.publish(&[], TYP_TXN);
    assert_eq!(look(&world, &gate, &token, NOW).await, Err(Reason::StateUnavailable));
}
