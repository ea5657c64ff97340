//! Bad input of resource servers: an error that names the place, never a 500, and nothing half-stored.

use crate::support::jose::attacks;
use crate::support::keys::Key;
use crate::support::plans::{PUBLISHED, rotation, shared};
use crate::support::reply::Reply;
use crate::support::server::Copy;
use crate::support::stack::Stack;
use marque_core::names::TYP_CATALOG;
use serde_json::{Value, json};
use uuid::Uuid;

/// A right evaluation request of a step of the shared grant.
async fn right_evaluation(stack: &Stack, step: &str) -> Value {
    let granted = shared(stack).await;
    let agent = stack.agent();
    let token = stack.transaction_token(&agent, &granted.token, &[step]).await;
    crate::evaluation::request(stack, &agent, &token, &rotation(stack, step), &Uuid::new_v4().to_string())
}

fn changed(mut body: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap()[name] = value;
    body
}

#[tokio::test]
async fn a_bad_evaluation_or_result_is_refused_with_its_path_and_leaves_nothing() {
    let main = Stack::open().await;
    let right = right_evaluation(&main, "fault").await;
    let copy = Copy::beside(&main).await;
    let server = copy.serve().await;
    let stack = &server.stack;
    let before = stack.row_counts().await;
    let evaluation = "/access/v1/evaluation";
    for (pointer, value, place) in [
        ("/subject", Value::Null, "$.subject"),
        ("/subject/type", json!("user"), "$.subject.type"),
        ("/subject/id", json!(5), "$.subject.id"),
        ("/action", json!("rotate_key"), "$.action"),
        ("/action/properties", json!([]), "$.action.properties"),
        ("/resource", json!({"type": "service_account"}), "$.resource"),
        ("/context", json!({}), "$.context"),
        ("/context/call_id", json!(""), "$.context.call_id"),
        ("/context/call_id", json!("c".repeat(513)), "$.context.call_id"),
        ("/context/call_id", json!("a\u{0}b"), "$.context.call_id"),
        ("/context/dpop", Value::Null, "$.context.dpop"),
    ] {
        let what = format!("{pointer} = {}", value.to_string().chars().take(40).collect::<String>());
        let reply = stack.post_json(&what, evaluation, &changed(right.clone(), pointer, value)).await;
        reply.refused(400, "invalid_request").naming(place);
    }
    expect_json(stack, evaluation).await;
    expect_json(stack, "/results").await;
    let ids = || json!({"permit_id": Uuid::new_v4(), "intent_id": Uuid::new_v4(), "outcome": "committed"});
    for (pointer, value) in [("/outcome", json!("done")), ("/permit_id", json!(5)), ("/surprise", json!(1))] {
        stack
            .post_json(pointer, "/results", &changed(ids(), pointer, value))
            .await
            .refused(400, "invalid_request")
            .naming("$");
    }
    for (what, body) in [
        ("an unknown permit", ids()),
        ("no id", changed(ids(), "/permit_id", json!("a\u{0}b"))),
        ("no intent", changed(ids(), "/intent_id", json!("'; drop table permits; --"))),
    ] {
        stack.post_json(what, "/results", &body).await.because(409, "conflict", "permit_not_open");
    }
    assert_eq!(stack.row_counts().await, before);
}

#[tokio::test]
async fn a_bad_claim_to_count_is_refused_with_its_path_and_leaves_nothing() {
    let main = Stack::open().await;
    let copy = Copy::beside(&main).await;
    let server = copy.serve().await;
    let stack = &server.stack;
    let before = stack.row_counts().await;
    let right = || json!({"location": stack.location(), "ledger": Uuid::new_v4()});
    expect_json(stack, "/ledgers").await;
    for (pointer, value, place) in [
        ("/location", json!(5), "$.location"),
        ("/location", Value::Null, "$.location"),
        ("/ledger", json!(["own"]), "$.ledger"),
        ("/ledger", json!(""), "ledger"),
        ("/ledger", json!("a\u{0}b"), "ledger"),
        ("/ledger", json!("l".repeat(10_000)), "ledger"),
        ("/surprise", json!(1), "$"),
    ] {
        let reply = stack.post_json(pointer, "/ledgers", &changed(right(), pointer, value)).await;
        reply.refused(400, "invalid_request").naming(place);
    }
    for name in ["location", "ledger"] {
        let mut without = right();
        without.as_object_mut().unwrap().remove(name);
        stack.post_json(name, "/ledgers", &without).await.refused(400, "invalid_request").naming(name);
    }
    for location in ["", "nowhere", "a\u{0}b", &"l".repeat(10_000)] {
        let elsewhere = changed(right(), "/location", json!(location));
        stack.post_json("a location", "/ledgers", &elsewhere).await.refused(400, "invalid_target").naming("location");
    }
    assert_eq!(stack.row_counts().await, before);
}

