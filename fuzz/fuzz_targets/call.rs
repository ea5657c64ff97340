//! The strict reading of JSON, of a call's arguments and of what gets signed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use marque_core::canonical::canonical_text;
use marque_core::{json, limits};
use serde_json::{Value, json};

fuzz_target!(|bytes: &[u8]| {
    let called = json::parse_call(bytes, limits::CALL_BYTES);
    let planned = json::parse_plan(bytes, limits::CALL_BYTES);
    let Ok(value) = called else {
        return assert!(planned.is_err(), "what a plan may hold a call may hold too");
    };
    if let Ok(planned) = planned {
        assert_eq!(planned, value, "both profiles read the same");
    }
    // The canonical text of a number can be longer than what was written: no limit here.
    let text = canonical_text(&value);
    assert_eq!(json::parse_call(text.as_bytes(), usize::MAX).as_ref(), Ok(&value), "the canonical text reads back");
    check_inside(bytes, &value);
    let usual = serde_json::from_slice(bytes).expect("what is strict JSON is JSON");
    assert!(is_same(&value, &usual), "a usual parser reads the same");
});

/// Between other values the same text means the same, unless it is too deep there or too much.
fn check_inside(bytes: &[u8], value: &Value) {
    let list = [br#"["\"1\\",0.25,"#.as_slice(), bytes, b",1.5]"].concat();
    match json::parse_call(&list, usize::MAX) {
        Ok(inside) => assert_eq!(inside, json!(["\"1\\", 0.25, value, 1.5])),
        Err(refused) => {
            let limit = refused.message.contains("nested deeper") || refused.message.contains(" values");
            assert!(limit, "alone it is accepted: {refused}");
        }
    }
}

/// Equal, where a number counts by its value and not by whether it is kept as an integer.
fn is_same(strict: &Value, usual: &Value) -> bool {
    match (strict, usual) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| is_same(a, b)))
        }
        _ => strict == usual,
    }
}
