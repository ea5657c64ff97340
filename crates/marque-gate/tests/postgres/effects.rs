//! An effect and its use are committed together, or neither is.

use crate::common::*;
use crate::support::*;
use marque_gate::ledger::{Ledger, Settlement};
use marque_gate::postgres::{Commit, PermitState};
use marque_gate::{CallResult, Outcome, Permit, Reason};
use serde_json::json;
use sqlx::PgConnection;
use std::time::Duration;

fn orders(uses: u64) -> Token {
    Token::of(json!([step("order", "order", "create", "a", json!(uses), json!({}))]))
}

async fn effect(tx: &mut PgConnection, permit: &Permit) {
    sqlx::query("insert into orders (item) values ($1)").bind(&permit.resource().id).execute(tx).await.unwrap();
}

#[tokio::test]
async fn effect_and_use_are_committed_together() {
    let shop = Shop::open().await;
    let permit = shop.check(&orders(1), &call("order", "a", json!({}))).await.unwrap();
    let mut tx = shop.pool.begin().await.unwrap();
    effect(&mut tx, &permit).await;
    assert_eq!(shop.ledger.commit_in(&mut tx, &permit, Outcome::Committed).await.unwrap(), Commit::WithEffect);
    effect(&mut tx, &permit).await; // the search path is the shop's own again
    let id = permit.id().unwrap();
    assert_eq!(shop.ledger.state(id).await.unwrap(), Some(PermitState::Reserved), "nothing is committed yet");
    tx.commit().await.unwrap();
    assert_eq!(shop.ledger.state(id).await.unwrap(), Some(PermitState::Committed));
    assert_eq!(shop.orders().await, 2);
}

#[tokio::test]
async fn an_effect_that_is_rolled_back_commits_no_use_and_frees_none() {
    let shop = Shop::open_with(|ledger| ledger.with_reservation(Duration::from_millis(600))).await;
    let (token, order) = (orders(1), call("order", "a", json!({})));
    let permit = shop.check(&token, &order).await.unwrap();
    let id = permit.id().unwrap().to_owned();
    let mut tx = shop.pool.begin().await.unwrap();
    effect(&mut tx, &permit).await;
    let _ = shop.ledger.commit_in(&mut tx, &permit, Outcome::Committed).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(shop.orders().await, 0);
    assert_eq!(shop.ledger.state(&id).await.unwrap(), Some(PermitState::Reserved));
    assert_eq!(reason(shop.check(&token, &order).await), Reason::UsesExhausted, "nothing is free silently");
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(shop.ledger.state(&id).await.unwrap(), Some(PermitState::Unknown));
    assert_eq!(reason(shop.check(&token, &order).await), Reason::UsesExhausted);
    // Whoever rolled back knows that nothing happened, and may say so.
    shop.gate.settle(permit, Outcome::Released, NOW).await;
    assert!(shop.check(&token, &order).await.is_ok());
}

#[tokio::test]
async fn a_connection_that_dies_between_permit_and_commit_leaves_a_permit_to_be_reconciled() {
    let shop = Shop::open_with(|ledger| ledger.with_reservation(Duration::from_millis(600))).await;
    let (token, order) = (orders(1), call("order", "a", json!({})));
    let permit = shop.check(&token, &order).await.unwrap();
    let mut tx = shop.pool.begin().await.unwrap();
    let backend: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *tx).await.unwrap();
    effect(&mut tx, &permit).await;
    let _ = shop.ledger.commit_in(&mut tx, &permit, Outcome::Committed).await.unwrap();
    let killed: bool =
        sqlx::query_scalar("select pg_terminate_backend($1)").bind(backend).fetch_one(&shop.pool).await.unwrap();
    assert!(killed && tx.commit().await.is_err());
    assert_eq!(shop.orders().await, 0);
    let open = shop.ledger.open_permits(10).await.unwrap();
    assert_eq!((open.len(), open[0].state), (1, PermitState::Reserved));
    assert_eq!(open[0].reserved.permit_id, permit.id().unwrap());
    tokio::time::sleep(Duration::from_millis(700)).await;
    let open = shop.ledger.open_permits(10).await.unwrap();
    assert_eq!(open[0].state, PermitState::Unknown);
    assert_eq!(reason(shop.check(&token, &order).await), Reason::UsesExhausted);
    let settlement = Settlement { outcome: Outcome::Released, receipt: None };
    shop.ledger.settle(&open[0].reserved, settlement).await.unwrap();
    assert!(shop.ledger.open_permits(10).await.unwrap().is_empty());
    assert!(shop.check(&token, &order).await.is_ok());
}

