//! One constraint.
#![no_main]

use libfuzzer_sys::fuzz_target;
use marque_core::constraint::Constraint;
use marque_core::{json, limits};

fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = json::parse_plan(bytes, limits::PLAN_BYTES) else { return };
    let Ok(constraint) = json::typed::<Constraint>(value) else { return };
    assert_eq!(json::typed(constraint.expected()).as_ref(), Ok(&constraint), "what is written reads back");
    if constraint.check("$").is_err() {
        return;
    }
    assert!(constraint.covers(&constraint), "{constraint:?} covers itself");
    if let Constraint::Const(value) = &constraint {
        assert!(constraint.holds(value));
    }
});
