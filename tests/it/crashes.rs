//! The server and its database crash while they work: what was answered was kept, and nothing is done twice.

use crate::exchange::{exchange_all, token_of};
use crate::support::load::{Load, Work};
use crate::support::plans::{grant, plan, reading, rotation, step, with};
use crate::support::server::{Copy, Postgres, Server};
use crate::support::share;
use crate::support::stack::Stack;
use crate::support::{person, until};
use marque_core::names::TOKEN_TYPE_INTENT;
use serde_json::json;
use std::sync::atomic::Ordering::SeqCst;

/// Something to do: a redeemed plan with a counted step, and approvals that wait.
async fn work(stack: &Stack) -> Work {
    let agent = stack.agent();
    let counted = with(step(stack, "counted", "rotate_key", "counted"), json!({"uses": 10_000}));
    let granted = grant(stack, &agent, &plan(stack, vec![counted])).await;
    let token = token_of(&exchange_all(stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);
    let mut approved = Vec::new();
    for _ in 0..share(5, 2) {
        let intent = stack.submitted(&agent, &reading(stack)).await;
        person::approve(stack, &intent).await;
        approved.push(intent);
    }
    let (call, access_token) = (rotation(stack, "counted"), stack.access_token().await);
    Work { agent, granted, approved, call, token, access_token }
}

/// Runs a load beside what happens to it.
async fn under_load<S>(
    server: &mut S,
    stack: &Stack,
    work: Work,
    (exchanges, faults): (usize, usize),
    mut fault: impl AsyncFnMut(&mut S, usize),
) -> std::sync::Arc<Load> {
    let (load, mut loops) = Load::start(stack, work, exchanges).await;
    for index in 0..faults {
        load.until_exchanged(exchanges * (index + 1) / (faults + 1)).await;
        fault(server, index).await;
    }
    while let Some(ended) = loops.join_next().await {
        ended.unwrap();
    }
    let seen = &load.seen;
    println!(
        "{faults} faults in {} exchanges; {} requests without an answer, {} told to come back",
        seen.exchanged.load(SeqCst),
        seen.unanswered.load(SeqCst),
        seen.refused.load(SeqCst)
    );
    load
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_again_and_again_loses_nothing_and_doubles_nothing() {
    let main = Stack::open().await;
    let work = work(&main).await;
    let copy = Copy::beside(&main).await;
    let mut server = copy.serve().await;
    let stack = server.stack.clone();
    let effort = (share(10_000, 600), share(50, 6));
    let crash = async |server: &mut Server, _| server.crash().await;
    let load = under_load(&mut server, &stack, work, effort, crash).await;
    assert!(load.seen.unanswered.load(SeqCst) > 0, "no crash was noticed");
    load.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_restarts_and_crashes_under_load_loses_nothing_and_doubles_nothing() {
    let main = Stack::open().await;
    let work = work(&main).await;
    let mut postgres = Postgres::start(&main);
    let copy = Copy::within(&main, &postgres).await;
    let mut server = copy.serve().await;
    let stack = server.stack.clone();
    let effort = (share(4_000, 400), share(10, 2));
    let fault = async |postgres: &mut Postgres, index: usize| {
        if index.is_multiple_of(2) {
            postgres.crash();
        } else {
            postgres.stop();
        }
        postgres.restart();
    };
    let load = under_load(&mut postgres, &stack, work, effort, fault).await;
    assert!(load.seen.refused.load(SeqCst) > 0, "no fault was noticed");
    assert!(server.is_up(), "{}", server.log());
    assert_eq!(load.seen.unanswered.load(SeqCst), 0, "requests without an answer");
    load.check().await;
}

/// SIGTERM: whatever was accepted is answered, and the server ends well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_told_to_stop_answers_what_it_has_accepted() {
    const ACCEPTED: i64 = 20;
    let main = Stack::open().await;
    let (agent, granted) = (main.agent(), crate::support::plans::shared(&main).await);
    let copy = Copy::beside(&main).await;
    let mut server = copy.serve().await;
    let stack = server.stack.clone();
    // Whoever keeps tokens waits for the test, for longer than for anybody else's lock.
    let wait = "create function wait_for_the_test() returns trigger language plpgsql as $$ begin
            perform set_config('lock_timeout', '0', true); perform pg_advisory_xact_lock(4711); return null; end $$;
        create trigger wait_for_the_test before insert on tokens for each statement execute function wait_for_the_test();";
    sqlx::raw_sql(wait).execute(&stack.db).await.unwrap();
    let mut lock = stack.db.begin().await.unwrap();
    sqlx::query("select pg_advisory_xact_lock(4711)").execute(&mut *lock).await.unwrap();
    let form = stack.exchange_form(&granted.token, TOKEN_TYPE_INTENT);
    let before: Vec<uuid::Uuid> = sqlx::query_scalar("select id from replays").fetch_all(&stack.db).await.unwrap();
    let address = reqwest::Url::parse(&stack.url("/")).unwrap();
    let authority = format!("{}:{}", address.host_str().unwrap(), address.port().unwrap());
    let accepted: Vec<_> = (0..ACCEPTED)
        .map(|_| {
            let request = stack.signed(&agent, "/token", &form);
            tokio::spawn(async move { crate::support::reply::Reply::to("an accepted request", request).await })
        })
        .collect();
    // Each has used up its assertion and its proof, and waits to be kept.
    let new = "select count(*) from replays where id <> all($1)";
    let used = async || sqlx::query_scalar::<_, i64>(new).bind(&before).fetch_one(&stack.db).await.unwrap();
    until("all requests are under way", async || used().await >= 2 * ACCEPTED).await;
    server.signal("TERM");
    until("it takes no more connections", async || tokio::net::TcpStream::connect(&authority).await.is_err()).await;
    lock.rollback().await.unwrap();
    for reply in accepted {
        let token = token_of(&reply.await.unwrap());
        let hash = marque_core::claims::token_hash(&token);
        let kept = sqlx::query("select from tokens where token_sha256 = $1").bind(hash.as_bytes().as_slice());
        assert!(kept.fetch_optional(&stack.db).await.unwrap().is_some(), "an answered token has no row");
    }
    assert!(server.ended().await, "{}", server.log());
    let refused = stack.signed(&agent, "/token", &form).send().await;
    assert!(refused.is_err(), "it still takes requests");
}
