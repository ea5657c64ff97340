//! Nonces in DPoP proofs (RFC 9449 §8): asked for, offered with every answer, the same at every replica.

use crate::support::keys::{Client, Key};
use crate::support::reply::Reply;
use crate::support::server::Copy;
use crate::support::stack::Stack;
use marque::http::router::{Caller, ROUTES, Route};
use marque_core::names::{ASSERTION_TYPE_JWT, GRANT_INTENT};
use serde_json::{Value, json};
use uuid::Uuid;

/// Everything that a client sends to ask for an intent token.
struct Poll {
    assertion: String,
    proof: String,
}

impl Poll {
    fn with(stack: &Stack, agent: &Client, nonce: Option<&str>) -> Self {
        Self {
            assertion: agent.assert(&agent.assertion_claims(stack.issuer())),
            proof: proof(stack, agent, json!(nonce)),
        }
    }

    async fn send(&self, stack: &Stack, what: &str) -> Reply {
        let form = [
            ("grant_type", GRANT_INTENT),
            ("intent_id", &Uuid::nil().to_string()),
            ("client_assertion_type", ASSERTION_TYPE_JWT),
            ("client_assertion", &self.assertion),
        ];
        Reply::to(what, stack.http.post(stack.url("/token")).header("dpop", &self.proof).form(&form)).await
    }
}

fn proof(stack: &Stack, agent: &Client, nonce: Value) -> String {
    let mut claims = Key::proof_claims("POST", &format!("{}/token", stack.issuer()));
    claims.as_object_mut().unwrap().remove("nonce");
    if !nonce.is_null() {
        claims["nonce"] = nonce;
    }
    agent.dpop.proof_of(&claims)
}

/// The answer that shows that authentication succeeded: there is no such intent.
fn went_on(reply: &Reply) {
    reply.refused(400, "invalid_grant");
}

#[tokio::test]
async fn a_proof_without_a_nonce_of_the_server_is_asked_for_one_and_uses_nothing_up() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    let invented = "A".repeat(43);
    for (what, nonce) in
        [("no nonce", None), ("an invented nonce", Some(invented.as_str())), ("a short one", Some("n"))]
    {
        let poll = Poll::with(&stack, &agent, nonce);
        let asked = poll.send(&stack, what).await;
        asked.refused(400, "use_dpop_nonce").naming("DPoP-Nonce");
        let offered = asked.header("dpop-nonce").to_owned();
        assert_eq!(offered.len(), 43, "{offered}");
        let again = Poll { proof: proof(&stack, &agent, json!(offered)), ..poll };
        went_on(&again.send(&stack, "the same assertion, the offered nonce").await);
    }
    let typed = Poll { proof: proof(&stack, &agent, json!(5)), ..Poll::with(&stack, &agent, None) };
    typed.send(&stack, "a number").await.refused(400, "invalid_dpop_proof");
}

#[tokio::test]
async fn every_answer_of_an_endpoint_that_takes_proofs_offers_a_nonce() {
    let stack = Stack::open().await;
    let takes_proofs = |route: &&Route| {
        let callers = [Caller::Client, Caller::Holder, Caller::HolderOrResourceServer];
        route.method == "POST" && callers.contains(&route.caller)
    };
    for path in ROUTES.iter().filter(takes_proofs).map(|route| route.path) {
        let empty = Reply::to(path, stack.http.post(stack.url(path))).await;
        let unknown = stack.post("a form", &stack.agent(), path, &vec![("grant_type", "x".to_owned())]).await;
        for reply in [empty, unknown] {
            assert_eq!(reply.header("dpop-nonce").len(), 43, "{path}: {:?}", reply.headers);
        }
    }
    let keys = Reply::to("keys", stack.http.get(stack.url("/jwks"))).await;
    assert_eq!(keys.header("dpop-nonce"), "", "no proof is taken there, and the answer may be kept");
}

#[tokio::test]
async fn a_replica_takes_the_nonce_of_another_and_no_proof_that_another_took() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    let copy = Copy::original(&stack);
    let replica = copy.serve().await;
    let asked = Poll::with(&stack, &agent, None).send(&stack, "no nonce").await;
    let nonce = asked.header("dpop-nonce");
    let taken = Poll::with(&stack, &agent, Some(nonce));
    went_on(&taken.send(&replica.stack, "a nonce of the other").await);
    let replayed = Poll { assertion: Poll::with(&stack, &agent, None).assertion, ..taken };
    let reply = replayed.send(&stack, "the proof that the other took").await;
    reply.because(400, "invalid_dpop_proof", "proof_replayed");
}

#[tokio::test]
async fn a_realm_may_ask_for_no_nonces_and_then_offers_none() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    let copy = Copy::original(&stack);
    let server = copy.serve_as(&stack.env.keycloak.issuer, "dpop_nonces = false").await;
    let reply = Poll::with(&stack, &agent, None).send(&server.stack, "no nonce").await;
    went_on(&reply);
    assert_eq!(reply.header("dpop-nonce"), "");
    went_on(&Poll::with(&stack, &agent, Some("another-servers")).send(&server.stack, "somebody else's").await);
}
