//! Calls without an intent: refused, unless the resource server takes them, and permitted nothing even then.

mod common;

use common::*;
use marque_core::canonical::Digest;
use marque_core::names::{TYP_INTENT, TYP_TXN};
use marque_gate::{GateConfig, PeerCertificate, Presented, Reason, Workload};
use serde_json::{Value, json};

fn taking() -> World {
    World::with(GateConfig::with_workloads)
}

fn claims(world: &World) -> Value {
    json!({
        "iss": ISSUER, "aud": DOMAIN, "sub": "agent", "iat": NOW - 1, "exp": NOW + 300, "jti": "own-1", "txn": "txn-9",
        "scope": "", "req_wl": "agent", "tctx": {"steps": []}, "rctx": {"req_ip": "192.0.2.1"}, "act": {"sub": "agent"},
        "cnf": {"jkt": world.agent.jkt},
    })
}

fn request_with(world: &World, token: &str) -> Presented {
    presented(token, &world.agent.proof(&world.proof_claims(token, "POST", "/act", None)))
}

async fn verify(world: &World, claims: &Value) -> Result<Workload, marque_gate::Refusal> {
    world.gate.verify_workload(&request_with(world, &world.token(claims)), NOW).await
}

#[tokio::test]
async fn a_gate_takes_no_call_without_an_intent_unless_it_is_switched_to_it() {
    let closed = World::new();
    assert_eq!(reason(verify(&closed, &claims(&closed)).await), Reason::TokenInvalid);
    let world = taking();
    let workload = verify(&world, &claims(&world)).await.unwrap();
    assert_eq!((workload.client_id(), workload.transaction(), workload.expires_at()), ("agent", "txn-9", NOW + 300));
    assert_eq!(workload.context()["req_ip"], "192.0.2.1");
}

#[tokio::test]
async fn nothing_is_permitted_by_it_however_the_gate_is_switched() {
    for world in [World::new(), taking()] {
        let token = world.token(&claims(&world));
        let look = call("look", "a", json!({}));
        let refused = world.gate.check(&request_with(&world, &token), action(&look), NOW).await;
        assert_eq!(reason(refused), Reason::TokenInvalid);
        assert!(world.gate.verify_caller(&request_with(&world, &token), NOW).await.is_err());
    }
}

#[tokio::test]
async fn whatever_is_no_workloads_own_token_of_now_is_refused() {
    let world = taking();
    for (what, pointer, value, expected) in [
        ("over", "/exp", json!(NOW), Reason::TokenExpired),
        ("from the future", "/iat", json!(NOW + 60), Reason::TokenInvalid),
        ("another issuer's", "/iss", json!("https://other.example"), Reason::TokenInvalid),
        ("for another trust domain", "/aud", json!("other.example"), Reason::TokenInvalid),
        ("of another actor", "/act/sub", json!("worker"), Reason::TokenInvalid),
        ("with earlier actors", "/act", json!({"sub": "agent", "act": {"sub": "x"}}), Reason::TokenInvalid),
        ("with a scope", "/scope", json!("look"), Reason::TokenInvalid),
        ("with steps", "/tctx/steps", steps(), Reason::TokenInvalid),
        ("bound to another key", "/cnf/jkt", json!("x"), Reason::ProofKeyMismatch),
    ] {
        let mut claims = claims(&world);
        *claims.pointer_mut(pointer).unwrap() = value;
        assert_eq!(reason(verify(&world, &claims).await), expected, "{what}");
    }
    let of_an_intent = world.claims(&steps());
    assert_eq!(reason(verify(&world, &of_an_intent).await), Reason::TokenInvalid, "a token of an intent is none");
    let other_typ = world.marque.sign(TYP_INTENT, &claims(&world));
    let refused = world.gate.verify_workload(&request_with(&world, &other_typ), NOW).await;
    assert_eq!(reason(refused), Reason::TokenInvalid);
    let forged = Key::new().sign(TYP_TXN, &claims(&world));
    let refused = world.gate.verify_workload(&request_with(&world, &forged), NOW).await;
    assert_eq!(reason(refused), Reason::TokenInvalid);
}

#[tokio::test]
async fn its_proof_is_used_once_and_its_certificate_is_that_of_the_connection() {
    let world = taking();
    let proven = request_with(&world, &world.token(&claims(&world)));
    assert!(world.gate.verify_workload(&proven, NOW).await.is_ok());
    assert_eq!(reason(world.gate.verify_workload(&proven, NOW).await), Reason::ProofReplayed);
    let mut bound = claims(&world);
    bound["cnf"] = json!({"x5t#S256": Digest::of(b"certificate").to_base64()});
    let bare = request().with_header("Txn-Token", &world.token(&bound));
    assert_eq!(reason(world.gate.verify_workload(&bare, NOW).await), Reason::CertificateMismatch);
    let with = bare.with_certificate(PeerCertificate::of_der(b"certificate"));
    assert!(world.gate.verify_workload(&with, NOW).await.is_ok());
}

/// Nothing else tells that a key was withdrawn.
#[tokio::test]
async fn it_is_refused_where_the_feed_is_silent_or_withdrew_its_key() {
    let world = taking();
    let request = request_with(&world, &world.token(&claims(&world)));
    let late = NOW + 6;
    assert_eq!(reason(world.gate.verify_workload(&request, late).await), Reason::RevocationStateStale);
    world.revocations.apply(withdrawal("e1", 1, NOW, &world.marque.jkt), NOW);
    assert_eq!(reason(verify(&world, &claims(&world)).await), Reason::TokenInvalid);
}
