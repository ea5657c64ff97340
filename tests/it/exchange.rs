//! Token exchange: a child holds at most what its parent holds, and only who may gets one.

use crate::support::keys::{Client, Key, now};
use crate::support::plans::{THIRD, shared};
use crate::support::realm::third;
use crate::support::reply::Reply;
use crate::support::stack::Stack;
use marque_core::canonical::{decode, encode};
use marque_core::jws;
use marque_core::names::{TOKEN_TYPE_INTENT, TOKEN_TYPE_TXN};
use serde_json::{Value, json};

/// An exchange with further parameters.
pub async fn exchange(
    stack: &Stack,
    what: &str,
    client: &Client,
    token: &str,
    kind: &str,
    more: &[(&'static str, String)],
) -> Reply {
    let mut form = stack.exchange_form(token, kind);
    form.extend(more.iter().cloned());
    stack.post(what, client, "/token", &form).await
}

/// Exchanges a token for all that the client may have of it.
pub async fn exchange_all(stack: &Stack, client: &Client, token: &str, kind: &str) -> Reply {
    exchange(stack, "an exchange", client, token, kind, &[]).await
}

fn details(steps: Value) -> Vec<(&'static str, String)> {
    vec![("authorization_details", steps.to_string())]
}

fn step(id: &str, args: Value) -> Value {
    json!([{"type": "agent_intent_step", "id": id, "args": args}])
}

pub fn token_of(reply: &Reply) -> String {
    reply.success(200)["access_token"].as_str().unwrap().to_owned()
}

fn claims(token: &str) -> Value {
    Value::Object(jws::unverified_claims(token).unwrap())
}

#[tokio::test]
async fn a_child_is_never_wider_than_its_parent() {
    let stack = Stack::open().await;
    let (agent, granted) = (stack.agent(), shared(&stack).await);
    let narrow = details(step("one-of", json!({"value_from": {"const": "a"}})));
    let child =
        token_of(&exchange(&stack, "a narrower step", &agent, &granted.token, TOKEN_TYPE_INTENT, &narrow).await);
    assert_eq!(claims(&child)["scope"], "update_secret");
    for (what, parent, kind, steps) in [
        ("an unknown step", &granted.token, TOKEN_TYPE_INTENT, step("none", json!({}))),
        ("another value", &granted.token, TOKEN_TYPE_INTENT, step("one-of", json!({"value_from": {"const": "c"}}))),
        (
            "one more value",
            &granted.token,
            TOKEN_TYPE_INTENT,
            step("one-of", json!({"value_from": {"one_of": ["a", "b", "c"]}})),
        ),
        ("anything", &granted.token, TOKEN_TYPE_INTENT, step("one-of", json!({"value_from": {"any": true}}))),
        ("longer text", &granted.token, TOKEN_TYPE_INTENT, step("text", json!({"value_from": {"text": {"max": 10}}}))),
        (
            "text with links",
            &granted.token,
            TOKEN_TYPE_INTENT,
            step("text", json!({"value_from": {"text": {"max": 9, "urls": true}}})),
        ),
        ("a further argument", &granted.token, TOKEN_TYPE_INTENT, step("one-of", json!({"force": {"const": true}}))),
        ("open arguments", &granted.token, TOKEN_TYPE_INTENT, step("one-of", json!({"*": {"any": true}}))),
        ("a step of the grandparent", &child, TOKEN_TYPE_TXN, step("list", json!({}))),
        ("a value of the grandparent", &child, TOKEN_TYPE_TXN, step("one-of", json!({"value_from": {"const": "b"}}))),
    ] {
        let reply = exchange(&stack, what, &agent, parent, kind, &details(steps)).await;
        reply.because(400, "invalid_request", "wider_than_parent");
    }
    let omitted =
        exchange(&stack, "omitted arguments", &agent, &child, TOKEN_TYPE_TXN, &details(step("one-of", json!({}))))
            .await;
    let grandchild = claims(&token_of(&omitted));
    assert_eq!(grandchild["tctx"]["steps"][0]["args"]["value_from"], json!({"const": "a"}), "the parent's");
    let first = claims(&child);
    for name in ["txn", "sub", "aud", "act", "cnf"] {
        assert_eq!(grandchild[name], first[name], "{name} never changes");
    }
}

#[tokio::test]
async fn scope_and_resource_only_narrow() {
    let stack = Stack::open().await;
    let (agent, granted) = (stack.agent(), shared(&stack).await);
    let location = stack.location().to_owned();
    for (what, more, scope) in [
        ("a scope", vec![("scope", "rotate_key".to_owned())], "rotate_key"),
        ("two scopes", vec![("scope", "update_secret rotate_key".to_owned())], "rotate_key update_secret"),
        ("a resource", vec![("resource", location.clone())], "list_service_accounts rotate_key update_secret"),
        (
            "a resource twice",
            vec![("resource", location.clone()), ("resource", location.clone())],
            "list_service_accounts rotate_key update_secret",
        ),
    ] {
        let reply = exchange(&stack, what, &agent, &granted.token, TOKEN_TYPE_INTENT, &more).await;
        assert_eq!(reply.success(200)["scope"], scope, "{what}");
        let only = |step: &Value| {
            scope.split(' ').any(|action| step["action"] == action) && step["location"] == location.as_str()
        };
        assert!(reply.body["authorization_details"].as_array().unwrap().iter().all(only), "{what}");
    }
    let other = vec![("resource", location), ("resource", "https://other.example".to_owned())];
    let reply = exchange(&stack, "one unknown resource", &agent, &granted.token, TOKEN_TYPE_INTENT, &other).await;
    reply.refused(400, "invalid_target").naming("https://other.example");
    let both = [details(step("list", json!({}))), vec![("scope", "rotate_key".to_owned())]].concat();
    let reply =
        exchange(&stack, "a scope outside of the steps", &agent, &granted.token, TOKEN_TYPE_INTENT, &both).await;
    reply.because(400, "invalid_scope", "wider_than_parent");
}

#[tokio::test]
async fn only_the_holder_and_named_delegates_get_a_child_and_nobody_twice() {
    let stack = Stack::open().await;
    let (agent, worker, granted) = (stack.agent(), stack.worker(), shared(&stack).await);
    let other_key = Client::with_fresh_dpop(&stack.env.clients.agent);
    let reply =
        exchange(&stack, "the holder with another key", &other_key, &granted.token, TOKEN_TYPE_INTENT, &[]).await;
    reply.because(400, "invalid_request", "proof_key_mismatch");
    let rs = Client::of(&stack.env.clients.rs);
    let reply = exchange(&stack, "no delegate", &rs, &granted.token, TOKEN_TYPE_INTENT, &[]).await;
    reply.because(400, "invalid_request", "not_a_delegate");

    let first = token_of(&exchange(&stack, "the agent's", &agent, &granted.token, TOKEN_TYPE_INTENT, &[]).await);
    let second = token_of(&exchange(&stack, "the worker's", &worker, &first, TOKEN_TYPE_TXN, &[]).await);
    assert_eq!(claims(&second)["act"], json!({"sub": worker.id, "act": {"sub": agent.id}}));
    assert_eq!(claims(&second)["cnf"]["jkt"], worker.dpop.kid.as_str());
    let ids = |token: &str| {
        claims(token)["tctx"]["steps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| step["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&second), ["for-worker", "for-both"], "what the worker was given, and no more");
    let wider = exchange(
        &stack,
        "a step of the agent's alone",
        &worker,
        &first,
        TOKEN_TYPE_TXN,
        &details(step("list", json!({}))),
    )
    .await;
    wider.because(400, "invalid_request", "wider_than_parent");
    let back = exchange(&stack, "back to the agent", &agent, &second, TOKEN_TYPE_TXN, &[]).await;
    back.because(400, "invalid_request", "not_a_delegate");

    let last = third();
    let third = token_of(&exchange(&stack, "the third's", &last, &second, TOKEN_TYPE_TXN, &[]).await);
    assert_eq!(ids(&third), ["for-both"]);
    assert_eq!(claims(&third)["act"]["sub"], THIRD);
    let round = exchange(&stack, "round to the worker", &worker, &third, TOKEN_TYPE_TXN, &[]).await;
    round.because(400, "invalid_request", "actor_loop");
    assert_eq!(claims(&third)["txn"], claims(&first)["txn"], "one call chain");
}

/// A token with a changed claim, under the old signature.
fn tampered(token: &str, change: Value) -> String {
    let parts: Vec<&str> = token.split('.').collect();
    let mut claims: Value = serde_json::from_slice(&decode(parts[1]).unwrap()).unwrap();
    claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    format!("{}.{}.{}", parts[0], encode(claims.to_string().as_bytes()), parts[2])
}

#[tokio::test]
async fn a_subject_token_that_marque_did_not_sign_for_this_is_refused() {
    let stack = Stack::open().await;
    let (agent, granted) = (stack.agent(), shared(&stack).await);
    let txn = stack.transaction_token(&agent, &granted.token, &["list"]).await;
    let (stranger, right) = (Key::fresh(), claims(&granted.token));
    let kid = jws::unverified_kid(&granted.token).unwrap();
    let under_its_id = json!({"alg": "ES256", "typ": "intent+jwt", "kid": kid});
    for (what, token, kind) in [
        ("an intent token as a transaction token", granted.token.clone(), TOKEN_TYPE_TXN),
        ("a transaction token as an intent token", txn.clone(), TOKEN_TYPE_INTENT),
        ("an access token of the realm", stack.access_token().await, TOKEN_TYPE_INTENT),
        ("no JWS", "a.b.c".to_owned(), TOKEN_TYPE_INTENT),
        ("an unknown key", stranger.sign("intent+jwt", &right), TOKEN_TYPE_INTENT),
        ("an unknown key under the known id", stranger.sign_with(&under_its_id, &right), TOKEN_TYPE_INTENT),
        ("a client assertion", agent.assert(&right), TOKEN_TYPE_INTENT),
        ("a later end", tampered(&granted.token, json!({"exp": now() + 100_000})), TOKEN_TYPE_INTENT),
        ("another holder", tampered(&granted.token, json!({"cnf": {"jkt": agent.signing.kid}})), TOKEN_TYPE_INTENT),
        ("another trust domain", tampered(&txn, json!({"aud": "other.example"})), TOKEN_TYPE_TXN),
        ("no signature", format!("{}.", granted.token.rsplit_once('.').unwrap().0), TOKEN_TYPE_INTENT),
    ] {
        let reply = exchange(&stack, what, &agent, &token, kind, &[]).await;
        reply.because(400, "invalid_request", "token_invalid").naming("subject_token");
    }
    let long = format!("{}.{}", "a".repeat(300_000), granted.token);
    exchange(&stack, "a very long token", &agent, &long, TOKEN_TYPE_INTENT, &[]).await.refused(400, "invalid_request");
}

#[tokio::test]
async fn a_token_whose_time_is_over_is_refused() {
    let main = Stack::open().await;
    let (agent, granted) = (main.agent(), shared(&main).await);
    let sealed = crate::rows::keyring_of(&main).await;
    let mut over = claims(&granted.token);
    over["exp"] = now().into();
    let token = sealed.sign(marque::keys::Purpose::IntentToken, &over).unwrap();
    let reply = exchange(&main, "an intent token that is over", &agent, &token, TOKEN_TYPE_INTENT, &[]).await;
    reply.because(400, "invalid_request", "token_expired");
    let txn = stack_claims(&main, &agent, &granted.token).await;
    let over = sealed.sign(marque::keys::Purpose::TxnToken, &with(&txn, json!({"exp": now()}))).unwrap();
    exchange(&main, "a transaction token that is over", &agent, &over, TOKEN_TYPE_TXN, &[]).await.because(
        400,
        "invalid_request",
        "token_expired",
    );
    for (what, change) in [
        ("another issuer", json!({"iss": "http://localhost:1/realms/demo"})),
        ("another realm of this server", json!({"iss": main.issuer().replace("/demo", "/other")})),
        ("another trust domain", json!({"aud": "other.example"})),
        ("a member that nobody knows", json!({"delegates": ["demo-rs"]})),
    ] {
        let token = sealed.sign(marque::keys::Purpose::TxnToken, &with(&txn, change)).unwrap();
        let reply = exchange(&main, what, &agent, &token, TOKEN_TYPE_TXN, &[]).await;
        reply.because(400, "invalid_request", "token_invalid");
    }
    let unkept =
        sealed.sign(marque::keys::Purpose::TxnToken, &with(&txn, json!({"jti": uuid::Uuid::new_v4()}))).unwrap();
    let reply = exchange(&main, "a signed token that was never kept", &agent, &unkept, TOKEN_TYPE_TXN, &[]).await;
    reply.refused(400, "invalid_request");
}

async fn stack_claims(stack: &Stack, agent: &Client, token: &str) -> Value {
    claims(&stack.transaction_token(agent, token, &["list"]).await)
}

fn with(claims: &Value, change: Value) -> Value {
    let mut claims = claims.clone();
    claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    claims
}
