//! Each reason for which a gate refuses, and that nothing is charged then.

mod common;

use common::*;
use marque_core::names::{TYP_INTENT, TYP_TXN};
use marque_gate::{Args, ConcreteAction, Outcome, Presented, Reason, Refusal};
use serde_json::{Value, json};

fn change() -> marque_core::call::Call {
    call("set", "a", json!({"to": "x"}))
}

/// Checks a request for [`change`] with a token and proof of the test's making.
async fn outcome(world: &World, request: &Presented) -> Result<marque_gate::Permit, Refusal> {
    let outcome = world.gate.check(request, action(&change()), NOW).await;
    if outcome.is_err() {
        assert_eq!(world.ledger.used("change"), 0, "a refusal was charged");
    }
    outcome
}

/// The outcome with one claim of the token changed.
async fn with_token_claim(pointer: &str, value: Value) -> Reason {
    let world = World::new();
    let mut claims = world.claims(&steps());
    *claims.pointer_mut(pointer).unwrap() = value;
    let token = world.token(&claims);
    let proof = world.agent.proof(&world.proof_claims(&token, "POST", "/act", Some(&change())));
    reason(outcome(&world, &presented(&token, &proof)).await)
}

/// The outcome with one claim of the proof set or, with `null`, left out.
async fn with_proof_claim(name: &str, value: Value) -> Reason {
    let world = World::new();
    let token = world.token(&world.claims(&steps()));
    let mut claims = world.proof_claims(&token, "POST", "/act", Some(&change()));
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value,
    }
    reason(outcome(&world, &presented(&token, &world.agent.proof(&claims))).await)
}

#[tokio::test]
async fn permits_what_the_plan_states_with_its_arguments() {
    let world = World::new();
    let permit = outcome(&world, &world.request(&steps(), &change())).await.unwrap();
    assert_eq!((permit.action(), permit.resource().id.as_str(), permit.step()), ("set", "a", "change"));
    assert_eq!(permit.arg("to"), Some(&json!("x")));
    assert_eq!((permit.subject(), permit.intent_id()), ("alice", INTENT));
    assert_eq!(permit.call_digest(), change().digest());
    assert!(permit.id().is_some());
    world.gate.settle(permit, Outcome::Committed, NOW).await;
    assert_eq!(world.ledger.settled(), [("change".to_owned(), "committed")]);
}

#[tokio::test]
async fn two_gates_that_are_shown_one_proof_ask_about_two_calls() {
    let world = World::new();
    let request = world.request(&steps(), &change());
    let first = world.gate.check(&request, action(&change()), NOW).await.unwrap();
    let second = World::gate_of(&world).check(&request, action(&change()), NOW).await;
    let ids = world.ledger.call_ids();
    assert_eq!(ids.len(), 2, "both asked the ledger");
    assert_ne!(ids[0], ids[1], "or the ledger would answer both with one permit");
    assert_eq!(reason(second), Reason::UsesExhausted);
    drop(first);
}

#[tokio::test]
async fn a_released_use_is_free_again_and_a_committed_one_is_not() {
    let world = World::new();
    let permit = world.check(&steps(), &change()).await.unwrap();
    assert_eq!(reason(world.check(&steps(), &change()).await), Reason::UsesExhausted);
    world.gate.settle(permit, Outcome::Released, NOW).await;
    let permit = world.check(&steps(), &change()).await.unwrap();
    world.gate.settle(permit, Outcome::Committed, NOW).await;
    assert_eq!(reason(world.check(&steps(), &change()).await), Reason::UsesExhausted);
}

#[tokio::test]
async fn refuses_other_places_for_a_token() {
    let world = World::new();
    let token = world.token(&world.claims(&steps()));
    let proof = || world.agent.proof(&world.proof_claims(&token, "POST", "/act", Some(&change())));
    let bare = request().with_header("dpop", &proof());
    assert_eq!(reason(outcome(&world, &bare).await), Reason::TokenMissing);
    let twice = presented(&token, &proof()).with_header("TXN-TOKEN", &token);
    assert_eq!(reason(outcome(&world, &twice).await), Reason::TokenInvalid);
    for scheme in ["Bearer", "bearer", "DPoP", "BEARER\t"] {
        let in_authorization =
            request().with_header("DPoP", &proof()).with_header("Authorization", &format!("{scheme} {token}"));
        assert_eq!(reason(outcome(&world, &in_authorization).await), Reason::TokenInvalid, "{scheme}");
        let beside = presented(&token, &proof()).with_header("authorization", &format!("{scheme} {token}"));
        assert_eq!(reason(outcome(&world, &beside).await), Reason::TokenInvalid, "{scheme}");
    }
    let basic = presented(&token, &proof()).with_header("Authorization", "Basic eDp5");
    assert!(outcome(&world, &basic).await.is_ok(), "another scheme is not the gate's business");
}

