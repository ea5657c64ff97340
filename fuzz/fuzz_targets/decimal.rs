//! Decimal numbers: what parses is written again as the same number, and sums are exact or none.
#![no_main]

use libfuzzer_sys::fuzz_target;
use marque_core::value::decimal::Decimal;
use serde_json::Value;

fuzz_target!(|text: &str| {
    let (one, other) = text.split_once(' ').unwrap_or((text, "1"));
    let (Ok(one), Ok(other)) = (Decimal::parse(one), Decimal::parse(other)) else { return };
    assert_eq!(Decimal::parse(&one.to_string()), Ok(one));
    assert_eq!(Decimal::of_value(&Value::from(one.to_string())), Some(one));
    if let Some(sum) = one.checked_add(other) {
        assert_eq!(sum.checked_sub(other), Some(one), "{one} + {other} = {sum}");
    }
    if let Some(quotient) = one.checked_div(other) {
        assert_eq!(quotient.checked_mul(other), Some(one), "{one} / {other} = {quotient}");
    }
});
