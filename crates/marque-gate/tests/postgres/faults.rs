//! While the database is away nothing that it would count is permitted; afterwards all goes on.

use crate::common::*;
use crate::support::*;
use marque_gate::ledger::{Ledger, Settlement};
use marque_gate::postgres::{DatabaseError, GateDatabase, PermitState};
use marque_gate::{GateConfig, Outcome, Reason};
use serde_json::json;
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_gate_fails_closed_while_postgres_is_away_and_goes_on_afterwards() {
    let shop = Shop::open_at(Arc::new(Postgres::start()), |ledger| ledger).await;
    let gate = gate(&shop.world, shop.ledger.clone()).with_proof_store(shop.database().await.proofs());
    let token = Token::of(json!([
        step("read", "look", "read", "a", json!("any"), json!({})),
        step("set", "set", "change", "a", json!(3), json!({})),
    ]));
    let (set, look) = (call("set", "a", json!({})), call("look", "a", json!({})));
    let before = token.check(&shop.world, &gate, &set).await.unwrap();
    let id = before.id().unwrap().to_owned();
    shop.postgres.stop();
    let start = Instant::now();
    assert_eq!(reason(shop.check(&token, &set).await), Reason::LedgerUnavailable);
    assert_eq!(reason(token.check(&shop.world, &gate, &look).await), Reason::StateUnavailable);
    assert!(shop.check(&token, &look).await.is_ok(), "a gate that remembers proofs alone needs no database for reads");
    println!("refused within {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(10));
    shop.gate.settle(before, Outcome::Committed, NOW).await; // logged, and lost
    shop.postgres.url("shop");
    assert_eq!(shop.ledger.state(&id).await.unwrap(), Some(PermitState::Reserved), "what was answered was on disk");
    assert!(token.check(&shop.world, &gate, &set).await.is_ok());
    assert!(token.check(&shop.world, &gate, &look).await.is_ok());
    assert!(shop.check(&token, &set).await.is_ok());
    assert_eq!(reason(shop.check(&token, &set).await), Reason::UsesExhausted, "nothing was forgotten");
}

#[tokio::test]
async fn a_connection_that_broke_is_met_by_asking_again() {
    let shop = Shop::open().await;
    let token = Token::of(json!([step("set", "set", "change", "a", json!(5), json!({}))]));
    let set = call("set", "a", json!({}));
    assert!(shop.check(&token, &set).await.is_ok());
    sqlx::query(
        "select pg_terminate_backend(pid) from pg_stat_activity
         where pid <> pg_backend_pid() and datname = current_database()",
    )
    .execute(&shop.pool)
    .await
    .unwrap();
    assert!(shop.check(&token, &set).await.is_ok());
}

#[tokio::test]
async fn a_schema_belongs_to_one_issuer_and_has_a_plain_name() {
    let postgres = Postgres::shared();
    let options = postgres.database();
    let _one = connect(&options).await;
    let other = GateConfig::new(LOCATION, "https://other.example/realms/demo", DOMAIN).unwrap();
    let refused = GateDatabase::connect(options.clone(), SCHEMA, &other).await.unwrap_err();
    assert!(matches!(refused, DatabaseError::Owner(owner) if owner == ISSUER));
    assert!(GateDatabase::connect(options.clone(), "another", &other).await.is_ok());
    for name in ["", "A", "1a", "a b", "a;drop", "a,b", "é", &"a".repeat(64)] {
        let refused = GateDatabase::connect(options.clone(), name, &config()).await.unwrap_err();
        assert!(matches!(refused, DatabaseError::Schema(_)), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_gates_may_make_the_schema_at_once() {
    let postgres = Postgres::shared();
    let options = postgres.database();
    let starts: Vec<_> = (0..6)
        .map(|_| {
            let options = options.clone();
            tokio::spawn(async move { GateDatabase::connect(options, SCHEMA, &config()).await.map(drop) })
        })
        .collect();
    for start in starts {
        start.await.unwrap().unwrap();
    }
}

const CHILD: &str = "MARQUE_GATE_TEST_CHILD";

/// Takes a permit, does its effect, and is killed before it can commit either.
async fn be_killed(told: &str) {
    let (url, intent) = told.split_once(' ').unwrap();
    let options: PgConnectOptions = url.parse().unwrap();
    let (world, ledger) = (World::new(), connect(&options).await.ledger());
    let ledger = ledger.with_reservation(Duration::from_millis(1500));
    let gate = gate(&world, ledger.clone());
    let token = Token { intent: intent.to_owned(), ..once() };
    let permit = token.check(&world, &gate, &call("set", "a", json!({}))).await.unwrap();
    let pool = sqlx::PgPool::connect_with(options).await.unwrap();
    let mut tx = pool.begin().await.unwrap();
    sqlx::query("insert into orders (item) values ('a')").execute(&mut *tx).await.unwrap();
    let _ = ledger.commit_in(&mut tx, &permit, Outcome::Committed).await.unwrap();
    println!("PERMIT {}", permit.id().unwrap());
    // Nothing is dropped, flushed or closed.
    std::process::abort();
}

fn once() -> Token {
    Token::of(json!([step("set", "set", "change", "a", json!(1), json!({}))]))
}

#[expect(clippy::disallowed_methods, reason = "tells the test's own child process what it is")]
#[tokio::test]
async fn a_gate_that_is_killed_between_permit_and_result_leaves_no_silent_double() {
    if let Ok(told) = std::env::var(CHILD) {
        return be_killed(&told).await;
    }
    let shop = Shop::open_with(|ledger| ledger.with_reservation(Duration::from_millis(1500))).await;
    let (token, set) = (once(), call("set", "a", json!({})));
    let own = "faults::a_gate_that_is_killed_between_permit_and_result_leaves_no_silent_double";
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", own, "--nocapture"]).env(CHILD, format!("{} {}", shop.options.to_url_lossy(), token.intent));
    let ended = child.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(ended.status.code().is_none(), "the gate's process is killed: {}", String::from_utf8_lossy(&ended.stderr));
    let id = said.lines().find_map(|line| Some(line.split_once("PERMIT ")?.1.trim())).unwrap();
    assert_eq!(shop.ledger.state(id).await.unwrap(), Some(PermitState::Reserved));
    assert_eq!(shop.orders().await, 0, "an effect without its use");
    assert_eq!(reason(shop.check(&token, &set).await), Reason::UsesExhausted);
    tokio::time::sleep(Duration::from_millis(1600)).await;
    assert_eq!(shop.ledger.state(id).await.unwrap(), Some(PermitState::Unknown));
    assert_eq!(reason(shop.check(&token, &set).await), Reason::UsesExhausted, "what is unknown counts");
    let open = shop.ledger.open_permits(10).await.unwrap();
    assert_eq!(open.len(), 1);
    shop.ledger.settle(&open[0].reserved, Settlement { outcome: Outcome::Released, receipt: None }).await.unwrap();
    assert!(shop.check(&token, &set).await.is_ok(), "whoever knows that nothing happened may say so");
}

#[tokio::test]
async fn uses_are_durable_whatever_the_database_says() {
    let postgres = Postgres::shared();
    let options = postgres.database();
    let name = options.get_database().unwrap().to_owned();
    let admin = sqlx::PgPool::connect_with(options.clone()).await.unwrap();
    let off = sqlx::AssertSqlSafe(format!("alter database {name} set synchronous_commit = off"));
    sqlx::query(off).execute(&admin).await.unwrap();
    let (world, ledger) = (World::new(), connect(&options).await.ledger());
    for sql in [
        "create table seen (done text not null, setting text not null)",
        "create function note() returns trigger language plpgsql as $$ begin
             insert into public.seen values (tg_op, current_setting('synchronous_commit')); return null; end $$",
        "create trigger note after insert or update on marque_gate.permits for each row execute function note()",
    ] {
        sqlx::query(sql).execute(&admin).await.unwrap();
    }
    let gate = gate(&world, ledger.clone());
    let permit = once().check(&world, &gate, &call("set", "a", json!({}))).await.unwrap();
    // The effect's own connection has the database's default.
    let shop = sqlx::PgPool::connect_with(options).await.unwrap();
    let mut tx = shop.begin().await.unwrap();
    let default: String = sqlx::query_scalar("show synchronous_commit").fetch_one(&mut *tx).await.unwrap();
    assert_eq!(default, "off");
    let _ = ledger.commit_in(&mut tx, &permit, Outcome::Committed).await.unwrap();
    tx.commit().await.unwrap();
    let seen: Vec<(String, String)> = sqlx::query_as("select done, setting from seen").fetch_all(&admin).await.unwrap();
    assert_eq!(seen, [("INSERT".to_owned(), "on".to_owned()), ("UPDATE".to_owned(), "on".to_owned())]);
}
