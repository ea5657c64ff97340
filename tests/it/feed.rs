//! The revocation feed: signed, in order, and never silent while all is well.

use crate::support::plans::reading;
use crate::support::reply::Reply;
use crate::support::server::Copy;
use crate::support::sse::{Event, Feed};
use crate::support::stack::Stack;
use marque_core::canonical::Digest;
use marque_gate::revocations::{Applied, FeedMessage, Revocations};
use sqlx::Executor;
use uuid::Uuid;

/// "Revoke now" as a signed-in browser presses it. Its session is put into the database: the sign-in is tested elsewhere.
pub async fn revoke(stack: &Stack, intent_id: &str) {
    let cookie = Uuid::new_v4().to_string();
    let id: Uuid = intent_id.parse().unwrap();
    let sql = "insert into receipt_sessions (cookie_sha256, intent_id, expires_at) values ($1, $2, now() + interval '1 minute')";
    let digest = Digest::of(cookie.as_bytes());
    sqlx::query(sql).bind(digest.as_bytes().as_slice()).bind(id).execute(&stack.db).await.unwrap();
    let (page, cookie) = (stack.url(&format!("/receipt/{intent_id}")), format!("marque_receipt={cookie}"));
    let shown = Reply::to("the receipt", stack.http.get(&page).header("cookie", &cookie)).await;
    shown.page(200, "Revoke now");
    let csrf = shown.text.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let press =
        |csrf: &str| stack.http.post(format!("{page}/revoke")).header("cookie", &cookie).form(&[("csrf", csrf)]);
    Reply::to("another form", press("guessed")).await.page(400, "form of the receipt page");
    assert_eq!(Reply::to("revoke now", press(csrf)).await.status, 303);
}

fn number(event: &Event, name: &str) -> i64 {
    event.payload[name].as_i64().unwrap_or_else(|| panic!("{name} in {:?}", event.payload))
}

fn check(stack: &Stack, event: &Event) {
    assert_eq!(event.payload["kind"], event.kind.as_str());
    assert_eq!(event.payload["iss"], stack.issuer());
    let id = format!("{}.{}", event.payload["epoch"].as_str().unwrap(), number(event, "seq"));
    assert_eq!(event.id, id, "the id is epoch and number");
}

#[tokio::test]
async fn a_reader_gets_a_snapshot_first_and_heartbeats_after_it() {
    let stack = Stack::open().await;
    let mut feed = Feed::open(&stack, None).await;
    let snapshot = feed.next().await;
    check(&stack, &snapshot);
    assert_eq!(snapshot.kind, "snapshot");
    let (mut seq, mut at) = (number(&snapshot, "seq"), number(&snapshot, "at"));
    for _ in 0..3 {
        let beat = feed.next_of("heartbeat").await;
        check(&stack, &beat);
        assert_eq!(beat.payload["epoch"], snapshot.payload["epoch"]);
        assert!(number(&beat, "seq") >= seq && number(&beat, "at") >= at, "{beat:?}");
        (seq, at) = (number(&beat, "seq"), number(&beat, "at"));
    }
    for last in [snapshot.id.as_str(), "unknown.5", "x"] {
        let mut again = Feed::open(&stack, Some(last)).await;
        let first = again.next().await;
        assert_eq!((first.kind.as_str(), &first.payload["epoch"]), ("snapshot", &snapshot.payload["epoch"]), "{last}");
        assert!(number(&first, "seq") >= seq);
    }
}

#[tokio::test]
async fn revocations_reach_open_readers_in_order_and_later_ones_in_their_snapshot() {
    let stack = Stack::open().await;
    let agent = stack.agent();
    let mut feed = Feed::open(&stack, None).await;
    let mut known = number(&feed.next().await, "seq");
    let mut intents = Vec::new();
    for _ in 0..3 {
        intents.push(stack.submitted(&agent, &reading(&stack)).await);
    }
    for intent in &intents {
        revoke(&stack, intent).await;
        stack.poll(&agent, intent).await.because(400, "invalid_grant", "intent_revoked");
    }
    let mut waiting = intents.clone();
    while !waiting.is_empty() {
        let event = feed.next_of("revocation").await;
        check(&stack, &event);
        assert_eq!((number(&event, "prev"), number(&event, "seq")), (known, known + 1), "nothing is missing");
        assert_eq!(event.payload["state"], "revoked");
        assert!(number(&event, "until") > number(&event, "at"));
        known = number(&event, "seq");
        if event.payload["intent"] == waiting[0].as_str() {
            waiting.remove(0);
        }
    }
    let snapshot = Feed::open(&stack, None).await.next().await;
    assert!(number(&snapshot, "seq") >= known);
    let listed = snapshot.payload["intents"].as_array().unwrap();
    for intent in &intents {
        assert!(listed.iter().any(|entry| entry["intent"] == intent.as_str()), "{intent} in {listed:?}");
    }
    let pages = stack.http.get(stack.url(&format!("/approve/{}", intents[0])));
    Reply::to("a revoked plan", pages).await.page(409, "decided already");
}

#[tokio::test]
async fn a_snapshot_of_thousands_comes_in_pages_that_a_gate_takes_in() {
    const REVOKED: usize = 7000;
    let main = Stack::open().await;
    let copy = Copy::beside(&main).await;
    copy.stack
        .db
        .execute(
            "with made as (
                 insert into intents (intent_id, realm, client_id, jkt, plan, catalogs, state, submitted_at, pending_until,
                     expires_at, poll_interval_secs)
                 select gen_random_uuid(), 'demo', 'x', 'x', '', '{}', 'revoked', now(), now(), now() + interval '1 hour', 3
                 from generate_series(1, 7000) returning intent_id, expires_at
             )
             insert into revocations (realm, seq, intent_id, cause, revoked_at, until)
             select 'demo', (select seq from feeds where realm = 'demo') + row_number() over (), intent_id, 'test', now(), expires_at
             from made;
             update feeds set seq = (select max(seq) from revocations where realm = 'demo') where realm = 'demo'",
        )
        .await
        .unwrap();
    let server = copy.serve().await;
    let mut feed = Feed::open(&server.stack, None).await;
    let (gate, mut known) = (Revocations::new(), 0);
    loop {
        let event = feed.next().await;
        assert_eq!(event.kind, "snapshot", "nothing comes between two pages");
        known += event.payload["intents"].as_array().unwrap().len();
        let message = FeedMessage::parse(event.payload.to_string().as_bytes()).unwrap();
        match gate.apply(message, number(&event, "at")) {
            Applied::Page => assert!(gate.age_secs(0).is_none(), "not current before the last page"),
            Applied::Current => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(known >= REVOKED, "{known}");
}
