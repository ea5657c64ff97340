//! Evaluation and the ledger: one use is one use, whoever asks how often.

use crate::support::keys::{Client, Key};
use crate::support::plans::{rotation, shared};
use crate::support::reply::Reply;
use crate::support::stack::Stack;
use futures_util::future::join_all;
use marque_core::call::Call;
use marque_core::canonical::Digest;
use serde_json::{Value, json};
use uuid::Uuid;

pub const EVALUATION: &str = "/access/v1/evaluation";

/// How a rotation travels to the resource server.
fn address(call: &Call) -> String {
    format!("{}/service-accounts/{}/rotate", call.location, call.resource.id)
}

/// A right evaluation request for a call, with a proof of its own.
pub fn request(stack: &Stack, client: &Client, token: &str, call: &Call, call_id: &str) -> Value {
    let proof = client.dpop.prove_call(token, call, "POST", &address(call));
    with_proof(stack, client, token, call, call_id, &proof)
}

fn with_proof(stack: &Stack, client: &Client, token: &str, call: &Call, call_id: &str, proof: &str) -> Value {
    json!({
        "subject": {"type": "agent", "id": client.id},
        "action": {"name": call.action, "properties": call.args},
        "resource": {"type": call.resource.kind, "id": call.resource.id},
        "context": {
            "location": stack.location(), "txn_token": token, "dpop": proof, "method": "POST", "url": address(call),
            "call_id": call_id,
        },
    })
}

pub fn fresh() -> String {
    Uuid::new_v4().to_string()
}

/// One step of the shared grant, with a token for it.
struct Step {
    stack: Stack,
    agent: Client,
    token: String,
    call: Call,
}

impl Step {
    async fn open(id: &str) -> Self {
        let stack = Stack::open().await;
        let (agent, granted) = (stack.agent(), shared(&stack).await);
        let token = stack.transaction_token(&agent, &granted.token, &[id]).await;
        let call = rotation(&stack, id);
        Self { stack, agent, token, call }
    }

    fn request(&self, call_id: &str) -> Value {
        request(&self.stack, &self.agent, &self.token, &self.call, call_id)
    }

    async fn evaluate(&self, what: &str, body: &Value) -> Reply {
        self.stack.post_json(what, EVALUATION, body).await
    }

    async fn permitted(&self, what: &str) -> Value {
        permit(&self.evaluate(what, &self.request(&fresh())).await)
    }

    async fn settle(&self, what: &str, permit: &Value, outcome: &str) -> Reply {
        let body = json!({"permit_id": permit["permit"]["id"], "intent_id": permit["intent_id"], "outcome": outcome});
        self.stack.post_json(what, "/results", &body).await
    }
}

/// The context of a permit.
pub fn permit(reply: &Reply) -> Value {
    assert_eq!(reply.success(200)["decision"], true, "{}: {}", reply.what, reply.text);
    reply.body["context"].clone()
}

/// A refused call: 200 with the reason.
pub fn refused(reply: &Reply, reason: &str) {
    assert_eq!(reply.success(200)["decision"], false, "{}: {}", reply.what, reply.text);
    assert_eq!(reply.body["context"]["reason"], reason, "{}: {}", reply.what, reply.text);
    assert!(reply.body["context"].get("permit").is_none());
}

#[tokio::test]
async fn fifty_calls_at_once_use_a_single_use_once() {
    let step = Step::open("race").await;
    let bodies: Vec<Value> = (0..50).map(|_| step.request(&fresh())).collect();
    let replies = join_all(bodies.iter().map(|body| step.evaluate("a racing call", body))).await;
    let (won, lost): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.body["decision"] == true);
    assert_eq!((won.len(), lost.len()), (1, 49), "{:?}", replies.iter().map(|reply| &reply.text).collect::<Vec<_>>());
    lost.iter().for_each(|reply| refused(reply, "uses_exhausted"));
    let context = permit(won[0]);
    assert_eq!(context["permit"]["state"], "reserved");
    assert_eq!(context["permit"]["call_digest"], step.call.digest().to_base64().as_str());
}

#[tokio::test]
async fn a_repeated_call_id_gets_the_same_permit_for_the_same_call_only() {
    let step = Step::open("repeat").await;
    let id = fresh();
    let body = step.request(&id);
    let first = permit(&step.evaluate("a call", &body).await);
    for _ in 0..2 {
        assert_eq!(permit(&step.evaluate("the same again", &body).await), first);
    }
    refused(&step.evaluate("the same id with another proof", &step.request(&id)).await, "call_malformed");
    refused(&step.evaluate("another id with a new proof", &step.request(&fresh())).await, "uses_exhausted");
    let mut other = body.clone();
    other["resource"]["id"] = "svc-billing".into();
    refused(&step.evaluate("the same id for another call", &other).await, "call_malformed");
    step.settle("its result", &first, "committed").await.success(200);
    refused(&step.evaluate("the same id after its result", &body).await, "call_malformed");
}

