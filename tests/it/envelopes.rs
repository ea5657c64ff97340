//! Tokens whose steps are too long for them: they travel as a digest, and what is kept under it can only be what was
//! signed.

use crate::evaluation::{EVALUATION, fresh, permit, refused, request};
use crate::exchange::{exchange_all, token_of};
use crate::support::keys::Client;
use crate::support::plans::{Granted, grant, plan, rotation, step, with};
use crate::support::reply::Reply;
use crate::support::stack::Stack;
use marque_core::canonical::Digest;
use marque_core::claims::{Actor, Carried, Confirmation, IntentRef, TxnClaims, TxnContext};
use marque_core::envelope::Envelope;
use marque_core::jws;
use marque_core::names::{TOKEN_TYPE_INTENT, TOKEN_TYPE_TXN};
use serde_json::{Map, Value, json};

/// Steps of the long plan: some six kilobytes.
const STEPS: usize = 40;

fn account(index: usize) -> String {
    format!("svc-long-{index}")
}

/// A grant of a plan with long steps, half of which the worker may carry out too.
async fn long_grant(stack: &Stack) -> Granted {
    let rotate = |index| step(stack, &account(index), "rotate_key", &account(index));
    let steps = (0..STEPS).map(|index| with(rotate(index), json!({"uses": 3}))).collect();
    let half: Vec<String> = (0..STEPS - 4).map(account).collect();
    let delegate = json!({"client_id": stack.env.clients.worker.client_id, "steps": half});
    grant(stack, &stack.agent(), &with(plan(stack, steps), json!({"delegates": [delegate]}))).await
}

fn tctx(token: &str) -> Value {
    jws::unverified_claims(token).unwrap()["tctx"].clone()
}

async fn show(stack: &Stack, digest: &str, known: Option<&str>) -> Reply {
    let mut request =
        stack.http.get(stack.url(&format!("/envelopes/{digest}"))).bearer_auth(stack.access_token().await);
    if let Some(known) = known {
        request = request.header("if-none-match", known);
    }
    Reply::to("an envelope", request).await
}

async fn evaluate(stack: &Stack, client: &Client, token: &str, account: &str) -> Reply {
    let body = request(stack, client, token, &rotation(stack, account), &fresh());
    stack.post_json("a call", EVALUATION, &body).await
}