#[tokio::test]
async fn a_bad_access_request_is_refused_with_its_path_and_leaves_nothing() {
    const REQUESTS: &str = "/access/v1/requests";
    let main = Stack::open().await;
    let copy = Copy::beside(&main).await;
    let server = copy.serve().await;
    let stack = &server.stack;
    let before = stack.row_counts().await;
    let right = json!({
        "subject": {"type": "agent", "id": main.agent().id}, "action": {"name": "rotate_key"},
        "resource": {"type": "service_account", "id": "beyond"}, "context": {"location": stack.location()},
        "denial": {"binding_token": "x", "expires_at": "2099-01-01T00:00:00Z"},
    });
    expect_json(stack, REQUESTS).await;
    for (pointer, value, place) in [
        ("/subject", Value::Null, "$.subject"),
        ("/subject/type", json!("user"), "$.subject.type"),
        ("/subject/id", json!(5), "$.subject.id"),
        ("/action", json!("rotate_key"), "$.action"),
        ("/action/properties", json!([]), "$.action.properties"),
        ("/resource", json!({"type": "service_account"}), "$.resource"),
        ("/context", json!({}), "$.context"),
        ("/context/location", json!(5), "$.context.location"),
        ("/denial", json!("x"), "$.denial"),
        ("/denial/binding_token", json!(5), "$.denial.binding_token"),
        ("/denial/expires_at", json!(5), "$.denial.expires_at"),
    ] {
        let reply = stack.post_json(pointer, REQUESTS, &changed(right.clone(), pointer, value)).await;
        reply.refused(400, "invalid_request").naming(place);
    }
    let keyed = async |key: &str| {
        let request = stack.http.post(stack.url(REQUESTS)).bearer_auth(stack.access_token().await).json(&right);
        Reply::to("an Idempotency-Key", request.header("idempotency-key", key)).await
    };
    for (key, place) in [("", "Idempotency-Key"), ("k\u{e4}", "idempotency-key"), (&"k".repeat(513), "Idempotency-Key")]
    {
        keyed(key).await.refused(400, "invalid_request").naming(place);
    }
    for id in ["x", "%00", "..", &"a".repeat(4_000), "00000000-0000-0000-0000-000000000000"] {
        let request = stack.http.get(stack.url(&format!("{REQUESTS}/{id}"))).bearer_auth(stack.access_token().await);
        let reply = Reply::to(id, request).await;
        assert_eq!((reply.status, reply.header("cache-control")), (404, "no-store"), "{id}: {}", reply.text);
    }
    assert_eq!(stack.row_counts().await, before);
}

