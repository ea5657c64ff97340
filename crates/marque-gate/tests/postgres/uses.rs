//! A use is counted once, whoever asks.

use crate::common::*;
use crate::support::*;
use marque_gate::postgres::PermitState;
use marque_gate::{Outcome, Reason};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

fn set_once() -> Value {
    json!([step("change", "set", "change", "a", json!(1), json!({"to": {"one_of": ["x", "y"]}}))])
}

fn pay(uses: u64) -> Value {
    json!([
        step("pay-a", "pay", "pay", "a", json!(uses), json!({"sum": {"num": {"min": "0", "max": "10000"}}})),
        step("pay-b", "pay", "pay", "b", json!(uses), json!({"sum": {"num": {"min": "0", "max": "10000"}}})),
    ])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_concurrent_calls_against_one_use_give_exactly_one_permit() {
    let shop = Arc::new(Shop::open().await);
    let mut steps = set_once();
    steps.as_array_mut().unwrap().push(step("other", "begin", "change", "a", json!(1), json!({})));
    let token = Token::of(steps);
    // The intent is known: nothing but its lock keeps the calls apart.
    assert!(shop.check(&token, &call("begin", "a", json!({}))).await.is_ok());
    let call = call("set", "a", json!({"to": "x"}));
    let calls: Vec<_> = (0..1000)
        .map(|_| {
            let (shop, token, call) = (shop.clone(), token.clone(), call.clone());
            tokio::spawn(async move { shop.check(&token, &call).await.map(|permit| permit.step().to_owned()) })
        })
        .collect();
    let (mut permits, mut refusals) = (0, BTreeMap::<String, u32>::new());
    for call in calls {
        match call.await.unwrap() {
            Ok(_) => permits += 1,
            Err(refusal) => *refusals.entry(refusal.reason().to_string()).or_default() += 1,
        }
    }
    println!("{permits} permit, refused: {refusals:?}");
    assert_eq!(permits, 1);
    let others = ["uses_exhausted", "ledger_unavailable"];
    assert!(refusals.keys().all(|reason| others.contains(&reason.as_str())), "{refusals:?}");
    assert!(refusals.contains_key("uses_exhausted"));
    assert_eq!(reason(shop.check(&token, &call).await), Reason::UsesExhausted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_over_four_gates_and_three_hops_is_never_exceeded() {
    let shop = Shop::open().await;
    let mut gates = Vec::new();
    for _ in 0..4 {
        gates.push(gate(&shop.world, shop.database().await.ledger()));
    }
    let budget = json!({"max_hops": 3, "budgets": [{"steps": ["pay-a", "pay-b"], "arg": "sum", "max": "10000"}]});
    let token = Token::of(pay(1000)).within(budget);
    let (shop, gates) = (Arc::new(shop), Arc::new(gates));
    let lanes: Vec<_> = (0..8_u32)
        .map(|lane| {
            let (shop, gates, token) = (shop.clone(), gates.clone(), token.clone().after(lane % 4));
            tokio::spawn(async move {
                let (mut spent, mut refused) = (0, 0);
                for round in 0..12 {
                    let sum = 90 + i64::from(lane) * 17 + round * 13;
                    let call = call("pay", if round % 2 == 0 { "a" } else { "b" }, json!({"sum": sum}));
                    let gate = &gates[lane as usize % 4];
                    match token.check(&shop.world, gate, &call).await {
                        Ok(permit) => {
                            spent += sum;
                            gate.settle(permit, Outcome::Committed, NOW).await;
                        }
                        Err(refusal) => {
                            assert_eq!(refusal.reason(), Reason::BudgetExhausted);
                            refused += 1;
                        }
                    }
                }
                (spent, refused)
            })
        })
        .collect();
    let (mut spent, mut refused) = (0, 0);
    for lane in lanes {
        let (more, less) = lane.await.unwrap();
        (spent, refused) = (spent + more, refused + less);
    }
    println!("{spent} of 10000 spent over four gates, {refused} calls refused");
    assert!(spent <= 10_000 && spent > 9_500 && refused > 0, "{spent} spent, {refused} refused");
    let rest = call("pay", "a", json!({"sum": 10_000 - spent + 1}));
    assert_eq!(reason(token.clone().after(3).check(&shop.world, &gates[3], &rest).await), Reason::BudgetExhausted);
}

#[tokio::test]
async fn hops_and_other_tokens_of_the_intent_reset_nothing() {
    let shop = Shop::open().await;
    let (token, call) = (Token::of(set_once()), call("set", "a", json!({"to": "x"})));
    assert!(shop.check(&token, &call).await.is_ok());
    for hops in 0..4 {
        assert_eq!(reason(shop.check(&token.clone().after(hops), &call).await), Reason::UsesExhausted);
    }
    assert!(shop.check(&Token::of(set_once()), &call).await.is_ok(), "another intent has uses of its own");
}

#[tokio::test]
async fn a_released_use_is_free_again_and_a_settled_one_stays_so() {
    let shop = Shop::open().await;
    let (token, call) = (Token::of(set_once()), call("set", "a", json!({"to": "x"})));
    let first = shop.check(&token, &call).await.unwrap();
    let first_id = first.id().unwrap().to_owned();
    assert_eq!(shop.ledger.state(&first_id).await.unwrap(), Some(PermitState::Reserved));
    shop.gate.settle(first, Outcome::Released, NOW).await;
    assert_eq!(shop.ledger.state(&first_id).await.unwrap(), Some(PermitState::Released));
    let second = shop.check(&token, &call).await.unwrap();
    let second_id = second.id().unwrap().to_owned();
    shop.gate.settle(second, Outcome::Committed, NOW).await;
    assert_eq!(shop.ledger.state(&second_id).await.unwrap(), Some(PermitState::Committed));
    assert_eq!(reason(shop.check(&token, &call).await), Reason::UsesExhausted);
    assert_eq!(shop.ledger.state("pg-unheard-of").await.unwrap(), None);
}

#[tokio::test]
async fn order_and_groups_are_kept() {
    let shop = Shop::open().await;
    let mut steps = json!([
        step("first", "set", "change", "a", json!(1), json!({})),
        step("second", "set", "change", "b", json!(1), json!({})),
        step("third", "set", "change", "c", json!(1), json!({})),
    ]);
    steps[1]["after"] = json!(["first"]);
    steps[1]["excludes"] = json!(["third"]);
    steps[2]["excludes"] = json!(["second"]);
    let token = Token::of(steps);
    let at = |id: &str| call("set", id, json!({}));
    assert_eq!(reason(shop.check(&token, &at("b")).await), Reason::OutOfOrder);
    let first = shop.check(&token, &at("a")).await.unwrap();
    assert_eq!(reason(shop.check(&token, &at("b")).await), Reason::OutOfOrder, "reserved is not committed");
    shop.gate.settle(first, Outcome::Committed, NOW).await;
    assert!(shop.check(&token, &at("b")).await.is_ok());
    assert_eq!(reason(shop.check(&token, &at("c")).await), Reason::GroupUsed);
}

#[tokio::test]
async fn a_call_id_has_one_permit_and_a_proof_one_call() {
    use marque_gate::ledger::{Ledger, Reservation};
    let shop = Shop::open().await;
    let token = Token::of(json!([step("change", "set", "change", "a", json!(5), json!({}))]));
    let (one, other) = (call("set", "a", json!({})), call("set", "b", json!({})));
    let caller = shop.gate.verify_caller(&token.request(&shop.world, &one), NOW).await.unwrap();
    let ask = |call, call_id: &str| {
        let reservation = Reservation {
            caller: &caller,
            call,
            call_id: call_id.into(),
            now: NOW,
            handed_over_by: None,
            epoch: Some("e1".into()),
        };
        shop.ledger.reserve(reservation)
    };
    let first = ask(&one, "call-1").await.unwrap();
    assert_eq!(ask(&one, "call-1").await.unwrap(), first);
    assert_eq!(reason(ask(&other, "call-1").await), Reason::CallMalformed);
    assert_eq!(reason(ask(&one, "call-2").await), Reason::ProofReplayed, "the proof was good for one call");
    assert_eq!(first.seq, Some(1));
    let next = shop.check(&token, &one).await.unwrap();
    assert_ne!(next.id(), Some(first.permit_id.as_str()));
}

#[tokio::test]
async fn two_gates_with_one_memory_of_proofs_take_a_proof_once() {
    let shop = Shop::open().await;
    let token = Token::of(json!([step("read", "look", "read", "a", json!("any"), json!({}))]));
    let look = call("look", "a", json!({}));
    let request = token.request(&shop.world, &look);
    let alone = [gate(&shop.world, shop.ledger.clone()), gate(&shop.world, shop.ledger.clone())];
    for gate in &alone {
        assert!(gate.check(&request, action(&look), NOW).await.is_ok(), "each remembers its own proofs");
    }
    let request = token.request(&shop.world, &look);
    let mut outcomes = Vec::new();
    for _ in 0..2 {
        let gate = gate(&shop.world, shop.ledger.clone()).with_proof_store(shop.database().await.proofs());
        outcomes.push(gate.check(&request, action(&look), NOW).await);
    }
    assert!(outcomes.remove(0).is_ok());
    assert_eq!(reason(outcomes.remove(0)), Reason::ProofReplayed);
}

#[tokio::test]
async fn more_of_the_past_than_one_decision_reads_is_refused_for_its_reason() {
    let shop = Shop::open().await;
    let token = Token::of(json!([
        step("write", "write", "change", "a", json!(200), json!({"text": {"any": true}})),
        step("copy", "write", "change", "b", json!(3), json!({"text": {"same_as": {"step": "write", "arg": "text"}}})),
    ]));
    let write = |resource: &str, text: &str| call("write", resource, json!({"text": text}));
    let committed = async |call: &marque_core::call::Call| {
        let permit = shop.check(&token, call).await.unwrap();
        shop.gate.settle(permit, Outcome::Committed, NOW).await;
    };
    committed(&write("a", "short")).await;
    committed(&write("b", "short")).await;
    let long = write("a", &"x".repeat(63 * 1024));
    for _ in 0..135 {
        committed(&long).await;
    }
    let refusal = shop.check(&token, &write("b", "short")).await.unwrap_err();
    assert_eq!(refusal.reason(), Reason::TooMuchWork);
    assert!(refusal.description().contains("earlier calls"), "{refusal}");
    committed(&write("a", "what refers to no earlier call goes on")).await;
}

#[tokio::test]
async fn open_permits_are_told_page_by_page() {
    let shop = Shop::open().await;
    let token = Token::of(json!([step("set", "set", "change", "a", json!(9), json!({}))]));
    let mut given = Vec::new();
    for _ in 0..5 {
        given.push(shop.check(&token, &call("set", "a", json!({}))).await.unwrap());
    }
    let ids: Vec<String> = given.iter().map(|permit| permit.id().unwrap().to_owned()).collect();
    let first = shop.ledger.open_permits(2).await.unwrap();
    // One that was told and is settled still says where to go on.
    shop.gate.settle(given.remove(1), Outcome::Committed, NOW).await;
    let second = shop.ledger.open_permits_after(&first[1], 2).await.unwrap();
    let third = shop.ledger.open_permits_after(&second[1], 2).await.unwrap();
    let told = [first.clone(), second, third].concat();
    assert_eq!(told.iter().map(|open| open.reserved.permit_id.clone()).collect::<Vec<_>>(), ids);
    let mut unheard = first[0].clone();
    unheard.reserved.permit_id = "pg-unheard-of".into();
    assert_eq!(reason(shop.ledger.open_permits_after(&unheard, 2).await), Reason::PermitNotOpen);
}
