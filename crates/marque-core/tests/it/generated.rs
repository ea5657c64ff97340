//! Envelopes of all kinds of constraints, and small changes of them.

use crate::support::FILES;
use marque_core::envelope::Envelope;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// Constraints on text, on numbers, on lists and objects, and such as depend on step `s0`.
pub fn constraints() -> Vec<Value> {
    vec![
        json!({"const": "ab"}),
        json!({"const": 7}),
        json!({"one_of": ["ab", "cd"]}),
        json!({"one_of": [1, 7, "7"]}),
        json!({"text": {"max": 2}}),
        json!({"text": {"max": 40}}),
        json!({"text": {"max": 40, "urls": true}}),
        json!({"pattern": "[a-c]{2}"}),
        json!({"pattern": "[a-z]+"}),
        json!({"num": {"min": "0", "max": "7"}}),
        json!({"num": {"min": "0.5"}}),
        json!({"amount": {"max": "9.50", "currency": "EUR"}}),
        json!({"amount": {"max": "10", "currency": "EUR"}}),
        json!({"amount": {"max": "10", "currency": "CHF"}}),
        json!({"time_window": {"from": "2026-11-22T03:00:00Z", "to": "2026-11-23T03:00:00Z"}}),
        json!({"time_window": {"from": "2026-11-22T03:00:00Z"}}),
        json!({"domain": {"any_of": ["x.com"]}}),
        json!({"domain": {"any_of": ["x.com", "y.com"]}}),
        json!({"domain": {"any_of": ["x.com"], "subdomains": true}}),
        json!({"prefix": "/a/"}),
        json!({"prefix": "/a/b/"}),
        json!({"items": {"of": {"one_of": ["ab", "cd"]}, "max": 2}}),
        json!({"items": {"of": {"text": {"max": 2}}, "max": 3}}),
        json!({"each": {"text": {"max": 2}}}),
        json!({"obj": {"a": {"const": 1}, "b": {"optional": {"text": {"max": 2}}}}}),
        json!({"obj": {"a": {"num": {"min": "0", "max": "7"}}}}),
        json!({"obj": {"a": {"const": 1}, "*": {"any": true}}}),
        json!({"all": [{"text": {"max": 12}}, {"pattern": "[a-z]+"}]}),
        json!({"either": [{"const": "ab"}, {"num": {"min": "0", "max": "7"}}]}),
        json!({"ref": {"step": "s0", "field": "/id"}}),
        json!({"ref": {"step": "s0", "field": "/other"}}),
        json!({"ref": {"step": "s0", "field": "/rows/*/id", "reduce": "lookup", "where": {"/name": {"const": "n"}}}}),
        json!({"ref": {"step": "s0", "field": "/rows/*/n", "reduce": "sum"}}),
        json!({"ref": {"step": "s0", "field": "/rows/*/n", "reduce": "count"}}),
        json!({"ref": {"step": "s0", "field": "/rows/*/id", "reduce": {"argmax": "/n"}}}),
        json!({"ref_set": {"step": "s0", "field": "/rows/*/id"}}),
        json!({"same_as": {"step": "s0", "arg": "q"}}),
        json!({"fmt": {"template": "Hi {a}!", "slots": {"a": {"text": {"max": 4}}}}}),
        json!({"fmt": {"template": "Hi {a}!", "slots": {"a": {"ref": {"step": "s0", "field": "/id"}}}}}),
        json!({"compute": {"expr": "x * 2", "vars": {"x": {"ref": {"step": "s0", "field": "/id"}}}}}),
        json!({"rel": {"base": {"ref": {"step": "s0", "field": "/id"}}, "min": "-1", "max": "1"}}),
        json!({"rel": {"base": {"ref": {"step": "s0", "field": "/id"}}, "min": "0", "max": "2"}}),
        json!({"attr": {"collection": "people", "where": {"/team": {"const": "t"}}}}),
        json!({"attr": {"collection": "people", "where": {"/team": {"one_of": ["t", "u"]}}}}),
        json!({"extract": {"step": "s0", "type": "email"}}),
        json!({"extract": {"step": "s0", "type": "number"}}),
        json!({"quote": {"step": "s0"}}),
        json!({"any": true}),
    ]
}

pub fn envelope(steps: &[Value], bounds: &Value) -> Envelope {
    serde_json::from_value(json!({"steps": steps, "bounds": bounds})).unwrap()
}

/// What a step and the bounds say beside arguments, each as its own choice.
#[derive(Clone, Debug)]
pub struct Choices {
    steps: Vec<Value>,
    bounds: Value,
}

impl Choices {
    pub fn envelope(&self) -> Envelope {
        envelope(&self.steps, &self.bounds)
    }
}