#[tokio::test]
async fn long_steps_travel_by_digest_from_exchange_to_decision() {
    let stack = Stack::open().await;
    let (agent, worker, granted) = (stack.agent(), stack.worker(), long_grant(&stack).await);
    let reply = exchange_all(&stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await;
    assert_eq!(reply.success(200)["authorization_details"].as_array().unwrap().len(), STEPS, "the answer has them");
    let token = token_of(&reply);
    assert!(token.len() < 1100, "{}", token.len());
    let tctx_of_agent = tctx(&token);
    let digest = tctx_of_agent["env"].as_str().unwrap();
    assert_eq!(tctx_of_agent.as_object().unwrap().len(), 2, "{tctx_of_agent}");

    let shown = show(&stack, digest, None).await;
    assert_eq!((shown.status, shown.header("content-type")), (200, "application/json"), "{}", shown.text);
    assert_eq!(Digest::of(shown.text.as_bytes()).to_base64(), digest);
    assert_eq!(shown.header("cache-control"), "private, max-age=31536000, immutable");
    let tag = shown.header("etag");
    assert_eq!(tag, format!("\"{digest}\""));
    let again = show(&stack, digest, Some(tag)).await;
    assert_eq!((again.status, again.text.as_str()), (304, ""));

    permit(&evaluate(&stack, &agent, &token, &account(0)).await);
    refused(&evaluate(&stack, &agent, &token, "svc-other").await, "resource_not_in_plan");
    let handed = token_of(&exchange_all(&stack, &worker, &token, TOKEN_TYPE_TXN).await);
    assert_ne!(tctx(&handed)["env"], digest, "the worker has fewer steps");
    permit(&evaluate(&stack, &worker, &handed, &account(0)).await);
    refused(&evaluate(&stack, &worker, &handed, &account(STEPS - 1)).await, "resource_not_in_plan");
    let few = stack.transaction_token(&agent, &granted.token, &[&account(1)]).await;
    assert_eq!(tctx(&few)["steps"].as_array().unwrap().len(), 1, "few steps travel in the token");
}

#[tokio::test]
async fn an_envelope_row_that_was_changed_or_removed_permits_nothing() {
    let stack = Stack::open().await;
    let (agent, worker, granted) = (stack.agent(), stack.worker(), long_grant(&stack).await);
    let token = token_of(&exchange_all(&stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);
    let digest = Digest::from_base64(tctx(&token)["env"].as_str().unwrap()).unwrap();
    let kept = show(&stack, &digest.to_base64(), None).await.text;
    let mut wider: Envelope = serde_json::from_str(&kept).unwrap();
    wider.steps[0].resource = serde_json::from_value(json!({"type": "service_account", "id": {"any": true}})).unwrap();
    for content in [Some(wider.canonical()), Some(b"{}".to_vec()), None] {
        put(&stack, &digest, content.as_deref()).await;
        show(&stack, &digest.to_base64(), None).await.refused(404, "not_found");
        for account in ["svc-other", &account(1)] {
            refused(&evaluate(&stack, &agent, &token, account).await, "token_invalid");
        }
        let reply = exchange_all(&stack, &worker, &token, TOKEN_TYPE_TXN).await;
        reply.because(400, "invalid_request", "token_invalid");
    }
    let again = token_of(&exchange_all(&stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);
    assert_eq!(tctx(&again)["env"], digest.to_base64());
    permit(&evaluate(&stack, &agent, &token, &account(1)).await);
}

/// Changes or removes what is kept under a digest, as who writes rows can.
async fn put(stack: &Stack, digest: &Digest, content: Option<&[u8]>) {
    let done = match content {
        Some(content) => sqlx::query("update envelopes set content = $2 where digest = $1")
            .bind(digest.as_bytes().as_slice())
            .bind(content)
            .execute(&stack.db),
        None => {
            sqlx::query("delete from envelopes where digest = $1").bind(digest.as_bytes().as_slice()).execute(&stack.db)
        }
    };
    assert_eq!(done.await.unwrap().rows_affected(), 1);
}

#[tokio::test]
async fn what_is_no_digest_or_of_no_envelope_is_not_found() {
    let stack = Stack::open().await;
    let unknown = Digest::of(b"nothing").to_base64();
    for digest in [unknown.as_str(), &unknown[1..], "x", "%00", "%ff"] {
        show(&stack, digest, None).await.refused(404, "not_found");
    }
}

/// A transaction token as Marque signs it, after so many hops, of so many steps.
fn sized(steps: usize, hops: usize) -> usize {
    let id = |index: usize| format!("0199f3a2-5c1e-7d42-9a10-{index:012}");
    let step = |index: usize| {
        json!({"id": format!("rotate-{index}"), "location": "https://keys.example", "action": "rotate_key",
            "resource": {"type": "service_account", "id": format!("svc-{index}")}, "args": {}, "uses": 1,
            "class": "change"})
    };
    let steps = serde_json::from_value((0..steps).map(step).collect()).unwrap();
    let mut envelope = Envelope { steps, ..Envelope::default() };
    (envelope.bounds.expires_at, envelope.bounds.max_hops) = (Some(1_800_000_000), 8);
    let workers = (0..hops).map(|hop| format!("invoice-worker-production-{hop:02}"));
    let act = workers.fold(Actor::first("demo-agent"), |act, worker| act.followed_by(&worker));
    let key = crate::support::keys::Key::fresh();
    let claims = TxnClaims {
        iss: "https://marque.example/realms/demo".into(),
        aud: "demo.example".into(),
        sub: id(1),
        iat: 1_799_999_000,
        exp: 1_799_999_300,
        jti: id(2),
        txn: id(3),
        scope: envelope.scope(),
        req_wl: "demo-agent".into(),
        tctx: TxnContext {
            intent: IntentRef { id: id(4), digest: Digest::of(b"plan"), version: 1 },
            carried: Carried::of(envelope),
        },
        rctx: Map::new(),
        act,
        may_act: None,
        cnf: Confirmation::Jkt(Digest::of(b"key").to_base64()),
    };
    let payload = serde_json::to_vec(&claims).unwrap();
    jws::sign_es256("txntoken+jwt", Some(&id(5)), &payload, key.private()).unwrap().len()
}

#[test]
fn a_token_stays_within_its_size() {
    let (one, ten, longest) = (sized(1, 1), sized(10, 8), sized(200, 8));
    println!("one step, depth 1: {one}; ten steps, depth 8: {ten}; 200 steps, depth 8: {longest}");
    let hops: Vec<usize> = (8..16).map(|hop| sized(10, hop + 1) - sized(10, hop)).collect();
    println!("per further hop: {hops:?}");
    assert!(hops.iter().all(|bytes| *bytes <= 70), "{hops:?}");
    assert!(one <= 1250, "{one}");
    assert!(ten <= 3600, "{ten}");
    assert!(longest <= 1500, "{longest}: steps that are long are not in it");
}
