//! Tokens that carry their steps by digest: the gate fetches the envelope once and believes nothing but the digest.

mod common;

use common::*;
use marque_core::canonical::Digest;
use marque_core::envelope::Envelope;
use marque_gate::keys::Pending;
use marque_gate::{EnvelopeSource, FixedKeys, Gate, Reason};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What is kept under each digest, and how often somebody asked.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Shelf>>);

/// What is kept by digest, and how often it was asked for.
type Shelf = (BTreeMap<Digest, Vec<u8>>, u32);

impl Kept {
    fn put(&self, digest: Digest, content: Vec<u8>) {
        self.0.lock().unwrap().0.insert(digest, content);
    }

    fn asked(&self) -> u32 {
        self.0.lock().unwrap().1
    }
}

impl EnvelopeSource for Kept {
    fn envelope(&self, digest: Digest) -> Pending<'_, Result<Vec<u8>, String>> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let mut kept = self.0.lock().unwrap();
            kept.1 += 1;
            kept.0.get(&digest).cloned().ok_or_else(|| "nothing is kept".to_owned())
        })
    }
}

fn world() -> (World, Kept, Gate) {
    let (world, kept) = (World::new(), Kept::default());
    let gate = World::gate_of(&world).with_envelopes(kept.clone());
    (world, kept, gate)
}

/// A token that names an envelope.
fn token(world: &World, envelope: &Envelope, jti: &str) -> String {
    let mut claims = world.claims(&json!([]));
    (claims["tctx"], claims["jti"]) =
        (json!({"intent": claims["tctx"]["intent"], "env": envelope.digest()}), jti.into());
    world.token(&claims)
}

/// A call by a token, with a fresh proof.
async fn set(world: &World, gate: &Gate, token: &str, to: &str) -> Result<(), Reason> {
    let call = call("set", "a", json!({"to": to}));
    let proof = world.agent.proof(&world.proof_claims(token, "POST", "/act", Some(&call)));
    gate.check(&presented(token, &proof), action(&call), NOW).await.map(drop).map_err(|refusal| refusal.reason())
}

/// The usual steps, where a call of the last may be made often.
fn envelope_of(values: Value) -> Envelope {
    envelope(&json!([step("change", "set", "change", "a", json!(9), json!({"to": {"one_of": values}}))]))
}

#[tokio::test]
async fn an_envelope_is_fetched_once_for_all_tokens_that_name_it() {
    let (world, kept, gate) = world();
    let envelope = envelope_of(json!(["x", "y"]));
    kept.put(envelope.digest(), envelope.canonical());
    let (one, other) = (token(&world, &envelope, "one"), token(&world, &envelope, "other"));
    let calls = [set(&world, &gate, &one, "x"), set(&world, &gate, &other, "y"), set(&world, &gate, &one, "y")];
    for outcome in futures_util::future::join_all(calls).await {
        // The ledger of these tests reads the caller's steps: it has them too.
        assert_eq!(outcome, Ok(()));
    }
    assert_eq!(set(&world, &gate, &other, "z").await, Err(Reason::ArgumentMismatch));
    assert_eq!(kept.asked(), 1);
}

#[tokio::test]
async fn what_is_not_the_envelope_of_the_digest_is_refused() {
    let (world, kept, gate) = world();
    let (envelope, wider) = (envelope_of(json!(["x"])), envelope_of(json!(["x", "y"])));
    let token = token(&world, &envelope, "one");
    kept.put(envelope.digest(), wider.canonical());
    assert_eq!(set(&world, &gate, &token, "y").await, Err(Reason::StateUnavailable), "a wider one");
    assert_eq!(set(&world, &gate, &token, "x").await, Err(Reason::StateUnavailable), "whatever it permits");
    kept.put(envelope.digest(), [envelope.canonical(), b"\n".to_vec()].concat());
    assert_eq!(set(&world, &gate, &token, "x").await, Err(Reason::StateUnavailable), "another spelling");
    kept.put(envelope.digest(), envelope.canonical());
    assert_eq!(set(&world, &gate, &token, "y").await, Err(Reason::ArgumentMismatch), "nothing wrong was remembered");
    assert_eq!(set(&world, &gate, &token, "x").await, Ok(()));
}

#[tokio::test]
async fn one_digest_is_never_taken_for_another() {
    let (world, kept, gate) = world();
    let (narrow, wide) = (envelope_of(json!(["x"])), envelope_of(json!(["x", "y"])));
    for envelope in [&narrow, &wide] {
        kept.put(envelope.digest(), envelope.canonical());
    }
    assert_eq!(set(&world, &gate, &token(&world, &wide, "wide"), "y").await, Ok(()));
    assert_eq!(set(&world, &gate, &token(&world, &narrow, "narrow"), "y").await, Err(Reason::ArgumentMismatch));
}

#[tokio::test]
async fn a_gate_without_a_source_says_what_is_missing() {
    let world = World::new();
    let token = token(&world, &envelope_of(json!(["x"])), "one");
    let refusal = world.gate.verify_token(&token, NOW).await.unwrap_err();
    assert_eq!(
        (refusal.reason(), refusal.status(), refusal.intent_id()),
        (Reason::StateUnavailable, 503, Some(INTENT))
    );
    assert!(refusal.description().contains("was given no source for them"), "{}", refusal.description());
}

#[tokio::test]
async fn a_token_that_does_not_hold_makes_nobody_fetch() {
    let (world, kept, gate) = world();
    let envelope = envelope_of(json!(["x"]));
    let good = token(&world, &envelope, "one");
    assert_eq!(reason(gate.verify_token(&good, NOW + 300).await), Reason::TokenExpired);
    let forged = World::new();
    assert_eq!(reason(gate.verify_token(&token(&forged, &envelope, "one"), NOW).await), Reason::TokenInvalid);
    let keys = FixedKeys::new(marque_core::jws::KeySet::default());
    let blind = Gate::new(gate.config().clone(), keys, world.revocations.clone()).with_envelopes(kept.clone());
    assert_eq!(reason(blind.verify_token(&good, NOW).await), Reason::StateUnavailable, "no keys");
    assert_eq!(kept.asked(), 0);
}