fn arguments() -> impl Strategy<Value = Value> {
    let optional = |(constraint, is_optional): (Value, bool)| {
        if is_optional { json!({"optional": constraint}) } else { constraint }
    };
    let one = (select(constraints()), proptest::bool::weighted(0.2)).prop_map(optional);
    let named = proptest::collection::btree_map(select(vec!["a", "b"]), one, 0..3);
    (named, proptest::bool::weighted(0.1)).prop_map(|(named, is_open)| {
        let mut args = json!(named);
        if is_open {
            args["*"] = json!({"any": true});
        }
        args
    })
}

/// Members of a step that is not the first, each mostly as it is by default.
fn members() -> impl Strategy<Value = Vec<(&'static str, Value)>> {
    let of = |name: &'static str, values: Vec<Value>| {
        proptest::option::weighted(0.15, select(values)).prop_map(move |value| value.map(|value| (name, value)))
    };
    let window = |from: &str, to: &str| json!({"from": from, "to": to});
    let windows = vec![
        window("2026-11-22T03:00:00Z", "2026-11-22T05:00:00Z"),
        window("2026-11-22T02:00:00Z", "2026-11-22T04:00:00Z"),
    ];
    let all = (
        of("resource", vec![json!({"type": "t", "id": {"prefix": "/a/"}}), json!({"type": "t", "id": {"any": true}})]),
        of("uses", vec![json!(2), json!(5), json!("any")]),
        of("after", vec![json!(["s0"])]),
        of("excludes", vec![json!(["s2"])]),
        of("window", windows),
        of("environment", vec![json!("production"), json!("staging")]),
        of("approve", vec![json!("step_up")]),
        of("action", vec![json!("other")]),
    );
    all.prop_map(|(a, b, c, d, e, f, g, h)| [a, b, c, d, e, f, g, h].into_iter().flatten().collect())
}

fn step(id: &str, args: Value, members: Vec<(&'static str, Value)>) -> Value {
    let mut step = json!({"id": id, "location": FILES, "action": "act", "resource": {"type": "t", "id": "/a/r"},
        "args": args, "uses": 1, "class": "change"});
    for (name, value) in members {
        step[name] = value;
    }
    step
}

fn bounds() -> impl Strategy<Value = Value> {
    let of = |name: &'static str, values: Vec<Value>| {
        proptest::option::weighted(0.15, select(values)).prop_map(move |value| value.map(|value| (name, value)))
    };
    let budgets = vec![
        json!([{"steps": ["s1"], "max": "1"}]),
        json!([{"steps": ["s1", "s2"], "max": "3"}]),
        json!([{"steps": ["s1", "s2"], "arg": "a", "max": "9", "currency": "EUR"}]),
        json!([{"steps": ["s1"], "arg": "a", "max": "5"}]),
    ];
    let blocked = vec![
        json!([{"action": "other"}]),
        json!([{"resource": {"id": {"prefix": "/a/b/"}}}]),
        json!([{"location": FILES, "action": "act"}]),
    ];
    let all = (
        of("expires_at", vec![json!(1_795_320_000), json!(1_795_323_600)]),
        of("turns", vec![json!(3), json!(9)]),
        of("max_hops", vec![json!(1), json!(2)]),
        of("max_step_ups", vec![json!(1), json!(5)]),
        of("budgets", budgets),
        of("blocked", blocked),
    );
    all.prop_map(|(a, b, c, d, e, f)| {
        let stated = [a, b, c, d, e, f].into_iter().flatten();
        stated.map(|(name, value)| (name.to_owned(), value)).collect::<Value>()
    })
}

/// A read `s0` that others take values from, and one or two steps more.
pub fn choices() -> impl Strategy<Value = Choices> {
    let first = json!({"id": "s0", "location": FILES, "action": "look", "resource": {"type": "t", "id": "/a/r"},
        "args": {"q": {"text": {"max": 9}}}, "uses": "any", "class": "read"});
    let further = proptest::collection::vec((arguments(), members()), 1..3);
    (further, bounds()).prop_map(move |(further, bounds)| {
        let further = further.into_iter().enumerate();
        let further = further.map(|(at, (args, members))| step(&format!("s{}", at + 1), args, members));
        Choices { steps: std::iter::once(first.clone()).chain(further).collect(), bounds }
    })
}

/// Two that are alike but for a few members, so that one often permits what the other does.
pub fn pairs() -> impl Strategy<Value = (Choices, Choices)> {
    let taken = (proptest::bool::ANY, proptest::bool::ANY, proptest::bool::ANY);
    (choices(), choices(), taken).prop_map(|(one, other, (args, members, bounds))| {
        let mut mixed = one.clone();
        for (step, theirs) in mixed.steps.iter_mut().zip(&other.steps).skip(1) {
            let kept = step.clone();
            *step = theirs.clone();
            if !args {
                step["args"] = kept["args"].clone();
            }
            if !members {
                let args = step["args"].clone();
                *step = kept;
                step["args"] = args;
            }
        }
        if bounds {
            mixed.bounds = other.bounds;
        }
        (one, mixed)
    })
}
