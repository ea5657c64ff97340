//! Bad input of agents: an OAuth error that names the place, never a 500, and nothing half-stored.

use crate::support::plans::{plan, reading, rotating, shared, step, with};
use crate::support::reply::Reply;
use crate::support::server::{Copy, Server};
use crate::support::stack::{Form, Stack};
use marque_core::names::{GRANT_INTENT, TOKEN_TYPE_INTENT};
use serde_json::{Value, json};
use uuid::Uuid;

/// A server of the test's own, so that rows can be counted.
async fn own_server() -> (Copy, Server) {
    let stack = Stack::open().await;
    let copy = Copy::beside(&stack).await;
    let server = copy.serve().await;
    (copy, server)
}

/// A plan after a change at a JSON pointer; the last part of a pointer may be new.
fn changed(mut plan: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    plan.pointer_mut(parent).unwrap_or_else(|| panic!("{parent}"))[name] = value;
    plan
}

/// Changes of a right plan, where they are refused, and why.
fn bad_members() -> Vec<(&'static str, Value, &'static str, &'static str)> {
    let invalid = "plan_invalid";
    vec![
        ("/surprise", json!(1), "$", invalid),
        ("/steps/0/surprise", json!(1), "$.steps[0]", invalid),
        ("/version", json!(2), "$.version", invalid),
        ("/purpose", json!(""), "$.purpose", invalid),
        ("/purpose", json!("a".repeat(281)), "$.purpose", invalid),
        ("/purpose", json!("a\u{0}b"), "purpose", invalid),
        ("/purpose", json!("a\u{202e}b"), "purpose", invalid),
        ("/agent", json!("demo-worker"), "$.agent", invalid),
        ("/user", json!({}), "$.user", invalid),
        ("/user", json!({"username": "alice", "sub": "x"}), "$.user", invalid),
        ("/user", json!({"username": null}), "$.user", invalid),
        ("/mode", json!("lenient"), "$.mode", invalid),
        ("/limits", json!({"max_hops": 2}), "$.limits", invalid),
        ("/limits/lifetime_secs", json!(0), "$.limits.lifetime_secs", invalid),
        ("/limits/lifetime_secs", json!(-1), "$.limits.lifetime_secs", invalid),
        ("/limits/lifetime_secs", json!(8 * 24 * 3600), "$.limits.lifetime_secs", invalid),
        ("/limits/max_hops", json!(9), "$.limits.max_hops", invalid),
        ("/limits/max_hops", json!(-1), "$.limits.max_hops", invalid),
        ("/limits", json!({"max_hops": 1, "expires_at": "2020-01-01T00:00:00Z"}), "$.limits.expires_at", invalid),
        ("/limits", json!({"max_hops": 1, "expires_at": "2999-01-01T00:00:00Z"}), "$.limits.expires_at", invalid),
        ("/limits", json!({"max_hops": 1, "expires_at": "tomorrow"}), "$.limits.expires_at", invalid),
    ]
}

fn bad_steps() -> Vec<(&'static str, Value, &'static str, &'static str)> {
    let invalid = "plan_invalid";
    vec![
        ("/steps", json!([]), "$.steps", invalid),
        ("/steps", json!("all"), "$.steps", invalid),
        ("/steps/0/id", json!(""), "$.steps[0].id", invalid),
        ("/steps/0/id", json!("a".repeat(513)), "$.steps[0].id", invalid),
        ("/steps/0/location", json!("not a URI"), "$.steps[0].location", invalid),
        ("/steps/0/location", json!("http://localhost:1"), "$.steps[0].location", "unknown_location"),
        ("/steps/0/action", json!("drop_database"), "$.steps[0].action", "unknown_action"),
        ("/steps/0/resource/type", json!("environment"), "$.steps[0].resource.type", invalid),
        ("/steps/0/resource/id", json!(5), "$.steps[0].resource", invalid),
        ("/steps/0/uses", json!(0), "$.steps[0].uses", invalid),
        ("/steps/0/uses", json!(10_001), "$.steps[0].uses", invalid),
        ("/steps/0/uses", json!("any"), "$.steps[0].uses", invalid),
        ("/steps/0/after", json!(["x"]), "$.steps[0].after", invalid),
        ("/steps/0/group", json!(""), "$.steps[0].group", invalid),
        ("/steps/0/approve", json!("always"), "$.steps[0].approve", invalid),
        ("/budgets", json!([]), "$", invalid),
    ]
}

