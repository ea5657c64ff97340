//! Result receipts: bound to their permit, and whole or known in part.

use marque_core::canonical::{Digest, encode};
use marque_core::receipt::{Expected, Outcome, Receipt, ReceiptError, ReceiptResult};
use proptest::prelude::*;
use serde_json::{Value, json};

const ISSUER: &str = "https://marque.example/realms/demo";

fn receipt(result: Option<ReceiptResult>) -> Receipt {
    Receipt {
        iss: "bank".into(),
        aud: ISSUER.into(),
        iat: 1000,
        jti: "permit-1".into(),
        intent: "intent-1".into(),
        step: "history".into(),
        call_digest: Digest::of(b"call"),
        seq: 3,
        outcome: Outcome::Committed,
        result,
    }
}

fn expected() -> Expected<'static> {
    Expected {
        client_id: "bank",
        issuer: ISSUER,
        permit_id: "permit-1",
        intent_id: "intent-1",
        step: "history",
        call_digest: Digest::of(b"call"),
        seq: 3,
        now: 1000,
    }
}

fn salts() -> impl FnMut() -> Option<String> {
    let mut count = 0_u128;
    move || {
        count += 1;
        Some(encode(&count.to_be_bytes()))
    }
}

/// What `disclose` gives, without the pointers.
fn disclose(
    result: &Value,
    salts: impl FnMut() -> Option<String>,
) -> Result<(ReceiptResult, Vec<String>), ReceiptError> {
    let (hashes, leaves) = marque_core::receipt::disclose(result, salts)?;
    Ok((hashes, leaves.into_iter().map(|leaf| leaf.disclosure).collect()))
}

#[test]
fn a_receipt_is_read_as_it_was_written() {
    let (hashes, _) = disclose(&json!({"a": 1}), salts()).unwrap();
    for result in [None, Some(ReceiptResult::Values(json!({"rate": 1.5, "text": "1 < 2"}))), Some(hashes)] {
        let receipt = receipt(result);
        assert_eq!(Receipt::parse(json!(receipt).to_string().as_bytes()), Ok(receipt));
    }
}

#[test]
fn every_member_is_bound_to_the_permit() {
    let good = receipt(Some(ReceiptResult::Values(json!("all of it"))));
    assert_eq!(good.check(&expected()), Ok(()));
    let changed = [
        ("iss", Expected { client_id: "other", ..expected() }),
        ("aud", Expected { issuer: "https://other.example", ..expected() }),
        ("jti", Expected { permit_id: "permit-2", ..expected() }),
        ("intent", Expected { intent_id: "intent-2", ..expected() }),
        ("step", Expected { step: "limit", ..expected() }),
        ("call_digest", Expected { call_digest: Digest::of(b"other"), ..expected() }),
        ("seq", Expected { seq: 4, ..expected() }),
    ];
    for (member, expected) in changed {
        assert_eq!(good.check(&expected), Err(ReceiptError::OfAnotherCall(member)));
    }
    assert_eq!(good.check(&Expected { now: 900, ..expected() }), Err(ReceiptError::NotYet));
    let released = Receipt { outcome: Outcome::Released, ..good };
    assert_eq!(released.check(&expected()), Err(ReceiptError::ResultOfNothing));
    assert_eq!(Receipt { result: None, ..released }.check(&expected()), Ok(()));
}

#[test]
fn what_is_no_receipt_is_not_read() {
    let good = json!(receipt(Some(ReceiptResult::Values(json!(1)))));
    for (member, value) in [
        ("seq", json!("3")),
        ("seq", Value::Null),
        ("outcome", json!("unknown")),
        ("result", Value::Null),
        ("result", json!({"values": 1, "disclosures": []})),
        ("result", json!({"disclosures": ["not a digest"]})),
        ("also", json!(1)),
    ] {
        let mut bad = good.clone();
        bad[member] = value.clone();
        assert!(Receipt::parse(bad.to_string().as_bytes()).is_err(), "{member} = {value}");
    }
    for member in good.as_object().unwrap().keys().filter(|member| *member != "result") {
        let mut bad = good.clone();
        bad.as_object_mut().unwrap().remove(member);
        assert!(Receipt::parse(bad.to_string().as_bytes()).is_err(), "without {member}");
    }
}