/// A call id and a proof's id are chosen by clients: they name no permit of somebody else's token.
#[tokio::test]
async fn a_repeated_call_id_and_proof_id_with_another_token_get_nothing() {
    let step = Step::open("tokens").await;
    let other = step.stack.transaction_token(&step.agent, &shared(&step.stack).await.token, &["tokens"]).await;
    let (id, jti) = (fresh(), fresh());
    let ask = async |token: &str| {
        let mut claims = Key::proof_claims("POST", &address(&step.call));
        claims["jti"] = jti.as_str().into();
        claims["ath"] = Digest::of(token.as_bytes()).to_base64().into();
        claims["call_digest"] = step.call.digest().to_base64().into();
        let proof = step.agent.dpop.proof_of(&claims);
        let body = with_proof(&step.stack, &step.agent, token, &step.call, &id, &proof);
        step.evaluate("a call", &body).await
    };
    let first = permit(&ask(&step.token).await);
    refused(&ask(&other).await, "call_malformed");
    assert_eq!(permit(&ask(&step.token).await), first);
    step.settle("not done", &first, "released").await.success(200);
}

#[tokio::test]
async fn two_items_of_a_batch_are_two_calls() {
    let step = Step::open("twins").await;
    let mut batch = step.request(&fresh());
    batch["evaluations"] = json!([{}, {}]);
    let reply = step.stack.post_json("a batch", "/access/v1/evaluations", &batch).await;
    let answers = &reply.success(200)["evaluations"];
    assert_eq!((&answers[0]["decision"], &answers[1]["decision"]), (&json!(true), &json!(false)), "{}", reply.text);
    assert_eq!(answers[1]["context"]["error"], "invalid_request");
    let context = answers[0]["context"].clone();
    step.settle("not done", &context, "released").await.success(200);
}

#[tokio::test]
async fn the_same_call_at_once_gets_one_permit() {
    let step = Step::open("at-once").await;
    let body = step.request(&fresh());
    let replies = join_all((0..8).map(|_| step.evaluate("the same call at once", &body))).await;
    let first = permit(&replies[0]);
    replies.iter().for_each(|reply| assert_eq!(permit(reply), first));
    let id = fresh();
    let bodies: Vec<Value> = (0..8).map(|_| step.request(&id)).collect();
    let replies = join_all(bodies.iter().map(|body| step.evaluate("one id, several proofs, at once", body))).await;
    let (won, lost): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.body["decision"] == true);
    assert_eq!(won.len(), 1, "{:?}", replies.iter().map(|reply| &reply.text).collect::<Vec<_>>());
    lost.iter().for_each(|reply| refused(reply, "call_malformed"));
    let used = "select count(*) from permits where intent_id = $1 and step_id = 'at-once'";
    let intent: Uuid = first["intent_id"].as_str().unwrap().parse().unwrap();
    let used: i64 = sqlx::query_scalar(used).bind(intent).fetch_one(&step.stack.db).await.unwrap();
    assert_eq!(used, 2, "two calls, two uses");
}

#[tokio::test]
async fn a_proof_covers_the_very_call_and_the_very_token() {
    let step = Step::open("digest").await;
    let mut claims = Key::proof_claims("POST", &address(&step.call));
    claims["ath"] = Digest::of(step.token.as_bytes()).to_base64().into();
    let ask = |what: &'static str, proof: String| {
        let body = with_proof(&step.stack, &step.agent, &step.token, &step.call, &fresh(), &proof);
        let step = &step;
        async move { step.evaluate(what, &body).await }
    };
    refused(&ask("a proof without a call", step.agent.dpop.proof_of(&claims)).await, "call_digest_mismatch");
    claims["call_digest"] = rotation(&step.stack, "svc-billing").digest().to_base64().into();
    refused(&ask("a proof for another call", step.agent.dpop.proof_of(&claims)).await, "call_digest_mismatch");
    claims["call_digest"] = "x".into();
    refused(&ask("a digest that is none", step.agent.dpop.proof_of(&claims)).await, "proof_invalid");
    let other = Key::fresh().prove_call(&step.token, &step.call, "POST", &address(&step.call));
    refused(&ask("a proof by another key", other).await, "proof_key_mismatch");
    let other = step.agent.dpop.prove_call("another token", &step.call, "POST", &address(&step.call));
    refused(&ask("a proof for another token", other).await, "proof_invalid");
    permit(&step.evaluate("the right proof, nothing being used up", &step.request(&fresh())).await);
}

