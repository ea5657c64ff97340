//! The intent grant: what the polling agent is told, and one redemption.

use crate::support::keys::{Client, Key};
use crate::support::person;
use crate::support::plans::{grant, reading, rotating};
use crate::support::reply::Reply;
use crate::support::sse::Feed;
use crate::support::stack::Stack;
use marque_core::names::{ASSERTION_TYPE_JWT, TOKEN_TYPE_INTENT, TOKEN_TYPE_TXN};
use serde_json::json;
use uuid::Uuid;

fn id(intent: &str) -> Uuid {
    intent.parse().unwrap()
}

/// How often the agent may poll now, in seconds.
async fn interval(stack: &Stack, intent: &str) -> i32 {
    let sql = "select poll_interval_secs from intents where intent_id = $1";
    sqlx::query_scalar(sql).bind(id(intent)).fetch_one(&stack.db).await.unwrap()
}

/// Moves the last poll into the past.
async fn let_pass(stack: &Stack, intent: &str, secs: i32) {
    let sql = "update intents set polled_at = polled_at - make_interval(secs => $2) where intent_id = $1";
    sqlx::query(sql).bind(id(intent)).bind(f64::from(secs)).execute(&stack.db).await.unwrap();
}

#[tokio::test]
async fn polling_too_fast_enlarges_the_interval_for_good() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    let submitted = stack.submit("a plan", &agent, &reading(&stack)).await;
    let said = submitted.success(201)["interval"].as_i64().unwrap();
    let intent = submitted.member("intent_id").to_owned();
    stack.poll(&agent, &intent).await.refused(400, "authorization_pending");
    assert_eq!(i64::from(interval(&stack, &intent).await), said);
    stack.poll(&agent, &intent).await.refused(400, "slow_down").naming(&format!("{}", said + 5));
    stack.poll(&agent, &intent).await.refused(400, "slow_down").naming(&format!("{}", said + 10));
    let now = interval(&stack, &intent).await;
    assert_eq!(i64::from(now), said + 10);
    let_pass(&stack, &intent, now - 3).await;
    stack.poll(&agent, &intent).await.refused(400, "slow_down");
    let now = interval(&stack, &intent).await;
    let_pass(&stack, &intent, now).await;
    stack.poll(&agent, &intent).await.refused(400, "authorization_pending");
    assert_eq!(interval(&stack, &intent).await, now, "patience does not make the interval smaller");
}

#[tokio::test]
async fn an_intent_whose_time_is_over_is_answered_so_and_never_approved() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    for column in [
        "update intents set pending_until = now() where intent_id = $1",
        "update intents set expires_at = now() where intent_id = $1",
    ] {
        let intent = stack.submitted(&agent, &reading(&stack)).await;
        sqlx::query(column).bind(id(&intent)).execute(&stack.db).await.unwrap();
        stack.poll(&agent, &intent).await.because(400, "expired_token", "intent_expired");
        stack.poll(&agent, &intent).await.because(400, "expired_token", "intent_expired");
    }
    let approved = stack.submitted(&agent, &reading(&stack)).await;
    person::approve(&stack, &approved).await;
    let end = "update intents set expires_at = now() where intent_id = $1";
    sqlx::query(end).bind(id(&approved)).execute(&stack.db).await.unwrap();
    stack.poll(&agent, &approved).await.because(400, "expired_token", "intent_expired");
    let intent = stack.submitted(&agent, &reading(&stack)).await;
    sqlx::query("update intents set pending_until = now() where intent_id = $1")
        .bind(id(&intent))
        .execute(&stack.db)
        .await
        .unwrap();
    let page = stack.http.get(stack.url(&format!("/approve/{intent}")));
    crate::support::reply::Reply::to("too late", page).await.page(410, "the time to decide on this plan is over");
}

#[tokio::test]
async fn a_denied_plan_is_answered_with_the_persons_reason() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    let intent = stack.submitted(&agent, &reading(&stack)).await;
    person::deny(&stack, &intent, "not today").await;
    for _ in 0..2 {
        stack.poll(&agent, &intent).await.because(400, "access_denied", "denied_by_user").naming("not today");
    }
    let page = stack.http.get(stack.url(&format!("/approve/{intent}")));
    crate::support::reply::Reply::to("a second decision", page).await.page(409, "decided already");
}

#[tokio::test]
async fn an_approval_is_redeemed_once_and_a_late_repeat_ends_everything() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    let mut feed = Feed::open(&stack, None).await;
    let granted = grant(&stack, &agent, &rotating(&stack)).await;
    let again = stack.poll(&agent, &granted.intent_id).await;
    let second = again.success(200)["access_token"].as_str().unwrap().to_owned();
    assert_eq!(again.body["issued_token_type"], TOKEN_TYPE_INTENT);
    assert_eq!(again.body["token_type"], "DPoP");
    stack.poll(&stack.worker(), &granted.intent_id).await.refused(400, "invalid_grant");
    let txn = stack.transaction_token(&agent, &second, &["rotate"]).await;

    let late = "update intents set redeemed_at = redeemed_at - interval '61 seconds' where intent_id = $1";
    sqlx::query(late).bind(id(&granted.intent_id)).execute(&stack.db).await.unwrap();
    let reply = stack.poll(&agent, &granted.intent_id).await;
    reply.because(400, "invalid_grant", "intent_revoked").naming("revoked");
    feed.until_revoked(&granted.intent_id).await;
    for (token, kind) in [(&granted.token, TOKEN_TYPE_INTENT), (&second, TOKEN_TYPE_INTENT), (&txn, TOKEN_TYPE_TXN)] {
        let reply = stack.post("an exchange", &agent, "/token", &stack.exchange_form(token, kind)).await;
        reply.because(400, "invalid_request", "intent_revoked");
    }
    stack.poll(&agent, &granted.intent_id).await.because(400, "invalid_grant", "intent_revoked");
}

