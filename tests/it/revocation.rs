//! Revocation by the holder: an intent token ends its intent, any other token ends with what was exchanged for it.

use crate::evaluation::{EVALUATION, fresh, permit, refused, request};
use crate::exchange::{exchange_all, token_of};
use crate::gates::Process;
use crate::introspection::{ask, inactive};
use crate::support::keys::Client;
use crate::support::plans::{call, grant, plan, reading, rotating, rotation, step, with};
use crate::support::reply::Reply;
use crate::support::sse::{Event, Feed};
use crate::support::stack::Stack;
use crate::support::until;
use futures_util::future::{join, join_all};
use marque_core::jws;
use marque_core::names::{TOKEN_TYPE_INTENT, TOKEN_TYPE_TXN};
use marque_gate::Reason;
use serde_json::{Value, json};
use std::time::Duration;

async fn revoke(stack: &Stack, what: &str, client: &Client, token: &str) {
    let reply = stack.post(what, client, "/revoke", &vec![("token", token.to_owned())]).await;
    assert_eq!((reply.success(200), reply.text.as_str()), (&Value::Null, ""), "{what}");
}

fn claim(token: &str, name: &str) -> Value {
    jws::unverified_claims(token).unwrap().get(name).cloned().unwrap_or_default()
}

async fn is_active(stack: &Stack, client: &Client, token: &str) -> bool {
    ask(stack, "a token", client, token).await.success(200)["active"] == true
}

async fn next_revoked(feed: &mut Feed, token: &str) -> Event {
    loop {
        let event = feed.next_of("token_revocation").await;
        if event.payload["token"] == claim(token, "jti") {
            return event;
        }
    }
}

#[tokio::test]
async fn whatever_is_no_token_of_the_client_is_answered_alike_and_goes_on() {
    let stack = Stack::open().await;
    let (agent, worker) = (stack.agent(), stack.worker());
    let granted = grant(&stack, &agent, &rotating(&stack)).await;
    let txn = stack.transaction_token(&agent, &granted.token, &["rotate"]).await;
    for (what, token) in [
        ("garbage", "garbage".to_owned()),
        ("an access token of the realm", stack.access_token().await),
        ("another's intent token", granted.token.clone()),
        ("another's transaction token", txn.clone()),
        ("a cut signature", txn[..txn.len() - 4].to_owned()),
    ] {
        revoke(&stack, what, &worker, &token).await;
    }
    assert!(is_active(&stack, &agent, &granted.token).await && is_active(&stack, &agent, &txn).await);
    let none = stack.post("no token", &agent, "/revoke", &vec![]).await;
    none.refused(400, "invalid_request").naming("token");
    let hinted = vec![("token", "x".to_owned()), ("token_type_hint", "whatever".to_owned())];
    assert_eq!(stack.post("an unknown hint", &agent, "/revoke", &hinted).await.status, 200);
}

#[tokio::test]
async fn an_intent_token_ends_its_intent_and_everything_from_it() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    let granted = grant(&stack, &agent, &reading(&stack)).await;
    let txn = stack.transaction_token(&agent, &granted.token, &["list"]).await;
    let mut feed = Feed::open(&stack, None).await;
    let other_key = Client::with_fresh_dpop(&stack.env.clients.agent);
    revoke(&stack, "by the client, whose key was lost", &other_key, &granted.token).await;
    assert_eq!(feed.until_revoked(&granted.intent_id).await.payload["state"], "revoked");
    inactive(&ask(&stack, "the intent token", &agent, &granted.token).await);
    inactive(&ask(&stack, "a token from it", &agent, &txn).await);
    let again = exchange_all(&stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await;
    again.because(400, "invalid_request", "intent_revoked");
    revoke(&stack, "a second time", &agent, &granted.token).await;
}

