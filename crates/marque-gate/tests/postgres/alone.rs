//! What a resource server's ledger decides alone, what it hands over, and that no step is counted in two places.

use crate::common::*;
use crate::support::*;
use marque_gate::ledger::NoLedger;
use marque_gate::postgres::GateDatabase;
use marque_gate::{Gate, GateConfig, Reason};
use serde_json::{Value, json};

/// A gate whose ledger asks a Marque in memory for what it cannot decide.
async fn with_marque() -> (Shop, Gate, MemoryLedger) {
    let shop = Shop::open().await;
    let marque = MemoryLedger::default();
    let gate = gate(&shop.world, shop.ledger.clone().with_fallback(marque.clone()));
    (shop, gate, marque)
}

fn change(id: &str, resource: &str) -> Value {
    step(id, "set", "change", resource, json!(1), json!({}))
}

fn elsewhere(mut step: Value) -> Value {
    step["location"] = "https://other.example".into();
    step
}

fn with(mut step: Value, member: &str, value: Value) -> Value {
    step[member] = value;
    step
}

fn at(resource: &str) -> marque_core::call::Call {
    call("set", resource, json!({}))
}

/// Tokens whose step on `a` is not decided here, each for one reason.
fn handed_over() -> Vec<(&'static str, Token)> {
    let other = || elsewhere(change("o", "o"));
    let bound = json!({"args": {"to": {"ref": {"step": "o", "field": "/x"}}}});
    let bound = with(change("s", "a"), "args", json!({"to": {"optional": bound["args"]["to"]}}));
    let both = json!({"budgets": [{"steps": ["s", "o"], "max": "5"}]});
    vec![
        ("turns", Token::of(json!([change("s", "a")])).within(json!({"turns": 3}))),
        ("a step-up", Token::of(json!([with(change("s", "a"), "approve", json!("step_up"))]))),
        ("order elsewhere", Token::of(json!([with(change("s", "a"), "after", json!(["o"])), other()]))),
        ("a group elsewhere", Token::of(json!([with(change("s", "a"), "excludes", json!(["o"])), other()]))),
        ("a budget elsewhere", Token::of(json!([change("s", "a"), other()])).within(both.clone())),
        ("a source elsewhere", Token::of(json!([bound, other()]))),
        ("others wait for it elsewhere", Token::of(json!([change("s", "a"), with(other(), "after", json!(["s"]))]))),
        ("a step that is not shown", Token::of(json!([with(change("s", "a"), "after", json!(["o"]))]))),
        ("a budget that is not shown", Token::of(json!([change("s", "a")])).within(both)),
        (
            "by way of another step",
            Token::of(json!([
                with(change("s", "a"), "excludes", json!(["t"])),
                with(change("t", "b"), "excludes", json!(["s", "o"])),
                with(other(), "excludes", json!(["t"])),
            ])),
        ),
        (
            "a step beside it that asks again",
            Token::of(json!([
                with(change("s", "a"), "excludes", json!(["t"])),
                with(with(change("t", "b"), "excludes", json!(["s"])), "approve", json!("step_up")),
            ])),
        ),
    ]
}

#[tokio::test]
async fn what_needs_another_ledger_is_handed_over_and_without_one_refused() {
    let (shop, gate, marque) = with_marque().await;
    for (index, (why, token)) in handed_over().into_iter().enumerate() {
        let refusal = shop.check(&token, &at("a")).await.unwrap_err();
        assert_eq!(refusal.reason(), Reason::LedgerUnavailable, "{why}");
        let permit = token.check(&shop.world, &gate, &at("a")).await;
        // The double counts steps by id alone, and knows nothing of order, groups or step-ups.
        assert_eq!(permit.is_ok(), index == 0, "{why}: {permit:?}");
        assert_eq!(marque.asked() as usize, index + 1, "{why}");
    }
    assert!(shop.ledger.open_permits(10).await.unwrap().is_empty(), "nothing was counted here");
}

