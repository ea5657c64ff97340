//! The database fails in every way: nothing is answered that was not kept, and the server comes back.

use crate::exchange::exchange_all;
use crate::support::plans::{reading, shared};
use crate::support::reply::Reply;
use crate::support::server::{Copy, Postgres, Server};
use crate::support::sse::Feed;
use crate::support::stack::Stack;
use crate::support::until;
use marque_core::names::TOKEN_TYPE_INTENT;
use sqlx::Executor;
use std::time::Duration;

#[tokio::test]
async fn no_token_is_ever_answered_without_its_row() {
    let main = Stack::open().await;
    let (agent, granted) = (main.agent(), shared(&main).await);
    let copy = Copy::beside(&main).await;
    let server = copy.serve().await;
    let stack = &server.stack;
    let recent = "update intents set redeemed_at = now() where state = 'active'";
    stack.db.execute(recent).await.unwrap();
    stack
        .db
        .execute("create function fail() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$")
        .await
        .unwrap();
    for trigger in [
        "create trigger fail before insert on tokens for each row execute function fail()",
        "create constraint trigger fail after insert on tokens deferrable initially deferred for each row execute function fail()",
        "create trigger fail after insert on tokens for each statement execute function fail()",
    ] {
        stack.db.execute(trigger).await.unwrap();
        let before = lasting(stack).await;
        for reply in [
            exchange_all(stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await,
            stack.poll(&agent, &granted.intent_id).await,
        ] {
            reply.refused(500, "server_error");
            assert!(!reply.text.contains("ey"), "{trigger}: {}", reply.text);
        }
        assert_eq!(lasting(stack).await, before, "{trigger}");
        stack.db.execute("drop trigger fail on tokens").await.unwrap();
    }
    exchange_all(stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await.success(200);
    stack.poll(&agent, &granted.intent_id).await.success(200);
    let log = server.log();
    assert!(!log.contains(&granted.token), "a token in the log");
}

/// What lasts, but for places in status lists: one that was given to a token which was not kept is free again when that would have ended.
async fn lasting(stack: &Stack) -> Vec<(String, i64)> {
    let counts = stack.row_counts().await;
    counts.into_iter().filter(|(table, _)| table != "status_places").collect()
}

/// Whether the management port answers a path with a status.
async fn health(server: &Server, path: &str) -> u16 {
    let request = server.stack.http.get(format!("{}{path}", server.management));
    Reply::to(path, request).await.status
}

/// While the database is away: what needs it is 503, the rest goes on.
async fn expect_away(server: &mut Server, why: &str) {
    let stack = server.stack.clone();
    let agent = stack.agent();
    let plan = reading(&stack);
    let (submitted, page, ready, live) = tokio::join!(
        stack.submit(why, &agent, &plan),
        Reply::to(why, stack.http.get(stack.url("/approve/00000000-0000-0000-0000-000000000000"))),
        health(server, "/health/ready"),
        health(server, "/health/live"),
    );
    submitted.because(503, "temporarily_unavailable", "state_unavailable");
    page.page(503, "nothing was done");
    assert_eq!((ready, live), (503, 200), "{why}");
    for path in ["/jwks", "/.well-known/oauth-authorization-server"] {
        assert_eq!(Reply::to(why, stack.http.get(stack.url(path))).await.status, 200, "{why}: {path}");
    }
    assert!(server.is_up(), "{why}: {}", server.log());
}

async fn expect_back(server: &Server, why: &str) {
    let agent = server.stack.agent();
    until(why, || async { server.stack.submit(why, &agent, &reading(&server.stack)).await.status == 201 }).await;
    assert_eq!(health(server, "/health/ready").await, 200);
}

/// Reads what was sent so far, until the feed says nothing for three of its seconds.
async fn expect_silence(feed: &mut Feed) {
    for _ in 0..20 {
        if feed.next_within(Duration::from_secs(3)).await.is_none() {
            return;
        }
    }
    panic!("the feed goes on without its database");
}

#[tokio::test]
async fn a_database_that_is_away_makes_503_and_a_silent_feed_until_it_is_back() {
    let stack = Stack::open().await;
    let mut postgres = Postgres::start(&stack);
    let copy = Copy::within(&stack, &postgres).await;
    let mut server = copy.serve().await;
    expect_back(&server, "before").await;
    let mut feed = Feed::open(&server.stack, None).await;
    feed.next_of("heartbeat").await;

    postgres.signal("STOP");
    expect_silence(&mut feed).await;
    expect_away(&mut server, "the database hangs").await;
    postgres.signal("CONT");
    expect_back(&server, "the database goes on").await;
    feed.next_of("heartbeat").await;

    postgres.stop();
    expect_silence(&mut feed).await;
    expect_away(&mut server, "the database is stopped").await;
    postgres.restart();
    expect_back(&server, "the database is started again").await;
    feed.next_of("heartbeat").await;
    let intent = server.stack.submitted(&server.stack.agent(), &reading(&server.stack)).await;
    crate::feed::revoke(&server.stack, &intent).await;
    feed.until_revoked(&intent).await;
}

#[tokio::test]
async fn a_database_that_restarts_under_load_makes_no_500() {
    let stack = Stack::open().await;
    let mut postgres = Postgres::start(&stack);
    let copy = Copy::within(&stack, &postgres).await;
    let server = copy.serve().await;
    let (stack, agent) = (server.stack.clone(), server.stack.agent());
    let intent = stack.submitted(&agent, &reading(&stack)).await;
    let load = tokio::spawn(async move {
        let mut statuses = Vec::new();
        for _ in 0..60 {
            let polls = (0..4).map(|_| stack.poll(&agent, &intent));
            statuses.extend(
                futures_util::future::join_all(polls).await.into_iter().map(|reply| (reply.status, reply.text)),
            );
        }
        statuses
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    postgres.stop();
    postgres.restart();
    let statuses = load.await.unwrap();
    let odd: Vec<_> = statuses.iter().filter(|(status, _)| ![400, 503].contains(status)).collect();
    assert!(odd.is_empty(), "{odd:?}\n{}", server.log());
    expect_back(&server, "after the restart").await;
}

#[tokio::test]
async fn a_request_that_the_database_keeps_waiting_is_ended_with_an_answer() {
    let main = Stack::open().await;
    let (agent, granted) = (main.agent(), shared(&main).await);
    let copy = Copy::beside(&main).await;
    let server = copy.serve().await;
    let stack = &server.stack;
    let mut lock = stack.db.begin().await.unwrap();
    sqlx::query("lock table tokens in access exclusive mode").execute(&mut *lock).await.unwrap();
    let reply = exchange_all(stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await;
    reply.refused(503, "temporarily_unavailable");
    lock.rollback().await.unwrap();
    exchange_all(stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await.success(200);
}
