//! Keys, feed and ledger over HTTP, against a stand-in on loopback that fails on command.

mod common;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use common::*;
use marque_core::call::Call;
use marque_core::canonical::Digest;
use marque_core::names::{TYP_REVOCATION, TYP_TXN};
use marque_gate::keys::Pending;
use marque_gate::remote::{AccessTokens, Following, Marque, RemoteLedger};
use marque_gate::{Gate, GateConfig, KeySource, Outcome, PeerCertificate, Reason};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

fn now() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "the feed is heard in real time")]
    let now = SystemTime::now();
    i64::try_from(now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// What the stand-in does.
struct Standin {
    issuer: String,
    revocation_key: Key,
    txn_key: Key,
    /// What each connection to the feed sends; the last one is repeated.
    feeds: Mutex<VecDeque<Vec<String>>>,
    /// What each request to the ledger is answered with; the last one is repeated. `{}` never answers.
    answers: Mutex<VecDeque<(u16, Value)>>,
    heard: Mutex<Vec<(String, Value)>>,
    /// Requests that were sent with the first token are refused.
    is_first_token_over: Mutex<bool>,
    looks: Mutex<u32>,
    is_key_published: Mutex<bool>,
    /// What each request for an envelope is answered with.
    envelope: Mutex<(u16, Vec<u8>)>,
    envelopes_asked: Mutex<Vec<String>>,
}

impl Standin {
    async fn start() -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let standin = Arc::new(Self {
            issuer: format!("http://{}", listener.local_addr().unwrap()),
            revocation_key: Key::new(),
            txn_key: Key::new(),
            feeds: Mutex::default(),
            answers: Mutex::default(),
            heard: Mutex::default(),
            is_first_token_over: Mutex::default(),
            looks: Mutex::default(),
            is_key_published: Mutex::new(true),
            envelope: Mutex::new((404, Vec::new())),
            envelopes_asked: Mutex::default(),
        });
        let app = Router::new()
            .route("/jwks", get(jwks))
            .route("/revocations", get(feed))
            .route("/access/v1/evaluation", post(ledger))
            .route("/results", post(ledger).get(open))
            .route("/envelopes/{digest}", get(envelope_of))
            .with_state(standin.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        standin
    }

    fn gate(&self) -> (Gate, Following) {
        let config = GateConfig::new(LOCATION, &self.issuer, DOMAIN).unwrap().with_max_staleness(secs(2));
        let marque = Marque::new(&config, Tokens).unwrap();
        marque.gate(config)
    }

    fn event(&self, payload: Value) -> String {
        self.event_by(&self.revocation_key, payload)
    }

    fn event_by(&self, key: &Key, mut payload: Value) -> String {
        payload["epoch"] = "e1".into();
        if payload.get("iss").is_none() {
            payload["iss"] = self.issuer.as_str().into();
        }
        payload["at"] = now().into();
        format!("event: {}\ndata: {}\n\n", payload["kind"].as_str().unwrap(), key.sign(TYP_REVOCATION, &payload))
    }

    fn snapshot(&self, seq: u64, revoked: &[&str]) -> String {
        let entry = |intent: &&str| json!({"intent": intent, "until": now() + 600});
        self.event(json!({"kind": "snapshot", "seq": seq, "page": 1, "pages": 1, "intents": revoked.iter().map(entry).collect::<Vec<_>>(), "keys": []}))
    }

    fn heartbeat(&self, seq: u64) -> String {
        self.event(json!({"kind": "heartbeat", "seq": seq}))
    }

    fn revocation(&self, seq: u64, intent: &str) -> String {
        self.event(json!({"kind": "revocation", "seq": seq, "prev": seq - 1, "intent": intent,
                          "until": now() + 600, "state": "revoked"}))
    }

    fn feeds(&self, connections: Vec<Vec<String>>) {
        *self.feeds.lock().unwrap() = connections.into();
    }

    fn answers(&self, answers: Vec<(u16, Value)>) {
        *self.answers.lock().unwrap() = answers.into();
    }

    fn heard(&self) -> Vec<(String, Value)> {
        self.heard.lock().unwrap().clone()
    }
}

fn next<T: Clone>(queue: &Mutex<VecDeque<T>>) -> Option<T> {
    let mut queue = queue.lock().unwrap();
    if queue.len() > 1 { queue.pop_front() } else { queue.front().cloned() }
}

async fn jwks(State(standin): State<Arc<Standin>>) -> Json<Value> {
    *standin.looks.lock().unwrap() += 1;
    let mut keys = vec![standin.revocation_key.published(TYP_REVOCATION)];
    if *standin.is_key_published.lock().unwrap() {
        keys.push(standin.txn_key.published(TYP_TXN));
    }
    Json(json!({"keys": keys}))
}

/// Sends the connection's events, then stays silent.
async fn feed(State(standin): State<Arc<Standin>>) -> Response {
    use futures_util::StreamExt;
    let Some(events) = next(&standin.feeds) else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let events = futures_util::stream::iter(events.into_iter().map(Ok::<_, std::convert::Infallible>));
    let body = Body::from_stream(events.chain(futures_util::stream::pending()));
    ([("content-type", "text/event-stream")], body).into_response()
}

async fn ledger(
    State(standin): State<Arc<Standin>>,
    headers: HeaderMap,
    uri: axum::http::Uri,
    body: Bytes,
) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    standin.heard.lock().unwrap().push((uri.path().to_owned(), body));
    if *standin.is_first_token_over.lock().unwrap() && headers["authorization"] == "Bearer first" {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    match next(&standin.answers) {
        Some((status, answer)) => (StatusCode::from_u16(status).unwrap(), Json(answer)).into_response(),
        None => std::future::pending().await,
    }
}

async fn open(State(standin): State<Arc<Standin>>, uri: axum::http::Uri) -> Response {
    standin.heard.lock().unwrap().push((uri.to_string(), Value::Null));
    let (status, answer) = next(&standin.answers).unwrap();
    (StatusCode::from_u16(status).unwrap(), Json(answer)).into_response()
}

async fn envelope_of(State(standin): State<Arc<Standin>>, uri: axum::http::Uri) -> Response {
    standin.envelopes_asked.lock().unwrap().push(uri.path().to_owned());
    let (status, content) = standin.envelope.lock().unwrap().clone();
    (StatusCode::from_u16(status).unwrap(), content).into_response()
}

struct Tokens;

impl AccessTokens for Tokens {
    fn access_token<'a>(&'a self, refused: Option<&'a str>) -> Pending<'a, Result<String, String>> {
        let token = if refused.is_some() { "second" } else { "first" };
        Box::pin(std::future::ready(Ok(token.to_owned())))
    }
}

/// Waits until the gate says so about an intent, for at most six seconds.
async fn becomes(gate: &Gate, intent: &str, expected: Result<(), Reason>) {
    for _ in 0..600 {
        if gate.revocations().check(intent, now(), secs(2)) == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{intent}: never {expected:?}, still {:?}", gate.revocations().check(intent, now(), secs(2)));
}

#[tokio::test]
async fn follows_the_feed_and_closes_when_it_falls_silent() {
    let standin = Standin::start().await;
    standin.feeds(vec![vec![standin.snapshot(3, &["old"]), standin.revocation(4, "new"), standin.heartbeat(4)]]);
    let (gate, _following) = standin.gate();
    becomes(&gate, "other", Ok(())).await;
    becomes(&gate, "old", Err(Reason::IntentRevoked)).await;
    becomes(&gate, "new", Err(Reason::IntentRevoked)).await;
    standin.feeds(vec![]);
    becomes(&gate, "other", Err(Reason::RevocationStateStale)).await;
    standin.feeds(vec![vec![standin.snapshot(4, &["old", "new"])]]);
    becomes(&gate, "other", Ok(())).await;
}

#[tokio::test]
async fn a_gap_makes_it_connect_again_for_a_snapshot() {
    let standin = Standin::start().await;
    let gap = vec![standin.snapshot(3, &[]), standin.revocation(5, "fifth")];
    standin.feeds(vec![gap, vec![standin.snapshot(5, &["fourth", "fifth"])]]);
    let (gate, _following) = standin.gate();
    becomes(&gate, "fourth", Err(Reason::IntentRevoked)).await;
    becomes(&gate, "other", Ok(())).await;
}

#[tokio::test]
async fn believes_no_message_that_marque_did_not_sign_for_this_issuer() {
    let standin = Standin::start().await;
    let heartbeat = |issuer: &str| json!({"kind": "snapshot", "seq": 1, "page": 1, "pages": 1, "intents": [], "keys": [], "iss": issuer});
    standin.feeds(vec![
        vec![standin.event_by(&Key::new(), heartbeat(&standin.issuer))],
        vec![standin.event_by(&standin.txn_key, heartbeat(&standin.issuer))],
        vec![standin.event(heartbeat("http://other.example"))],
        vec!["data: junk\n\n".into()],
        vec!["data: ".into(), "x".repeat(600 * 1024)],
    ]);
    let (gate, _following) = standin.gate();
    tokio::time::sleep(Duration::from_secs(3)).await;
    becomes(&gate, "other", Err(Reason::RevocationStateStale)).await;
}

#[tokio::test]
async fn dropping_the_follower_closes_the_gate() {
    let standin = Standin::start().await;
    standin.feeds(vec![vec![standin.snapshot(1, &[])]]);
    let (gate, following) = standin.gate();
    becomes(&gate, "other", Ok(())).await;
    drop(following);
    becomes(&gate, "other", Err(Reason::RevocationStateStale)).await;
}

/// A world whose tokens the stand-in's keys sign.
async fn check(standin: &Standin, world: &World, gate: &Gate) -> Result<marque_gate::Permit, marque_gate::Refusal> {
    check_call(standin, world, gate, &steps(), &call("set", "a", json!({"to": "x"}))).await
}

async fn check_call(
    standin: &Standin,
    world: &World,
    gate: &Gate,
    steps: &Value,
    call: &Call,
) -> Result<marque_gate::Permit, marque_gate::Refusal> {
    let mut claims = world.claims(steps);
    (claims["iss"], claims["iat"], claims["exp"]) = (standin.issuer.as_str().into(), now().into(), (now() + 60).into());
    let token = standin.txn_key.sign(TYP_TXN, &claims);
    let mut proof = world.proof_claims(&token, "POST", "/act", Some(call));
    proof["iat"] = now().into();
    gate.check(&presented(&token, &world.agent.proof(&proof)), action(call), now()).await
}

async fn open_gate() -> (Arc<Standin>, World, Gate, Following) {
    let standin = Standin::start().await;
    standin.feeds(vec![vec![standin.snapshot(1, &[])]]);
    let (gate, following) = standin.gate();
    becomes(&gate, INTENT, Ok(())).await;
    (standin, World::new(), gate, following)
}

fn permit() -> (u16, Value) {
    let digest = call("set", "a", json!({"to": "x"})).digest();
    let permit = json!({"id": "p1", "call_digest": digest, "expires_in": 60, "state": "reserved", "seq": 1});
    (200, json!({"decision": true, "context": {"permit": permit, "intent_id": INTENT, "step": "change"}}))
}

#[tokio::test]
async fn reserves_and_settles_at_the_server() {
    let (standin, world, gate, _following) = open_gate().await;
    standin.answers(vec![permit(), (200, json!({"permit_id": "p1", "state": "committed"}))]);
    let permit = check(&standin, &world, &gate).await.unwrap();
    assert_eq!((permit.id(), permit.step()), (Some("p1"), "change"));
    gate.settle(permit, Outcome::Committed, NOW).await;
    let heard = standin.heard();
    assert_eq!(heard[0].0, "/access/v1/evaluation");
    assert_eq!(heard[0].1["action"], json!({"name": "set", "properties": {"to": "x"}}));
    assert_eq!(heard[0].1["subject"], json!({"type": "agent", "id": "agent"}));
    assert_eq!(heard[0].1["context"]["url"], "https://rs.example/act");
    assert_eq!(heard[1], ("/results".into(), json!({"permit_id": "p1", "intent_id": INTENT, "outcome": "committed"})));
}

/// The decision point is told which certificate the connection proved, in place of a proof.
#[tokio::test]
async fn the_ledger_is_told_the_certificate_of_a_call_that_has_no_proof() {
    let (standin, world, gate, _following) = open_gate().await;
    let certificate = PeerCertificate::of_der(b"certificate");
    let mut claims = world.claims(&steps());
    (claims["iss"], claims["iat"], claims["exp"]) = (standin.issuer.as_str().into(), now().into(), (now() + 60).into());
    claims["cnf"] = json!({"x5t#S256": certificate.thumbprint().to_base64()});
    let token = standin.txn_key.sign(TYP_TXN, &claims);
    let peek = call("peek", "a", json!({}));
    let permit = json!({"id": "p1", "call_digest": peek.digest(), "expires_in": 60, "state": "reserved", "seq": 1});
    let context = json!({"permit": permit, "intent_id": INTENT, "step": "counted-read"});
    standin.answers(vec![(200, json!({"decision": true, "context": context}))]);
    let request = request().with_header("Txn-Token", &token).with_certificate(certificate);
    assert_eq!(gate.check(&request, action(&peek), now()).await.unwrap().step(), "counted-read");
    let heard = standin.heard();
    assert_eq!(heard[0].1["context"]["x5t#S256"], certificate.thumbprint().to_base64().as_str());
    assert!(heard[0].1["context"].get("dpop").is_none());
}

#[tokio::test]
async fn what_is_not_counted_is_not_settled_and_only_a_step_without_a_count_may_be_so() {
    let (standin, world, gate, _following) = open_gate().await;
    let (_, mut answer) = permit();
    answer["context"]["permit"]["state"] = "uncounted".into();
    answer["context"]["permit"]["seq"] = Value::Null;
    standin.answers(vec![(200, answer.clone())]);
    let refusal = check(&standin, &world, &gate).await.unwrap_err();
    assert_eq!(refusal.reason(), Reason::LedgerUnavailable, "the step is counted");

    // A read that only the ledger can decide: its argument is the result of another.
    let late = json!({"of": {"ref": {"step": "change", "field": "/id"}}});
    let steps = json!([step("late", "look", "read", "a", json!("any"), late)]);
    let look = call("look", "a", json!({"of": "x"}));
    answer["context"]["permit"]["call_digest"] = json!(look.digest());
    answer["context"]["step"] = "late".into();
    standin.answers(vec![(200, answer)]);
    let heard = standin.heard().len();
    let permit = check_call(&standin, &world, &gate, &steps, &look).await.unwrap();
    assert_eq!((permit.id(), permit.step()), (None, "late"));
    gate.settle(permit, Outcome::Committed, NOW).await;
    assert_eq!(standin.heard().len(), heard + 1, "nothing is settled");
}

#[tokio::test]
async fn repeats_with_the_same_call_id_and_a_fresh_access_token() {
    let (standin, world, gate, _following) = open_gate().await;
    *standin.is_first_token_over.lock().unwrap() = true;
    standin.answers(vec![(500, json!({})), (503, json!({})), permit()]);
    assert!(check(&standin, &world, &gate).await.is_ok());
    let ids: Vec<Value> = standin.heard().iter().map(|(_, body)| body["context"]["call_id"].clone()).collect();
    assert!(ids.len() >= 4 && ids.iter().all(|id| *id == ids[0] && id.is_string()), "{ids:?}");
}

#[tokio::test]
async fn passes_the_ledgers_reason_on() {
    let (standin, world, gate, _following) = open_gate().await;
    let nearest = json!({"step": "change", "expected": 1, "got": 1});
    standin.answers(vec![(
        200,
        json!({"decision": false, "context": {
        "reason": "uses_exhausted", "error_description": "used up", "intent_id": INTENT, "nearest": nearest}}),
    )]);
    let refusal = check(&standin, &world, &gate).await.unwrap_err();
    assert_eq!((refusal.reason(), refusal.description()), (Reason::UsesExhausted, "used up"));
    assert_eq!(refusal.nearest().unwrap().step, "change");
}

#[tokio::test]
async fn passes_on_which_step_needs_a_step_up() {
    let (standin, world, gate, _following) = open_gate().await;
    let values = json!([{"argument": "to", "value": "x", "sources": ["look"]}]);
    let context = json!({"reason": "step_up_required", "step_up": {"step": "change", "values": values}});
    standin.answers(vec![(200, json!({"decision": false, "context": context}))]);
    let refusal = check(&standin, &world, &gate).await.unwrap_err();
    assert_eq!((refusal.reason(), refusal.step_up()), (Reason::StepUpRequired, Some("change")));
    standin.answers(vec![(200, json!({"decision": false, "context": {"reason": "step_up_required"}}))]);
    let refusal = check(&standin, &world, &gate).await.unwrap_err();
    assert_eq!((refusal.reason(), refusal.step_up()), (Reason::StepUpRequired, None));
}

#[tokio::test]
async fn whatever_is_no_reservation_permits_nothing() {
    let (standin, world, gate, _following) = open_gate().await;
    let spoilt = |pointer: &str, value: Value| {
        let (status, mut answer) = permit();
        *answer.pointer_mut(pointer).unwrap() = value;
        (status, answer)
    };
    let other = call("set", "a", json!({"to": "y"})).digest();
    for answer in [
        spoilt("/context/permit/state", json!("uncounted")),
        spoilt("/context/permit/call_digest", json!(other)),
        spoilt("/context/step", json!("read")),
        spoilt("/context/step", json!("unknown")),
        spoilt("/context/intent_id", json!("another")),
        spoilt("/context/permit", Value::Null),
        spoilt("/decision", json!("true")),
        spoilt("/decision", json!(false)),
        (200, json!({"decision": false, "context": {"reason": "a_reason_of_the_future"}})),
        (200, json!([])),
        (302, permit().1),
        (403, permit().1),
        (401, json!({})),
    ] {
        standin.answers(vec![answer.clone()]);
        assert_eq!(reason(check(&standin, &world, &gate).await), Reason::LedgerUnavailable, "{answer:?}");
    }
}

#[tokio::test]
async fn a_ledger_that_never_answers_is_given_up_within_its_deadline() {
    let (standin, world, gate, _following) = open_gate().await;
    standin.answers(vec![]);
    let outcome = tokio::time::timeout(secs(4), check(&standin, &world, &gate)).await;
    assert_eq!(reason(outcome.unwrap()), Reason::LedgerUnavailable);
}

#[tokio::test]
async fn unknown_key_ids_make_it_look_once_and_not_at_every_request() {
    let standin = Standin::start().await;
    *standin.is_key_published.lock().unwrap() = false;
    let config = GateConfig::new(LOCATION, &standin.issuer, DOMAIN).unwrap();
    let keys = Marque::new(&config, Tokens).unwrap().keys();
    let refreshes = (0..20).map(|_| keys.refreshed(&standin.txn_key.jkt));
    futures_util::future::join_all(refreshes).await;
    assert_eq!(*standin.looks.lock().unwrap(), 1);
    *standin.is_key_published.lock().unwrap() = true;
    assert!(!keys.refreshed(&standin.txn_key.jkt).await.has(&standin.txn_key.jkt), "not yet: at most every 5 s");
    tokio::time::sleep(Duration::from_millis(5100)).await;
    assert!(keys.refreshed(&standin.txn_key.jkt).await.has(&standin.txn_key.jkt));
    assert_eq!(*standin.looks.lock().unwrap(), 2);
}

#[tokio::test]
async fn a_caller_who_goes_away_does_not_break_off_the_look() {
    let standin = Standin::start().await;
    let config = GateConfig::new(LOCATION, &standin.issuer, DOMAIN).unwrap();
    let keys = Marque::new(&config, Tokens).unwrap().keys();
    let gone = tokio::time::timeout(Duration::ZERO, keys.refreshed(&standin.txn_key.jkt)).await;
    assert!(gone.is_err() || keys.current().has(&standin.txn_key.jkt));
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        if keys.current().has(&standin.txn_key.jkt) {
            return;
        }
    }
    panic!("the key was never learned");
}

#[tokio::test]
async fn fetches_a_long_envelope_once_and_believes_its_digest_alone() {
    let (standin, world, gate, _following) = open_gate().await;
    let long = envelope(&steps());
    let mut claims = world.claims(&json!([]));
    (claims["iss"], claims["iat"], claims["exp"]) = (standin.issuer.as_str().into(), now().into(), (now() + 60).into());
    claims["tctx"] = json!({"intent": claims["tctx"]["intent"], "env": long.digest()});
    let token = standin.txn_key.sign(TYP_TXN, &claims);
    let mut wider = long.clone();
    wider.steps.remove(0);
    for (status, content) in [
        (404, Vec::new()),
        (200, wider.canonical()),
        (200, vec![b' '; marque_core::limits::ENVELOPE_BYTES + 1]),
        (204, long.canonical()),
    ] {
        *standin.envelope.lock().unwrap() = (status, content);
        assert_eq!(reason(gate.verify_token(&token, now()).await), Reason::StateUnavailable, "{status}");
        tokio::time::sleep(Duration::from_millis(1100)).await;
    }
    *standin.envelope.lock().unwrap() = (500, Vec::new());
    standin.envelopes_asked.lock().unwrap().clear();
    for _ in 0..3 {
        assert_eq!(reason(gate.verify_token(&token, now()).await), Reason::StateUnavailable);
    }
    assert_eq!(standin.envelopes_asked.lock().unwrap().len(), 1, "it pauses while Marque does not answer");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    *standin.envelope.lock().unwrap() = (200, long.canonical());
    let verified = gate.verify_token(&token, now()).await.unwrap();
    assert_eq!(verified.envelope(), &long);
    let other = standin.txn_key.sign(TYP_TXN, &{
        claims["jti"] = "another".into();
        claims
    });
    assert!(gate.verify_token(&other, now()).await.is_ok());
    let asked = standin.envelopes_asked.lock().unwrap();
    assert_eq!(asked.as_slice(), vec![format!("/envelopes/{}", long.digest()); 2]);
}

fn ledger_of(standin: &Standin) -> RemoteLedger {
    let config = GateConfig::new(LOCATION, &standin.issuer, DOMAIN).unwrap();
    Marque::new(&config, Tokens).unwrap().ledger()
}

/// A page of the list of open permits, with so many from a number on.
fn page(from: u64, count: u64, next: Option<&str>) -> (u16, Value) {
    let permit = |seq: u64| {
        json!({"permit_id": format!("p{seq}"), "intent_id": INTENT, "step": "change", "seq": seq, "call_id": "c",
               "call_digest": Digest::of(b"call"), "state": "reserved", "reserved_at": NOW})
    };
    let mut answer = json!({"permits": (from..from + count).map(permit).collect::<Vec<_>>()});
    if let Some(next) = next {
        answer["next"] = next.into();
    }
    (200, answer)
}

#[tokio::test]
async fn finds_every_open_permit_on_however_many_pages() {
    let standin = Standin::start().await;
    standin.answers(vec![
        page(1, 100, Some("at-100")),
        (503, json!({})),
        page(101, 100, Some("at_200")),
        page(201, 7, None),
    ]);
    let open = ledger_of(&standin).open_permits().await.unwrap();
    let seqs: Vec<Option<u64>> = open.iter().map(|open| open.reserved.seq).collect();
    assert_eq!(seqs, (1..=207).map(Some).collect::<Vec<_>>());
    let asked: Vec<String> = standin.heard().into_iter().map(|(uri, _)| uri).collect();
    let (second, third) = ("/results?after=at-100", "/results?after=at_200");
    assert_eq!(asked, ["/results", second, second, third], "a page that was not told is asked for again");
}

#[tokio::test]
async fn a_list_that_is_not_told_to_its_end_is_no_list() {
    let standin = Standin::start().await;
    for pages in [
        vec![page(1, 100, Some("a")), (503, json!({}))],
        vec![page(1, 100, Some("a")), (400, json!({"error": "invalid_request"}))],
        vec![page(1, 100, Some("a")), page(1, 100, Some("a"))],
        vec![page(1, 100, Some("a")), page(101, 0, Some("b"))],
        vec![page(1, 100, Some("a&limit=1")), page(101, 1, None)],
        vec![page(1, 100, Some("")), page(101, 1, None)],
    ] {
        standin.answers(pages.clone());
        let listed = tokio::time::timeout(secs(5), ledger_of(&standin).open_permits()).await;
        assert_eq!(reason(listed.unwrap()), Reason::LedgerUnavailable, "{pages:?}");
    }
}

#[tokio::test]
async fn a_permit_without_a_number_is_listed_and_settled_like_the_others() {
    let (standin, _, gate, _following) = open_gate().await;
    let (status, mut answer) = page(1, 3, None);
    answer["permits"][1]["seq"] = Value::Null;
    answer["permits"][1]["state"] = "unknown".into();
    standin.answers(vec![(status, answer)]);
    let open = ledger_of(&standin).open_permits().await.unwrap();
    let seqs: Vec<Option<u64>> = open.iter().map(|open| open.reserved.seq).collect();
    assert_eq!(seqs, [Some(1), None, Some(3)]);
    assert!(open[1].is_unknown && !open[0].is_unknown);
    standin.answers(vec![(200, json!({"permit_id": "p2", "state": "released"}))]);
    gate.settle_open(&open[1].reserved, Outcome::Released, now()).await.unwrap();
    let told = json!({"permit_id": "p2", "intent_id": INTENT, "outcome": "released"});
    assert_eq!(standin.heard().last().unwrap(), &("/results".to_owned(), told));
}
