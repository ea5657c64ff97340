//! Challenges: who gets one, and what it says.

mod common;

use common::*;
use marque_core::call::Call;
use marque_core::claims::Confirmation;
use marque_core::jws::{self, KeySet};
use marque_core::limits;
use marque_core::names::TYP_CHALLENGE;
use marque_core::step_up::challenge::{Challenge, Expected};
use marque_gate::{Gate, Presented, Reason, Refusal, Signer, SigningKey};
use serde_json::{Value, json};
use std::sync::Arc;

/// The resource server's key, or none that signs.
struct Signing(Option<Arc<Key>>);

impl SigningKey for Signing {
    fn sign(&self, typ: &str, payload: &[u8]) -> Result<String, String> {
        let key = self.0.as_ref().ok_or("the key is away")?;
        Ok(key.sign(typ, &serde_json::from_slice(payload).unwrap()))
    }
}

struct Site {
    world: World,
    key: Arc<Key>,
    gate: Gate,
}

impl Site {
    fn new() -> Self {
        Self::because("It has to be asked.")
    }

    fn because(reason: &str) -> Self {
        let (world, key) = (World::with(|config| config.with_step_up_reason(reason)), Arc::new(Key::new()));
        let gate = World::gate_of(&world).with_signer(Signer::new("rs", Signing(Some(key.clone()))));
        world.ledger.behave(Behaviour::StepUp("change"));
        Self { world, key, gate }
    }

    fn request(&self, accepts: &[&str]) -> Presented {
        let request = self.world.request(&steps(), &set());
        accepts.iter().fold(request, |request, value| request.with_header("Accept-Txn-Challenge", value))
    }

    async fn refused(&self, accepts: &[&str]) -> Refusal {
        self.gate.check(&self.request(accepts), action(&set()), NOW).await.unwrap_err()
    }
}

fn set() -> Call {
    call("set", "a", json!({"to": "x"}))
}

#[tokio::test]
async fn a_client_that_takes_challenges_gets_one_for_exactly_its_call() {
    let site = Site::new();
    let refusal = site.refused(&["?1"]).await;
    assert_eq!((refusal.reason(), refusal.status(), refusal.step_up()), (Reason::StepUpRequired, 401, Some("change")));
    let compact = refusal.transaction_challenge().unwrap();
    let keys = KeySet::from_jwks(&json!({"keys": [site.key.published(TYP_CHALLENGE)]})).unwrap();
    let challenge = Challenge::parse(&jws::verify(compact, TYP_CHALLENGE, &keys).unwrap().payload).unwrap();
    assert_eq!((challenge.call(), challenge.step.as_str()), (set(), "change"));
    assert_eq!((challenge.txn.as_str(), challenge.intent.id.as_str()), ("txn-1", INTENT));
    assert_eq!((challenge.iat, challenge.exp), (NOW, NOW + 120));
    let (cnf, now) = (&Confirmation::Jkt(site.world.agent.jkt.clone()), NOW);
    let expected = Expected { issuer: ISSUER, signer: "rs", client_id: "agent", cnf, now };
    assert_eq!(challenge.check(&expected), Ok(()));

    let header = refusal.challenge().unwrap();
    let start = "DPoP error=\"transaction_authorization_required\", transaction_challenge=\"";
    assert!(header.starts_with(&format!("{start}{compact}\"")), "{header}");
    let body = refusal.body();
    assert_eq!(body["error"], "transaction_authorization_required");
    assert_eq!((&body["reason"], &body["step"]), (&json!("step_up_required"), &json!("change")));
    let step_up = json!({"step": "change", "transaction_challenge": compact, "authorization_server": ISSUER});
    assert_eq!((&body["step_up"], &body["intent_id"]), (&step_up, &json!(INTENT)));
}

#[tokio::test]
async fn a_challenge_holds_of_a_record_only_what_the_conditions_read() {
    let site = Site::new();
    let known = json!({"attr": {"collection": "people", "where": {"/state/word": {"const": "active"}}}});
    let mut steps = steps();
    steps[2]["args"] = json!({"to": known});
    let looked_up = json!({
        "people": {"x": {"state": {"word": "active", "since": 1}, "salary": 5}}, "others": {"y": {"z": 1}},
    });
    let action = action(&set()).with_records(serde_json::from_value(looked_up).unwrap());
    let request = site.world.request(&steps, &set()).with_header("Accept-Txn-Challenge", "?1");
    let refusal = site.gate.check(&request, action, NOW).await.unwrap_err();
    let claims = jws::unverified_claims(refusal.transaction_challenge().unwrap()).unwrap();
    let records = &claims["authorization_details"][0]["records"];
    assert_eq!(records, &json!({"people": {"x": {"state": {"word": "active"}}}}));
}

