//! Plans, and what was granted for them.

use super::keys::Client;
use super::person;
use super::stack::Stack;
use marque_core::call::{Call, CallResource};
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;

/// The version of the catalog that the stack's resource server has published.
pub const PUBLISHED: u64 = 3;

/// A step at the stack's resource server.
pub fn step(stack: &Stack, id: &str, action: &str, resource: &str) -> Value {
    let kind = match action {
        "list_service_accounts" => "environment",
        "rotate_key" => "service_account",
        _ => "secret",
    };
    json!({"id": id, "location": stack.location(), "action": action, "resource": {"type": kind, "id": resource}})
}

/// A step with further members.
pub fn with(mut step: Value, members: Value) -> Value {
    step.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    step
}

/// A plan of the agent for the stack's user.
pub fn plan(stack: &Stack, steps: Vec<Value>) -> Value {
    json!({
        "version": 1, "purpose": "Prove what the server refuses.", "agent": stack.env.clients.agent.client_id,
        "user": {"username": stack.env.user.username}, "mode": "strict",
        "limits": {"lifetime_secs": 3600, "max_hops": 2}, "steps": steps,
    })
}

/// A plan of one uncounted read.
pub fn reading(stack: &Stack) -> Value {
    plan(stack, vec![with(step(stack, "list", "list_service_accounts", "production"), json!({"uses": "any"}))])
}

/// A plan of one rotation, which the worker may carry out too.
pub fn rotating(stack: &Stack) -> Value {
    let steps = vec![step(stack, "rotate", "rotate_key", "svc-api")];
    let delegate = json!({"client_id": stack.env.clients.worker.client_id, "steps": ["rotate"]});
    with(plan(stack, steps), json!({"delegates": [delegate]}))
}

/// Approves and redeems; answers the intent and its token.
pub async fn grant(stack: &Stack, client: &Client, plan: &Value) -> Granted {
    let intent_id = stack.submitted(client, plan).await;
    person::approve(stack, &intent_id).await;
    let reply = stack.poll(client, &intent_id).await;
    let token = reply.success(200)["access_token"].as_str().unwrap().to_owned();
    Granted { intent_id, token }
}

/// An approved and redeemed intent.
#[derive(Clone, Debug)]
pub struct Granted {
    pub intent_id: String,
    pub token: String,
}

/// One rotation of the wide plan below for each test that uses a step up: the step's id is also its account's name.
pub const ROTATIONS: &[(&str, u64)] = &[
    ("jose", 1),
    ("race", 1),
    ("repeat", 1),
    ("at-once", 5),
    ("digest", 1),
    ("replay", 5),
    ("release", 1),
    ("commit", 1),
    ("expire", 1),
    ("nul", 5),
    ("counter", 1),
    ("limit", 1),
    ("fault", 50),
    ("batch", 2),
    ("seek", 1),
    ("by-name", 1),
    ("for-worker", 1),
    ("for-both", 1),
    ("tokens", 1),
    ("twins", 1),
];

/// The delegates of the wide plan: the worker and a third client.
pub const THIRD: &str = "it-third";

/// A grant that tests share. Each uses up its own step.
pub async fn shared(stack: &Stack) -> Granted {
    static GRANTED: OnceCell<Granted> = OnceCell::const_new();
    let make = || async {
        super::realm::register_third(stack).await;
        grant(stack, &stack.agent(), &wide(stack)).await
    };
    GRANTED.get_or_init(make).await.clone()
}

fn wide(stack: &Stack) -> Value {
    let mut steps = vec![
        with(step(stack, "list", "list_service_accounts", "production"), json!({"uses": "any"})),
        with(step(stack, "one-of", "update_secret", "ONE"), json!({"args": {"value_from": {"one_of": ["a", "b"]}}})),
        with(step(stack, "text", "update_secret", "TEXT"), json!({"args": {"value_from": {"text": {"max": 9}}}})),
    ];
    steps.extend(ROTATIONS.iter().map(|(id, uses)| with(step(stack, id, "rotate_key", id), json!({"uses": uses}))));
    let delegates = json!([
        {"client_id": stack.env.clients.worker.client_id, "steps": ["for-worker", "for-both"]},
        {"client_id": THIRD, "steps": ["for-both"]},
    ]);
    with(plan(stack, steps), json!({"delegates": delegates}))
}

/// The call that the step of a rotation is for.
pub fn rotation(stack: &Stack, id: &str) -> Call {
    call(stack, "rotate_key", "service_account", id, json!({}))
}

/// A call at the stack's resource server.
pub fn call(stack: &Stack, action: &str, kind: &str, id: &str, args: Value) -> Call {
    let args: Map<String, Value> = args.as_object().unwrap().clone();
    let resource = CallResource { kind: kind.into(), id: id.into() };
    Call::new(stack.location(), action, resource, args)
}
