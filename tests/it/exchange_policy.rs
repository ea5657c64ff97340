//! Who may exchange whose token for what: naming the next actor, the environment of a request, chains without an intent.

use crate::evaluation::{EVALUATION, fresh, request};
use crate::exchange::{exchange, token_of};
use crate::support::keys::{Client, Key, now};
use crate::support::plans::{Granted, grant, plan, rotation, shared, step, with};
use crate::support::realm::{Mood, Realm, register, register_third, third};
use crate::support::reply::Reply;
use crate::support::server::Copy;
use crate::support::stack::{Form, Stack};
use marque_core::jws;
use marque_core::names::{TOKEN_TYPE_INTENT, TOKEN_TYPE_SELF_SIGNED, TOKEN_TYPE_TXN, TYP_JWT};
use serde_json::{Value, json};
use uuid::Uuid;

fn claims(token: &str) -> Value {
    Value::Object(jws::unverified_claims(token).unwrap())
}

fn naming(client: &Client) -> Vec<(&'static str, String)> {
    vec![("may_act", json!({"sub": client.id}).to_string())]
}

fn steps(token: &str) -> Vec<String> {
    let steps = claims(token)["tctx"]["steps"].as_array().unwrap().clone();
    steps.iter().map(|step| step["id"].as_str().unwrap().to_owned()).collect()
}

fn only(steps: &[&str]) -> (&'static str, String) {
    let steps: Vec<Value> = steps.iter().map(|id| json!({"type": "agent_intent_step", "id": id})).collect();
    ("authorization_details", json!(steps).to_string())
}

/// A plan without delegates, with two steps and at most so many hops.
async fn alone(stack: &Stack, max_hops: u32) -> Granted {
    let steps = vec![step(stack, "one", "rotate_key", "one"), step(stack, "two", "rotate_key", "two")];
    let mut own = with(plan(stack, steps), json!({"limits": {"lifetime_secs": 3600, "max_hops": max_hops}}));
    own["purpose"] = "Prove who may act next.".into();
    grant(stack, &stack.agent(), &own).await
}

#[tokio::test]
async fn whom_the_holder_names_gets_what_the_token_has_and_nobody_else_does() {
    let stack = Stack::open().await;
    register_third(&stack).await;
    let (agent, worker, last) = (stack.agent(), stack.worker(), third());
    let granted = alone(&stack, 2).await;
    let reply = exchange(&stack, "where it is off", &agent, &granted.token, TOKEN_TYPE_INTENT, &naming(&worker)).await;
    reply.refused(400, "invalid_request").naming("not taken in this realm");
    let server = Copy::original(&stack).serve_as(&stack.env.keycloak.issuer, "may_act = true").await;
    let stack = &server.stack;
    let unnamed = token_of(&exchange(stack, "unnamed", &agent, &granted.token, TOKEN_TYPE_INTENT, &[]).await);
    for token in [(&granted.token, TOKEN_TYPE_INTENT), (&unnamed, TOKEN_TYPE_TXN)] {
        let reply = exchange(stack, "nobody named it", &worker, token.0, token.1, &[]).await;
        reply.because(400, "invalid_request", "not_a_delegate");
    }
    let more = [naming(&worker), vec![only(&["one"])]].concat();
    let first = token_of(&exchange(stack, "naming", &agent, &granted.token, TOKEN_TYPE_INTENT, &more).await);
    assert_eq!(claims(&first)["may_act"], json!({"sub": worker.id}));
    let reply = exchange(stack, "another than the named one", &last, &first, TOKEN_TYPE_TXN, &[]).await;
    reply.because(400, "invalid_request", "not_a_delegate");

    let second = token_of(&exchange(stack, "the named one", &worker, &first, TOKEN_TYPE_TXN, &[]).await);
    assert_eq!(steps(&second), ["one"], "what the token had, not what the plan has");
    let (before, after) = (claims(&first), claims(&second));
    for name in ["txn", "sub", "aud"] {
        assert_eq!(after[name], before[name], "{name} never changes");
    }
    assert_eq!(after["act"], json!({"sub": worker.id, "act": {"sub": agent.id}}));
    assert_eq!((&after["cnf"]["jkt"], after.get("may_act")), (&worker.dpop.kid.clone().into(), None), "named once");
    let wider = exchange(stack, "a step that was left out", &worker, &second, TOKEN_TYPE_TXN, &[only(&["two"])]).await;
    wider.because(400, "invalid_request", "wider_than_parent");
    let own = token_of(&exchange(stack, "its own again", &worker, &second, TOKEN_TYPE_TXN, &[]).await);
    assert_eq!(steps(&own), ["one"]);
    let reply = exchange(stack, "naming does not go on", &last, &own, TOKEN_TYPE_TXN, &[]).await;
    reply.because(400, "invalid_request", "not_a_delegate");

    let back = exchange(stack, "naming one who acts already", &worker, &second, TOKEN_TYPE_TXN, &naming(&agent)).await;
    back.because(400, "invalid_request", "actor_loop");
    let named = exchange(stack, "naming the third", &worker, &second, TOKEN_TYPE_TXN, &naming(&last)).await;
    let third = token_of(&exchange(stack, "the third", &last, &token_of(&named), TOKEN_TYPE_TXN, &[]).await);
    assert_eq!(claims(&third)["act"]["act"], after["act"]);
    let fourth = Client { id: "it-fourth".into(), signing: Key::fresh(), dpop: Key::fresh() };
    register(stack, &fourth).await;
    let reply = exchange(stack, "naming beyond the last hop", &last, &third, TOKEN_TYPE_TXN, &naming(&fourth)).await;
    reply.because(400, "invalid_request", "too_many_hops");
}

