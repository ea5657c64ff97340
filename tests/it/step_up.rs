//! Step-ups: whose challenges are taken, for which calls, and what an approval permits.

use crate::evaluation::{EVALUATION, fresh, permit, refused, request};
use crate::exchange::{exchange_all, token_of};
use crate::rows::keyring_of;
use crate::support::jose::attacks;
use crate::support::keys::{Client, Key, now};
use crate::support::places::Places;
use crate::support::plans::{Granted, call, grant, plan, rotation, step, with};
use crate::support::reply::Reply;
use crate::support::server::Copy;
use crate::support::stack::Stack;
use crate::support::{person, plans};
use crate::withdrawn_keys::withdraw;
use marque::keys::Purpose;
use marque_core::call::Call;
use marque_core::canonical::Digest;
use marque_core::evidence::{read_as, signing_input, write};
use marque_core::jws;
use marque_core::names::{TOKEN_TYPE_INTENT, TOKEN_TYPE_TXN, TYP_CHALLENGE, TYP_STEP_UP_EVIDENCE};
use marque_core::step_up::evidence::StepUpPayload;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use uuid::Uuid;

const ENDPOINT: &str = "/transaction-authorization";

/// Steps that the person is asked about again, each with as many uses; the worker may carry out all of them.
const ASKED: &[(&str, u64)] = &[
    ("su-bad", 9),
    ("su-once", 9),
    ("su-flow", 9),
    ("su-last", 1),
    ("su-poll", 9),
    ("su-withdrawn", 1),
    ("su-signed", 1),
];

fn asking(stack: &Stack, steps: Vec<Value>, most: u64) -> Value {
    let delegates = json!([{"client_id": stack.env.clients.worker.client_id, "steps": ["su-flow"]}]);
    let mut plan = plan(stack, steps);
    plan["limits"]["max_step_ups"] = most.into();
    if plan["steps"].as_array().unwrap().iter().any(|step| step["id"] == "su-flow") {
        plan["delegates"] = delegates;
    }
    plan
}

/// A grant that tests share. Each asks about its own step.
async fn shared(stack: &Stack) -> Granted {
    static GRANTED: OnceCell<Granted> = OnceCell::const_new();
    let step_up = |members: Value| with(members, json!({"approve": "step_up"}));
    let mut steps: Vec<Value> = ASKED
        .iter()
        .map(|(id, uses)| step_up(with(step(stack, id, "rotate_key", id), json!({"uses": uses}))))
        .collect();
    steps.push(step(stack, "su-plain", "rotate_key", "su-plain"));
    let late = json!({"after": ["su-plain"], "args": {"value_from": {"text": {"max": 9}}}});
    steps.push(step_up(with(step(stack, "su-late", "update_secret", "LATE"), late)));
    let make = async || grant(stack, &stack.agent(), &asking(stack, steps, 20)).await;
    GRANTED.get_or_init(make).await.clone()
}

/// An agent with a token for everything, and the resource server's key.
struct Site {
    stack: Stack,
    agent: Client,
    rs: Key,
    intent_id: String,
    token: String,
}

impl Site {
    async fn open() -> Self {
        let stack = Stack::open().await;
        let granted = shared(&stack).await;
        Self::of(stack, &granted).await
    }