#[tokio::test]
async fn an_effect_cannot_be_committed_with_a_permit_that_is_not_open() {
    let shop = Shop::open().await;
    let permit = shop.check(&orders(1), &call("order", "a", json!({}))).await.unwrap();
    let open = shop.ledger.open_permits(10).await.unwrap();
    let settlement = Settlement { outcome: Outcome::Released, receipt: None };
    shop.ledger.settle(&open[0].reserved, settlement).await.unwrap();
    let mut tx = shop.pool.begin().await.unwrap();
    effect(&mut tx, &permit).await;
    assert_eq!(reason(shop.ledger.commit_in(&mut tx, &permit, Outcome::Committed).await), Reason::PermitNotOpen);
    // Even where the refusal is ignored.
    let _ = tx.commit().await;
    assert_eq!(shop.orders().await, 0);
}

#[tokio::test]
async fn one_permit_commits_one_effect_and_nothing_is_released_afterwards() {
    let shop = Shop::open().await;
    let permit = shop.check(&orders(2), &call("order", "a", json!({}))).await.unwrap();
    let mut tx = shop.pool.begin().await.unwrap();
    effect(&mut tx, &permit).await;
    assert_eq!(reason(shop.ledger.commit_in(&mut tx, &permit, Outcome::Released).await), Reason::PermitNotOpen);
    let _ = tx.commit().await;
    assert_eq!(shop.orders().await, 0, "an effect beside a release");
    // As a handler does that was not told whether its transaction was committed.
    for again in [false, true] {
        let mut tx = shop.pool.begin().await.unwrap();
        effect(&mut tx, &permit).await;
        let commit = shop.ledger.commit_in(&mut tx, &permit, Outcome::Committed).await;
        assert_eq!(commit.is_err(), again);
        let _ = tx.commit().await;
    }
    assert_eq!(shop.orders().await, 1);
    let id = permit.id().unwrap().to_owned();
    shop.gate.settle(permit, Outcome::Released, NOW).await;
    assert_eq!(shop.ledger.state(&id).await.unwrap(), Some(PermitState::Committed));
}

#[tokio::test]
async fn what_a_call_gave_binds_a_later_argument_without_a_receipt() {
    let shop = Shop::open().await;
    let to = json!({"to": {"ref": {"step": "find", "field": "/iban"}}});
    let token = Token::of(json!([
        step("find", "find", "read", "a", json!(1), json!({})),
        step("set", "set", "change", "a", json!(2), to),
    ]));
    let set = |iban: &str| call("set", "a", json!({"to": iban}));
    assert_eq!(reason(shop.check(&token, &set("AT61")).await), Reason::ResultUnknown);
    let permit = shop.check(&token, &call("find", "a", json!({}))).await.unwrap();
    let mut tx = shop.pool.begin().await.unwrap();
    let given = json!({"iban": "AT61", "holder": "Alice"});
    let _ = shop.ledger.commit_in(&mut tx, &permit, CallResult::leaves(given.clone(), ["/iban"])).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(reason(shop.check(&token, &set("AT99")).await), Reason::ResultUnknown, "the rest is not disclosed");
    assert!(shop.check(&token, &set("AT61")).await.is_ok());
    // The same result may be disclosed further, and another one is refused.
    for (result, expected) in
        [(CallResult::whole(given), Ok(())), (CallResult::whole(json!({"iban": "AT99"})), Err(Reason::PermitNotOpen))]
    {
        assert_eq!(shop.ledger.disclose(&permit, result).await.map_err(|refusal| refusal.reason()), expected);
    }
    assert_eq!(reason(shop.check(&token, &set("AT99")).await), Reason::ArgumentMismatch);
}