#[tokio::test]
async fn what_involves_this_location_alone_is_decided_here() {
    let (shop, gate, marque) = with_marque().await;
    let other = elsewhere(change("o", "o"));
    let budget = json!({"budgets": [{"steps": ["s", "t"], "max": "5"}], "max_hops": 2, "max_step_ups": 2});
    let asks = with(change("u", "c"), "approve", json!("step_up"));
    let token = Token::of(json!([change("s", "a"), change("t", "b"), other, asks])).within(budget);
    assert!(token.check(&shop.world, &gate, &at("a")).await.is_ok());
    assert!(token.check(&shop.world, &gate, &at("b")).await.is_ok());
    assert_eq!(marque.asked(), 0);
    assert_eq!(shop.ledger.open_permits(10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_step_stays_where_it_was_counted_first() {
    let (shop, gate, marque) = with_marque().await;
    // The whole plan shows that both steps are here; a narrower token does not.
    let both = [with(change("s", "a"), "excludes", json!(["t"])), with(change("t", "b"), "excludes", json!(["s"]))];
    let whole = Token::of(json!(both));
    assert!(whole.check(&shop.world, &gate, &at("a")).await.is_ok());
    let narrow = whole.showing(json!([both[0]]));
    assert_eq!(reason(narrow.check(&shop.world, &gate, &at("a")).await), Reason::UsesExhausted);
    let rival = whole.showing(json!([both[1]]));
    assert_eq!(reason(rival.check(&shop.world, &gate, &at("b")).await), Reason::GroupUsed);
    assert_eq!(marque.asked(), 0, "what was counted here is never asked about elsewhere");
    // The other way round: once Marque was asked, it is asked for ever.
    let whole = Token::of(json!(both));
    let narrow = whole.showing(json!([both[0]]));
    assert!(narrow.check(&shop.world, &gate, &at("a")).await.is_ok());
    assert_eq!(reason(whole.check(&shop.world, &gate, &at("a")).await), Reason::UsesExhausted);
    let _ = whole.check(&shop.world, &gate, &at("b")).await;
    assert_eq!(marque.asked(), 3);
    assert_eq!(shop.ledger.open_permits(10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_token_that_asks_for_more_than_is_known_here_is_refused_where_the_step_is_counted_here() {
    let (shop, gate, marque) = with_marque().await;
    let token = Token::of(json!([step("s", "set", "change", "a", json!(5), json!({}))]));
    assert!(token.check(&shop.world, &gate, &at("a")).await.is_ok());
    for tightened in [
        token.clone().within(json!({"turns": 1})),
        token.showing(json!([with(change("s", "a"), "approve", json!("step_up"))])),
        token.showing(json!([with(change("s", "a"), "after", json!(["unseen"]))])),
    ] {
        let refusal = tightened.check(&shop.world, &gate, &at("a")).await.unwrap_err();
        assert_eq!(refusal.reason(), Reason::LedgerUnavailable);
        assert!(refusal.description().contains("counted at this resource server"), "{refusal}");
    }
    assert_eq!(marque.asked(), 0);
    assert!(token.check(&shop.world, &gate, &at("a")).await.is_ok());
}

#[tokio::test]
async fn marque_counts_no_step_that_is_counted_here() {
    let (shop, gate, marque) = with_marque().await;
    // Both fit the same call. A narrower token showed the first alone: it is counted here, and used up. The second is
    // Marque's. The double answers with the first, of which it knows no use.
    let token = Token::of(json!([change("s", "a"), with(change("t", "a"), "approve", json!("step_up"))]));
    let narrow = token.showing(json!([change("s", "a")]));
    assert!(narrow.check(&shop.world, &gate, &at("a")).await.is_ok());
    assert_eq!(marque.asked(), 0);
    let refusal = token.check(&shop.world, &gate, &at("a")).await.unwrap_err();
    assert_eq!(refusal.reason(), Reason::LedgerUnavailable);
    assert_eq!(marque.asked(), 1);
    assert_eq!(marque.settled(), [("s".to_owned(), "released")], "what Marque reserved is given back");
}

#[tokio::test]
async fn gates_with_and_without_marque_count_together() {
    let (shop, with, _) = with_marque().await;
    let without = gate(&shop.world, shop.ledger.clone().with_fallback(NoLedger));
    let token = Token::of(json!([change("s", "a")]));
    assert!(token.check(&shop.world, &without, &at("a")).await.is_ok());
    assert_eq!(reason(token.check(&shop.world, &with, &at("a")).await), Reason::UsesExhausted);
}

#[tokio::test]
async fn another_issuers_plans_are_not_counted() {
    let shop = Shop::open().await;
    let config = GateConfig::new(LOCATION, "https://other.example/realms/demo", DOMAIN).unwrap();
    let database = GateDatabase::connect(shop.options.clone(), "other", &config).await.unwrap();
    let gate = gate(&shop.world, database.ledger());
    let token = Token::of(json!([change("s", "a")]));
    assert_eq!(reason(token.check(&shop.world, &gate, &at("a")).await), Reason::LedgerUnavailable);
}
