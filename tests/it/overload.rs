//! A pool without connections, a disk that is slow, a clock that jumps: what the server does then, and that it comes back. What
//! connections are for.

use crate::exchange::{exchange_all, token_of};
use crate::support::plans::{reading, shared};
use crate::support::reply::Reply;
use crate::support::server::Copy;
use crate::support::stack::Stack;
use crate::support::until;
use futures_util::future::{FutureExt, join_all};
use marque::flows::forget_expired::keep_forgetting;
use marque::store::Database;
use marque_core::claims::token_hash;
use marque_core::names::TOKEN_TYPE_INTENT;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Executor, Row};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Requests at once: several times as many as a server has connections.
const FLOOD: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_finds_the_connection_pool_full_is_told_to_come_back() {
    let main = Stack::open().await;
    let agent = main.agent();
    let copy = Copy::beside(&main).await;
    let mut server = copy.serve().await;
    let stack = server.stack.clone();
    let intent = stack.submitted(&agent, &reading(&stack)).await;
    let mut lock = stack.db.begin().await.unwrap();
    sqlx::query("lock table intents in access exclusive mode").execute(&mut *lock).await.unwrap();
    let polls = join_all((0..FLOOD).map(|_| stack.poll(&agent, &intent)));
    let (replies, keys) = tokio::join!(polls, Reply::to("keys", stack.http.get(stack.url("/jwks"))));
    assert_eq!(keys.status, 200, "what needs no database goes on");
    for reply in &replies {
        reply.because(503, "temporarily_unavailable", "state_unavailable");
        assert_eq!(reply.header("retry-after"), "1");
    }
    // They were answered while nobody had let go of the lock.
    lock.rollback().await.unwrap();
    stack.poll(&agent, &intent).await.refused(400, "authorization_pending");
    assert!(server.is_up(), "{}", server.log());
}

/// Postgres waits a tenth of a second before it flushes each commit (`commit_delay`, its greatest): the nearest to a slow disk
/// that it offers by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_disk_makes_answers_late_and_no_fewer() {
    const AT_ONCE: usize = 32;
    const DELAY: Duration = Duration::from_millis(100);
    let main = Stack::open().await;
    let (agent, granted) = (main.agent(), shared(&main).await);
    let copy = Copy::beside(&main).await;
    for setting in ["commit_delay = 100000", "commit_siblings = 0"] {
        let name: String =
            sqlx::query_scalar("select current_database()::text").fetch_one(&copy.stack.db).await.unwrap();
        let set = sqlx::AssertSqlSafe(format!("alter database {name} set {setting}"));
        sqlx::query(set).execute(&copy.stack.db).await.unwrap();
    }
    let server = copy.serve().await;
    let stack = &server.stack;
    let begun = Instant::now();
    let one = exchange_all(stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await;
    let alone = begun.elapsed();
    token_of(&one);
    assert!(alone > DELAY, "it was answered before it was on the disk: {alone:?}");
    let begun = Instant::now();
    let all = join_all((0..AT_ONCE).map(|_| exchange_all(stack, &agent, &granted.token, TOKEN_TYPE_INTENT))).await;
    println!("one exchange took {alone:?}, {AT_ONCE} at once {:?}", begun.elapsed());
    let mut transactions = BTreeSet::new();
    for reply in &all {
        let hash = token_hash(&token_of(reply));
        let kept = sqlx::query_scalar("select xmin::text from tokens where token_sha256 = $1");
        let kept: Option<String> = kept.bind(hash.as_bytes().as_slice()).fetch_optional(&stack.db).await.unwrap();
        transactions.insert(kept.expect("an answered token has its row"));
    }
    assert!(transactions.len() < AT_ONCE / 2, "each waited for a commit of its own: {}", transactions.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_refuses_and_forgets_nothing() {
    const JUMP: i64 = 600;
    let main = Stack::open().await;
    let (agent, granted) = (main.agent(), shared(&main).await);
    let copy = Copy::beside(&main).await;
    let here = copy.serve_here().await;
    let stack = &here.stack;
    let form = stack.exchange_form(&granted.token, TOKEN_TYPE_INTENT);
    let request = stack.signed(&agent, "/token", &form);
    let again = async |what: &str| Reply::to(what, request.try_clone().unwrap()).await;
    token_of(&again("at the right time").await);
    again("a second time").await.refused(401, "invalid_client").naming("used before");

    here.app.clock.advance(JUMP);
    for what in ["the clock is ahead", "still"] {
        let reply = exchange_all(stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await;
        assert!([400, 401].contains(&reply.status), "{what}: {}", reply.text);
        assert!(reply.body.get("access_token").is_none(), "{what}");
    }
    // What is kept for single use would be over by then.
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let over = Uuid::new_v4();
    let id_that_is_over = "insert into replays (id, expires_at) values ($1, now() - interval '1 day')";
    sqlx::query(id_that_is_over).bind(over).execute(&stack.db).await.unwrap();
    let forgetting = tokio::spawn(keep_forgetting(here.app.clone(), stopped));
    until("what is over is forgotten", async || {
        sqlx::query("select from replays where id = $1").bind(over).fetch_optional(&stack.db).await.unwrap().is_none()
    })
    .await;
    stop.send(true).unwrap();
    forgetting.await.unwrap();

    here.app.clock.advance(-JUMP);
    again("the clock is back, the same request").await.refused(401, "invalid_client").naming("used before");
    token_of(&exchange_all(stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);

    here.app.clock.advance(-JUMP);
    let reply = exchange_all(stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await;
    assert!([400, 401].contains(&reply.status), "the clock is behind: {}", reply.text);
    here.app.clock.advance(JUMP);
    token_of(&exchange_all(stack, &agent, &granted.token, TOKEN_TYPE_INTENT).await);
}

#[tokio::test]
async fn a_request_that_goes_away_while_its_transaction_begins_leaves_none_behind() {
    let main = Stack::open().await;
    let one = PgPoolOptions::new().max_connections(1).test_before_acquire(false);
    let pool = one.connect(Copy::original(&main).url()).await.unwrap();
    let db = Database::from(pool.clone());
    let mut given_up = 0;
    for _ in 0..50 {
        drop(db.look().await.unwrap());
        until("the connection is free", || async { pool.num_idle() == 1 }).await;
        // Now and then the answer is there at once.
        given_up += usize::from(db.begin().now_or_never().is_none());
        let asked = "select transaction_timestamp() = statement_timestamp()";
        // In one message, whose instant both are if nothing was begun before.
        let row = db.look().await.unwrap().fetch_one(asked).await.unwrap();
        assert!(row.get::<bool, _>(0), "a transaction of nobody's");
    }
    assert!(given_up > 0, "each was there at once: nothing is proven");
}

#[tokio::test]
async fn nothing_is_written_by_a_connection_to_read_with() {
    let copy = Copy::beside(&Stack::open().await).await;
    let db = Database::connect(copy.url(), None).await.unwrap();
    let note = "insert into replays (id, expires_at) values (gen_random_uuid(), now())";
    let code =
        |refused: sqlx::Error| refused.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
    let by_look = db.look().await.unwrap().execute(note).await.unwrap_err();
    let at_once = db.look_at_once().await.unwrap().execute(note).await.unwrap_err();
    // `read_only_sql_transaction` (Postgres, appendix A).
    assert_eq!([by_look, at_once].map(code), [Some("25006".into()), Some("25006".into())]);
    db.write(async |conn| conn.execute(note).await).await.unwrap();
    let mut tx = db.begin().await.unwrap();
    tx.execute(note).await.unwrap();
    tx.commit().await.unwrap();
}