fn bad_arguments() -> Vec<(&'static str, Value, &'static str, &'static str)> {
    let (arg, at, invalid) = ("/steps/0/args", "$.steps[0].args.value_from", "plan_invalid");
    let kind = |constraint: Value| json!({"value_from": constraint});
    vec![
        (arg, json!({"other": {"any": true}}), "$.steps[0].args.other", invalid),
        (arg, json!({"*": {"const": 1}}), "$.steps[0].args.*", invalid),
        (arg, kind(json!("svc-api")), at, invalid),
        (arg, kind(json!({})), at, invalid),
        (arg, kind(json!({"const": "a", "any": true})), at, invalid),
        (arg, kind(json!({"const": 5})), at, invalid),
        (arg, kind(json!({"any": false})), at, invalid),
        (arg, kind(json!({"one_of": []})), at, invalid),
        (arg, kind(json!({"text": {"max": 20_001}})), at, invalid),
        (arg, kind(json!({"text": {"max": 5, "lines": 1}})), at, invalid),
        ("/delegates", json!([{"client_id": "nobody", "steps": ["update"]}]), "$.delegates[0].client_id", invalid),
        ("/delegates", json!([{"client_id": "a/../b", "steps": ["update"]}]), "$.delegates[0].client_id", invalid),
        ("/delegates", json!([{"client_id": "%2e%2e", "steps": ["update"]}]), "$.delegates[0].client_id", invalid),
        ("/delegates", json!([{"client_id": "..", "steps": ["update"]}]), "$.delegates[0].client_id", invalid),
        ("/delegates", json!([{"client_id": "demo-rs", "steps": ["update"]}]), "$.delegates[0].client_id", invalid),
    ]
}

fn bad_delegates(stack: &Stack) -> Vec<(&'static str, Value, &'static str, &'static str)> {
    let invalid = "plan_invalid";
    vec![
        (
            "/delegates",
            json!([{"client_id": stack.env.clients.agent.client_id, "steps": ["update"]}]),
            "$.delegates[0].client_id",
            invalid,
        ),
        ("/delegates", json!([{"client_id": "demo-worker", "steps": []}]), "$.delegates[0].steps", invalid),
        (
            "/delegates",
            json!([{"client_id": "demo-worker", "steps": ["update", "update"]}]),
            "$.delegates[0].steps",
            invalid,
        ),
        ("/delegates", json!([{"client_id": "demo-worker", "steps": ["none"]}]), "$.delegates[0].steps", invalid),
    ]
}