#[tokio::test]
async fn each_challenge_is_another() {
    let site = Site::new();
    let (first, second) = (site.refused(&["?1"]).await, site.refused(&["?1"]).await);
    let jti = |refusal: &Refusal| {
        jws::unverified_claims(refusal.transaction_challenge().unwrap()).unwrap().remove("jti").unwrap()
    };
    assert_ne!(jti(&first), jti(&second));
}

#[tokio::test]
async fn a_client_that_does_not_say_so_gets_none() {
    let site = Site::new();
    let cases: [&[&str]; 7] = [&[], &["?0"], &["1"], &["true"], &["?1", "?1"], &["?1, ?1"], &["?10"]];
    for accepts in cases {
        let refusal = site.refused(accepts).await;
        assert_eq!((refusal.reason(), refusal.status()), (Reason::StepUpRequired, 403), "{accepts:?}");
        assert_eq!((refusal.transaction_challenge(), refusal.error()), (None, "insufficient_scope"), "{accepts:?}");
        assert_eq!(refusal.body()["step_up"], json!({"step": "change"}), "{accepts:?}");
    }
    for accepts in [" ?1 ", "?1;q=1"] {
        assert!(site.refused(&[accepts]).await.transaction_challenge().is_some(), "{accepts:?}");
    }
}

#[tokio::test]
async fn only_a_step_up_is_challenged() {
    let site = Site::new();
    let other = call("set", "a", json!({"to": "z"}));
    let request = site.world.request(&steps(), &other).with_header("Accept-Txn-Challenge", "?1");
    let refusal = site.gate.check(&request, action(&other), NOW).await.unwrap_err();
    assert_eq!((refusal.reason(), refusal.transaction_challenge()), (Reason::ArgumentMismatch, None));
    site.world.ledger.behave(Behaviour::Unavailable);
    let refusal = site.refused(&["?1"]).await;
    assert_eq!((refusal.reason(), refusal.transaction_challenge()), (Reason::LedgerUnavailable, None));
}

#[tokio::test]
async fn a_step_that_the_token_lacks_or_that_does_not_fit_is_not_challenged() {
    let site = Site::new();
    for step in ["none", "read"] {
        site.world.ledger.behave(Behaviour::StepUp(step));
        let refusal = site.refused(&["?1"]).await;
        assert_eq!((refusal.reason(), refusal.transaction_challenge()), (Reason::LedgerUnavailable, None), "{step}");
    }
}

#[tokio::test]
async fn without_a_key_that_signs_or_with_words_that_hide_something_there_is_no_challenge() {
    let site = Site::because("a\u{202e}b");
    assert_eq!(site.refused(&["?1"]).await.status(), 403);
    let site = Site::because(&"x".repeat(limits::CHALLENGE_REASON_CHARS + 1));
    assert_eq!(site.refused(&["?1"]).await.status(), 403);
    let mut site = Site::new();
    site.gate = World::gate_of(&site.world).with_signer(Signer::new("rs", Signing(None)));
    assert_eq!(site.refused(&["?1"]).await.status(), 403);
    site.gate = World::gate_of(&site.world);
    assert_eq!(site.refused(&["?1"]).await.status(), 403, "a gate without a signer");
}

#[tokio::test]
async fn a_challenge_that_no_header_field_carries_travels_in_the_body() {
    let (world, key) = (World::new(), Arc::new(Key::new()));
    let gate = World::gate_of(&world).with_signer(Signer::new("rs", Signing(Some(key))));
    world.ledger.behave(Behaviour::StepUp("text"));
    let long = call("write", "a", json!({"text": "x".repeat(9000)}));
    let text = json!({"text": {"text": {"max": 10000}}});
    let steps: Value = json!([step("text", "write", "change", "a", json!(1), text)]);
    let request = world.request(&steps, &long).with_header("Accept-Txn-Challenge", "?1");
    let refusal = gate.check(&request, action(&long), NOW).await.unwrap_err();
    assert_eq!(refusal.status(), 401);
    assert!(!refusal.challenge().unwrap().contains("transaction_challenge="));
    assert!(refusal.body()["step_up"]["transaction_challenge"].as_str().unwrap().len() > 9000);
}
