//! Access tokens for one resource server: issued where each call is decided on, taken by the gate and the decision point,
//! and never a way to another token.

use crate::evaluation::{EVALUATION, fresh, permit, refused, request};
use crate::exchange::token_of;
use crate::gates::Process;
use crate::introspection::{ask, ask_as, inactive};
use crate::support::keys::{Client, now};
use crate::support::plans::{Granted, call, grant, plan, reading, rotation, shared, step, with};
use crate::support::realm::{Mood, Realm};
use crate::support::reply::Reply;
use crate::support::server::Copy;
use crate::support::stack::{Form, Stack};
use crate::support::until;
use marque_core::call::Call;
use marque_core::jws::{self, KeySet};
use marque_core::names::{GRANT_TOKEN_EXCHANGE, TOKEN_TYPE_ACCESS, TOKEN_TYPE_INTENT, TOKEN_TYPE_TXN, TYP_ACCESS};
use marque_gate::{Args, ConcreteAction, Permit, Presented, Reason, Refusal};
use serde_json::{Value, json};

fn form(token: &str, kind: &str, resources: &[&str]) -> Form<'static> {
    let mut form = vec![
        ("grant_type", GRANT_TOKEN_EXCHANGE.to_owned()),
        ("requested_token_type", TOKEN_TYPE_ACCESS.to_owned()),
        ("subject_token", token.to_owned()),
        ("subject_token_type", kind.to_owned()),
    ];
    form.extend(resources.iter().map(|resource| ("resource", (*resource).to_owned())));
    form
}

/// An access token for the stack's resource server.
pub async fn access_token(stack: &Stack, client: &Client, token: &str, kind: &str) -> Reply {
    stack.post("an access token", client, "/token", &form(token, kind, &[stack.location()])).await
}

fn claims(token: &str) -> Value {
    Value::Object(jws::unverified_claims(token).unwrap())
}

struct Reading {
    stack: Stack,
    agent: Client,
    granted: Granted,
    token: String,
    call: Call,
}

