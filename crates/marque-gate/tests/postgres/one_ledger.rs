//! One ledger for each location: a ledger of the resource server's counts only where Marque says that no other does.

use crate::common::*;
use crate::support::*;
use marque_gate::keys::Pending;
use marque_gate::ledger::{Ledger, Reservation, Reserved, Settlement};
use marque_gate::postgres::GateDatabase;
use marque_gate::{Reason, Refusal};
use serde_json::json;
use std::sync::{Arc, Mutex};

/// A Marque that has the first ledger that asks count at a location, and hands out permits.
#[derive(Clone, Default)]
struct Registry {
    counts: Arc<Mutex<Option<String>>>,
    asked: Arc<Mutex<Vec<(String, String)>>>,
    handed_over: Arc<Mutex<Vec<Option<String>>>>,
    permits: MemoryLedger,
}

impl Ledger for Registry {
    fn reserve<'a>(&'a self, reservation: Reservation<'a>) -> Pending<'a, Result<Reserved, Refusal>> {
        self.handed_over.lock().unwrap().push(reservation.handed_over_by.clone());
        self.permits.reserve(reservation)
    }

    fn settle<'a>(&'a self, reserved: &'a Reserved, settlement: Settlement) -> Pending<'a, Result<(), Refusal>> {
        self.permits.settle(reserved, settlement)
    }

    fn yields<'a>(&'a self, location: &'a str, ledger: &'a str) -> Pending<'a, Result<(), Refusal>> {
        self.asked.lock().unwrap().push((location.into(), ledger.into()));
        let mut counts = self.counts.lock().unwrap();
        let is_it = counts.get_or_insert_with(|| ledger.into()).as_str() == ledger;
        Box::pin(std::future::ready(if is_it { Ok(()) } else { Err(Refusal::new(Reason::LedgerUnavailable)) }))
    }

    fn broken_off(&self, reserved: Reserved) {
        self.permits.broken_off(reserved);
    }
}

#[tokio::test]
async fn a_ledger_counts_only_where_no_other_does_and_has_one_name_for_good() {
    let (shop, marque) = (Shop::open().await, Registry::default());
    let of = |database: &GateDatabase| gate(&shop.world, database.ledger().with_fallback(marque.clone()));
    let (first, again) = (of(&shop.database().await), of(&shop.database().await));
    let other = GateDatabase::connect(shop.options.clone(), "second_schema", &config()).await.unwrap();
    let other = of(&other);
    let token = Token::of(json!([step("s", "set", "change", "a", json!(3), json!({}))]));
    let at = call("set", "a", json!({}));
    for gate in [&first, &first, &again] {
        assert!(token.check(&shop.world, gate, &at).await.is_ok());
    }
    assert_eq!(reason(token.check(&shop.world, &again, &at).await), Reason::UsesExhausted);
    assert_eq!(reason(token.check(&shop.world, &other, &at).await), Reason::LedgerUnavailable);
    let asked = marque.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 3, "once for each gate that may: {asked:?}");
    assert!(asked.iter().all(|(location, _)| location == LOCATION));
    assert_eq!(asked[0].1, asked[1].1, "two gates of one schema");
    assert_ne!(asked[0].1, asked[2].1, "another schema");
}

#[tokio::test]
async fn where_marque_counts_a_ledger_of_the_resource_servers_counts_nothing() {
    let (shop, marque) = (Shop::open().await, Registry::default());
    *marque.counts.lock().unwrap() = Some("marque".into());
    let gate = gate(&shop.world, shop.ledger.clone().with_fallback(marque.clone()));
    let token = Token::of(json!([step("s", "set", "change", "a", json!(1), json!({}))]));
    let at = call("set", "a", json!({}));
    for _ in 0..2 {
        assert_eq!(reason(token.check(&shop.world, &gate, &at).await), Reason::LedgerUnavailable);
    }
    assert!(marque.handed_over.lock().unwrap().is_empty());
    // What it did not count is there to be counted by another one.
    assert!(shop.check(&token, &at).await.is_ok());
}

#[tokio::test]
async fn what_is_handed_over_says_by_which_ledger() {
    let (shop, marque) = (Shop::open().await, Registry::default());
    let gate = gate(&shop.world, shop.ledger.clone().with_fallback(marque.clone()));
    let token = Token::of(json!([step("s", "set", "change", "a", json!(1), json!({}))])).within(json!({"turns": 3}));
    assert!(token.check(&shop.world, &gate, &call("set", "a", json!({}))).await.is_ok());
    assert_eq!(*marque.handed_over.lock().unwrap(), [marque.counts.lock().unwrap().clone()]);
    assert!(marque.counts.lock().unwrap().is_some());
}

#[tokio::test]
async fn a_new_epoch_of_the_feed_has_the_ledger_ask_again_before_it_counts() {
    let (shop, marque) = (Shop::open().await, Registry::default());
    let gate = gate(&shop.world, shop.ledger.clone().with_fallback(marque.clone()));
    let token = Token::of(json!([step("s", "set", "change", "a", json!(4), json!({}))]));
    let at = call("set", "a", json!({}));
    let check = async || token.check(&shop.world, &gate, &at).await.map(drop).map_err(|refusal| refusal.reason());
    let own = async |epoch: &str, asked: usize| {
        shop.world.revocations.apply(snapshot(epoch, 0, NOW, &[]), NOW);
        assert_eq!(check().await, Ok(()), "{epoch}");
        assert_eq!(marque.asked.lock().unwrap().len(), asked, "{epoch}");
    };
    own("before", 1).await;
    own("before", 1).await;
    // Marque's database lost the row: it is written again, as nobody else asked first.
    let name = marque.counts.lock().unwrap().take();
    own("after", 2).await;
    assert_eq!(*marque.counts.lock().unwrap(), name);
    // Once more, and another ledger was the first to ask.
    *marque.counts.lock().unwrap() = Some("marque".into());
    shop.world.revocations.apply(snapshot("later", 0, NOW, &[]), NOW);
    for _ in 0..2 {
        assert_eq!(check().await, Err(Reason::LedgerUnavailable));
    }
    *marque.counts.lock().unwrap() = name;
    own("later", 5).await;
}