#[tokio::test]
async fn only_a_client_that_could_act_is_named_and_a_delegate_gets_no_more_by_it() {
    let stack = Stack::open().await;
    let (agent, worker, granted) = (stack.agent(), stack.worker(), shared(&stack).await);
    let server = Copy::original(&stack).serve_as(&stack.env.keycloak.issuer, "may_act = true").await;
    let stack = &server.stack;
    for (what, value, place) in [
        ("no object", "worker", "may_act"),
        ("no name", "{}", "may_act"),
        ("two names", "[{\"sub\":\"a\"}]", "may_act"),
        ("a member that nobody knows", "{\"sub\":\"demo-worker\",\"iss\":\"x\"}", "iss"),
        ("a member twice", "{\"sub\":\"demo-worker\",\"sub\":\"demo-agent\"}", "may_act"),
        ("a client that is none", "{\"sub\":\"nobody\"}", "$.sub"),
        ("a resource server", &json!({"sub": stack.env.clients.rs.client_id}).to_string(), "$.sub"),
        ("a long name", &json!({"sub": "a".repeat(600)}).to_string(), "may_act"),
    ] {
        let more = [("may_act", value.to_owned())];
        let reply = exchange(stack, what, &agent, &granted.token, TOKEN_TYPE_INTENT, &more).await;
        reply.refused(400, "invalid_request").naming(place);
    }
    let more = [naming(&worker), vec![only(&["list", "for-worker"])]].concat();
    let token = token_of(&exchange(stack, "naming", &agent, &granted.token, TOKEN_TYPE_INTENT, &more).await);
    let child = token_of(&exchange(stack, "a delegate", &worker, &token, TOKEN_TYPE_TXN, &[]).await);
    assert_eq!(steps(&child), ["for-worker"], "what the person gave it stays all that it has");
}

#[tokio::test]
async fn a_chain_ends_where_the_plan_says() {
    let stack = Stack::open().await;
    register_third(&stack).await;
    let (agent, worker, last) = (stack.agent(), stack.worker(), third());
    let steps = vec![step(&stack, "one", "rotate_key", "one")];
    let delegates = json!([{"client_id": worker.id, "steps": ["one"]}, {"client_id": last.id, "steps": ["one"]}]);
    let limits = json!({"limits": {"lifetime_secs": 3600, "max_hops": 1}, "delegates": delegates});
    let granted = grant(&stack, &agent, &with(plan(&stack, steps), limits)).await;
    let first = token_of(&exchange(&stack, "one hop", &worker, &granted.token, TOKEN_TYPE_INTENT, &[]).await);
    let reply = exchange(&stack, "two hops", &last, &first, TOKEN_TYPE_TXN, &[]).await;
    reply.because(400, "invalid_request", "too_many_hops");
    let own = token_of(&exchange(&stack, "the holder again", &worker, &first, TOKEN_TYPE_TXN, &[]).await);
    assert_eq!(claims(&own)["act"], claims(&first)["act"], "the holder's own exchange is no hop");
}

fn context(value: &Value) -> Vec<(&'static str, String)> {
    vec![("request_context", value.to_string())]
}

