//! The plan language end to end: what is signed in Keycloak holds at exchange and ledger.

use crate::evaluation::{EVALUATION, fresh, permit, refused, request};
use crate::exchange::{exchange_all, token_of};
use crate::support::keys::Client;
use crate::support::plans::{Granted, call, grant, plan, rotation, step, with};
use crate::support::reply::Reply;
use crate::support::stack::Stack;
use marque_core::call::Call;
use marque_core::names::{TOKEN_TYPE_INTENT, TOKEN_TYPE_TXN};
use serde_json::{Value, json};

/// An approved plan and a transaction token for all of it.
struct Work {
    stack: Stack,
    agent: Client,
    granted: Granted,
    token: String,
}

impl Work {
    async fn of(steps: impl FnOnce(&Stack) -> Vec<Value>, members: Value, limits: Value) -> Self {
        let stack = Stack::open().await;
        let agent = stack.agent();
        let mut plan = with(plan(&stack, steps(&stack)), members);
        plan["limits"] = with(plan["limits"].clone(), limits);
        let granted = grant(&stack, &agent, &plan).await;
        let token = token_of(&exchange_all(&stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);
        Self { stack, agent, granted, token }
    }

    async fn evaluate(&self, call: &Call) -> Reply {
        let body = request(&self.stack, &self.agent, &self.token, call, &fresh());
        self.stack.post_json("an evaluation", EVALUATION, &body).await
    }

    async fn rotate(&self, account: &str) -> Reply {
        self.evaluate(&rotation(&self.stack, account)).await
    }

    async fn settle(&self, reply: &Reply, outcome: &str) {
        let permit = permit(reply);
        let body = json!({"permit_id": permit["permit"]["id"], "intent_id": permit["intent_id"], "outcome": outcome});
        self.stack.post_json("a result", "/results", &body).await.success(200);
    }
}

fn rotating(stack: &Stack, steps: &[(&str, Value)]) -> Vec<Value> {
    let step = |(id, members): &(&str, Value)| with(step(stack, id, "rotate_key", id), members.clone());
    steps.iter().map(step).collect()
}

#[tokio::test]
async fn steps_keep_their_order_and_a_group_is_used_once() {
    let steps = [
        ("first", json!({})),
        ("second", json!({"after": ["first"]})),
        ("one", json!({"group": "either"})),
        ("other", json!({"group": "either"})),
    ];
    let work = Work::of(|stack| rotating(stack, &steps), json!({}), json!({})).await;
    refused(&work.rotate("second").await, "out_of_order");
    let first = work.rotate("first").await;
    refused(&work.rotate("second").await, "out_of_order");
    work.settle(&first, "committed").await;
    permit(&work.rotate("second").await);
    let one = work.rotate("one").await;
    refused(&work.rotate("other").await, "group_used");
    work.settle(&one, "released").await;
    permit(&work.rotate("other").await);
    refused(&work.rotate("one").await, "group_used");
}

#[tokio::test]
async fn a_budget_is_shared_by_its_steps() {
    let steps = [("left", json!({"uses": 2})), ("right", json!({"uses": 2}))];
    let budgets = json!({"budgets": [{"steps": ["left", "right"], "max": "3"}]});
    let work = Work::of(|stack| rotating(stack, &steps), json!({}), budgets).await;
    for account in ["left", "right", "left"] {
        permit(&work.rotate(account).await);
    }
    refused(&work.rotate("right").await, "budget_exhausted");
}

#[tokio::test]
async fn turns_are_counted_where_they_start() {
    let steps = [("turned", json!({"uses": 3}))];
    let work = Work::of(|stack| rotating(stack, &steps), json!({}), json!({"turns": 1})).await;
    let second = exchange_all(&work.stack, &work.agent, &work.granted.token, TOKEN_TYPE_INTENT).await;
    second.because(400, "invalid_request", "turns_exhausted");
    token_of(&exchange_all(&work.stack, &work.agent, &work.token, TOKEN_TYPE_TXN).await);
    permit(&work.rotate("turned").await);
}

#[tokio::test]
async fn what_the_plan_blocks_and_what_is_out_of_its_window_is_refused() {
    let steps = [("open", json!({"uses": 2})), ("over", json!({"window": {"to": "2020-01-01T00:00:00Z"}}))];
    let blocked = json!({"blocked": [{"action": "update_secret"}]});
    let with_update = |stack: &Stack| {
        let mut steps = rotating(stack, &steps);
        steps.push(with(
            step(stack, "prefix", "rotate_key", "any"),
            json!({"resource": {"type": "service_account", "id": {"prefix": "team/"}}}),
        ));
        steps
    };
    let work = Work::of(with_update, blocked, json!({})).await;
    refused(&work.rotate("over").await, "outside_window");
    refused(&work.evaluate(&call(&work.stack, "update_secret", "secret", "S", json!({}))).await, "blocked");
    permit(&work.rotate("team/a").await);
    permit(&work.rotate("open").await);
}

#[tokio::test]
async fn a_plan_that_only_does_what_it_blocks_is_not_taken() {
    let stack = Stack::open().await;
    let steps = vec![step(&stack, "rotate", "rotate_key", "svc-api")];
    let plan = with(plan(&stack, steps), json!({"blocked": [{"action": "rotate_key"}]}));
    let reply = stack.submit("a plan that blocks itself", &stack.agent(), &plan).await;
    reply.because(400, "invalid_authorization_details", "blocked");
}

/// Keycloak shows, and a person signs, every kind that the demonstration's catalog has an argument for; each binds
/// its call at the ledger.
#[tokio::test]
async fn every_kind_can_be_signed_and_binds_its_call() {
    let kinds = [
        ("pattern", json!({"pattern": "svc-[a-z]{1,8}"}), Some("svc-api"), "svc-1"),
        ("num", json!({"num": {"min": "1", "max": "2.5"}}), Some("2.50"), "2.51"),
        ("window", json!({"time_window": {"from": "2026-01-01T00:00:00Z"}}), Some("2026-01-01T01:00:00+01:00"), "2025"),
        ("domain", json!({"domain": {"any_of": ["example.com"]}}), Some("a@example.com"), "a@example.com.evil.test"),
        ("prefix", json!({"prefix": "keys/"}), Some("keys/a"), "keys/../a"),
        ("all", json!({"all": [{"text": {"max": 9}}, {"prefix": "a/"}]}), Some("a/b"), "b/b"),
        ("either", json!({"either": [{"const": "x"}, {"num": {"max": "1"}}]}), Some("x"), "y"),
        (
            "fmt",
            json!({"fmt": {"template": "key of {a}", "slots": {"a": {"one_of": ["x", "y"]}}}}),
            Some("key of y"),
            "key of z",
        ),
        ("compute", json!({"compute": {"expr": "2 * n + 1", "vars": {"n": {"const": 4}}}}), Some("9.0"), "8"),
        ("rel", json!({"rel": {"base": {"const": "10"}, "min": "-1", "max": "0.5"}}), Some("10.5"), "10.6"),
        ("attr", json!({"attr": {"collection": "accounts", "where": {"/owner": {"const": "alice"}}}}), None, "svc"),
        ("same", json!({"same_as": {"step": "pattern", "arg": "value_from"}}), None, "svc-api"),
    ];
    let steps = |stack: &Stack| {
        let update = |(id, constraint, ..): &(&str, Value, Option<&str>, &str)| {
            with(step(stack, id, "update_secret", id), json!({"args": {"value_from": constraint}}))
        };
        kinds.iter().map(update).collect()
    };
    let work = Work::of(steps, json!({}), json!({})).await;
    for (id, _, good, bad) in &kinds {
        let update = |value: &str| call(&work.stack, "update_secret", "secret", id, json!({"value_from": value}));
        let unknown = matches!(*id, "attr" | "same");
        refused(&work.evaluate(&update(bad)).await, if unknown { "result_unknown" } else { "argument_mismatch" });
        if let Some(good) = good {
            permit(&work.evaluate(&update(good)).await);
        }
    }
}