    async fn of(stack: Stack, granted: &Granted) -> Self {
        let agent = stack.agent();
        let token = token_of(&exchange_all(&stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);
        let rs = Key::read(&stack.env.clients.rs.key);
        Self { agent, rs, intent_id: granted.intent_id.clone(), token, stack }
    }

    /// The claims of a right challenge for a call.
    fn claims(&self, step: &str, call: &Call) -> Value {
        let token = jws::unverified_claims(&self.token).unwrap();
        json!({
            "iss": self.stack.env.clients.rs.client_id, "aud": self.stack.issuer(), "iat": now(), "exp": now() + 120,
            "jti": Uuid::new_v4().to_string(), "txn": token["txn"], "reason": "It has to be asked.",
            "authorization_details": [{
                "type": "agent_intent_call", "location": call.location, "action": call.action,
                "resource": {"type": call.resource.kind, "id": call.resource.id}, "args": call.args,
            }],
            "intent": token["tctx"]["intent"], "step": step, "call_digest": call.digest(), "cnf": token["cnf"],
            "act": token["act"],
        })
    }

    fn sign(&self, claims: &Value) -> String {
        self.rs.sign(TYP_CHALLENGE, claims)
    }

    async fn hand_in(&self, what: &str, challenge: &str) -> Reply {
        self.hand_in_as(what, &self.agent, challenge).await
    }

    async fn hand_in_as(&self, what: &str, client: &Client, challenge: &str) -> Reply {
        self.stack.post(what, client, ENDPOINT, &vec![("transaction_challenge", challenge.to_owned())]).await
    }

    async fn ask(&self, what: &str, step: &str, call: &Call) -> Reply {
        self.hand_in(what, &self.sign(&self.claims(step, call))).await
    }

    async fn asked(&self, step: &str, call: &Call) -> String {
        let reply = self.ask("a right challenge", step, call).await;
        reply.success(201)["transaction_authorization_id"].as_str().unwrap().to_owned()
    }

    async fn poll(&self, what: &str, id: &str) -> Reply {
        let form = vec![("transaction_authorization_id", id.to_owned())];
        self.stack.post(what, &self.agent, ENDPOINT, &form).await
    }

    async fn evaluate(&self, what: &str, call: &Call) -> Reply {
        let body = request(&self.stack, &self.agent, &self.token, call, &fresh());
        self.stack.post_json(what, EVALUATION, &body).await
    }

    async fn change(&self, sql: &'static str, id: &str) {
        let id: Uuid = id.parse().unwrap();
        assert_eq!(sqlx::query(sql).bind(id).execute(&self.stack.db).await.unwrap().rows_affected(), 1, "{sql}");
    }
}

fn changed(mut claims: Value, path: &str, value: Value) -> Value {
    *claims.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value;
    claims
}

#[tokio::test]
async fn a_challenge_that_is_not_the_resource_servers_own_right_one_is_refused() {
    let site = Site::open().await;
    let call = rotation(&site.stack, "su-bad");
    let right = || site.claims("su-bad", &call);
    let (agent, env) = (&site.agent, &site.stack.env);
    let header = |key: &Key| json!({"alg": "ES256", "typ": TYP_CHALLENGE, "kid": key.kid});
    let of_agent = changed(right(), "/iss", json!(agent.id));
    let elsewhere = changed(right(), "/authorization_details/0/location", json!("https://elsewhere.example"));
    let wrong = vec![
        ("no JWS", "abc".to_owned()),
        ("an unknown key under the known id", Key::fresh().sign_with(&header(&site.rs), &right())),
        ("an unknown key", Key::fresh().sign(TYP_CHALLENGE, &right())),
        ("the agent's key in the resource server's name", agent.signing.sign(TYP_CHALLENGE, &right())),
        ("the agent's own challenge", agent.signing.sign(TYP_CHALLENGE, &of_agent)),
        ("the type of a catalog", site.rs.sign("marque-catalog+jwt", &right())),
        ("a location that its signer does not answer for", site.sign(&elsewhere)),
        ("nobody's", site.sign(&changed(right(), "/iss", json!("nobody")))),
        ("another client's name", site.sign(&changed(right(), "/iss", json!(env.clients.worker.client_id)))),
    ];
    for (what, challenge) in wrong {
        site.hand_in(what, &challenge).await.because(400, "invalid_request", "challenge_invalid");
    }
    for (what, challenge) in attacks(&site.sign(&right()), Some(&site.rs), false) {
        site.hand_in(what, &challenge).await.because(400, "invalid_request", "challenge_invalid");
    }
    site.ask("the right one", "su-bad", &call).await.success(201);
}

#[tokio::test]
async fn a_challenge_for_something_else_is_refused() {
    let site = Site::open().await;
    let call = rotation(&site.stack, "su-bad");
    let other = rotation(&site.stack, "su-once");
    let detail = site.claims("su-bad", &call)["authorization_details"][0].clone();
    for (what, path, value) in [
        ("another server", "/aud", json!("https://other.example/realms/demo")),
        ("one that is over", "/exp", json!(now() - 1)),
        ("one from the future", "/iat", json!(now() + 60)),
        ("one that lives an hour", "/exp", json!(now() + 3600)),
        ("another client", "/act/sub", json!(site.stack.env.clients.worker.client_id)),
        ("another key", "/cnf/jkt", json!(site.stack.worker().dpop.kid)),
        ("another call chain", "/txn", json!(Uuid::new_v4())),
        ("a call chain that is none", "/txn", json!("x")),
        ("another intent", "/intent/id", json!(Uuid::new_v4())),
        ("an intent that is none", "/intent/id", json!("x")),
        ("another plan", "/intent/digest", json!(Digest::of(b"x"))),
        ("another version of it", "/intent/version", json!(2)),
        ("a step that is not there", "/step", json!("none")),
        ("a digest of another call", "/call_digest", json!(other.digest())),
        ("another argument than digested", "/authorization_details/0/args", json!({"force": true})),
        ("no call", "/authorization_details", json!([])),
        ("two calls", "/authorization_details", json!([detail, detail])),
        ("a reason that hides something", "/reason", json!("a\u{202e}b")),
    ] {
        let challenge = site.sign(&changed(site.claims("su-bad", &call), path, value));
        site.hand_in(what, &challenge).await.because(400, "invalid_request", "challenge_invalid");
    }
    let challenge = site.sign(&site.claims("su-bad", &call));
    let stranger = Client::with_fresh_dpop(&site.stack.env.clients.agent);
    let reply = site.hand_in_as("the same client with another key", &stranger, &challenge).await;
    reply.because(400, "invalid_request", "challenge_invalid");
    let reply = site.hand_in_as("another client", &site.stack.worker(), &challenge).await;
    reply.because(400, "invalid_request", "challenge_invalid");
    let form = vec![("transaction_challenge", challenge), ("transaction_authorization_id", "x".to_owned())];
    site.stack.post("both", &site.agent, ENDPOINT, &form).await.refused(400, "invalid_request");
    site.stack.post("neither", &site.agent, ENDPOINT, &vec![]).await.refused(400, "invalid_request");
}

#[tokio::test]
async fn only_a_call_that_exactly_this_step_would_permit_is_asked_about() {
    let site = Site::open().await;
    let because = async |what: &str, step: &str, call: &Call, error: &str, reason: &str| {
        site.ask(what, step, call).await.because(400, error, reason);
    };
    let plain = rotation(&site.stack, "su-plain");
    because("a step that permits", "su-plain", &plain, "invalid_request", "step_up_not_needed").await;
    let asked = rotation(&site.stack, "su-bad");
    because("another's step", "su-once", &asked, "access_denied", "resource_not_in_plan").await;
    because("a step of another action", "su-late", &asked, "access_denied", "action_not_in_plan").await;
    let forced = plans::call(&site.stack, "rotate_key", "service_account", "su-bad", json!({"force": true}));
    because("an argument outside the plan", "su-bad", &forced, "access_denied", "argument_not_in_plan").await;
    let late = |text: &str| call(&site.stack, "update_secret", "secret", "LATE", json!({"value_from": text}));
    because("a value outside the plan", "su-late", &late("much too long"), "access_denied", "argument_mismatch").await;
    because("a step out of order", "su-late", &late("ab"), "access_denied", "out_of_order").await;
}

#[tokio::test]
async fn a_challenge_is_taken_once_and_the_same_call_is_asked_about_once() {
    let site = Site::open().await;
    let call = rotation(&site.stack, "su-once");
    let challenge = site.sign(&site.claims("su-once", &call));
    let first = site.hand_in("a challenge", &challenge).await;
    let id = first.success(201)["transaction_authorization_id"].clone();
    assert!(first.body["expires_in"].as_i64().unwrap() > 200 && first.body["interval"] == 3, "{}", first.text);
    assert!(first.member("approval_uri").ends_with(id.as_str().unwrap()), "{}", first.text);
    site.hand_in("the same", &challenge).await.because(400, "invalid_request", "challenge_used");
    let again = site.ask("a new one for the same call", "su-once", &call).await;
    assert_eq!(again.success(201)["transaction_authorization_id"], id);
    assert_eq!(again.body["document_digest"], first.body["document_digest"]);
}

#[tokio::test]
async fn the_person_is_asked_as_often_as_she_signed() {
    let stack = Stack::open().await;
    let steps = vec![with(
        step(&stack, "any", "update_secret", "ANY"),
        json!({
            "approve": "step_up", "uses": 9, "args": {"value_from": {"text": {"max": 9}}},
        }),
    )];
    let granted = grant(&stack, &stack.agent(), &asking(&stack, steps, 1)).await;
    let site = Site::of(stack, &granted).await;
    let value = |text: &str| call(&site.stack, "update_secret", "secret", "ANY", json!({"value_from": text}));
    refused(&site.evaluate("a call", &value("a")).await, "step_up_required");
    let id = site.asked("any", &value("a")).await;
    let reply = site.evaluate("the call that waits", &value("a")).await;
    refused(&reply, "step_up_required");
    assert_eq!(reply.body["context"]["step_up"]["step"], "any", "{}", reply.text);
    refused(&site.evaluate("another", &value("b")).await, "step_ups_exhausted");
    let reply = site.ask("a challenge for another", "any", &value("b")).await;
    reply.because(400, "access_denied", "step_ups_exhausted");
    assert_eq!(reply.body["nearest"]["step"], "any");

    crate::feed::revoke(&site.stack, &site.intent_id).await;
    let reply = site.ask("a challenge after the revocation", "any", &value("a")).await;
    reply.because(400, "access_denied", "intent_revoked");
    site.poll("a poll after the revocation", &id).await.because(400, "invalid_grant", "intent_revoked");
    let page = site.stack.http.get(site.stack.url(&format!("/approve/{id}")));
    Reply::to("a page after the revocation", page).await.page(410, "is over");
}

#[tokio::test]
async fn a_poll_is_for_its_own_client_and_key_at_the_pace_that_is_asked_for() {
    let site = Site::open().await;
    let id = site.asked("su-poll", &rotation(&site.stack, "su-poll")).await;
    let form = vec![("transaction_authorization_id", id.clone())];
    let stranger = Client::with_fresh_dpop(&site.stack.env.clients.agent);
    for (what, client) in [("another key", &stranger), ("another client", &site.stack.worker())] {
        site.stack.post(what, client, ENDPOINT, &form).await.refused(400, "invalid_grant");
    }
    for id in ["x", &Uuid::new_v4().to_string(), &site.intent_id] {
        site.poll("no request", id).await.refused(400, "invalid_grant");
    }
    site.poll("a first poll", &id).await.refused(400, "authorization_pending");
    site.poll("one right after it", &id).await.refused(400, "slow_down").naming("every 8 seconds");
    site.change("update step_ups set polled_at = now() - interval '9 seconds' where step_up_id = $1", &id).await;
    site.poll("one in time", &id).await.refused(400, "authorization_pending");
    site.change("update step_ups set pending_until = now() where step_up_id = $1", &id).await;
    site.poll("after the person's time", &id).await.refused(400, "expired_token");
    let page = site.stack.http.get(site.stack.url(&format!("/approve/{id}")));
    Reply::to("a page after the person's time", page).await.page(410, "is over");
}

#[tokio::test]
async fn an_approval_permits_its_own_call_and_presenter_once() {
    let site = Site::open().await;
    let (stack, call) = (&site.stack, rotation(&site.stack, "su-flow"));
    let worker = stack.worker();
    let hop = token_of(&exchange_all(stack, &worker, &site.token, TOKEN_TYPE_TXN).await);
    let of_worker = async |what: &str| {
        let body = request(stack, &worker, &hop, &call, &fresh());
        stack.post_json(what, EVALUATION, &body).await
    };
    let id = site.asked("su-flow", &call).await;
    person::approve(stack, &id).await;
    let approved = site.poll("a poll", &id).await;
    assert_eq!(approved.success(200)["call_digest"], call.digest().to_base64());
    assert_eq!((approved.member("state"), approved.member("step")), ("approved", "su-flow"));
    site.ask("a challenge for what is approved", "su-flow", &call).await.because(
        400,
        "invalid_request",
        "step_up_not_needed",
    );

    refused(&of_worker("another presenter").await, "step_up_required");
    let turn: &str = "update step_ups set jkt = $2, client_id = $3 where step_up_id = $1";
    let turned = sqlx::query(turn).bind(id.parse::<Uuid>().unwrap()).bind(&worker.dpop.kid).bind(&worker.id);
    turned.execute(&stack.db).await.unwrap();
    refused(&of_worker("another presenter to whom a row was turned").await, "step_up_required");
    let turned = sqlx::query(turn).bind(id.parse::<Uuid>().unwrap()).bind(&site.agent.dpop.kid).bind(&site.agent.id);
    turned.execute(&stack.db).await.unwrap();

    site.change("update step_ups set expires_at = now() where step_up_id = $1", &id).await;
    refused(&site.evaluate("after its time", &call).await, "step_up_required");
    site.change("update step_ups set expires_at = now() + interval '1 hour' where step_up_id = $1", &id).await;
    let permitted = permit(&site.evaluate("the approved call", &call).await);
    assert_eq!(permitted["step"], "su-flow");
    refused(&site.evaluate("the same call again", &call).await, "step_up_required");
    let outcome = json!({
        "permit_id": permitted["permit"]["id"], "intent_id": permitted["intent_id"], "outcome": "released",
    });
    stack.post_json("its release", "/results", &outcome).await.success(200);
    refused(&site.evaluate("after its release", &call).await, "step_up_required");
    site.poll("a poll after its use", &id).await.refused(400, "invalid_grant").naming("was used");
    let again = "delete from step_up_uses where step_up_id = $1";
    let denied = sqlx::query(again).bind(id.parse::<Uuid>().unwrap()).execute(&stack.db).await;
    assert!(denied.is_err(), "a use is written once");
}

#[tokio::test]
async fn an_approval_that_a_withdrawn_key_signed_permits_no_call() {
    let site = Site::open().await;
    let call = rotation(&site.stack, "su-withdrawn");
    let id = site.asked("su-withdrawn", &call).await;
    person::approve(&site.stack, &id).await;
    let copy = Copy::beside(&site.stack).await;
    let server = copy.serve().await;
    withdraw(&server, TYP_STEP_UP_EVIDENCE).await;
    let there = Site { stack: server.stack.clone(), ..site };
    refused(&there.evaluate("by a key that was withdrawn", &call).await, "step_up_required");
    let here = Site { stack: Stack::open().await, ..there };
    permit(&here.evaluate("where nobody withdrew it", &call).await);
}

/// It is verified again from the file, whoever signed the file.
#[tokio::test]
async fn the_id_token_within_the_evidence_of_a_call() {
    let site = Site::open().await;
    let call = rotation(&site.stack, "su-signed");
    let id = site.asked("su-signed", &call).await;
    person::approve(&site.stack, &id).await;
    let (keyring, id) = (keyring_of(&site.stack).await, id.parse::<Uuid>().unwrap());
    let key = keyring.key(Purpose::StepUpEvidence).unwrap();
    let kept = "select evidence from approvals where step_up_id = $1";
    let right: Vec<u8> = sqlx::query_scalar(kept).bind(id).fetch_one(&site.stack.db).await.unwrap();
    let payload = read_as::<StepUpPayload>(&right).unwrap().payload;
    let put = async |id_token: String| {
        let payload = StepUpPayload { id_token, ..payload.clone() };
        let file = write(&payload, key.public_jwk(), &key.sign_raw(&signing_input(&payload)).unwrap());
        let mut tx = site.stack.db.begin().await.unwrap();
        sqlx::query("set local session_replication_role = replica").execute(&mut *tx).await.unwrap();
        let change = sqlx::query("update approvals set evidence = $2 where step_up_id = $1").bind(id).bind(file);
        assert_eq!(change.execute(&mut *tx).await.unwrap().rows_affected(), 1);
        tx.commit().await.unwrap();
    };
    for (what, id_token) in attacks(&payload.id_token, None, false) {
        put(id_token).await;
        refused(&site.evaluate(what, &call).await, "step_up_required");
    }
    put(payload.id_token.clone()).await;
    permit(&site.evaluate("the right one", &call).await);
}

#[tokio::test]
async fn an_approval_does_not_lift_the_number_of_uses() {
    let site = Site::open().await;
    let call = rotation(&site.stack, "su-last");
    let id = site.asked("su-last", &call).await;
    person::approve(&site.stack, &id).await;
    let body = request(&site.stack, &site.agent, &site.token, &call, &fresh());
    let first = permit(&site.stack.post_json("the approved call", EVALUATION, &body).await);
    let again = permit(&site.stack.post_json("the same call id", EVALUATION, &body).await);
    assert_eq!(first, again, "a lost answer is answered again");
    refused(&site.evaluate("one more call", &call).await, "uses_exhausted");
    let reply = site.ask("a challenge for a step that is used up", "su-last", &call).await;
    reply.because(400, "access_denied", "uses_exhausted");
}

/// Two steps fit one call. What was approved as a use of the one is no approval for the other, and does not get lost.
#[tokio::test]
async fn an_approval_is_for_the_step_that_was_shown() {
    let stack = Stack::open().await;
    let asked = |id: &str| with(step(&stack, id, "rotate_key", "twin"), json!({"approve": "step_up", "uses": 2}));
    let steps = vec![asked("first"), asked("second")];
    let granted = grant(&stack, &stack.agent(), &asking(&stack, steps, 9)).await;
    let site = Site::of(stack, &granted).await;
    let call = rotation(&site.stack, "twin");
    let id = site.asked("second", &call).await;
    person::approve(&site.stack, &id).await;
    site.ask("the other step is asked about for itself", "first", &call).await.success(201);
    assert_eq!(permit(&site.evaluate("the approved step", &call).await)["step"], "second");
    let reply = site.evaluate("once more", &call).await;
    refused(&reply, "step_up_required");
    assert_eq!(reply.body["context"]["step_up"]["step"], "first", "{}", reply.text);
}

/// Two steps fit one call: each page that asks about it counts.
#[tokio::test]
async fn one_call_is_asked_about_as_a_use_of_two_steps_no_more_often_than_she_signed() {
    let stack = Stack::open().await;
    let asked = |id: &str| with(step(&stack, id, "rotate_key", "pair"), json!({"approve": "step_up", "uses": 2}));
    let steps = vec![asked("first"), asked("second")];
    let granted = grant(&stack, &stack.agent(), &asking(&stack, steps, 1)).await;
    let site = Site::of(stack, &granted).await;
    let call = rotation(&site.stack, "pair");
    let id = site.asked("second", &call).await;
    let other = site.ask("the other step", "first", &call).await;
    other.because(400, "access_denied", "step_ups_exhausted");
    assert_eq!(site.asked("second", &call).await, id, "the one that waits");
}

/// The agent asks for one call. What its resource server looks up for it changes.
struct Looking {
    site: Site,
    call: Call,
}

impl Looking {
    /// At a step whose argument is as given, under a plan by which the person is asked at most so often.
    async fn open(argument: Value, most: u64) -> Self {
        let stack = Stack::open().await;
        let members = json!({"approve": "step_up", "uses": 9, "args": {"value_from": argument}});
        let steps = vec![with(step(&stack, "attr", "update_secret", "ATTR"), members)];
        let granted = grant(&stack, &stack.agent(), &asking(&stack, steps, most)).await;
        let site = Site::of(stack, &granted).await;
        let call = call(&site.stack, "update_secret", "secret", "ATTR", json!({"value_from": "svc"}));
        Self { site, call }
    }