/// An endpoint takes strict JSON of a bounded length and nothing else.
async fn expect_json(stack: &Stack, path: &str) {
    for (what, status, text) in [
        ("no JSON", 400, "{".to_owned()),
        ("a list", 400, "[]".to_owned()),
        ("nothing", 400, String::new()),
        ("a member twice", 400, r#"{"a":1,"a":1}"#.to_owned()),
        ("a large integer", 400, r#"{"a":9007199254740993}"#.to_owned()),
        ("too deep", 400, format!("{}1{}", "[".repeat(500), "]".repeat(500))),
        ("too long for the endpoint", 400, format!("{{\"a\":\"{}\"}}", "a".repeat(200_000))),
        ("too long for the server", 413, format!("{{\"a\":\"{}\"}}", "a".repeat(600_000))),
    ] {
        let request = stack.http.post(stack.url(path)).bearer_auth(stack.access_token().await);
        let request = request.header("content-type", "application/json").body(text);
        Reply::to(&format!("{what} at {path}"), request).await.refused(status, "invalid_request");
    }
    for kind in ["", "text/plain", "application/x-www-form-urlencoded", "application/jose"] {
        let request = stack.http.post(stack.url(path)).bearer_auth(stack.access_token().await);
        let reply = Reply::to(&format!("{kind:?} at {path}"), request.header("content-type", kind).body("{}")).await;
        reply.refused(400, "invalid_request").naming("Content-Type");
    }
}

#[tokio::test]
async fn a_refused_call_is_an_answer_and_leaves_nothing() {
    let main = Stack::open().await;
    let right = right_evaluation(&main, "fault").await;
    let copy = Copy::beside(&main).await;
    let server = copy.serve().await;
    let stack = &server.stack;
    let before = stack.row_counts().await;
    for (what, pointer, value, reason) in [
        ("another actor", "/subject/id", json!("demo-worker"), "token_invalid"),
        ("another action", "/action/name", json!("list_service_accounts"), "action_not_in_plan"),
        ("another resource", "/resource/id", json!("svc-billing"), "resource_not_in_plan"),
        ("a resource with NUL", "/resource/id", json!("fault\u{0}"), "resource_not_in_plan"),
        ("another argument", "/action/properties", json!({"force": true}), "argument_not_in_plan"),
        ("no token", "/context/txn_token", json!("x"), "token_invalid"),
        ("no proof", "/context/dpop", json!(""), "proof_invalid"),
        ("another method", "/context/method", json!("DELETE"), "proof_invalid"),
        ("another address", "/context/url", json!("http://localhost:1/x"), "proof_invalid"),
        ("an address that is none", "/context/url", json!("\u{0}"), "proof_invalid"),
    ] {
        let reply = stack.post_json(what, "/access/v1/evaluation", &changed(right.clone(), pointer, value)).await;
        assert_eq!(
            (reply.success(200)["decision"].clone(), reply.body["context"]["reason"].clone()),
            (json!(false), json!(reason)),
            "{what}"
        );
    }
    assert_eq!(stack.row_counts().await, before);
    let elsewhere = changed(right, "/context/location", json!("http://localhost:1"));
    stack
        .post_json("another's location", "/access/v1/evaluation", &elsewhere)
        .await
        .refused(400, "invalid_target")
        .naming("context.location");
}

/// A catalog of the stack's resource server.
fn catalog(stack: &Stack, version: u64, class: &str) -> Value {
    json!({
        "iss": stack.env.resource_server.client_id, "version": version, "location": stack.location(),
        "actions": {"rotate_key": {
            "class": class, "reversible": false, "resource": "service_account", "args": {},
            "display": {"en": "Rotate {resource}"},
        }},
    })
}

/// Catalogs that are refused: what, status, error, place, body.
fn bad_catalogs(stack: &Stack, key: &Key) -> Vec<(&'static str, u16, &'static str, &'static str, String)> {
    let signed = |catalog: &Value| key.sign(TYP_CATALOG, catalog);
    let right = catalog(stack, PUBLISHED + 1, "change");
    vec![
        ("nothing", 400, "invalid_request", "catalog", String::new()),
        ("no JWS", 400, "invalid_request", "catalog", "{}".into()),
        ("an unknown key", 400, "invalid_request", "catalog", Key::fresh().sign(TYP_CATALOG, &right)),
        ("another type", 400, "invalid_request", "catalog", key.sign("JWT", &right)),
        ("an unknown member", 400, "invalid_request", "$", signed(&changed(right.clone(), "/surprise", json!(1)))),
        ("an unknown class", 400, "invalid_request", "class", signed(&catalog(stack, PUBLISHED + 1, "wish"))),
        (
            "another location",
            400,
            "invalid_target",
            "$.location",
            signed(&changed(right.clone(), "/location", json!("http://localhost:1"))),
        ),
        (
            "another issuer",
            400,
            "invalid_target",
            "$.iss",
            signed(&changed(right.clone(), "/iss", json!("demo-agent"))),
        ),
        (
            "NUL in a name",
            400,
            "invalid_request",
            "$",
            signed(&changed(right.clone(), "/actions/a\u{0}b", right["actions"]["rotate_key"].clone())),
        ),
        (
            "the same version with other octets",
            409,
            "conflict",
            "$.version",
            signed(&catalog(stack, PUBLISHED, "change")),
        ),
        (
            "a version that no database holds",
            400,
            "invalid_request",
            "$.version",
            signed(&changed(right.clone(), "/version", json!(u64::MAX))),
        ),
    ]
}

#[tokio::test]
async fn a_bad_catalog_is_refused_with_its_path_and_leaves_nothing() {
    let main = Stack::open().await;
    let copy = Copy::beside(&main).await;
    let server = copy.serve().await;
    let stack = &server.stack;
    let before = stack.row_counts().await;
    let key = Key::read(&stack.env.clients.rs.key);
    let signed = |catalog: &Value| key.sign(TYP_CATALOG, catalog);
    let right = catalog(stack, PUBLISHED + 1, "change");
    let publish = |what: &'static str, body: Vec<u8>| async move {
        let request = stack.http.post(stack.url("/catalogs")).bearer_auth(stack.access_token().await);
        Reply::to(what, request.header("content-type", "application/jose").body(body)).await
    };
    for (what, status, error, place, body) in bad_catalogs(stack, &key) {
        publish(what, body.into_bytes()).await.refused(status, error).naming(place);
    }
    for (what, body) in attacks(&signed(&right), Some(&key), false) {
        publish(what, body.into_bytes()).await.refused(400, "invalid_request");
    }
    publish("no UTF-8", vec![0xff; 10]).await.refused(400, "invalid_request");
    publish("too long", vec![b'a'; 600_000]).await.refused(413, "invalid_request");
    assert_eq!(stack.row_counts().await, before);
    let kept = publish("a right one", signed(&right).into_bytes()).await;
    assert_eq!(kept.success(201)["version"], PUBLISHED + 1);
    assert_eq!(publish("the same again", signed(&right).into_bytes()).await.success(201), &kept.body);
}
