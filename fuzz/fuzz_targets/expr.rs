//! Arithmetic expressions: what parses has a value only if all of its variables have one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use marque_core::value::decimal::Decimal;
use marque_core::value::expr::Expr;

fuzz_target!(|text: &str| {
    let Ok(expr) = Expr::parse(text) else { return };
    assert_eq!(expr.as_str(), text);
    let one = expr.value(&|_| Some(Decimal::from(1)));
    assert_eq!(one, expr.value(&|_| Some(Decimal::from(1))), "a value is always the same");
    let none = expr.value(&|_| None);
    assert!(none.is_none() || expr.variables().is_empty(), "a variable without a value gives none");
});
