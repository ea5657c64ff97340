//! Result receipts and what is disclosed with them, a line each: only what the receipt names is known.
#![no_main]

use libfuzzer_sys::fuzz_target;
use marque_core::canonical::{Digest, canonical, encode};
use marque_core::constraint::Field;
use marque_core::receipt::{KnownResult, Receipt, ReceiptResult, disclose};
use serde_json::Value;
use std::collections::BTreeSet;

fuzz_target!(|bytes: &[u8]| {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let Ok(receipt) = Receipt::parse(lines.next().unwrap_or_default()) else { return };
    let written = canonical(&serde_json::to_value(&receipt).expect("a value"));
    assert_eq!(Receipt::parse(&written).as_ref(), Ok(&receipt), "what is written reads back");
    let disclosures: Vec<String> = lines.map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    if let Ok(KnownResult { whole, leaves }) = receipt.known(&disclosures) {
        assert!(whole.is_none() || leaves.is_empty(), "all is known, or some leaves are");
        let different: BTreeSet<&String> = disclosures.iter().collect();
        assert_eq!(different.len(), disclosures.len(), "nothing is disclosed twice");
        if let Some(ReceiptResult::Disclosures(hashes)) = &receipt.result {
            assert!(disclosures.iter().all(|text| hashes.contains(&Digest::of(text.as_bytes()))));
        }
    }
    if let Some(ReceiptResult::Values(value)) = &receipt.result {
        assert!(receipt.known(&["x".to_owned()]).is_err(), "there is nothing to disclose");
        take_apart(&receipt, value);
    }
});

/// A result that is taken apart comes back whole from all its leaves, and not from fewer.
fn take_apart(receipt: &Receipt, value: &Value) {
    let mut count = 0_u128;
    let salt = || {
        count += 1;
        Some(encode(&count.to_be_bytes()))
    };
    let Ok((result, leaves)) = disclose(value, salt) else { return };
    if leaves.iter().any(|leaf| Field::try_from(leaf.pointer.clone()).is_err()) {
        return;
    }
    let receipt = Receipt { result: Some(result), ..receipt.clone() };
    let mut all: Vec<String> = leaves.into_iter().map(|leaf| leaf.disclosure).collect();
    assert_eq!(receipt.known(&all).expect("all leaves").whole.as_ref(), Some(value));
    all.pop();
    let some = receipt.known(&all).expect("some leaves");
    assert_eq!((some.whole, some.leaves.len()), (None, all.len()));
}