#[tokio::test]
async fn refuses_bearer_use_and_doubled_proofs() {
    let world = World::new();
    let token = world.token(&world.claims(&steps()));
    let proof = world.agent.proof(&world.proof_claims(&token, "POST", "/act", Some(&change())));
    let bearer = request().with_header("Txn-Token", &token);
    assert_eq!(reason(outcome(&world, &bearer).await), Reason::ProofMissing);
    let doubled = presented(&token, &proof).with_header("DPoP", &proof);
    assert_eq!(reason(outcome(&world, &doubled).await), Reason::ProofInvalid);
}

#[tokio::test]
async fn refuses_tokens_that_are_not_meant_for_it() {
    for (pointer, value, expected) in [
        ("/iss", json!("https://other.example"), Reason::TokenInvalid),
        ("/aud", json!(ISSUER), Reason::TokenInvalid),
        ("/aud", json!([DOMAIN]), Reason::TokenInvalid),
        ("/exp", json!(NOW), Reason::TokenExpired),
        ("/exp", json!(NOW - 1), Reason::TokenExpired),
        ("/iat", json!(NOW + 11), Reason::TokenInvalid),
        ("/cnf", json!({}), Reason::TokenInvalid),
        ("/tctx/steps/2/args/to", json!({"like": "x"}), Reason::TokenInvalid),
        ("/cnf/jkt", json!("someone"), Reason::ProofKeyMismatch),
    ] {
        assert_eq!(with_token_claim(pointer, value.clone()).await, expected, "{pointer} {value}");
    }
}

#[tokio::test]
async fn refuses_forged_tampered_and_intent_tokens() {
    let world = World::new();
    let claims = world.claims(&steps());
    let good = world.token(&claims);
    let flipped = format!("{}{}", &good[..good.len() - 4], if good.ends_with("AAAA") { "BBBB" } else { "AAAA" });
    let (head, rest) = good.split_once('.').unwrap();
    let unsigned = format!("{head}.{}.", rest.split_once('.').unwrap().0);
    for token in [
        Key::new().sign(TYP_TXN, &claims),
        world.marque.sign(TYP_INTENT, &claims),
        world.marque.sign("JWT", &claims),
        flipped,
        unsigned,
        "junk".into(),
        String::new(),
    ] {
        let proof = world.agent.proof(&world.proof_claims(&token, "POST", "/act", Some(&change())));
        assert_eq!(reason(outcome(&world, &presented(&token, &proof)).await), Reason::TokenInvalid, "{token}");
    }
}

#[tokio::test]
async fn refuses_proofs_for_something_else() {
    for (name, value) in [
        ("htm", json!("GET")),
        ("htu", json!("https://rs.example/other")),
        ("htu", json!("https://other.example/act")),
        ("ath", json!("AAAA")),
        ("ath", Value::Null),
        ("iat", json!(NOW - 61)),
        ("iat", json!(NOW + 11)),
        ("iat", Value::Null),
        ("jti", Value::Null),
        ("jti", json!("")),
        ("call_digest", json!("not a digest")),
    ] {
        assert_eq!(with_proof_claim(name, value.clone()).await, Reason::ProofInvalid, "{name} {value}");
    }
}

#[tokio::test]
async fn refuses_a_proof_by_another_key_and_one_used_before() {
    let world = World::new();
    let token = world.token(&world.claims(&steps()));
    let claims = world.proof_claims(&token, "POST", "/act", Some(&change()));
    let stolen = presented(&token, &Key::new().proof(&claims));
    assert_eq!(reason(outcome(&world, &stolen).await), Reason::ProofKeyMismatch);
    let request = presented(&token, &world.agent.proof(&claims));
    let permit = outcome(&world, &request).await.unwrap();
    world.gate.settle(permit, Outcome::Released, NOW).await;
    assert_eq!(reason(outcome(&world, &request).await), Reason::ProofReplayed);
}