#[tokio::test]
async fn another_key_redeems_nothing_and_afterwards_ends_everything() {
    let stack = Stack::open().await;
    let (agent, other) = (stack.agent(), Client::with_fresh_dpop(&stack.env.clients.agent));
    let intent = stack.submitted(&agent, &rotating(&stack)).await;
    person::approve(&stack, &intent).await;
    stack.poll(&other, &intent).await.because(400, "invalid_grant", "proof_key_mismatch");
    stack.poll(&stack.worker(), &intent).await.refused(400, "invalid_grant");
    let granted = stack.poll(&agent, &intent).await;
    let token = granted.success(200)["access_token"].as_str().unwrap();
    let mut feed = Feed::open(&stack, None).await;
    stack.poll(&other, &intent).await.because(400, "invalid_grant", "intent_revoked");
    feed.until_revoked(&intent).await;
    let reply = stack.post("an exchange", &agent, "/token", &stack.exchange_form(token, TOKEN_TYPE_INTENT)).await;
    reply.because(400, "invalid_request", "intent_revoked");
}

#[tokio::test]
async fn polls_at_once_redeem_one_approval_and_their_tokens_end_together() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    let intent = stack.submitted(&agent, &rotating(&stack)).await;
    person::approve(&stack, &intent).await;
    let polls = futures_util::future::join_all((0..4).map(|_| stack.poll(&agent, &intent))).await;
    let tokens: Vec<&str> = polls.iter().map(|reply| reply.success(200)["access_token"].as_str().unwrap()).collect();
    let redeemed: i64 = sqlx::query_scalar("select count(*) from tokens where intent_id = $1 and kind = 'intent'")
        .bind(id(&intent))
        .fetch_one(&stack.db)
        .await
        .unwrap();
    assert_eq!(redeemed, 4, "one family of one intent");
    let late = "update intents set redeemed_at = redeemed_at - interval '61 seconds' where intent_id = $1";
    sqlx::query(late).bind(id(&intent)).execute(&stack.db).await.unwrap();
    stack.poll(&agent, &intent).await.because(400, "invalid_grant", "intent_revoked");
    for token in tokens {
        let reply = stack.post("an exchange", &agent, "/token", &stack.exchange_form(token, TOKEN_TYPE_INTENT)).await;
        reply.because(400, "invalid_request", "intent_revoked");
    }
}

#[tokio::test]
async fn a_repeated_submission_tells_the_interval_that_holds_now() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    let details = serde_json::json!([{"type": "agent_intent_plan", "plan": reading(&stack)}]).to_string();
    let form = vec![("authorization_details", details)];
    let send = |key: String| {
        let request = stack.signed(&agent, "/plans", &form).header("idempotency-key", key);
        crate::support::reply::Reply::to("a keyed submission", request)
    };
    let key = Uuid::new_v4().to_string();
    let first = send(key.clone()).await;
    let said = first.success(201)["interval"].as_i64().unwrap();
    stack.poll(&agent, first.member("intent_id")).await.refused(400, "authorization_pending");
    stack.poll(&agent, first.member("intent_id")).await.refused(400, "slow_down");
    let again = send(key).await;
    assert_eq!(
        (again.success(201)["interval"].as_i64(), again.member("intent_id")),
        (Some(said + 5), first.member("intent_id"))
    );
}

#[tokio::test]
async fn a_submission_may_name_the_key_that_redeems_it() {
    let stack = Stack::open().await;
    let (agent, other) = (stack.agent(), Client::with_fresh_dpop(&stack.env.clients.agent));
    let submit = async |what: &str, named: &str, proof: Option<String>| {
        let form = [
            ("authorization_details", json!([{"type": "agent_intent_plan", "plan": reading(&stack)}]).to_string()),
            ("dpop_jkt", named.to_owned()),
            ("client_assertion_type", ASSERTION_TYPE_JWT.to_owned()),
            ("client_assertion", agent.assert(&agent.assertion_claims(stack.issuer()))),
        ];
        let request = stack.http.post(stack.url("/plans")).form(&form);
        let request = proof.into_iter().fold(request, |request, proof| request.header("dpop", proof));
        Reply::to(what, request).await
    };
    let proof = |of: &Client| of.dpop.proof_of(&Key::proof_claims("POST", &format!("{}/plans", stack.issuer())));
    for named in ["x", &agent.dpop.kid[1..], &format!("{}=", agent.dpop.kid)] {
        submit("no thumbprint", named, None).await.refused(400, "invalid_request").naming("dpop_jkt");
    }
    let reply = submit("another key than the proof's", &agent.dpop.kid, Some(proof(&other))).await;
    reply.refused(400, "invalid_request").naming("dpop_jkt");
    submit("the proof's key", &agent.dpop.kid, Some(proof(&agent))).await.success(201);

    let submitted = submit("a named key", &agent.dpop.kid, None).await;
    let intent_id = submitted.success(201)["intent_id"].as_str().unwrap().to_owned();
    person::approve(&stack, &intent_id).await;
    stack.poll(&other, &intent_id).await.because(400, "invalid_grant", "proof_key_mismatch");
    stack.poll(&agent, &intent_id).await.success(200);
}