#[tokio::test]
async fn a_transaction_token_ends_with_the_hops_below_it_and_nothing_else() {
    let stack = Stack::open().await;
    let (agent, worker) = (stack.agent(), stack.worker());
    let granted =
        grant(&stack, &agent, &with(rotating(&stack), json!({"limits": {"lifetime_secs": 3600, "max_hops": 2}}))).await;
    let root = stack.transaction_token(&agent, &granted.token, &["rotate"]).await;
    let hop = token_of(&exchange_all(&stack, &worker, &root, TOKEN_TYPE_TXN).await);
    let below = token_of(&exchange_all(&stack, &worker, &hop, TOKEN_TYPE_TXN).await);
    let sibling = token_of(&exchange_all(&stack, &agent, &root, TOKEN_TYPE_TXN).await);
    let mut feed = Feed::open(&stack, None).await;
    feed.next().await;
    revoke(&stack, "the hop", &worker, &hop).await;
    let first = next_revoked(&mut feed, &hop).await;
    assert_eq!(first.payload["until"], claim(&hop, "exp"));
    assert_eq!(first.payload["seq"].as_i64().unwrap(), first.payload["prev"].as_i64().unwrap() + 1);
    for (holder, token) in [(&worker, &hop), (&worker, &below)] {
        inactive(&ask(&stack, "a revoked token", holder, token).await);
        let reply = exchange_all(&stack, holder, token, TOKEN_TYPE_TXN).await;
        reply.because(400, "invalid_request", "token_revoked");
        let body = request(&stack, holder, token, &rotation(&stack, "svc-api"), &fresh());
        refused(&stack.post_json("a call with it", EVALUATION, &body).await, "token_revoked");
    }
    for token in [&root, &sibling] {
        assert!(is_active(&stack, &agent, token).await, "the rest of the chain goes on");
    }
    let body = request(&stack, &agent, &sibling, &rotation(&stack, "svc-api"), &fresh());
    assert_eq!(permit(&stack.post_json("a call of the rest", EVALUATION, &body).await)["step"], "rotate");
    let snapshot = Feed::open(&stack, None).await.next().await;
    let listed = snapshot.payload["tokens"].as_array().unwrap();
    for token in [&hop, &below] {
        let entry = json!({"token": claim(token, "jti"), "until": claim(token, "exp")});
        assert!(listed.contains(&entry), "{entry} in {listed:?}");
    }
    revoke(&stack, "the root", &agent, &root).await;
    for token in [&root, &sibling] {
        inactive(&ask(&stack, "the root and what is below", &agent, token).await);
    }
    assert!(is_active(&stack, &agent, &granted.token).await, "the intent goes on");
    token_of(&exchange_all(&stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);
}

#[tokio::test]
async fn uncounted_calls_with_a_revoked_token_are_refused_by_marque_and_by_gates() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    let granted = grant(&stack, &agent, &reading(&stack)).await;
    let token = stack.transaction_token(&agent, &granted.token, &["list"]).await;
    let other = stack.transaction_token(&agent, &granted.token, &["list"]).await;
    let read = call(&stack, "list_service_accounts", "environment", "production", json!({}));
    let gate = Process::start(&stack, stack.issuer()).await;
    drop(gate.check(&agent, &token, &read).await.unwrap());
    let ask = async |what: &str, token: &str| {
        let body = request(&stack, &agent, token, &read, &fresh());
        stack.post_json(what, EVALUATION, &body).await
    };
    permit(&ask("before", &token).await);
    revoke(&stack, "the token", &agent, &token).await;
    refused(&ask("after", &token).await, "token_revoked");
    permit(&ask("with another token", &other).await);
    let jti = claim(&token, "jti");
    until("the gate hears of it", || {
        std::future::ready(gate.gate.revocations().is_token_revoked(jti.as_str().unwrap()))
    })
    .await;
    assert_eq!(gate.check(&agent, &token, &read).await.unwrap_err().reason(), Reason::TokenRevoked);
    drop(gate.check(&agent, &other, &read).await.unwrap());
    let fresh_gate = Process::start(&stack, stack.issuer()).await;
    assert_eq!(fresh_gate.check(&agent, &token, &read).await.unwrap_err().reason(), Reason::TokenRevoked, "a snapshot");
}

/// A hop that is made while its parent is revoked is refused, or ends with it.
#[tokio::test]
async fn no_hop_escapes_the_revocation_of_its_parent() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    let steps = vec![with(step(&stack, "list", "list_service_accounts", "production"), json!({"uses": "any"}))];
    let granted = grant(&stack, &agent, &plan(&stack, steps)).await;
    let (mut made, mut late) = (0, 0);
    // Until both happened: some hops before the revocation, and some that it came before.
    for _ in 0..40 {
        let parent = stack.transaction_token(&agent, &granted.token, &["list"]).await;
        let hops = (0..12).map(async |index| {
            tokio::time::sleep(Duration::from_millis(5 * index)).await;
            exchange_all(&stack, &agent, &parent, TOKEN_TYPE_TXN).await
        });
        let revoking = async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            revoke(&stack, "the parent", &agent, &parent).await;
        };
        let (replies, ()): (Vec<Reply>, ()) = join(join_all(hops), revoking).await;
        for reply in replies {
            if reply.status == 200 {
                made += 1;
                inactive(&ask(&stack, "a hop of a revoked token", &agent, &token_of(&reply)).await);
            } else {
                late += 1;
                reply.because(400, "invalid_request", "token_revoked");
            }
        }
        if made > 0 && late > 0 {
            return;
        }
    }
    panic!("{made} hops were made in time and {late} came too late: not both");
}