#[tokio::test]
async fn everything_but_a_read_needs_the_digest_of_its_call() {
    assert_eq!(with_proof_claim("call_digest", Value::Null).await, Reason::CallDigestMismatch);
    let other = call("set", "a", json!({"to": "y"})).digest();
    let swapped = with_proof_claim("call_digest", json!(other.to_base64())).await;
    assert_eq!(swapped, Reason::CallDigestMismatch, "another value that the plan allows too");

    let world = World::new();
    let (token, look) = (world.token(&world.claims(&steps())), call("look", "a", json!({})));
    let without = world.agent.proof(&world.proof_claims(&token, "POST", "/act", None));
    assert!(world.gate.check(&presented(&token, &without), action(&look), NOW).await.is_ok());
    let wrong = world.agent.proof(&world.proof_claims(&token, "POST", "/act", Some(&change())));
    let refused = world.gate.check(&presented(&token, &wrong), action(&look), NOW).await;
    assert_eq!(reason(refused), Reason::CallDigestMismatch, "a read with a digest is held to it");
}

#[tokio::test]
async fn refuses_what_is_outside_the_plan_and_says_what_was_nearest() {
    let world = World::new();
    for (call, expected) in [
        (call("drop", "a", json!({})), Reason::ActionNotInPlan),
        (call("set", "b", json!({"to": "x"})), Reason::ResourceNotInPlan),
        (call("set", "a", json!({"to": "z"})), Reason::ArgumentMismatch),
        (call("set", "a", json!({})), Reason::ArgumentMissing),
        (call("set", "a", json!({"to": "x", "bcc": "eve"})), Reason::ArgumentNotInPlan),
    ] {
        let refusal = world.check(&steps(), &call).await.unwrap_err();
        assert_eq!(refusal.reason(), expected);
        assert_eq!(refusal.intent_id(), Some(INTENT));
        assert_eq!(refusal.status(), 403);
        if expected != Reason::ActionNotInPlan {
            assert_eq!(refusal.nearest().unwrap().step, "change");
            assert_eq!(refusal.body()["nearest"]["step"], "change");
        }
    }
    let mut elsewhere = steps();
    for step in elsewhere.as_array_mut().unwrap() {
        step["location"] = "https://other.example".into();
    }
    assert_eq!(reason(world.check(&elsewhere, &change()).await), Reason::LocationNotInPlan);
    assert_eq!(reason(world.check(&json!([]), &change()).await), Reason::LocationNotInPlan);
    assert_eq!(world.ledger.asked(), 0, "the ledger was asked about a call outside the plan");
}

#[tokio::test]
async fn refuses_what_is_from_before_commits_were_lost_until_that_is_confirmed() {
    let world = World::new();
    let snapshot = |epoch: &str, before: Option<i64>| {
        let mut message = json!({"kind": "snapshot", "iss": ISSUER, "epoch": epoch, "seq": 1, "at": NOW, "page": 1,
                                 "pages": 1, "intents": [], "keys": []});
        if let Some(before) = before {
            message["suspended_before"] = before.into();
        }
        feed(message)
    };
    for (epoch, before, expected) in [
        ("e2", Some(NOW - 1), Err(Reason::IntentSuspended)),
        ("e3", Some(NOW - 2), Ok(())),
        ("e4", Some(NOW + 9), Err(Reason::IntentSuspended)),
        ("e5", None, Ok(())),
    ] {
        world.revocations.apply(snapshot(epoch, before), NOW);
        let answer = world.check(&steps(), &call("look", "a", json!({}))).await;
        assert_eq!(answer.map(drop).map_err(|refusal| refusal.reason()), expected, "{epoch}");
    }
    world.revocations.apply(snapshot("e6", Some(NOW)), NOW);
    world.revocations.apply(revocation("e6", 2, NOW, INTENT), NOW);
    assert_eq!(reason(world.check(&steps(), &change()).await), Reason::IntentRevoked, "revoked is for good");
}

