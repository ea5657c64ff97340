//! While the database is away nothing that it would count is permitted; afterwards all goes on.

use crate::common::*;
use crate::support::*;
use marque_gate::postgres::{DatabaseError, GateDatabase, PermitState};
use marque_gate::{GateConfig, Outcome, Reason};
use serde_json::json;
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