#[test]
fn some_leaves_are_known_and_no_more() {
    let result = json!({"rows": [{"iban": "AT1", "value": 5}, {"iban": "AT2", "value": 8}], "note": ""});
    let (hashes, disclosures) = disclose(&result, salts()).unwrap();
    let receipt = receipt(Some(hashes));
    assert_eq!(disclosures.len(), 5);
    let all = receipt.known(&disclosures).unwrap();
    assert_eq!((all.whole, all.leaves.len()), (Some(result), 0));
    let some = receipt.known(&disclosures[..2]).unwrap();
    assert_eq!((some.whole, some.leaves.len()), (None, 2));
    assert_eq!(receipt.known(&[]).unwrap().whole, None);
}

#[test]
fn what_the_receipt_does_not_name_is_not_disclosed() {
    let (hashes, disclosures) = disclose(&json!({"a": 1, "b": 2}), salts()).unwrap();
    let receipt = receipt(Some(hashes));
    let forged = encode(json!([encode(&[7; 16]), "/a", 2]).to_string().as_bytes());
    let refused = |disclosures: &[String]| match receipt.known(disclosures) {
        Err(ReceiptError::Disclosure(index, why)) => (index, why),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&[disclosures[0].clone(), forged]), (1, "its hash is not in the receipt"));
    let twice = [disclosures[0].clone(), disclosures[0].clone()];
    assert_eq!(refused(&twice), (1, "discloses the same leaf as another one"));
    let whole = self::receipt(Some(ReceiptResult::Values(json!(1))));
    assert!(whole.known(&disclosures).is_err(), "a receipt without hashes discloses nothing");
    assert!(self::receipt(None).known(&disclosures).is_err());
}

#[test]
fn a_disclosure_has_one_form() {
    let salt = encode(&[7; 16]);
    for (what, bad) in [
        ("a short salt", json!([encode(&[7; 15]), "/a", 1])),
        ("no salt", json!(["/a", 1])),
        ("a pointer that is none", json!([salt, "a", 1])),
        ("a number as pointer", json!([salt, 1, 1])),
        ("a deep pointer", json!([salt, "/a".repeat(33), 1])),
        ("a branch", json!([salt, "/a", {"b": 1}])),
        ("an object", json!({"salt": salt})),
    ] {
        let disclosure = encode(bad.to_string().as_bytes());
        let hashes = ReceiptResult::Disclosures([Digest::of(disclosure.as_bytes())].into());
        assert!(receipt(Some(hashes)).known(&[disclosure]).is_err(), "{what}");
    }
    let of = |pointer: &str| encode(json!([salt, pointer, 1]).to_string().as_bytes());
    let both = vec![of("/a"), of("/a/b")];
    let hashes = both.iter().map(|disclosure| Digest::of(disclosure.as_bytes())).collect();
    assert!(receipt(Some(ReceiptResult::Disclosures(hashes))).known(&both).is_err(), "a leaf within a leaf");
}

#[test]
fn an_object_that_would_come_back_as_a_list_is_not_taken_apart() {
    for bad in [json!({"0": 1}), json!({"a": {"1": "x", "0": {}}})] {
        assert!(matches!(disclose(&bad, salts()), Err(ReceiptError::LooksLikeList(_))), "{bad}");
    }
    assert!(disclose(&json!({"1": 1}), salts()).is_ok());
}

fn result() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-1000_i64..1000).prop_map(Value::from),
        "[a-z~/ 0-9*é]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..12).prop_map(Value::from),
            proptest::collection::btree_map("[a-c~/0-2]{1,3}", inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is taken apart comes back as it was, whatever the order of its leaves, and only with all of them.
    #[test]
    fn leaves_come_back_as_the_result_they_were(result in result(), rotate in 0_usize..50) {
        let Ok((hashes, mut disclosures)) = disclose(&result, salts()) else { return Ok(()) };
        let receipt = receipt(Some(hashes));
        let by = rotate % disclosures.len();
        disclosures.rotate_left(by);
        prop_assert_eq!(receipt.known(&disclosures).unwrap().whole, Some(result));
        disclosures.pop();
        prop_assert_eq!(receipt.known(&disclosures).unwrap().whole, None);
    }
}