#[tokio::test]
async fn refuses_the_revoked_and_the_stale() {
    let world = World::new();
    world.revocations.apply(revocation("e1", 1, NOW, INTENT), NOW);
    assert_eq!(reason(world.check(&steps(), &change()).await), Reason::IntentRevoked);
    let stale = World::with(|config| config.with_max_staleness(secs(3)));
    let check = |now| {
        let call = call("look", "a", json!({}));
        let request = stale.request(&steps(), &call);
        let gate = &stale.gate;
        async move { gate.check(&request, action(&call), now).await.map(drop) }
    };
    assert_eq!(check(NOW + 3).await, Ok(()));
    assert_eq!(reason(check(NOW + 4).await), Reason::RevocationStateStale);
    stale.revocations.apply(heartbeat("e1", 0, NOW + 4), NOW + 4);
    assert_eq!(check(NOW + 4).await, Ok(()), "a heartbeat opens the gate again");
}

#[tokio::test]
async fn a_ledger_that_is_away_or_answers_for_something_else_permits_nothing() {
    for behaviour in [Behaviour::Unavailable, Behaviour::AnotherCall, Behaviour::AnotherStep, Behaviour::AnotherIntent]
    {
        let world = World::new();
        world.ledger.behave(behaviour);
        assert_eq!(reason(world.check(&steps(), &change()).await), Reason::LedgerUnavailable, "{behaviour:?}");
        assert!(world.check(&steps(), &call("look", "a", json!({}))).await.is_ok(), "uncounted reads need no ledger");
    }
}

#[tokio::test]
async fn counted_reads_are_counted_and_uncounted_ones_never_ask() {
    let world = World::new();
    let peek = call("peek", "a", json!({}));
    let permit = world.check(&steps(), &peek).await.unwrap();
    world.gate.settle(permit, Outcome::Committed, NOW).await;
    assert_eq!(reason(world.check(&steps(), &peek).await), Reason::UsesExhausted);
    let asked = world.ledger.asked();
    for _ in 0..10 {
        let permit = world.check(&steps(), &call("look", "a", json!({}))).await.unwrap();
        assert_eq!(permit.id(), None);
        world.gate.settle(permit, Outcome::Committed, NOW).await;
    }
    assert_eq!(world.ledger.asked(), asked);
}

#[tokio::test]
async fn without_a_ledger_only_uncounted_steps_pass() {
    let world = World::new();
    let keys = marque_core::jws::KeySet::from_jwks(&json!({"keys": [world.marque.published(TYP_TXN)]})).unwrap();
    let config = world.gate.config().clone();
    let gate = marque_gate::Gate::new(config, marque_gate::FixedKeys::new(keys), world.revocations.clone());
    let refused = gate.check(&world.request(&steps(), &change()), action(&change()), NOW).await;
    assert_eq!(reason(refused), Reason::LedgerUnavailable);
}

#[tokio::test]
async fn a_full_replay_memory_refuses_instead_of_forgetting() {
    let world = World::with(|config| config.with_replay_capacity(1));
    let look = call("look", "a", json!({}));
    assert!(world.check(&steps(), &look).await.is_ok());
    assert_eq!(reason(world.check(&steps(), &look).await), Reason::StateUnavailable);
}

#[tokio::test]
async fn a_client_that_binds_key_after_key_uses_up_its_own_share_alone() {
    let world = World::with(|config| config.with_replay_capacity(8));
    let look = call("look", "a", json!({}));
    let mut claims = world.claims(&steps());
    claims["act"] = json!({"sub": "worker", "act": {"sub": "agent"}});
    let mut taken = 0;
    for _ in 0..20 {
        let key = Key::new();
        claims["cnf"]["jkt"] = key.jkt.as_str().into();
        let token = world.token(&claims);
        let proof = key.proof(&world.proof_claims(&token, "POST", "/act", Some(&look)));
        match world.gate.check(&presented(&token, &proof), action(&look), NOW).await {
            Ok(_) => taken += 1,
            Err(refusal) => assert_eq!(refusal.reason(), Reason::StateUnavailable),
        }
    }
    assert!(world.check(&steps(), &look).await.is_ok(), "whoever was quiet is served");
    assert_eq!(taken, 3, "half of what is not kept for the quiet");
}

