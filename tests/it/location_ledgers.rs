//! One ledger for each location: the first that counts there is the only one, at every server.

use crate::evaluation::{fresh, permit, refused};
use crate::exchange::{exchange_all, token_of};
use crate::ledger::{Work, ask, at};
use crate::restored::beats_go_on;
use crate::support::keys::Client;
use crate::support::places::Places;
use crate::support::plans::{grant, plan};
use crate::support::reply::Reply;
use crate::support::server::{Copy, Server};
use crate::support::stack::Stack;
use crate::support::until;
use marque_core::call::{Call, CallResource};
use marque_core::names::TOKEN_TYPE_INTENT;
use marque_demo::clients::KeycloakTokens;
use marque_gate::remote::Marque;
use marque_gate::{GateConfig, Ledger, Reason};
use serde_json::{Value, json};

async fn count(stack: &Stack, what: &str, location: &str, ledger: &str) -> Reply {
    stack.post_json(what, "/ledgers", &json!({"location": location, "ledger": ledger})).await
}

/// The stack's resource server describes a location where nobody has counted yet.
async fn describe(stack: &Stack, location: &str) -> Places {
    let action = json!({
        "class": "change", "reversible": true, "resource": "thing", "args": {}, "display": {"en": "Change {resource}"},
    });
    Places::described(stack, &[location], ("change", action)).await
}

/// A plan that may change one thing twice at a location, with a token for it, and the call.
async fn granted_at(stack: &Stack, location: &str) -> (Client, String, Call) {
    let resource = json!({"type": "thing", "id": "one"});
    let step = json!({"id": "one", "location": location, "action": "change", "resource": resource, "uses": 2});
    let agent = stack.agent();
    let granted = grant(stack, &agent, &plan(stack, vec![step])).await;
    let token = token_of(&exchange_all(stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);
    let resource = CallResource { kind: "thing".into(), id: "one".into() };
    (agent, token, Call::new(location, "change", resource, serde_json::Map::new()))
}

/// What a server answers a gate's ledger that asks.
async fn yields(stack: &Stack, location: &str, ledger: &str) -> Result<(), Reason> {
    let config = GateConfig::new(location, stack.issuer(), &stack.env.marque.trust_domain).unwrap();
    let tokens = KeycloakTokens::new(&stack.env, &stack.env.clients.rs).unwrap();
    let marque = Marque::new(&config, tokens).unwrap().reached_at(&stack.base);
    marque.ledger().yields(location, ledger).await.map_err(|refusal| refusal.reason())
}

/// The database loses its rows about ledgers; the servers notice, and what they suspend goes on in a new epoch.
async fn lose_ledgers(copy: &Copy, server: &Server, servers: i64) {
    for lost in ["delete from location_ledgers", "delete from server_beats"] {
        sqlx::query(lost).execute(&copy.stack.db).await.unwrap();
    }
    let is_suspended = || std::future::ready(server.command(&["restore", "show"]).unwrap().starts_with("suspended"));
    until("the loss is noticed", is_suspended).await;
    server.command(&["restore", "confirm", "--now"]).unwrap();
    beats_go_on(&copy.stack.db, servers).await;
}

fn handed_over(client: &Client, token: &str, call: &Call, ledger: &str) -> Value {
    let mut body = ask(client, token, call, &fresh());
    body["context"]["ledger"] = ledger.into();
    body
}

#[tokio::test]
async fn where_marque_counted_no_other_ledger_does() {
    let (work, call) = Work::once().await;
    let Work { stack, agent, token, .. } = &work;
    permit(&work.evaluate(&call).await);
    let reply = count(stack, "another ledger", stack.location(), &fresh()).await;
    reply.because(409, "conflict", "ledger_unavailable");
    refused(&at(stack, &handed_over(agent, token, &call, "another")).await, "ledger_unavailable");
    for name in ["", "marque", "a\nb"] {
        count(stack, "no name", stack.location(), name).await.refused(400, "invalid_request").naming("ledger");
    }
    let foreign = count(stack, "another's location", "https://nobody.example", "own").await;
    foreign.refused(400, "invalid_target").naming("location");
}

#[tokio::test]
async fn where_a_ledger_of_the_resource_servers_counts_marque_counts_what_that_one_hands_over() {
    let stack = Stack::open().await;
    let location = format!("https://{}.example", fresh());
    let _place = describe(&stack, &location).await;
    let (agent, token, call) = granted_at(&stack, &location).await;

    let copy = Copy::beside(&stack).await;
    let (one, other) = (copy.serve().await, copy.serve().await);
    for stack in [&one.stack, &other.stack, &one.stack] {
        count(stack, "the first", &location, "own-1").await.success(200);
    }
    for stack in [&one.stack, &other.stack] {
        count(stack, "a second", &location, "own-2").await.because(409, "conflict", "ledger_unavailable");
        refused(&at(stack, &ask(&agent, &token, &call, &fresh())).await, "ledger_unavailable");
        refused(&at(stack, &handed_over(&agent, &token, &call, "own-2")).await, "ledger_unavailable");
        permit(&at(stack, &handed_over(&agent, &token, &call, "own-1")).await);
    }
    refused(&at(&one.stack, &handed_over(&agent, &token, &call, "own-1")).await, "uses_exhausted");
}

#[tokio::test]
async fn a_location_keeps_its_ledger_where_the_database_forgot_it() {
    let stack = Stack::open().await;
    let location = format!("https://{}.example", fresh());
    let _place = describe(&stack, &location).await;
    let (agent, token, call) = granted_at(&stack, &location).await;
    let copy = Copy::beside(&stack).await;
    let (one, mut other) = (copy.serve().await, copy.serve().await);
    assert_eq!(yields(&one.stack, &location, "own-1").await, Ok(()));
    let only_it_counts = async |stack: &Stack| {
        refused(&at(stack, &ask(&agent, &token, &call, &fresh())).await, "ledger_unavailable");
        assert_eq!(yields(stack, &location, "own-2").await, Err(Reason::LedgerUnavailable));
        count(stack, "another", &location, "own-2").await.because(409, "conflict", "ledger_unavailable");
    };

    // A gate asks again at a server that never heard of its ledger.
    lose_ledgers(&copy, &one, 2).await;
    assert_eq!(yields(&other.stack, &location, "own-1").await, Ok(()));
    only_it_counts(&other.stack).await;
    only_it_counts(&one.stack).await;

    // No gate asks, but a server remembers.
    lose_ledgers(&copy, &one, 2).await;
    only_it_counts(&one.stack).await;
    other.crash().await;
    only_it_counts(&other.stack).await;
    assert_eq!(yields(&other.stack, &location, "own-1").await, Ok(()));
    permit(&at(&other.stack, &handed_over(&agent, &token, &call, "own-1")).await);
    assert_eq!(yields(&other.stack, "https://nobody.example", "own-1").await, Err(Reason::LedgerUnavailable));
    count(&other.stack, "nobody's", "https://nobody.example", "own-1").await.refused(400, "invalid_target");
}