#[tokio::test]
async fn only_clients_that_may_say_the_environment_of_a_request_do_and_it_never_changes() {
    let main = Stack::open().await;
    let granted = shared(&main).await;
    let (agent, worker) = (main.agent(), main.worker());
    let mut realm = Realm::of(&main);
    realm.set_attribute(&agent.id, "marque.request_context", "req_ip channel");
    realm.go_up(Mood::Well).await;
    let copy = Copy::beside(&main).await;
    let server = copy.serve_with(realm.issuer()).await;
    let stack = &server.stack;
    let said = json!({"req_ip": "192.0.2.1"});
    let first = exchange(stack, "what it may say", &agent, &granted.token, TOKEN_TYPE_INTENT, &context(&said)).await;
    let first = token_of(&first);
    assert_eq!(claims(&first)["rctx"], said);
    let second = token_of(&exchange(stack, "handed on", &worker, &first, TOKEN_TYPE_TXN, &[]).await);
    assert_eq!(claims(&second)["rctx"], said, "it goes on along the chain");
    let more = exchange(stack, "one more", &agent, &first, TOKEN_TYPE_TXN, &context(&json!({"channel": "chat"}))).await;
    assert_eq!(claims(&token_of(&more))["rctx"], json!({"req_ip": "192.0.2.1", "channel": "chat"}));

    let refused = async |what: &str, client: &Client, token: &str, kind: &str, value: String, place: &str| {
        let reply = exchange(stack, what, client, token, kind, &[("request_context", value)]).await;
        reply.refused(400, "invalid_request").naming(place);
    };
    let other = json!({"req_ip": "192.0.2.2"}).to_string();
    refused("another value", &agent, &first, TOKEN_TYPE_TXN, other.clone(), "$.req_ip").await;
    refused("a client that may say nothing", &worker, &first, TOKEN_TYPE_TXN, other, "$.req_ip").await;
    for (what, value, place) in [
        ("a member that it may not set", "{\"authn\":\"pwd\"}", "$.authn"),
        ("one that it may and one that it may not", "{\"req_ip\":\"x\",\"authn\":\"pwd\"}", "$.authn"),
        ("no object", "[]", "request_context"),
        ("no JSON", "req_ip", "request_context"),
        ("a member twice", "{\"req_ip\":\"a\",\"req_ip\":\"b\"}", "request_context"),
        ("a long text", &json!({"req_ip": "1".repeat(600)}).to_string(), "request_context"),
    ] {
        refused(what, &agent, &granted.token, TOKEN_TYPE_INTENT, value.to_owned(), place).await;
    }
    let details = [("request_details", "{\"action\":\"all\"}".to_owned())];
    let reply = exchange(stack, "details", &agent, &granted.token, TOKEN_TYPE_INTENT, &details).await;
    reply.refused(400, "invalid_request").naming("request_details");
}

#[tokio::test]
async fn audience_is_the_trust_domain_once_and_each_resource_must_be_a_steps() {
    let stack = Stack::open().await;
    let (agent, granted) = (stack.agent(), shared(&stack).await);
    let domain = stack.env.marque.trust_domain.clone();
    for (what, more) in [
        ("the audience twice", vec![("audience", domain)]),
        ("another audience besides", vec![("audience", "https://other.example".to_owned())]),
        ("a resource with a fragment", vec![("resource", format!("{}#x", stack.location()))]),
        ("a relative resource", vec![("resource", "/service-accounts".to_owned())]),
        ("a resource below", vec![("resource", format!("{}/more", stack.location()))]),
        (
            "a right resource and a wrong one",
            vec![("resource", stack.location().to_owned()), ("resource", "urn:x".to_owned())],
        ),
    ] {
        let reply = exchange(&stack, what, &agent, &granted.token, TOKEN_TYPE_INTENT, &more).await;
        reply.refused(400, "invalid_target");
    }
}

/// The form by which a workload starts a chain of its own.
fn starting(stack: &Stack, token: &str) -> Form<'static> {
    stack.exchange_form(token, TOKEN_TYPE_SELF_SIGNED)
}

/// The claims of a right token of a workload about itself.
pub fn self_claims(stack: &Stack, client: &Client) -> Value {
    json!({
        "iss": client.id, "sub": client.id, "aud": stack.issuer(), "iat": now(), "exp": now() + 60,
        "jti": Uuid::new_v4(),
    })
}

