//! A small plan, and changes of it.

use serde_json::{Value, json};

/// A plan of two steps: `find`, with an argument `customer`, and `use`.
pub fn plan() -> Value {
    let step = |id: &str, args: Value| {
        json!({"id": id, "location": "https://rs.example", "action": "do", "resource": {"type": "thing", "id": "one"},
               "args": args})
    };
    json!({
        "version": 1, "purpose": "Try it", "agent": "agent", "user": {"sub": "1"}, "mode": "permissive",
        "limits": {"max_hops": 0, "lifetime_secs": 60}, "delegates": [],
        "steps": [step("find", json!({"customer": {"const": "Miller"}, "*": {"any": true}})), step("use", json!({}))],
    })
}

/// The plan with the place at a JSON pointer replaced or added.
pub fn changed(pointer: &str, value: Value) -> Value {
    let mut changed = plan();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    changed.pointer_mut(parent).unwrap()[name] = value;
    changed
}

/// The plan with a constraint on an argument of the later step.
pub fn argument(constraint: Value) -> Value {
    changed("/steps/1/args", json!({"argument": constraint}))
}
