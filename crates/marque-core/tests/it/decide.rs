//! The decision: what differs decides the reason, in a fixed order.

use crate::support::{FILES, MAIL, NOW, envelope, object};
use marque_core::call::{Call, CallResource};
use marque_core::canonical::{Digest, canonical};
use marque_core::constraint::Constraint;
use marque_core::decide::{Decision, Refusal, decide};
use marque_core::envelope::Envelope;
use marque_core::facts::{Facts, Past, PastCall};
use marque_core::reason::Reason;
use serde_json::{Value, json};

fn step(id: &str, args: Value, uses: Value) -> Value {
    json!({"id": id, "location": FILES, "action": "file.write", "resource": {"type": "file", "id": "a"},
        "args": args, "uses": uses, "class": "change"})
}

fn one() -> Envelope {
    envelope(json!([step("s", json!({"mode": {"const": "append"}, "text": {"text": {"max": 5}}}), json!(2))]))
}

fn call(change: Value) -> Call {
    let mut parts = json!({"location": FILES, "action": "file.write", "type": "file", "id": "a",
        "args": {"mode": "append", "text": "hello"}});
    for (name, value) in object(change) {
        parts[name] = value;
    }
    let text = |name: &str| parts[name].as_str().unwrap().to_owned();
    let resource = CallResource { kind: text("type"), id: text("id") };
    Call::new(text("location"), text("action"), resource, object(parts["args"].clone()))
}

fn facts(uses: &[(&str, u64)]) -> Facts {
    let steps = uses.iter().map(|(id, count)| ((*id).to_owned(), Past::counted(*count, 0))).collect();
    Facts { steps, ..Facts::default() }
}

