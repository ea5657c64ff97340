//! The realm is down, slow, broken or talks nonsense: the server starts, stays up and fails closed.

use crate::exchange::exchange_all;
use crate::support::plans::{reading, shared};
use crate::support::realm::{Mood, Realm};
use crate::support::reply::Reply;
use crate::support::server::{Copy, Server};
use crate::support::sse::Feed;
use crate::support::stack::Stack;
use marque_core::canonical::Digest;
use marque_core::jws::KeySet;
use marque_core::names::{TOKEN_TYPE_INTENT, TYP_JWT};
use marque_gate::revocations::FeedMessage;
use marque_gate::{Args, ConcreteAction, FixedKeys, Gate, GateConfig, Presented, Revocations};
use serde_json::Value;

/// What every server does whose realm is away.
async fn expect_closed(server: &mut Server, intent: &str, token: &str, why: &str) {
    let stack = server.stack.clone();
    let agent = stack.agent();
    let bearer = |path: &str| stack.http.get(stack.url(path)).bearer_auth(token);
    let approve = stack.http.get(stack.url(&format!("/approve/{intent}")));
    let receipt = stack.http.get(stack.url(&format!("/receipt/{intent}")));
    let plan = reading(&stack);
    let (submitted, poll, feed, approve, receipt) = tokio::join!(
        stack.submit(why, &agent, &plan),
        stack.poll(&agent, intent),
        Reply::to(why, bearer("/revocations")),
        Reply::to(why, approve),
        Reply::to(why, receipt),
    );
    for reply in [submitted, poll, feed] {
        reply.because(503, "temporarily_unavailable", "state_unavailable");
    }
    approve.page(503, "nothing was done");
    receipt.page(503, "Not possible now");
    for path in ["/jwks", "/.well-known/oauth-authorization-server"] {
        assert_eq!(Reply::to(why, stack.http.get(stack.url(path))).await.status, 200, "{why}: {path}");
    }
    for path in ["/health/live", "/health/ready"] {
        let request = stack.http.get(format!("{}{path}", server.management));
        assert_eq!(Reply::to(why, request).await.status, 200, "{why}: {path}");
    }
    assert!(server.is_up(), "{why}: {}", server.log());
}

#[tokio::test]
async fn the_server_starts_and_stays_up_without_its_realm_and_fails_closed() {
    let main = Stack::open().await;
    let intent = main.submitted(&main.agent(), &reading(&main)).await;
    let mut realm = Realm::of(&main);
    let copy = Copy::beside(&main).await;
    let mut server = copy.serve_with(realm.issuer()).await;
    let token = realm.key().sign(TYP_JWT, &realm.access_claims(&main));
    expect_closed(&mut server, &intent, &token, "down").await;
    for mood in [Mood::Nonsense, Mood::Broken, Mood::Slow] {
        realm.go_up(mood).await;
        expect_closed(&mut server, &intent, &token, &format!("{mood:?}")).await;
    }
    realm.go_up(Mood::Well).await;
    let agent = main.agent();
    server.stack.submitted(&agent, &reading(&main)).await;
    let page = Reply::to("approve", server.stack.http.get(server.stack.url(&format!("/approve/{intent}")))).await;
    assert_eq!(page.status, 303, "{}", page.text);
    Feed::open_with(&server.stack, &token, None).await.next_of("snapshot").await;
    let worker = main.worker().id;
    realm.set_enabled(&worker, false);
    server.stack.poll(&main.worker(), &intent).await.refused(401, "invalid_client");
}

/// A gate that knows what the feed says.
struct Fed {
    gate: Gate,
    feed: Feed,
    revocations: Revocations,
}

impl Fed {
    async fn open(stack: &Stack, token: &str) -> Self {
        let config = GateConfig::new(stack.location(), stack.issuer(), &stack.env.marque.trust_domain).unwrap();
        let jwks: Value = stack.http.get(stack.url("/jwks")).send().await.unwrap().json().await.unwrap();
        let (keys, revocations) = (FixedKeys::new(KeySet::from_jwks(&jwks).unwrap()), Revocations::new());
        let feed = Feed::open_with(stack, token, None).await;
        Self { gate: Gate::new(config, keys, revocations.clone()), feed, revocations }
    }

    /// Hears what the feed says until it is fresh again.
    async fn hear(&mut self) {
        loop {
            let event = self.feed.next().await;
            let message = FeedMessage::parse(event.payload.to_string().as_bytes()).unwrap();
            self.revocations.apply(message, marque_demo::clients::now());
            if event.kind == "heartbeat" {
                return;
            }
        }
    }
}

#[tokio::test]
async fn existing_tokens_keep_verifying_while_the_realm_is_away() {
    let main = Stack::open().await;
    let (agent, granted) = (main.agent(), shared(&main).await);
    let mut realm = Realm::of(&main);
    realm.go_up(Mood::Well).await;
    let copy = Copy::beside(&main).await;
    let server = copy.serve_with(realm.issuer()).await;
    let token = realm.key().sign(TYP_JWT, &realm.access_claims(&main));
    let txn = exchange_all(&server.stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await;
    let txn = txn.success(200)["access_token"].as_str().unwrap();
    let mut fed = Fed::open(&server.stack, &token).await;
    for mood in [Some(Mood::Well), None, Some(Mood::Slow), Some(Mood::Nonsense)] {
        match mood {
            Some(mood) => realm.go_up(mood).await,
            None => realm.go_down(),
        }
        fed.hear().await;
        let url = format!("{}/service-accounts", main.location());
        let mut proof = crate::support::keys::Key::proof_claims("GET", &url);
        proof["ath"] = Digest::of(txn.as_bytes()).to_base64().into();
        let request = Presented::new("GET", &url).with_header("txn-token", txn);
        let request = request.with_header("dpop", &agent.dpop.proof_of(&proof));
        let action = ConcreteAction::new("list_service_accounts", "environment", "production", Args::default());
        let permit = fed.gate.check(&request, action, marque_demo::clients::now()).await;
        assert!(permit.is_ok(), "{mood:?}: {permit:?}");
    }
    let worker = server.stack.poll(&main.worker(), &granted.intent_id).await;
    worker.because(503, "temporarily_unavailable", "state_unavailable");
}
