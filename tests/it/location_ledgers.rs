//! One ledger for each location: the first that counts there is the only one, at every server.

use crate::evaluation::{fresh, permit, refused};
use crate::exchange::{exchange_all, token_of};
use crate::ledger::{Work, ask, at};
use crate::support::keys::Client;
use crate::support::places::Places;
use crate::support::plans::{grant, plan};
use crate::support::reply::Reply;
use crate::support::server::Copy;
use crate::support::stack::Stack;
use marque_core::call::{Call, CallResource};
use marque_core::names::TOKEN_TYPE_INTENT;
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
    let resource = json!({"type": "thing", "id": "one"});
    let step = json!({"id": "one", "location": location, "action": "change", "resource": resource, "uses": 2});
    let agent = stack.agent();
    let granted = grant(&stack, &agent, &plan(&stack, vec![step])).await;
    let token = token_of(&exchange_all(&stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);
    let resource = CallResource { kind: "thing".into(), id: "one".into() };
    let call = Call::new(&location, "change", resource, serde_json::Map::new());

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