#[track_caller]
fn escalates(envelope: &Envelope, change: Value) -> Refusal {
    match decide(envelope, &call(change), &Facts::default(), NOW) {
        Decision::Escalate(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

fn permitted<'e>(envelope: &'e Envelope, call: &Call, facts: &Facts) -> Option<&'e str> {
    match decide(envelope, call, facts, NOW) {
        Decision::Permit(step) => Some(&step.id),
        _ => None,
    }
}

#[test]
fn permits_the_call_that_was_signed() {
    assert_eq!(permitted(&one(), &call(json!({})), &Facts::default()), Some("s"));
}

#[test]
fn one_difference_gives_its_own_reason() {
    use Reason::{
        ActionNotInPlan, ArgumentMismatch, ArgumentMissing, ArgumentNotInPlan, LocationNotInPlan, ResourceNotInPlan,
    };
    let table = [
        (json!({"location": MAIL}), LocationNotInPlan, Value::Null),
        (json!({"location": "http://localhost:7502/"}), LocationNotInPlan, Value::Null),
        (json!({"action": "file.delete"}), ActionNotInPlan, Value::Null),
        (json!({"action": "File.write"}), ActionNotInPlan, Value::Null),
        (
            json!({"type": "folder"}),
            ResourceNotInPlan,
            json!({"step": "s", "expected": {"type": "file", "id": "a"}, "got": {"type": "folder", "id": "a"}}),
        ),
        (
            json!({"id": "b"}),
            ResourceNotInPlan,
            json!({"step": "s", "expected": {"type": "file", "id": "a"}, "got": {"type": "file", "id": "b"}}),
        ),
        (
            json!({"args": {"mode": "truncate", "text": "hello"}}),
            ArgumentMismatch,
            json!({"step": "s", "argument": "mode", "expected": {"const": "append"}, "got": "truncate"}),
        ),
        (
            json!({"args": {"mode": "append", "text": "hello!"}}),
            ArgumentMismatch,
            json!({"step": "s", "argument": "text", "expected": {"text": {"max": 5}}, "got": "hello!"}),
        ),
        (
            json!({"args": {"mode": "append"}}),
            ArgumentMissing,
            json!({"step": "s", "argument": "text", "expected": {"text": {"max": 5}}, "got": null}),
        ),
        (
            json!({"args": {"mode": "append", "text": "hello", "bcc": "eve"}}),
            ArgumentNotInPlan,
            json!({"step": "s", "argument": "bcc", "expected": null, "got": "eve"}),
        ),
        (
            json!({"args": {"mode": "append", "text": "hello", "*": 1}}),
            ArgumentNotInPlan,
            json!({"step": "s", "argument": "*", "expected": null, "got": 1}),
        ),
        (
            json!({"args": {"mode": "append", "text": null}}),
            ArgumentMismatch,
            json!({"step": "s", "argument": "text", "expected": {"text": {"max": 5}}, "got": null}),
        ),
    ];
    for (change, reason, nearest) in table {
        let refusal = escalates(&one(), change.clone());
        assert_eq!(refusal.reason, reason, "{change}");
        assert_eq!(
            serde_json::to_value(&refusal).unwrap().get("nearest").unwrap_or(&Value::Null),
            &nearest,
            "{change}"
        );
    }
}

/// Location, action, resource, arguments: the first stage that no step passes names the reason.
#[test]
fn the_earliest_difference_takes_precedence() {
    let changes = [
        (json!({"location": MAIL}), Reason::LocationNotInPlan),
        (json!({"action": "x"}), Reason::ActionNotInPlan),
        (json!({"id": "x"}), Reason::ResourceNotInPlan),
        (json!({"args": {}}), Reason::ArgumentMissing),
    ];
    for first in 0..changes.len() {
        let mut together = object(changes[first].0.clone());
        for (change, _) in &changes[first..] {
            together.extend(object(change.clone()));
        }
        assert_eq!(escalates(&one(), Value::Object(together)).reason, changes[first].1);
    }
}

#[test]
fn among_arguments_one_too_many_comes_first_then_a_missing_one() {
    let reason = |args: Value| escalates(&one(), json!({"args": args})).reason;
    assert_eq!(reason(json!({"mode": "x", "text": "a"})), Reason::ArgumentMismatch);
    assert_eq!(reason(json!({"mode": "x"})), Reason::ArgumentMissing);
    assert_eq!(reason(json!({"mode": "append", "text": "a", "extra": 1})), Reason::ArgumentNotInPlan);
}

#[test]
fn an_empty_envelope_permits_nothing() {
    let refusal = escalates(&Envelope::default(), json!({}));
    assert_eq!((refusal.reason, refusal.nearest), (Reason::LocationNotInPlan, None));
}

#[test]
fn the_step_that_came_furthest_is_nearest_and_the_first_of_several() {
    let at = |id: &str, change: Value| {
        let mut step = step(id, json!({"mode": {"const": "append"}, "text": {"const": "x"}}), json!(1));
        for (name, value) in object(change) {
            step[name] = value;
        }
        step
    };
    let location = at("location", json!({"location": MAIL}));
    let action = at("action", json!({"action": "x"}));
    let resource = at("resource", json!({"resource": {"type": "file", "id": "b"}}));
    let first = at("first", json!({}));
    let second = at("second", json!({}));
    let nearest = |steps: Vec<&Value>| {
        let refusal = escalates(&envelope(json!(steps)), json!({}));
        (refusal.reason, refusal.nearest.map(|nearest| nearest.step))
    };
    let named = |id: &str| Some(id.to_owned());
    let furthest = (Reason::ArgumentMismatch, named("first"));
    assert_eq!(nearest(vec![&location, &action, &resource, &first, &second]), furthest);
    assert_eq!(nearest(vec![&first, &second, &resource, &action, &location]), furthest);
    assert_eq!(nearest(vec![&second, &first]), (Reason::ArgumentMismatch, named("second")));
    assert_eq!(nearest(vec![&resource, &action, &location]), (Reason::ResourceNotInPlan, named("resource")));
    assert_eq!(nearest(vec![&location, &action]), (Reason::ActionNotInPlan, None));
    assert_eq!(nearest(vec![&location]), (Reason::LocationNotInPlan, None));
}

#[test]
fn uses_are_counted_by_step_id() {
    for (used, left) in [(0, true), (1, true), (2, false), (3, false), (u64::MAX, false)] {
        assert_eq!(permitted(&one(), &call(json!({})), &facts(&[("s", used)])).is_some(), left, "{used}");
    }
    assert!(permitted(&one(), &call(json!({})), &facts(&[("other", 9)])).is_some());
    let Decision::Deny(refusal) = decide(&one(), &call(json!({})), &facts(&[("s", 2)]), NOW) else {
        panic!("permitted")
    };
    let expected = json!({"reason": "uses_exhausted", "nearest": {"step": "s", "expected": 2, "got": 2}});
    assert_eq!(serde_json::to_value(refusal).unwrap(), expected);
}

/// Not to know what was spent comes before everything that depends on what was done, as in the list of reasons.
#[test]
fn an_unknown_past_of_a_budget_comes_before_what_is_used_up() {
    let mut envelope = one();
    let budgets = json!([{"steps": ["s"], "max": "1"}, {"steps": ["s"], "arg": "text", "max": "1"}]);
    envelope.bounds.budgets = serde_json::from_value(budgets).unwrap();
    envelope.steps[0].after.insert("other".into());
    match decide(&envelope, &call(json!({})), &facts(&[("s", 2)]), NOW) {
        Decision::Deny(refusal) => {
            assert_eq!(refusal.reason, Reason::ResultUnknown);
            assert_eq!(refusal.nearest.unwrap().argument.as_deref(), Some("text"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn uncounted_reads_are_never_exhausted() {
    let any = envelope(json!([step("s", json!({"mode": {"any": true}, "text": {"any": true}}), json!("any"))]));
    assert!(permitted(&any, &call(json!({})), &facts(&[("s", u64::MAX)])).is_some());
}

#[test]
fn several_steps_that_match_are_used_one_after_the_other() {
    let open = json!({"*": {"any": true}});
    let steps = envelope(json!([step("first", open.clone(), json!(1)), step("second", open, json!(1))]));
    let by = |uses: &[(&str, u64)]| permitted(&steps, &call(json!({})), &facts(uses));
    assert_eq!(by(&[]), Some("first"));
    assert_eq!(by(&[("first", 1)]), Some("second"));
    assert_eq!(by(&[("second", 1)]), Some("first"));
    assert_eq!(by(&[("first", 1), ("second", 1)]), None);
    match decide(&steps, &call(json!({})), &facts(&[("first", 1), ("second", 1)]), NOW) {
        Decision::Deny(refusal) => assert_eq!(refusal.nearest.unwrap().step, "first"),
        other => panic!("{other:?}"),
    }
}

/// A step that is used up says so, even where another one came close.
#[test]
fn exhausted_comes_before_what_did_not_match() {
    let steps = json!([
        step("narrow", json!({"mode": {"const": "x"}}), json!(1)),
        step("open", json!({"*": {"any": true}}), json!(1))
    ]);
    match decide(&envelope(steps), &call(json!({})), &facts(&[("open", 1)]), NOW) {
        Decision::Deny(refusal) => assert_eq!(refusal.reason, Reason::UsesExhausted),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_star_opens_further_arguments_and_binds_the_named_ones() {
    let open = envelope(json!([step("s", json!({"mode": {"const": "append"}, "*": {"any": true}}), json!(1))]));
    let permits = |args: Value| permitted(&open, &call(json!({"args": args})), &Facts::default()).is_some();
    assert!(permits(json!({"mode": "append"})));
    assert!(permits(json!({"mode": "append", "bcc": "eve", "*": [1]})));
    assert!(!permits(json!({"mode": "x", "bcc": "eve"})));
    assert!(!permits(json!({"bcc": "eve"})), "a named argument is still required");
}

#[test]
fn a_resource_may_be_bound_by_a_constraint() {
    let with = |id: Value| {
        let mut bound = step("s", json!({"*": {"any": true}}), json!(1));
        bound["resource"]["id"] = id;
        envelope(json!([bound]))
    };
    let permits =
        |id: Value, called: &str| permitted(&with(id), &call(json!({"id": called})), &Facts::default()).is_some();
    assert!(permits(json!({"one_of": ["a", "b"]}), "b") && !permits(json!({"one_of": ["a", "b"]}), "c"));
    assert!(permits(json!({"const": "a"}), "a") && !permits(json!({"const": 1}), "1"));
    assert!(permits(json!({"any": true}), "") && permits(json!({"text": {"max": 1}}), "z"));
    assert!(!permits(json!({"text": {"max": 1}}), "zz"));
}

#[test]
fn values_are_compared_exactly() {
    let with = |value: Value| envelope(json!([step("s", json!({"v": {"const": value}}), json!(1))]));
    let permits = |signed: Value, called: Value| {
        permitted(&with(signed), &call(json!({"args": {"v": called}})), &Facts::default()).is_some()
    };
    let different = [
        json!(1),
        json!("1"),
        json!(true),
        json!(null),
        json!([1]),
        json!({"a": 1}),
        json!(""),
        json!([]),
        json!({}),
        json!(0),
        json!("A"),
        json!("a"),
        json!("a "),
        json!([1, 2]),
        json!([2, 1]),
        json!({"a": 1, "b": 2}),
        json!(-1),
    ];
    for (i, signed) in different.iter().enumerate() {
        for (j, called) in different.iter().enumerate() {
            assert_eq!(permits(signed.clone(), called.clone()), i == j, "{signed} {called}");
        }
    }
    assert!(permits(json!({"a": 1, "b": 2}), json!({"b": 2, "a": 1})), "members have no order");
}

#[test]
fn a_call_digest_is_of_action_resource_and_arguments() {
    let digest = |change: Value| call(change).digest();
    let canonical = canonical(&json!({"action": "file.write", "resource": {"type": "file", "id": "a"},
        "args": {"text": "hello", "mode": "append"}}));
    assert_eq!(digest(json!({})), Digest::of(&canonical));
    for change in [
        json!({"action": "x"}),
        json!({"type": "x"}),
        json!({"id": "x"}),
        json!({"args": {}}),
        json!({"args": {"mode": "append", "text": "hellp"}}),
    ] {
        assert_ne!(digest(change), digest(json!({})));
    }
}

#[test]
fn a_step_up_shows_a_resource_that_was_bound_late() {
    let mut late = step("s", json!({"mode": {"const": "append"}, "text": {"text": {"max": 5}}}), json!(2));
    late["resource"]["id"] = json!({"ref": {"step": "r", "field": "/id"}});
    late["approve"] = json!("step_up");
    let mut envelope = envelope(json!([late]));
    envelope.bounds.max_step_ups = 1;
    let past =
        PastCall { args: object(json!({})), committed: true, result: Some(json!({"id": "a"})), ..PastCall::default() };
    let facts =
        Facts { steps: [("r".into(), Past { uses: 1, committed: 1, calls: vec![past] })].into(), ..Facts::default() };
    match decide(&envelope, &call(json!({})), &facts, NOW) {
        Decision::StepUp(asked) => assert_eq!(json!(asked.values), json!([{"value": "a", "sources": ["r"]}])),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_template_joins_no_pieces_into_a_link() {
    let holds = |template: &str, slot: Value, other: Value, text: &str| {
        let rule = json!({"fmt": {"template": template, "slots": {"a": slot, "b": other}}});
        serde_json::from_value::<Constraint>(rule).unwrap().holds(&json!(text))
    };
    let word = || json!({"text": {"max": 30}});
    assert!(holds("{a}.{b}", word(), word(), "One. Two"));
    assert!(!holds("{a}.{b}", word(), word(), "evil.com"), "neither piece is a link, and together they are");
    assert!(!holds("{a}:{b}", word(), word(), "javascript:alert"));
    assert!(!holds("Hi {a}@{b}", word(), word(), "Hi bob@evil.com"));
    assert!(!holds("{a}.{b}", json!({"pattern": "[a-z]+"}), json!({"pattern": "[a-z]+"}), "evil.com"));
    // Where the template or one slot has the link, whoever signs it sees that there may be one.
    assert!(holds("https://x.example/{a}/{b}", word(), word(), "https://x.example/1/2"));
    assert!(!holds("{a}.{b}, see https://x.example/", word(), word(), "evil.com/pay, see https://x.example/"));
    assert!(!holds(
        "{a}.{b}, see x.example",
        word(),
        json!({"text": {"max": 30, "urls": true}}),
        "evil.com, see x.example"
    ));
    assert!(!holds("https://x.example{a}/{b}", word(), word(), "https://x.example.evil/2"));
    assert!(!holds("{a}@x.example{b}", word(), word(), "bob@x.example.evil"));
    assert!(holds("{a}@x.example{b}", word(), word(), "bob@x.example and more"));
    assert!(holds("{a}: {b}", word(), json!({"text": {"max": 30, "urls": true}}), "Look: https://x.example"));
    assert!(holds("{a} to {b}", word(), json!({"domain": {"any_of": ["x.example"]}}), "Mail to a@x.example"));
    assert!(holds("{a} and {b}", json!({"const": "x.example"}), word(), "x.example and more"));
}
