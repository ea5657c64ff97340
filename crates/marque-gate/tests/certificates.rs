//! Tokens that are bound to a client certificate (RFC 8705 §3): who presents one proves that very certificate to TLS, and
//! reads alone.

mod common;

use common::*;
use marque_core::canonical::Digest;
use marque_core::claims::IntentClaims;
use marque_core::jws::KeySet;
use marque_core::names::{TYP_ACCESS, TYP_TXN};
use marque_gate::{Caller, FixedKeys, Gate, PeerCertificate, Presented, Reason, Refusal};
use serde_json::{Value, json};

const DER: &[u8] = b"the DER of a certificate";

fn own() -> PeerCertificate {
    PeerCertificate::of_der(DER)
}

fn other() -> PeerCertificate {
    PeerCertificate::of_der(b"another one")
}

fn bound(mut claims: Value) -> Value {
    claims["cnf"] = json!({"x5t#S256": Digest::of(DER).to_base64()});
    claims
}

fn peek() -> marque_core::call::Call {
    call("peek", "a", json!({}))
}

fn look() -> marque_core::call::Call {
    call("look", "a", json!({}))
}

/// A world whose gate takes access tokens, too.
struct Site {
    world: World,
    access: Key,
    gate: Gate,
}

impl Site {
    fn new() -> Self {
        let (world, access) = (World::new(), Key::new());
        let keys = json!({"keys": [world.marque.published(TYP_TXN), access.published(TYP_ACCESS)]});
        let keys = FixedKeys::new(KeySet::from_jwks(&keys).unwrap());
        let gate = Gate::new(world.gate.config().clone(), keys, world.revocations.clone());
        let gate = gate.with_ledger(world.ledger.clone());
        Self { world, access, gate }
    }

    /// A transaction token that is bound to the certificate.
    fn token(&self) -> String {
        self.world.token(&bound(self.world.claims(&steps())))
    }

    fn access_token(&self, bind: impl Fn(Value) -> Value) -> String {
        let txn = self.world.claims(&steps());
        let claims = json!({
            "iss": ISSUER, "aud": LOCATION, "sub": "alice", "client_id": "agent", "iat": NOW - 1, "exp": NOW + 300,
            "jti": "access-1", "scope": txn["scope"], "cnf": txn["cnf"], "act": txn["act"], "txn": txn["txn"],
            "intent": txn["tctx"]["intent"], "authorization_details": IntentClaims::details(&envelope(&steps())),
            "bounds": txn["tctx"]["bounds"],
        });
        self.access.sign(TYP_ACCESS, &bind(claims))
    }

    fn proof(&self, token: &str) -> String {
        self.world.agent.proof(&self.world.proof_claims(token, "POST", "/act", Some(&peek())))
    }

    async fn caller(&self, request: &Presented) -> Result<Caller, Refusal> {
        self.gate.verify_caller(request, NOW).await
    }

    async fn refused(&self, request: &Presented) -> Refusal {
        self.caller(request).await.unwrap_err()
    }
}

fn txn(token: &str) -> Presented {
    request().with_header("Txn-Token", token)
}

fn authorized(scheme: &str, token: &str) -> Presented {
    request().with_header("Authorization", &format!("{scheme} {token}"))
}

#[tokio::test]
async fn a_bound_token_is_good_with_its_very_certificate_alone() {
    let site = Site::new();
    let token = site.token();
    let caller = site.caller(&txn(&token).with_certificate(own())).await.unwrap();
    assert_eq!((caller.certificate(), caller.proof()), (Some(Digest::of(DER)), None));
    for (what, request) in [
        ("without a certificate", txn(&token)),
        ("with another certificate", txn(&token).with_certificate(other())),
        ("with a proof in its place", txn(&token).with_header("DPoP", &site.proof(&token))),
        ("with a proof beside it", txn(&token).with_header("DPoP", &site.proof(&token)).with_certificate(own())),
        ("with an empty proof beside it", txn(&token).with_header("DPoP", "").with_certificate(own())),
    ] {
        let refusal = site.refused(&request).await;
        assert_eq!(refusal.reason(), Reason::CertificateMismatch, "{what}");
        assert_eq!((refusal.status(), refusal.error()), (401, "invalid_token"), "{what}: RFC 8705 §3");
        assert!(refusal.challenge().unwrap().starts_with("Bearer error=\"invalid_token\""), "{what}");
    }
}