/// A constraint of each kind that is not well formed, and one of no kind.
fn ill_formed() -> Vec<Value> {
    vec![
        json!({"pattern": "(?i)a"}),
        json!({"num": {}}),
        json!({"amount": {"max": "9.50", "currency": "eur"}}),
        json!({"time_window": {"from": "2027-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}}),
        json!({"domain": {"any_of": ["X.com"]}}),
        json!({"prefix": "/a"}),
        json!({"items": {"of": {"any": true}, "max": 0}}),
        json!({"obj": {"*": {"const": 1}}}),
        json!({"each": {"optional": {"any": true}}}),
        json!({"all": [{"any": true}]}),
        json!({"either": [{"any": true}]}),
        json!({"optional": {"optional": {"any": true}}}),
        json!({"ref": {"step": "a", "field": "/b"}}),
        json!({"ref_set": {"step": "a", "field": "/b"}}),
        json!({"same_as": {"step": "a", "arg": "b"}}),
        json!({"fmt": {"template": "{a}{b}", "slots": {"a": {"any": true}, "b": {"any": true}}}}),
        json!({"compute": {"expr": "a+1", "vars": {}}}),
        json!({"rel": {"base": {"any": true}, "min": "0", "max": "1"}}),
        json!({"attr": {"collection": "a", "where": {}}}),
        json!({"extract": {"step": "a", "type": "phone"}}),
        json!({"quote": {"step": "a"}}),
        json!({"regex": "a"}),
    ]
}

fn updating(stack: &Stack) -> Value {
    let args = json!({"args": {"value_from": {"const": "svc-api"}}});
    plan(stack, vec![with(step(stack, "update", "update_secret", "API_KEY"), args)])
}

#[tokio::test]
async fn a_bad_plan_is_refused_with_its_path_and_leaves_nothing() {
    let (_copy, server) = own_server().await;
    let (stack, agent) = (&server.stack, server.stack.agent());
    let before = stack.row_counts().await;
    for (pointer, value, place, reason) in [bad_members(), bad_steps(), bad_arguments(), bad_delegates(stack)].concat()
    {
        let what = format!("{pointer} = {}", value.to_string().chars().take(60).collect::<String>());
        let reply = stack.submit(&what, &agent, &changed(updating(stack), pointer, value)).await;
        reply.because(400, "invalid_authorization_details", reason).naming(place);
    }
    for kind in ill_formed() {
        for (pointer, place) in [
            ("/steps/0/args/value_from", "$.steps[0].args.value_from"),
            ("/steps/0/resource/id", "$.steps[0].resource"),
        ] {
            let reply = stack.submit(&kind.to_string(), &agent, &changed(updating(stack), pointer, kind.clone())).await;
            reply.because(400, "invalid_authorization_details", "plan_invalid").naming(place);
        }
    }
    for user in ["bob", "nobody", "ALICE"] {
        let reply = stack.submit(user, &agent, &changed(reading(stack), "/user/username", json!(user))).await;
        reply.because(400, "access_denied", "not_paired");
    }
    shared(&Stack::open().await).await;
    let third = crate::support::realm::third();
    let plan = changed(reading(stack), "/agent", json!(third.id));
    stack.submit("an agent without users", &third, &plan).await.because(400, "access_denied", "not_paired");
    let rs = crate::support::keys::Client::of(&stack.env.clients.rs);
    let plan = changed(reading(stack), "/agent", json!(rs.id));
    stack.submit("no agent", &rs, &plan).await.because(400, "unauthorized_client", "agent_inactive");
    assert_eq!(stack.row_counts().await, before);
}

/// Texts of `authorization_details` that are no plan.
fn bad_texts(stack: &Stack) -> Vec<(&'static str, String, &'static str)> {
    let right = json!([{"type": "agent_intent_plan", "plan": reading(stack)}]).to_string();
    let inside = |from: &str, to: &str| {
        assert!(right.contains(from), "{from}");
        right.replacen(from, to, 1)
    };
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    vec![
        ("no JSON", "plan".into(), "$"),
        ("half of it", right[..right.len() - 3].into(), "$"),
        ("trailing text", format!("{right} x"), "$"),
        ("no array", inside("[{", "{").trim_end_matches(']').into(), "$"),
        ("an empty array", "[]".into(), "$"),
        ("two plans", format!("[{0},{0}]", &right[1..right.len() - 1]), "$"),
        ("no object", "[1]".into(), "$"),
        ("another type", inside("agent_intent_plan", "agent_intent_step"), "$"),
        ("a further member", inside("{\"plan\"", "{\"x\":1,\"plan\""), "$"),
        ("a member twice", inside("\"version\":1", "\"version\":1,\"version\":1"), "$[0].plan"),
        ("an escaped member twice", inside("\"version\":1", "\"version\":1,\"v\\u0065rsion\":1"), "$[0].plan"),
        ("a fraction", inside("\"version\":1", "\"version\":1.0"), "$[0].plan.version"),
        ("an exponent", inside("3600", "36e2"), "lifetime_secs"),
        ("a large integer", inside("3600", "9007199254740993"), "lifetime_secs"),
        ("a lone surrogate", inside("\"strict\"", "\"\\ud800\""), "mode"),
        ("an escaped NUL", inside("\"strict\"", "\"strict\\u0000\""), "mode"),
        ("a byte order mark", format!("\u{feff}{right}"), "$"),
        ("too deep", deep, "$"),
        ("too long a plan", inside("\"strict\"", &format!("\"{}\"", "s".repeat(70_000))), "$"),
        ("too many values", format!("[{}1]", "1,".repeat(30_000)), "$"),
    ]
}

#[tokio::test]
async fn what_is_no_plan_is_refused_and_leaves_nothing() {
    let (_copy, server) = own_server().await;
    let (stack, agent) = (&server.stack, server.stack.agent());
    let before = stack.row_counts().await;
    for (what, text, place) in bad_texts(stack) {
        let reply = stack.post(what, &agent, "/plans", &vec![("authorization_details", text)]).await;
        reply.because(400, "invalid_authorization_details", "plan_invalid").naming(place);
    }
    for form in [vec![], vec![("authorization_details", String::new())]] {
        let reply = stack.post("no details", &agent, "/plans", &form).await;
        reply.refused(400, "invalid_request").naming("authorization_details");
    }
    let right = json!([{"type": "agent_intent_plan", "plan": reading(stack)}]).to_string();
    for key in ["", "with space", &"k".repeat(513)] {
        let request = stack.signed(&agent, "/plans", &vec![("authorization_details", right.clone())]);
        let reply = Reply::to("a bad key", request.header("idempotency-key", key)).await;
        reply.refused(400, "invalid_request").naming("Idempotency-Key");
    }
    let request = stack.signed(&agent, "/plans", &vec![("authorization_details", right)]);
    let reply = Reply::to("two keys", request.header("idempotency-key", "a").header("idempotency-key", "b")).await;
    reply.refused(400, "invalid_request").naming("idempotency-key");
    assert_eq!(stack.row_counts().await, before);
}

#[tokio::test]
async fn what_is_no_form_is_refused_at_every_client_route() {
    let (_copy, server) = own_server().await;
    let (stack, agent) = (&server.stack, server.stack.agent());
    let before = stack.row_counts().await;
    for path in ["/plans", "/bc-authorize", "/token"] {
        let post = || stack.http.post(stack.url(path));
        let form = "application/x-www-form-urlencoded";
        for (what, status, place, request) in [
            ("JSON", 400, "Content-Type", post().json(&json!({"grant_type": GRANT_INTENT}))),
            ("no type", 400, "Content-Type", post().body("a=b")),
            (
                "a multipart form",
                400,
                "Content-Type",
                post().header("content-type", "multipart/form-data; boundary=x").body("--x--"),
            ),
            (
                "two types",
                400,
                "content-type",
                post().header("content-type", form).header("content-type", form).body("a=b"),
            ),
            ("a body that is too long", 413, "too long", post().header("content-type", form).body("a".repeat(600_000))),
            ("bytes that are no UTF-8", 400, "UTF-8", post().header("content-type", form).body(b"a=\xff".to_vec())),
            ("escapes that are no UTF-8", 400, "UTF-8", post().header("content-type", form).body("a=%ff")),
            (
                "a repeated parameter",
                400,
                "grant_type",
                post().header("content-type", form).body("grant_type=a&grant_type=b"),
            ),
            ("a repeated unknown parameter", 400, "xyz", post().header("content-type", form).body("xyz=a&xyz=b")),
        ] {
            Reply::to(&format!("{what} at {path}"), request).await.refused(status, "invalid_request").naming(place);
        }
        for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            let reply = Reply::to(method, stack.http.request(method.parse().unwrap(), stack.url(path))).await;
            reply.refused(405, "invalid_request");
            assert!(reply.header("allow").contains("POST"), "{method} {path}: {:?}", reply.headers);
        }
        // The server may break off a body that goes on and on before it is read.
        let streamed = post().header("content-type", form).body(reqwest::Body::wrap_stream(endless())).send().await;
        assert!(streamed.as_ref().map_or(true, |answer| answer.status() == 413), "{path}: {streamed:?}");
        let huge = stack.signed(&agent, path, &vec![]).header("x-huge", "h".repeat(1_000_000));
        let status = huge.send().await.map(|answer| answer.status().as_u16());
        assert!(status.as_ref().is_ok_and(|status| *status == 431) || status.is_err(), "{path}: {status:?}");
    }
    assert_eq!(stack.row_counts().await, before);
}

#[tokio::test]
async fn realms_and_paths_that_are_none_are_not_found() {
    let stack = Stack::open().await;
    let elsewhere = stack.base.replace("/realms/", "/realms/other-");
    for path in ["/plans", "/token", "/jwks", "/approve/x", "/%ff/jwks", "/../jwks", "//jwks"] {
        let reply = Reply::to(path, stack.http.post(format!("{elsewhere}{path}"))).await;
        assert!([404, 405].contains(&reply.status), "{path}: {} {}", reply.status, reply.text);
        reply.refused(reply.status, if reply.status == 404 { "not_found" } else { "invalid_request" });
    }
    Reply::to("no path", stack.http.get(stack.url("/nothing"))).await.refused(404, "not_found");
}

/// Two megabytes without a length.
fn endless() -> impl futures_util::Stream<Item = Result<Vec<u8>, std::io::Error>> {
    futures_util::stream::iter((0..32).map(|_| Ok(vec![b'a'; 65_536])))
}

#[tokio::test]
async fn empty_and_unknown_parameters_change_nothing() {
    let stack = Stack::open().await;
    let details = json!([{"type": "agent_intent_plan", "plan": reading(&stack)}]).to_string();
    let form: Form<'_> = vec![
        ("authorization_details", details),
        ("client_id", String::new()),
        ("state", "unknown".into()),
        ("redirect_uri", "https://other.example".into()),
    ];
    let reply = stack.post("unknown parameters", &stack.agent(), "/plans", &form).await;
    assert!(reply.success(201)["approval_uri"].as_str().unwrap().starts_with(stack.issuer()));
    let intent = reply.member("intent_id");
    let form = vec![
        ("grant_type", GRANT_INTENT.into()),
        ("intent_id", intent.into()),
        ("scope", String::new()),
        ("x", "y".into()),
    ];
    stack.post("unknown parameters", &stack.agent(), "/token", &form).await.refused(400, "authorization_pending");
}

#[tokio::test]
async fn ids_that_are_foreign_unknown_or_no_ids_are_answered_alike() {
    let stack = Stack::open().await;
    let intent = stack.submitted(&stack.agent(), &rotating(&stack)).await;
    let foreign = stack.poll(&stack.worker(), &intent).await;
    foreign.refused(400, "invalid_grant");
    for id in [
        Uuid::new_v4().to_string(),
        Uuid::nil().to_string(),
        intent.to_uppercase(),
        intent.replace('-', ""),
        "'; drop table intents; --".into(),
        "a\u{0}b".into(),
        "é".repeat(2000),
    ] {
        let reply = stack.poll(&stack.worker(), &id).await;
        assert_eq!((reply.status, &reply.body), (foreign.status, &foreign.body), "{id:?}");
        for page in ["approve", "receipt"] {
            let path = format!("/{page}/{}", id.replace('\u{0}', "%00").replace(' ', "%20"));
            Reply::to(&path, stack.http.get(stack.url(&path))).await.page(404, "there is no such plan");
        }
    }
    let missing = stack.post("no id", &stack.agent(), "/token", &vec![("grant_type", GRANT_INTENT.into())]).await;
    missing.refused(400, "invalid_request").naming("intent_id");
    Reply::to("no UTF-8", stack.http.get(stack.url("/approve/%ff"))).await.refused(404, "not_found");
}

/// Grants that are not offered.
const GRANTS: &[(&str, &str)] = &[
    ("no grant", ""),
    ("a code", "authorization_code"),
    ("client credentials", "client_credentials"),
    ("a password", "password"),
    ("a refresh token", "refresh_token"),
    ("the relative name", "intent"),
    ("another case", "URN:MARQUE:oauth:grant-type:intent"),
    ("NUL", "urn:marque:oauth:grant-type:intent\u{0}"),
];

/// Parameters of an exchange that are refused: what, name, value, error, place.
const EXCHANGES: &[(&str, &str, &str, &str, &str)] = &[
    (
        "an unknown token type",
        "requested_token_type",
        "urn:ietf:params:oauth:token-type:saml2",
        "invalid_request",
        "requested_token_type",
    ),
    (
        "a refresh token",
        "requested_token_type",
        "urn:ietf:params:oauth:token-type:refresh_token",
        "invalid_request",
        "requested_token_type",
    ),
    ("no token type", "requested_token_type", "", "invalid_request", "requested_token_type"),
    ("another audience", "audience", "https://other.example", "invalid_target", "audience"),
    ("no audience", "audience", "", "invalid_target", "audience"),
    ("an actor token", "actor_token", "x", "invalid_request", "actor_token"),
    (
        "an actor token's type alone",
        "actor_token_type",
        "urn:ietf:params:oauth:token-type:jwt",
        "invalid_request",
        "actor_token",
    ),
    ("an unknown resource", "resource", "https://other.example", "invalid_target", "resource"),
    ("an unknown scope", "scope", "rotate_key drop_database", "invalid_scope", "scope"),
    ("a scope with NUL", "scope", "rotate_key\u{0}", "invalid_scope", "scope"),
    ("details that are no JSON", "authorization_details", "[", "invalid_authorization_details", "$"),
    (
        "details of another type",
        "authorization_details",
        "[{\"type\":\"agent_intent_plan\",\"id\":\"list\"}]",
        "invalid_authorization_details",
        "$[0]",
    ),
    (
        "details with a member twice",
        "authorization_details",
        "[{\"type\":\"agent_intent_step\",\"id\":\"list\",\"id\":\"race\"}]",
        "invalid_authorization_details",
        "$[0]",
    ),
    (
        "details with an unknown member",
        "authorization_details",
        "[{\"type\":\"agent_intent_step\",\"id\":\"list\",\"class\":\"read\"}]",
        "invalid_authorization_details",
        "$[0]",
    ),
    (
        "details with an unknown constraint",
        "authorization_details",
        "[{\"type\":\"agent_intent_step\",\"id\":\"one-of\",\"args\":{\"value_from\":{\"prefix\":\"a\"}}}]",
        "invalid_authorization_details",
        "$[0].args.value_from",
    ),
    ("no details", "authorization_details", "[]", "invalid_request", "authorization_details"),
    ("no token", "subject_token", "", "invalid_request", "subject_token"),
    ("no subject type", "subject_token_type", "", "invalid_request", "subject_token_type"),
    (
        "an unknown subject type",
        "subject_token_type",
        "urn:ietf:params:oauth:token-type:jwt",
        "invalid_request",
        "subject_token_type",
    ),
];

#[tokio::test]
async fn a_token_request_that_is_none_of_ours_is_refused_and_leaves_nothing() {
    let main = Stack::open().await;
    let granted = shared(&main).await;
    let copy = Copy::beside(&main).await;
    let server = copy.serve().await;
    let (stack, agent) = (&server.stack, main.agent());
    let before = stack.row_counts().await;
    for (what, grant) in GRANTS {
        let error = if grant.is_empty() { "invalid_request" } else { "unsupported_grant_type" };
        stack
            .post(what, &agent, "/token", &vec![("grant_type", (*grant).into())])
            .await
            .refused(400, error)
            .naming("grant_type");
    }
    for (what, name, value, error, place) in EXCHANGES {
        let mut form = stack.exchange_form(&granted.token, TOKEN_TYPE_INTENT);
        form.retain(|(given, _)| given != name);
        form.push((*name, (*value).into()));
        stack.post(what, &agent, "/token", &form).await.refused(400, error).naming(place);
    }
    let mut two = stack.exchange_form(&granted.token, TOKEN_TYPE_INTENT);
    two.push(("audience", "https://other.example".into()));
    stack.post("two audiences", &agent, "/token", &two).await.refused(400, "invalid_target").naming("audience");
    assert_eq!(stack.row_counts().await, before);
}

#[tokio::test]
async fn a_submission_is_repeated_by_its_key_and_only_as_it_was() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    let details = json!([{"type": "agent_intent_plan", "plan": reading(&stack)}]).to_string();
    let key = Uuid::new_v4().to_string();
    let send = |details: &str| {
        let request = stack.signed(&agent, "/plans", &vec![("authorization_details", details.to_owned())]);
        Reply::to("a keyed submission", request.header("idempotency-key", &key))
    };
    let at_once = futures_util::future::join_all((0..8).map(|_| send(&details))).await;
    let first = at_once[0].success(201);
    for reply in &at_once {
        assert_eq!(reply.success(201)["intent_id"], first["intent_id"], "concurrent submissions make one intent");
        assert_eq!(reply.body["plan_digest"], first["plan_digest"]);
    }
    let later = send(&details).await;
    assert_eq!(later.success(201)["intent_id"], first["intent_id"]);
    let other = json!([{"type": "agent_intent_plan", "plan": rotating(&stack)}]).to_string();
    send(&other).await.refused(400, "invalid_request").naming("Idempotency-Key");
    let other_key = crate::support::keys::Client::with_fresh_dpop(&stack.env.clients.agent);
    let request = stack.signed(&other_key, "/plans", &vec![("authorization_details", details.clone())]);
    let reply = Reply::to("another proof key", request.header("idempotency-key", &key)).await;
    reply.refused(400, "invalid_request").naming("Idempotency-Key");
    let id: Uuid = first["intent_id"].as_str().unwrap().parse().unwrap();
    let rows = sqlx::query_scalar("select count(*) from submissions where intent_id = $1").bind(id);
    let rows: i64 = rows.fetch_one(&stack.db).await.unwrap();
    assert_eq!(rows, 1);
}

#[tokio::test]
async fn only_so_many_plans_wait_for_one_user() {
    let (_copy, server) = own_server().await;
    let (stack, agent) = (&server.stack, server.stack.agent());
    sqlx::query("update intents set pending_until = submitted_at where state = 'pending'")
        .execute(&stack.db)
        .await
        .unwrap();
    for _ in 0..32 {
        stack.submitted(&agent, &reading(stack)).await;
    }
    let before = stack.row_counts().await;
    stack.submit("one more", &agent, &reading(stack)).await.because(400, "access_denied", "too_many_pending");
    assert_eq!(stack.row_counts().await, before);
    let end = "update intents set pending_until = now() where intent_id in
               (select intent_id from intents where state = 'pending' and pending_until > now() limit 1)";
    sqlx::query(end).execute(&stack.db).await.unwrap();
    stack.submitted(&agent, &reading(stack)).await;
}
