//! `GET /plans/{intent_id}`: the submitting agent's own plan, and nobody else's.

use crate::support::keys::{Client, Key};
use crate::support::person;
use crate::support::plans::{grant, reading};
use crate::support::reply::Reply;
use crate::support::stack::Stack;
use marque_core::canonical::{Digest, canonical};
use uuid::Uuid;

/// A right request for a plan.
pub fn request(stack: &Stack, client: &Client, intent: &str) -> reqwest::RequestBuilder {
    let path = format!("/plans/{intent}");
    let proof = client.dpop.proof_of(&Key::proof_claims("GET", &format!("{}{path}", stack.issuer())));
    let assertion = client.assert(&client.assertion_claims(stack.issuer()));
    stack.http.get(stack.url(&path)).header("dpop", proof).header("client-assertion", assertion)
}

pub async fn read(stack: &Stack, what: &str, client: &Client, intent: &str) -> Reply {
    Reply::to(what, request(stack, client, intent)).await
}

#[tokio::test]
async fn the_submitting_agent_reads_its_plan_as_it_was_completed_and_where_it_stands() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    let submitted = stack.submit("a plan", &agent, &reading(&stack)).await;
    let intent = submitted.member("intent_id").to_owned();
    let own = read(&stack, "a pending plan", &agent, &intent).await;
    assert_eq!(own.success(200)["state"], "pending");
    for member in ["intent_id", "plan_digest", "digest_words", "approval_uri", "interval"] {
        assert_eq!(own.body[member], submitted.body[member], "{member}");
    }
    let digest = Digest::of(&canonical(&own.body["plan"])).to_base64();
    assert_eq!(digest, own.member("plan_digest"), "the very plan that would be signed");
    assert_eq!(own.body["plan"]["agent"]["jkt"], agent.dpop.kid.as_str());
    assert_eq!(own.body["plan"]["started_by"], "agent", "a paired agent, without a proof of the user");

    person::deny(&stack, &intent, "no").await;
    let denied = read(&stack, "a denied plan", &agent, &intent).await;
    assert_eq!((denied.success(200)["state"].as_str(), denied.body["expires_in"].as_i64()), (Some("denied"), Some(0)));
    let over = stack.submitted(&agent, &reading(&stack)).await;
    let id: Uuid = over.parse().unwrap();
    let sql = "update intents set pending_until = now() where intent_id = $1";
    sqlx::query(sql).bind(id).execute(&stack.db).await.unwrap();
    assert_eq!(read(&stack, "a plan that is over", &agent, &over).await.success(200)["state"], "expired");
    let granted = grant(&stack, &agent, &reading(&stack)).await;
    assert_eq!(read(&stack, "a redeemed plan", &agent, &granted.intent_id).await.success(200)["state"], "active");
}

#[tokio::test]
async fn plans_that_are_foreign_unknown_or_none_are_answered_alike() {
    let stack = Stack::open().await;
    let intent = stack.submitted(&stack.agent(), &reading(&stack)).await;
    let foreign = read(&stack, "another client's", &stack.worker(), &intent).await;
    foreign.refused(404, "not_found");
    for id in [Uuid::new_v4().to_string(), Uuid::nil().to_string(), intent.to_uppercase(), "none".into()] {
        let reply = read(&stack, &id, &stack.worker(), &id).await;
        assert_eq!((reply.status, &reply.body), (foreign.status, &foreign.body), "{id}");
    }
}
