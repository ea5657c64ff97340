//! Every place that takes a JWS refuses the same table of attacks, and takes the right one. Catalogs and challenges go through it
//! with the rest of their bad input.

use crate::evaluation::{EVALUATION, fresh, permit, refused, request};
use crate::exchange::{exchange_all, token_of};
use crate::support::jose::attacks;
use crate::support::keys::Key;
use crate::support::plans::{rotation, shared};
use crate::support::reply::Reply;
use crate::support::stack::{Form, Stack};
use marque_core::names::{ASSERTION_TYPE_JWT, GRANT_INTENT, TOKEN_TYPE_INTENT, TOKEN_TYPE_TXN};
use serde_json::Value;
use uuid::Uuid;

/// A poll for an intent that is none: with right credentials it is `invalid_grant`.
async fn poll(stack: &Stack, what: &str, assertion: &str, proof: &str) -> Reply {
    let form = [
        ("grant_type", GRANT_INTENT),
        ("intent_id", &Uuid::nil().to_string()),
        ("client_assertion_type", ASSERTION_TYPE_JWT),
        ("client_assertion", assertion),
    ];
    let Ok(proof) = reqwest::header::HeaderValue::from_str(proof) else {
        panic!("{what} cannot travel in a header");
    };
    Reply::to(what, stack.http.post(stack.url("/token")).header("dpop", proof).form(&form)).await
}

/// A proof as a header can carry it.
fn can_travel(proof: &str) -> bool {
    proof.len() < 16_000 && proof.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

#[tokio::test]
async fn a_client_assertion() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    let assertion = || agent.assert(&agent.assertion_claims(stack.issuer()));
    let proof = || agent.dpop.proof_of(&Key::proof_claims("POST", &stack.url("/token")));
    for (what, assertion) in attacks(&assertion(), Some(&agent.signing), false) {
        // RFC 7523 asks for no type, and common libraries write none.
        if what == "no typ" {
            continue;
        }
        poll(&stack, what, &assertion, &proof()).await.refused(401, "invalid_client");
    }
    poll(&stack, "a right one", &assertion(), &proof()).await.refused(400, "invalid_grant");
}

#[tokio::test]
async fn a_proof_of_possession() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    let assertion = || agent.assert(&agent.assertion_claims(stack.issuer()));
    let proof = || agent.dpop.proof_of(&Key::proof_claims("POST", &stack.url("/token")));
    for (what, proof) in attacks(&proof(), Some(&agent.dpop), true) {
        if can_travel(&proof) {
            poll(&stack, what, &assertion(), &proof).await.refused(400, "invalid_dpop_proof");
        }
    }
    poll(&stack, "a right one", &assertion(), &proof()).await.refused(400, "invalid_grant");
}

#[tokio::test]
async fn a_subject_token() {
    let stack = Stack::open().await;
    let (agent, granted) = (stack.agent(), shared(&stack).await);
    let txn = token_of(&exchange_all(&stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);
    for (right, kind) in [(&granted.token, TOKEN_TYPE_INTENT), (&txn, TOKEN_TYPE_TXN)] {
        for (what, token) in attacks(right, None, false) {
            let form: Form<'_> = stack.exchange_form(&token, kind);
            let reply = stack.post(what, &agent, "/token", &form).await;
            reply.because(400, "invalid_request", "token_invalid").naming("subject_token");
        }
        exchange_all(&stack, &agent, right, kind).await.success(200);
    }
}

/// What is asked of the decision point, with another token or another proof.
async fn evaluate(stack: &Stack, what: &str, mut body: Value, member: &str, jws: &str) -> Reply {
    body["context"][member] = jws.into();
    stack.post_json(what, EVALUATION, &body).await
}

#[tokio::test]
async fn a_transaction_token_and_its_proof_at_the_decision_point() {
    let stack = Stack::open().await;
    let (agent, granted) = (stack.agent(), shared(&stack).await);
    let token = stack.transaction_token(&agent, &granted.token, &["jose"]).await;
    let call = rotation(&stack, "jose");
    let right = || request(&stack, &agent, &token, &call, &fresh());
    for (what, token) in attacks(&token, None, false) {
        refused(&evaluate(&stack, what, right(), "txn_token", &token).await, "token_invalid");
    }
    let proof = right()["context"]["dpop"].as_str().unwrap().to_owned();
    for (what, proof) in attacks(&proof, Some(&agent.dpop), true) {
        refused(&evaluate(&stack, what, right(), "dpop", &proof).await, "proof_invalid");
    }
    permit(&stack.post_json("a right one", EVALUATION, &right()).await);
}

#[tokio::test]
async fn an_access_token_of_the_realm() {
    let stack = Stack::open().await;
    let right = stack.access_token().await;
    for (what, token) in attacks(&right, None, false) {
        if can_travel(&token) {
            let request = stack.http.get(stack.url("/results")).header("authorization", format!("Bearer {token}"));
            Reply::to(what, request).await.refused(401, "invalid_token");
        }
    }
    Reply::to("a right one", stack.http.get(stack.url("/results")).bearer_auth(&right)).await.success(200);
}