#[tokio::test]
async fn the_caller_of_a_worker_is_verified_and_nothing_is_charged() {
    let world = World::new();
    let caller = world.gate.verify_caller(&world.request(&steps(), &change()), NOW).await.unwrap();
    assert_eq!((caller.client_id(), caller.subject()), ("agent", "alice"));
    assert_eq!(caller.steps().len(), 3);
    assert_eq!(world.ledger.asked(), 0);
    world.revocations.apply(revocation("e1", 1, NOW, INTENT), NOW);
    assert_eq!(reason(world.gate.check_revocation(&caller, NOW)), Reason::IntentRevoked);
    let late = world.gate.authorize(caller, action(&change()), NOW + 300).await;
    assert_eq!(reason(late), Reason::TokenExpired, "a body that came slowly does not stretch the token");
}

#[test]
fn arguments_are_one_strict_object() {
    for bad in ["", "[]", "null", "{\"a\":1,\"a\":2}", "{\"a\":9007199254740993}", "{} {}", "{\"a\":}"] {
        let refusal = Args::parse(bad.as_bytes()).unwrap_err();
        assert_eq!((refusal.reason(), refusal.status()), (Reason::CallMalformed, 400), "{bad}");
    }
    assert_eq!(Args::parse(br#"{"a":1.0}"#).unwrap(), Args::parse(br#"{"a":1}"#).unwrap());
    let action = |args| ConcreteAction::new("set", "thing", "a", args);
    assert_ne!(action(Args::none()), action(Args::parse(br#"{"a":1}"#).unwrap()));
}

#[test]
fn every_refusal_has_a_body_and_a_status() {
    for reason in Reason::ALL {
        let refusal = Refusal::new(*reason).because("a \"quoted\" wörd \\ and\nmore");
        let body = refusal.body();
        assert_eq!(body["reason"], reason.code());
        assert!(body["error"].is_string() && body["error_description"].is_string());
        assert!([400, 401, 403, 503].contains(&refusal.status()));
        if let Some(challenge) = refusal.challenge() {
            assert!(challenge.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{challenge}");
        }
        assert_eq!(refusal.challenge().is_none(), matches!(refusal.status(), 400 | 503), "{reason}");
    }
    let missing = Refusal::new(Reason::TokenMissing).challenge().unwrap();
    assert!(!missing.contains("error"), "RFC 6750 §3.1: no error code for a request without a token");
}

#[tokio::test]
async fn what_is_printed_of_a_call_holds_no_token_and_no_argument() {
    let world = World::new();
    let request = world.request(&steps(), &change());
    let shown = format!("{request:?}");
    let caller = world.gate.verify_caller(&request, NOW).await.unwrap();
    let shown = format!("{shown} {caller:?}");
    assert!(!shown.contains(caller.token()) && !shown.contains(caller.proof().unwrap()), "{shown}");
    let permit = world.gate.authorize(caller, action(&change()), NOW).await.unwrap();
    assert!(!format!("{permit:?}").contains("\"x\""));
}

/// RFC 9470 §3: stronger or fresher authentication is no matter of the plan.
#[test]
fn a_resource_server_that_wants_another_sign_in_says_which() {
    let refusal = Refusal::needs_authentication(&["phr", "phrh", "a b", "q\"", ""], Some(5));
    assert_eq!((refusal.status(), refusal.error()), (401, "insufficient_user_authentication"));
    let challenge = refusal.challenge().unwrap();
    assert!(challenge.starts_with("DPoP error=\"insufficient_user_authentication\""), "{challenge}");
    assert!(challenge.contains("acr_values=\"phr phrh\", max_age=\"5\""), "{challenge}");
    assert_eq!((&refusal.body()["acr_values"], &refusal.body()["max_age"]), (&json!("phr phrh"), &json!(5)));
    let bare = Refusal::needs_authentication(&[], None);
    let challenge = bare.challenge().unwrap();
    assert!(!challenge.contains("acr_values") && !challenge.contains("max_age"), "{challenge}");
    assert!(bare.body().get("acr_values").is_none() && bare.body().get("max_age").is_none());
    let pointing = bare.with_metadata("https://rs.example/\"x");
    assert!(pointing.challenge().unwrap().ends_with("resource_metadata=\"https://rs.example/'x\""));
}