    async fn evaluate(&self, what: &str, records: Value) -> Reply {
        let site = &self.site;
        let mut body = request(&site.stack, &site.agent, &site.token, &self.call, &fresh());
        body["context"]["records"] = records;
        site.stack.post_json(what, EVALUATION, &body).await
    }

    async fn hand_in(&self, what: &str, records: Value) -> Reply {
        let mut claims = self.site.claims("attr", &self.call);
        claims["authorization_details"][0]["records"] = records;
        self.site.hand_in(what, &self.site.sign(&claims)).await
    }

    async fn asked(&self, records: Value) -> String {
        let reply = self.hand_in("a right challenge", records).await;
        reply.success(201)["transaction_authorization_id"].as_str().unwrap().to_owned()
    }

    async fn shown_records(&self, id: &str) -> Value {
        let sql = "select convert_from(document, 'UTF8') from step_ups where step_up_id = $1";
        let id = id.parse::<Uuid>().unwrap();
        let document: String = sqlx::query_scalar(sql).bind(id).fetch_one(&self.site.stack.db).await.unwrap();
        serde_json::from_str::<Value>(&document).unwrap()["records"].clone()
    }
}

/// An account that is active or new.
fn known() -> Value {
    json!({"attr": {"collection": "accounts", "where": {"/state/word": {"one_of": ["active", "new"]}}}})
}

fn read(word: &str) -> Value {
    json!({"accounts": {"svc": {"state": {"word": word}}}})
}

fn record(word: &str, owner: &str) -> Value {
    json!({"accounts": {"svc": {"state": {"word": word}, "owner": owner}}})
}

/// The conditions of a step read a record: the person is shown what they read, and it must still be so.
#[tokio::test]
async fn what_a_condition_reads_of_a_record_is_shown_and_must_stay_so() {
    let looking = Looking::open(known(), 9).await;
    refused(&looking.evaluate("no approval", record("active", "bob")).await, "step_up_required");
    let silent = looking.site.ask("a challenge that does not say", "attr", &looking.call).await;
    silent.because(400, "access_denied", "result_unknown");
    let closed = looking.hand_in("a record that fails", read("closed")).await;
    closed.because(400, "access_denied", "argument_mismatch");
    let empty = looking.hand_in("an empty collection", json!({"": {}})).await;
    empty.because(400, "invalid_request", "challenge_invalid");
    let id = looking.asked(read("active")).await;
    assert_eq!(looking.asked(read("active")).await, id, "the same again");
    assert_ne!(looking.asked(read("new")).await, id, "another record is shown anew");
    let shown = json!({"collection": "accounts", "id": "\"svc\"", "value": "{\"state\":{\"word\":\"active\"}}"});
    assert_eq!(looking.shown_records(&id).await, json!([shown]));
    person::approve(&looking.site.stack, &id).await;
    refused(&looking.evaluate("a record that changed", record("new", "bob")).await, "step_up_required");
    refused(&looking.evaluate("no record", json!({})).await, "result_unknown");
    let permitted = permit(&looking.evaluate("what nobody reads may change", record("active", "carol")).await);
    assert_eq!(permitted["step"], "attr");
    refused(&looking.evaluate("once", record("active", "bob")).await, "step_up_required");
}

/// Each record that changed is another page for the person, and counts as one.
#[tokio::test]
async fn one_call_with_changing_records_is_asked_about_no_more_often_than_she_signed() {
    let looking = Looking::open(known(), 1).await;
    let id = looking.asked(read("active")).await;
    let other = looking.hand_in("another record", read("new")).await;
    other.because(400, "access_denied", "step_ups_exhausted");
    refused(&looking.evaluate("another record", record("new", "bob")).await, "step_ups_exhausted");
    refused(&looking.evaluate("the one that waits", record("active", "bob")).await, "step_up_required");
    assert_eq!(looking.asked(read("active")).await, id, "it is answered with the same");
}

/// A collection without rows is shown as nothing, and so is no collection.
#[tokio::test]
async fn an_approval_under_an_empty_collection_permits_its_call() {
    let looking = Looking::open(json!({"either": [known(), {"one_of": ["svc"]}]}), 1).await;
    let none = || json!({"accounts": {}});
    let id = looking.asked(none()).await;
    assert_eq!(looking.asked(none()).await, id, "the same again");
    assert_eq!(looking.shown_records(&id).await, Value::Null);
    person::approve(&looking.site.stack, &id).await;
    refused(&looking.evaluate("a record", record("active", "bob")).await, "step_ups_exhausted");
    assert_eq!(permit(&looking.evaluate("the approved call", none()).await)["step"], "attr");
    refused(&looking.evaluate("once", none()).await, "step_ups_exhausted");
}

/// A resource server may say more in its challenge than the step's conditions read.
#[tokio::test]
async fn what_no_condition_reads_of_a_challenge_is_not_shown_and_does_not_spoil_the_approval() {
    let looking = Looking::open(known(), 1).await;
    let id = looking.asked(record("active", "bob")).await;
    assert_eq!(looking.asked(record("active", "carol")).await, id, "what nobody reads makes no other page");
    let shown = json!({"collection": "accounts", "id": "\"svc\"", "value": "{\"state\":{\"word\":\"active\"}}"});
    assert_eq!(looking.shown_records(&id).await, json!([shown]));
    person::approve(&looking.site.stack, &id).await;
    assert_eq!(permit(&looking.evaluate("the approved call", record("active", "dave")).await)["step"], "attr");
}

/// Where the realm has it shown, a step without any catalog can be signed. Its calls are asked about as what they are:
/// ones that cannot be explained.
#[tokio::test]
async fn a_call_that_no_catalog_describes_is_asked_about_as_one_that_cannot_be_explained() {
    const PLACE: &str = "http://uncatalogued.example";
    let stack = Stack::open().await;
    let _place = Places::undescribed(&stack, &[PLACE]).await;
    let mut showing = Copy::original(&stack);
    showing.settings = "unknown_actions = \"show\"";
    let showing = showing.serve().await;
    let members = json!({"location": PLACE, "action": "frobnicate", "args": {"value_from": {"text": {"max": 9}}}});
    let steps = vec![with(step(&stack, "odd", "update_secret", "ODD"), members)];
    let intent_id = showing.stack.submitted(&stack.agent(), &asking(&stack, steps, 2)).await;
    person::approve(&stack, &intent_id).await;
    let token = stack.poll(&stack.agent(), &intent_id).await.success(200)["access_token"].as_str().unwrap().to_owned();
    let site = Site::of(stack, &Granted { intent_id, token }).await;
    let mut call = call(&site.stack, "frobnicate", "secret", "ODD", json!({"value_from": "x"}));
    call.location = PLACE.to_owned();
    let evaluate = async |what: &str| {
        let mut body = request(&site.stack, &site.agent, &site.token, &call, &fresh());
        body["context"]["location"] = PLACE.into();
        site.stack.post_json(what, EVALUATION, &body).await
    };
    crate::support::until("the resource server answers for the place", || async {
        site.ask("a challenge", "odd", &call).await.status == 201
    })
    .await;
    refused(&evaluate("no approval").await, "step_up_required");
    let id = site.asked("odd", &call).await;
    let seen = person::read_and_approve(&site.stack, &id).await;
    let lines = seen["lines"].as_array().unwrap();
    let is_shown = lines.iter().any(|line| line.as_str().is_some_and(|line| line.contains("CANNOT BE EXPLAINED")));
    assert!(is_shown, "{seen}");
    assert_eq!(permit(&evaluate("the approved call").await)["step"], "odd");
    refused(&evaluate("once").await, "uses_exhausted");
}

/// Puts a step-up that waits into the rows, for tests of who is told about it. The intent must be active for that.
pub async fn put_in(stack: &Stack, intent_id: &str) -> String {
    let (id, intent) = (Uuid::new_v4(), intent_id.parse::<Uuid>().unwrap());
    let active = "insert into intents select gen_random_uuid(), realm, client_id, jkt, username, sub, plan, catalogs,
             'active', null, submitted_at, pending_until, expires_at, null, poll_interval_secs, now(), null
         from intents where intent_id = $1 returning intent_id";
    let active: Uuid = sqlx::query_scalar(active).bind(intent).fetch_one(&stack.db).await.unwrap();
    let waiting = "insert into step_ups values ($1, 'demo', $2, 'x', 'x', 'x', 'x', 'x', 'x', 'pending', null, now(),
             now() + interval '1 minute', now() + interval '1 minute', null, 3)";
    sqlx::query(waiting).bind(id).bind(active).execute(&stack.db).await.unwrap();
    id.to_string()
}
