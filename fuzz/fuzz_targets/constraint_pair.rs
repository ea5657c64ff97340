//! `[a, b, value]`: what b allows, a allows too, if a covers b.
#![no_main]

use libfuzzer_sys::fuzz_target;
use marque_core::canonical::canonical;
use marque_core::constraint::Constraint;
use marque_core::{json, limits};
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    // The value is one of a call, which may hold what a constraint may not: fractions, any text.
    let Ok(Value::Array(items)) = json::parse_call(bytes, limits::CALL_BYTES) else { return };
    let [a, b, value] = items.as_slice() else { return };
    let (Some(a), Some(b)) = (constraint(a), constraint(b)) else { return };
    for (parent, child) in [(&a, &b), (&b, &a)] {
        if parent.covers(child) {
            let mut values = named(parent);
            values.extend(named(child));
            values.push(value);
            for value in values.into_iter().filter(|value| child.holds(value)) {
                assert!(parent.holds(value), "{parent:?} covers {child:?} and refuses {value}");
            }
        }
    }
});

fn constraint(value: &Value) -> Option<Constraint> {
    let value = json::parse_plan(&canonical(value), limits::PLAN_BYTES).ok()?;
    json::typed::<Constraint>(value).ok().filter(|constraint| constraint.check("$").is_ok())
}

/// The values that a constraint names itself.
fn named(constraint: &Constraint) -> Vec<&Value> {
    match constraint {
        Constraint::Const(value) => vec![value],
        Constraint::OneOf(values) => values.iter().collect(),
        _ => Vec::new(),
    }
}