#[tokio::test]
async fn a_workload_starts_a_chain_of_its_own_that_permits_nothing() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    let subject = agent.signing.sign(TYP_JWT, &self_claims(&stack, &agent));
    let reply = stack.post("its own token", &agent, "/token", &starting(&stack, &subject)).await;
    let token = token_of(&reply);
    assert_eq!((reply.member("token_type"), reply.member("issued_token_type")), ("N_A", TOKEN_TYPE_TXN));
    assert_eq!(reply.body["authorization_details"], json!([]));
    let own = claims(&token);
    assert_eq!((&own["sub"], &own["req_wl"], &own["scope"]), (&json!(agent.id), &json!(agent.id), &json!("")));
    assert_eq!((&own["tctx"], &own["act"]), (&json!({"steps": []}), &json!({"sub": agent.id})));
    assert_eq!(own["cnf"]["jkt"], agent.dpop.kid.as_str());
    assert!(own["exp"].as_i64().unwrap() - own["iat"].as_i64().unwrap() <= 300);

    let again = stack.post("the same again", &agent, "/token", &starting(&stack, &subject)).await;
    again.because(400, "invalid_request", "token_invalid").naming("used before");
    let call = rotation(&stack, "for-worker");
    let body = request(&stack, &agent, &token, &call, &fresh());
    let decided = stack.post_json("at the decision point", EVALUATION, &body).await;
    assert_eq!(decided.success(200)["decision"], false, "{}", decided.text);
    let reply = exchange(&stack, "exchanged", &agent, &token, TOKEN_TYPE_TXN, &[]).await;
    reply.because(400, "invalid_request", "token_invalid");
}

#[tokio::test]
async fn a_chain_without_an_intent_asks_for_nothing_and_speaks_for_nobody_else() {
    let stack = Stack::open().await;
    let (agent, worker) = (stack.agent(), stack.worker());
    let send = async |what: &str, token: &str, more: &[(&'static str, String)]| -> Reply {
        let form = [starting(&stack, token), more.to_vec()].concat();
        stack.post(what, &agent, "/token", &form).await
    };
    let sign = |change: Value| {
        let mut claims = self_claims(&stack, &agent);
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        agent.signing.sign(TYP_JWT, &claims)
    };
    for (what, token) in [
        ("another workload's", worker.signing.sign(TYP_JWT, &self_claims(&stack, &worker))),
        ("in another's name", sign(json!({"iss": worker.id, "sub": worker.id}))),
        ("about a person", sign(json!({"sub": stack.env.user.sub}))),
        ("for somebody else", sign(json!({"aud": stack.env.marque.trust_domain}))),
        ("for several", sign(json!({"aud": [stack.issuer(), "https://other.example"]}))),
        ("without iat", sign(json!({"iat": null}))),
        ("without exp", sign(json!({"exp": null}))),
        ("without jti", sign(json!({"jti": null}))),
        ("of the future", sign(json!({"iat": now() + 600, "exp": now() + 660}))),
        ("that lives long", sign(json!({"exp": now() + 3600}))),
        ("by an unknown key", Key::fresh().sign(TYP_JWT, &self_claims(&stack, &agent))),
        ("of another type", agent.signing.sign("txntoken+jwt", &self_claims(&stack, &agent))),
        ("unsigned", agent.signing.sign_with(&json!({"alg": "none", "typ": "JWT"}), &self_claims(&stack, &agent))),
    ] {
        send(what, &token, &[]).await.because(400, "invalid_request", "token_invalid").naming("subject_token");
    }
    let over = sign(json!({"iat": now() - 120, "exp": now() - 60}));
    send("over", &over, &[]).await.because(400, "invalid_request", "token_expired");
    for (what, name, value, error) in [
        ("a scope", "scope", "rotate_key".to_owned(), "invalid_scope"),
        ("a resource", "resource", stack.location().to_owned(), "invalid_target"),
        ("steps", "authorization_details", only(&["one"]).1, "invalid_request"),
        ("a next actor", "may_act", json!({"sub": worker.id}).to_string(), "invalid_request"),
        ("an environment", "request_context", json!({"req_ip": "192.0.2.1"}).to_string(), "invalid_request"),
    ] {
        send(what, &sign(json!({})), &[(name, value)]).await.refused(400, error).naming(name);
    }
    let rs = Client::of(&stack.env.clients.rs);
    let subject = rs.signing.sign(TYP_JWT, &self_claims(&stack, &rs));
    let reply = stack.post("a resource server", &rs, "/token", &starting(&stack, &subject)).await;
    reply.refused(400, "unauthorized_client").naming("marque.kind");
    let used = agent.assert(&self_claims(&stack, &agent));
    send("a client assertion", &used, &[]).await.because(400, "invalid_request", "token_invalid");
}
