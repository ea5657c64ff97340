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

/// A call by a token, with a fresh proof.
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
    let world = World::with(|config| config.with_token_capacity(10));
    let tokens: Vec<String> = (0..30).map(|_| world.token(&world.claims(&steps()))).collect();
    let mut first = Vec::new();
    for token in &tokens {
        first.push(world.gate.verify_token(token, NOW).await.unwrap());
    }
    let kept = first.iter().filter(|verified| Arc::strong_count(verified) > 1).count();
    assert!((1..=10).contains(&kept), "{kept}");
}