#[tokio::test]
async fn a_proof_is_good_for_one_call_id() {
    let step = Step::open("replay").await;
    let proof = step.agent.dpop.prove_call(&step.token, &step.call, "POST", &address(&step.call));
    let body = |id: &str| with_proof(&step.stack, &step.agent, &step.token, &step.call, id, &proof);
    permit(&step.evaluate("a call", &body(&fresh())).await);
    refused(&step.evaluate("its proof again", &body(&fresh())).await, "proof_replayed");
}

#[tokio::test]
async fn ids_with_nul_are_refused_without_a_failure() {
    let step = Step::open("nul").await;
    let mut claims = Key::proof_claims("POST", &address(&step.call));
    claims["ath"] = Digest::of(step.token.as_bytes()).to_base64().into();
    claims["call_digest"] = step.call.digest().to_base64().into();
    claims["jti"] = "a\u{0}b".into();
    let proof = step.agent.dpop.proof_of(&claims);
    let body = with_proof(&step.stack, &step.agent, &step.token, &step.call, &fresh(), &proof);
    refused(&step.evaluate("a proof whose jti has NUL", &body).await, "proof_invalid");
}

#[tokio::test]
async fn a_released_use_is_given_back_and_a_committed_one_is_spent() {
    let step = Step::open("release").await;
    let first = step.permitted("a call").await;
    refused(&step.evaluate("a second call", &step.request(&fresh())).await, "uses_exhausted");
    for _ in 0..2 {
        assert_eq!(step.settle("released", &first, "released").await.success(200)["state"], "released");
    }
    step.settle("released and then committed", &first, "committed").await.because(409, "conflict", "permit_not_open");
    let second = step.permitted("a call after a release").await;
    assert_ne!(second["permit"]["id"], first["permit"]["id"]);
    refused(&step.evaluate("one use was given back, not two", &step.request(&fresh())).await, "uses_exhausted");

    let step = Step::open("commit").await;
    let permit = step.permitted("a call").await;
    for _ in 0..2 {
        assert_eq!(step.settle("committed", &permit, "committed").await.success(200)["state"], "committed");
    }
    step.settle("committed and then released", &permit, "released").await.because(409, "conflict", "permit_not_open");
    refused(&step.evaluate("a spent use", &step.request(&fresh())).await, "uses_exhausted");
}

#[tokio::test]
async fn a_reservation_that_is_over_stays_used_until_its_resource_server_says_otherwise() {
    let step = Step::open("expire").await;
    let permit = step.permitted("a call").await;
    let id: Uuid = permit["permit"]["id"].as_str().unwrap().parse().unwrap();
    let late = sqlx::query("update permits set expires_at = now() - interval '1 second' where permit_id = $1").bind(id);
    late.execute(&step.stack.db).await.unwrap();
    refused(&step.evaluate("another call", &step.request(&fresh())).await, "uses_exhausted");
    step.settle("committed late", &permit, "committed").await.success(200);
    step.settle("and then released", &permit, "released").await.because(409, "conflict", "permit_not_open");
    let foreign = json!({"permit_id": id, "intent_id": Uuid::new_v4(), "outcome": "committed"});
    let reply = step.stack.post_json("another intent", "/results", &foreign).await;
    reply.because(409, "conflict", "permit_not_open");
}

#[tokio::test]
async fn only_a_transaction_token_is_evaluated() {
    let step = Step::open("limit").await;
    let granted = shared(&step.stack).await;
    for (what, token) in [
        ("an intent token", granted.token),
        ("an access token of the realm", step.stack.access_token().await),
        ("a client assertion", step.agent.assert(&step.agent.assertion_claims(step.stack.issuer()))),
    ] {
        let body = request(&step.stack, &step.agent, &token, &step.call, &fresh());
        refused(&step.evaluate(what, &body).await, "token_invalid");
    }
}

#[tokio::test]
async fn unknown_members_are_ignored_and_the_request_id_comes_back() {
    let step = Step::open("counter").await;
    let mut body = step.request(&fresh());
    body["surprise"] = json!({"a": [1, 2]});
    body["subject"]["properties"] = json!({"department": "x"});
    body["resource"]["properties"] = json!({"color": "red"});
    body["context"]["more"] = json!(true);
    let token = step.stack.access_token().await;
    let send = |body: &Value, token: &str| {
        let request = step.stack.http.post(step.stack.url(EVALUATION)).bearer_auth(token).json(body);
        Reply::to("a request with an id", request.header("x-request-id", "id-1"))
    };
    let reply = send(&body, &token).await;
    permit(&reply);
    let again = step.request(&fresh());
    for (what, reply) in [
        ("a permit", reply),
        ("a refused call", send(&again, &token).await),
        ("a bad request", send(&json!({}), &token).await),
        ("no authentication", send(&body, "x").await),
    ] {
        assert_eq!(reply.header("x-request-id"), "id-1", "{what}");
    }
}