impl Reading {
    async fn open() -> Self {
        let stack = Stack::open().await;
        let agent = stack.agent();
        let granted = grant(&stack, &agent, &reading(&stack)).await;
        let token = token_of(&access_token(&stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);
        let call = call(&stack, "list_service_accounts", "environment", "production", json!({}));
        Self { stack, agent, granted, token, call }
    }

    /// The decision point's answer to a token under some name of the context.
    async fn evaluate(&self, what: &str, name: &str, token: &str) -> Reply {
        let body = evaluation(&self.stack, &self.agent, (name, token), &self.call);
        self.stack.post_json(what, EVALUATION, &body).await
    }

    async fn check(&self, gate: &Process, headers: &[(&str, &str)], token: &str) -> Result<Permit, Refusal> {
        check(gate, &self.agent, headers, token, &self.call).await
    }
}

fn evaluation(stack: &Stack, agent: &Client, (name, token): (&str, &str), call: &Call) -> Value {
    let mut body = request(stack, agent, token, call, &fresh());
    let context = body["context"].as_object_mut().unwrap();
    context.remove("txn_token");
    context.insert(name.to_owned(), token.into());
    body
}

async fn check(
    gate: &Process,
    agent: &Client,
    headers: &[(&str, &str)],
    token: &str,
    call: &Call,
) -> Result<Permit, Refusal> {
    let url = format!("{}/call", call.location);
    let proven = Presented::new("POST", &url).with_header("DPoP", &agent.dpop.prove_call(token, call, "POST", &url));
    let request = headers.iter().fold(proven, |request, (name, value)| request.with_header(name, value));
    let args = Args::from_map(call.args.clone()).unwrap();
    let action = ConcreteAction::new(&call.action, &call.resource.kind, &call.resource.id, args);
    gate.gate.check(&request, action, now()).await
}

#[tokio::test]
async fn an_access_token_says_what_rfc_9068_asks_for_and_only_what_is_meant_for_its_resource_server() {
    let stack = Stack::open().await;
    let (agent, granted) = (stack.agent(), grant(&Stack::open().await, &stack.agent(), &reading(&stack)).await);
    let reply = access_token(&stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await;
    let answer = reply.success(200);
    assert_eq!((&answer["token_type"], &answer["issued_token_type"]), (&json!("DPoP"), &json!(TOKEN_TYPE_ACCESS)));
    assert!(answer.get("refresh_token").is_none());
    let jwks: Value = stack.http.get(stack.url("/jwks")).send().await.unwrap().json().await.unwrap();
    let token = token_of(&reply);
    let verified = jws::verify(&token, TYP_ACCESS, &KeySet::from_jwks(&jwks).unwrap()).expect("a key of its purpose");
    let said = Value::Object(verified.claims().unwrap());
    assert_eq!((&said["iss"], &said["aud"]), (&json!(stack.issuer()), &json!(stack.location())));
    assert_eq!((&said["client_id"], &said["scope"]), (&json!(agent.id), &json!("list_service_accounts")));
    assert_eq!((&said["sub"], &said["act"]), (&claims(&granted.token)["sub"], &json!({"sub": agent.id})));
    assert_eq!(said["cnf"], json!({"jkt": agent.dpop.kid}));
    assert_eq!(said["intent"]["id"], granted.intent_id.as_str());
    let lives = said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap();
    assert_eq!((lives, &answer["expires_in"]), (300, &json!(300)));
    assert!(said["jti"].is_string() && said["txn"].is_string());
    let uri = said["status"]["status_list"]["uri"].as_str().unwrap();
    assert!(uri.starts_with(&stack.url("/status/")) && said["status"]["status_list"]["idx"].is_u64(), "{said}");
    let steps = said["authorization_details"].as_array().unwrap();
    assert_eq!((steps.len(), &steps[0]["location"]), (1, &json!(stack.location())));
    assert_eq!(&answer["authorization_details"], &said["authorization_details"]);
}

#[tokio::test]
async fn it_is_for_exactly_one_resource_server_that_the_parent_has_steps_for() {
    let stack = Stack::open().await;
    let (agent, granted) = (stack.agent(), shared(&stack).await);
    let here = stack.location().to_owned();
    let audience = |value: &str| {
        let mut form = form(&granted.token, TOKEN_TYPE_INTENT, &[&here]);
        form.push(("audience", value.to_owned()));
        form
    };
    for (what, form) in [
        ("no resource", form(&granted.token, TOKEN_TYPE_INTENT, &[])),
        ("two resources", form(&granted.token, TOKEN_TYPE_INTENT, &[&here, "https://other.example"])),
        ("one twice", form(&granted.token, TOKEN_TYPE_INTENT, &[&here, &here])),
        ("an unknown one", form(&granted.token, TOKEN_TYPE_INTENT, &["https://other.example"])),
        ("Marque itself", form(&granted.token, TOKEN_TYPE_INTENT, &[stack.issuer()])),
        ("the trust domain beside it", audience(&stack.env.marque.trust_domain)),
        ("the resource as audience", audience(&here)),
    ] {
        stack.post(what, &agent, "/token", &form).await.refused(400, "invalid_target");
    }
    let mut unknown = form(&granted.token, TOKEN_TYPE_INTENT, &[&here]);
    unknown[1] = ("requested_token_type", "urn:ietf:params:oauth:token-type:saml2".to_owned());
    let reply = stack.post("another type", &agent, "/token", &unknown).await;
    reply.refused(400, "invalid_request").naming("requested_token_type");
}

#[tokio::test]
async fn it_is_issued_only_where_the_resource_server_says_that_each_call_is_decided_on() {
    let main = Stack::open().await;
    let agent = main.agent();
    let granted = grant(&main, &agent, &reading(&main)).await;
    let mut realm = Realm::of(&main);
    realm.go_up(Mood::Well).await;
    let copy = Copy::beside(&main).await;
    let server = copy.serve_with(realm.issuer()).await;
    let stack = &server.stack;
    let ask = || access_token(stack, &agent, &granted.token, TOKEN_TYPE_INTENT);
    ask().await.refused(400, "invalid_target").naming("marque.gate");
    realm.set_attribute(&main.env.clients.rs.client_id, "marque.gate", "true");
    until("the realm's new attribute is known", || async { ask().await.status == 200 }).await;
    realm.set_attribute(&main.env.clients.rs.client_id, "marque.gate", "false");
    until("it was taken away", || async { ask().await.status == 400 }).await;
    ask().await.refused(400, "invalid_target").naming("marque.gate");
}

#[tokio::test]
async fn the_decision_point_takes_either_kind_each_under_its_own_name() {
    let reading = Reading::open().await;
    let Reading { stack, agent, granted, token, .. } = &reading;
    let txn = stack.transaction_token(agent, &granted.token, &["list"]).await;
    assert_eq!(permit(&reading.evaluate("an access token", "access_token", token).await)["step"], "list");
    permit(&reading.evaluate("a transaction token", "txn_token", &txn).await);
    for (what, name, token) in [
        ("an access token as the other kind", "txn_token", token),
        ("a transaction token as the other kind", "access_token", &txn),
        ("an intent token", "access_token", &granted.token),
        ("an intent token as the other kind", "txn_token", &granted.token),
        ("an access token of the realm", "access_token", &stack.access_token().await),
        ("a cut signature", "access_token", &token[..token.len() - 4].to_owned()),
    ] {
        refused(&reading.evaluate(what, name, token).await, "token_invalid");
    }
    let mut both = evaluation(stack, agent, ("access_token", token), &reading.call);
    both["context"]["txn_token"] = txn.as_str().into();
    stack.post_json("both", EVALUATION, &both).await.refused(400, "invalid_request").naming("$.context");
    let mut neither = both.clone();
    neither["context"].as_object_mut().unwrap().retain(|name, _| !name.ends_with("_token"));
    stack.post_json("neither", EVALUATION, &neither).await.refused(400, "invalid_request").naming("$.context");
    let other_key = Client::with_fresh_dpop(&stack.env.clients.agent);
    let stolen = evaluation(stack, &other_key, ("access_token", token), &reading.call);
    refused(&stack.post_json("another key", EVALUATION, &stolen).await, "proof_key_mismatch");
    let mut bare = evaluation(stack, agent, ("access_token", token), &reading.call);
    bare["context"]["dpop"] = agent.dpop.prove_call(&txn, &reading.call, "POST", "http://localhost/x").into();
    refused(&stack.post_json("the proof of another token", EVALUATION, &bare).await, "proof_invalid");
}

#[tokio::test]
async fn the_gate_takes_it_as_dpop_and_never_as_bearer() {
    let reading = Reading::open().await;
    let Reading { stack, agent, granted, token, .. } = &reading;
    let txn = stack.transaction_token(agent, &granted.token, &["list"]).await;
    let gate = Process::start(stack, stack.issuer()).await;
    let as_dpop = |token: &str| format!("DPoP {token}");
    let permit = reading.check(&gate, &[("Authorization", &as_dpop(token))], token).await.unwrap();
    assert_eq!(permit.step(), "list");
    drop(reading.check(&gate, &[("Txn-Token", &txn)], &txn).await.unwrap());
    for (what, headers, token) in [
        ("Bearer", vec![("Authorization", format!("Bearer {token}"))], token),
        ("in Txn-Token", vec![("Txn-Token", token.clone())], token),
        ("a transaction token as access token", vec![("Authorization", as_dpop(&txn))], &txn),
        ("an intent token", vec![("Authorization", as_dpop(&granted.token))], &granted.token),
        ("beside a transaction token", vec![("Authorization", as_dpop(token)), ("Txn-Token", txn.clone())], token),
        ("twice", vec![("Authorization", as_dpop(token)), ("Authorization", as_dpop(token))], token),
        ("two in one", vec![("Authorization", format!("DPoP {token}, DPoP {token}"))], token),
        ("nothing", vec![("Authorization", "DPoP ".to_owned())], token),
    ] {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let refusal = reading.check(&gate, &headers, token).await.expect_err(what);
        assert_eq!(refusal.reason(), Reason::TokenInvalid, "{what}");
    }
    let other_key = Client::with_fresh_dpop(&stack.env.clients.agent);
    let stolen = check(&gate, &other_key, &[("Authorization", &as_dpop(token))], token, &reading.call).await;
    assert_eq!(stolen.unwrap_err().reason(), Reason::ProofKeyMismatch);
}

#[tokio::test]
async fn a_counted_call_with_it_is_counted_with_those_of_transaction_tokens() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    let granted = grant(&stack, &agent, &plan(&stack, vec![step(&stack, "rotate", "rotate_key", "svc-api")])).await;
    let token = token_of(&access_token(&stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);
    let txn = stack.transaction_token(&agent, &granted.token, &["rotate"]).await;
    let (gate, call) = (Process::start(&stack, stack.issuer()).await, rotation(&stack, "svc-api"));
    let permit = check(&gate, &agent, &[("Authorization", &format!("DPoP {token}"))], &token, &call).await.unwrap();
    assert_eq!(permit.step(), "rotate");
    let again = check(&gate, &agent, &[("Txn-Token", &txn)], &txn, &call).await;
    assert_eq!(again.unwrap_err().reason(), Reason::UsesExhausted, "one use, whichever token");
}

#[tokio::test]
async fn it_is_no_subject_token_under_any_name() {
    let Reading { stack, agent, token, .. } = Reading::open().await;
    for kind in [TOKEN_TYPE_ACCESS, TOKEN_TYPE_TXN, TOKEN_TYPE_INTENT, "urn:ietf:params:oauth:token-type:jwt"] {
        let reply = stack.post(kind, &agent, "/token", &stack.exchange_form(&token, kind)).await;
        reply.refused(400, "invalid_request").naming("subject_token");
        access_token(&stack, &agent, &token, kind).await.refused(400, "invalid_request").naming("subject_token");
    }
}

#[tokio::test]
async fn a_delegate_gets_one_of_what_it_was_given_and_the_chain_goes_on_in_it() {
    let stack = Stack::open().await;
    let (agent, worker) = (stack.agent(), stack.worker());
    let delegates = json!([{"client_id": worker.id, "steps": ["list"]}]);
    let steps = vec![
        with(step(&stack, "list", "list_service_accounts", "production"), json!({"uses": "any"})),
        step(&stack, "rotate", "rotate_key", "svc-api"),
    ];
    let granted = grant(&stack, &agent, &with(plan(&stack, steps), json!({"delegates": delegates}))).await;
    let txn = stack.transaction_token(&agent, &granted.token, &["list", "rotate"]).await;
    let token = token_of(&access_token(&stack, &worker, &txn, TOKEN_TYPE_TXN).await);
    let said = claims(&token);
    assert_eq!((&said["txn"], &said["client_id"]), (&claims(&txn)["txn"], &json!(worker.id)));
    assert_eq!(said["act"], json!({"sub": worker.id, "act": {"sub": agent.id}}));
    assert_eq!((&said["scope"], &said["cnf"]["jkt"]), (&json!("list_service_accounts"), &json!(worker.dpop.kid)));
    let rs = stack.access_token().await;
    let seen = ask_as(&stack, "at its resource server", &rs, &token).await;
    assert_eq!((&seen.success(200)["token_type"], &seen.body["aud"]), (&json!("DPoP"), &json!(stack.location())));
    assert_eq!(ask(&stack, "by its holder", &worker, &token).await.success(200)["active"], true);
    inactive(&ask(&stack, "by another", &agent, &token).await);
    let ended = stack.post("the parent", &agent, "/revoke", &vec![("token", txn)]).await;
    assert_eq!(ended.status, 200);
    inactive(&ask_as(&stack, "after its parent", &rs, &token).await);
    let read = call(&stack, "list_service_accounts", "environment", "production", json!({}));
    let body = evaluation(&stack, &worker, ("access_token", &token), &read);
    refused(&stack.post_json("a call with it", EVALUATION, &body).await, "token_revoked");
}
