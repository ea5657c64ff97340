//! Two servers on one database: one that was paused for a while answers nothing stale when it is back.

use crate::evaluation::{EVALUATION, fresh, permit, refused, request};
use crate::exchange::{exchange_all, token_of};
use crate::feed::revoke;
use crate::introspection::{ask, inactive};
use crate::support::keys::now;
use crate::support::plans::{grant, plan, rotation, step, with};
use crate::support::reply::Reply;
use crate::support::server::Copy;
use crate::support::share;
use crate::support::sse::{Event, Feed};
use crate::support::stack::Stack;
use marque_core::names::TOKEN_TYPE_INTENT;
use marque_core::reason::Reason;
use marque_gate::Revocations;
use marque_gate::revocations::FeedMessage;
use serde_json::json;
use std::time::{Duration, Instant};

/// How stale a gate's view may be unless it says otherwise.
const LIMIT: Duration = Duration::from_secs(5);

/// Tells a gate what was heard.
fn hear(revocations: &Revocations, event: &Event) {
    revocations.apply(FeedMessage::parse(event.payload.to_string().as_bytes()).unwrap(), now());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_was_paused_answers_nothing_stale_and_closes_its_gates_meanwhile() {
    let main = Stack::open().await;
    let agent = main.agent();
    let steps = vec![with(step(&main, "counted", "rotate_key", "counted"), json!({"uses": 10}))];
    let granted = grant(&main, &agent, &plan(&main, steps)).await;
    let copy = Copy::beside(&main).await;
    let (other, paused) = (copy.serve().await, copy.serve().await);
    let (stack, call) = (&paused.stack, rotation(&main, "counted"));
    let token = token_of(&exchange_all(stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);
    let ask_for = async |what: &str| {
        let body = request(stack, &agent, &token, &call, &fresh());
        stack.post_json(what, EVALUATION, &body).await
    };
    permit(&ask_for("before").await);
    assert_eq!(ask(stack, "before", &agent, &token).await.success(200)["active"], true);
    let (mut feed, revocations) = (Feed::open(stack, None).await, Revocations::new());
    hear(&revocations, &feed.next_of("snapshot").await);
    hear(&revocations, &feed.next_of("heartbeat").await);
    let view = || revocations.check(&granted.intent_id, now(), LIMIT);
    assert_eq!(view(), Ok(()));

    paused.signal("STOP");
    let begun = Instant::now();
    revoke(&other.stack, &granted.intent_id).await;
    // What was on its way when it was paused.
    let mut late = 0;
    while let Some(event) = feed.next_within(LIMIT + Duration::from_secs(2)).await {
        hear(&revocations, &event);
        late += 1;
        assert!(late < 5, "a paused replica goes on to say that all is well");
    }
    assert_eq!(view(), Err(Reason::RevocationStateStale), "the gate is open while nothing is heard");
    let (meanwhile, back) = (ask_for("asked while it is paused"), async {
        tokio::time::sleep(Duration::from_secs(share(60, 12)).saturating_sub(begun.elapsed())).await;
        paused.signal("CONT");
    });
    let (meanwhile, ()) = tokio::join!(meanwhile, back);
    assert_ne!(meanwhile.body["decision"], true, "{}", meanwhile.text);
    refused(&ask_for("asked when it is back").await, "intent_revoked");
    inactive(&ask(stack, "asked when it is back", &agent, &token).await);
    let exchanged = exchange_all(stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await;
    exchanged.because(400, "invalid_request", "intent_revoked");
    let grant = stack.poll(&agent, &granted.intent_id).await;
    grant.because(400, "invalid_grant", "intent_revoked");
    // Whatever its feed says, and in whatever order: the gate never opens.
    loop {
        let event = feed.next().await;
        hear(&revocations, &event);
        assert!(view().is_err(), "{event:?} opens the gate");
        if view() == Err(Reason::IntentRevoked) {
            break;
        }
    }
    let ready = Reply::to("ready", stack.http.get(format!("{}/health/ready", paused.management))).await;
    assert_eq!(ready.status, 200);
}