#[tokio::test]
async fn a_certificate_is_no_proof_of_a_key() {
    let site = Site::new();
    let token = site.world.token(&site.world.claims(&steps()));
    let without = site.refused(&txn(&token).with_certificate(own())).await;
    assert_eq!(without.reason(), Reason::ProofMissing);
    let request = txn(&token).with_header("DPoP", &site.proof(&token)).with_certificate(own());
    let caller = site.caller(&request).await.unwrap();
    assert_eq!(
        caller.certificate(),
        None,
        "the connection's certificate says nothing of a token that is bound to a key"
    );
    let access = site.access_token(|claims| claims);
    let refusal = site.refused(&authorized("Bearer", &access).with_certificate(own())).await;
    assert_eq!(refusal.reason(), Reason::TokenInvalid);
    assert!(refusal.description().contains("never Bearer"), "{refusal}");
    let proof = site.world.agent.proof(&site.world.proof_claims(&access, "POST", "/act", None));
    let refusal = authorized("Bearer", &access).with_header("DPoP", &proof).with_certificate(own());
    assert_eq!(site.refused(&refusal).await.reason(), Reason::TokenInvalid, "even with its proof");
}

#[tokio::test]
async fn a_bound_access_token_is_a_bearer_token_over_its_connection() {
    let site = Site::new();
    let access = site.access_token(bound);
    for scheme in ["Bearer", "bearer"] {
        let caller = site.caller(&authorized(scheme, &access).with_certificate(own())).await.unwrap();
        assert!(caller.has_access_token());
    }
    let refusal = site.refused(&authorized("Bearer", &access)).await;
    assert_eq!(refusal.reason(), Reason::TokenInvalid, "without a certificate no bearer token is looked at");
    let refusal = site.refused(&authorized("DPoP", &access).with_certificate(own())).await;
    assert_eq!(refusal.reason(), Reason::TokenInvalid);
    assert!(refusal.description().contains("Authorization: Bearer"), "{refusal}");
    let refusal = site.refused(&authorized("Bearer", &access).with_certificate(other())).await;
    assert_eq!(refusal.reason(), Reason::CertificateMismatch);
    let txn_token = site.token();
    let refusal = site.refused(&authorized("Bearer", &txn_token).with_certificate(own())).await;
    assert_eq!(refusal.reason(), Reason::TokenInvalid, "a transaction token travels in its own field");
    let two = authorized("Bearer", &access).with_header("Authorization", &format!("Bearer {access}"));
    assert_eq!(site.refused(&two.with_certificate(own())).await.reason(), Reason::TokenInvalid);
}

/// A certificate signs no call, so an intermediary could swap one permitted value for another.
#[tokio::test]
async fn only_reads_are_permitted_by_a_certificate() {
    let site = Site::new();
    let token = site.token();
    let request = || txn(&token).with_certificate(own());
    let permit = site.gate.check(&request(), action(&look()), NOW).await.unwrap();
    assert_eq!(permit.step(), "read");
    let permit = site.gate.check(&request(), action(&peek()), NOW).await.unwrap();
    assert_eq!(permit.step(), "counted-read");
    let set = call("set", "a", json!({"to": "x"}));
    let refusal = site.gate.check(&request(), action(&set), NOW).await.unwrap_err();
    assert_eq!(refusal.reason(), Reason::CallDigestMismatch);
    assert!(refusal.description().contains("certificate"), "{refusal}");
    assert_eq!(site.world.ledger.used("change"), 0, "nothing was charged");
}

/// No proof names a call there: each is one of its own.
#[tokio::test]
async fn each_call_has_an_id_of_its_own() {
    let site = Site::new();
    let (token, peek) = (site.token(), peek());
    let request = txn(&token).with_certificate(own());
    assert!(site.gate.check(&request, action(&peek), NOW).await.is_ok());
    assert_eq!(reason(site.gate.check(&request, action(&peek), NOW).await), Reason::UsesExhausted);
    let ids = site.world.ledger.call_ids();
    assert_eq!(ids.len(), 2);
    assert_ne!(ids[0], ids[1]);
}
