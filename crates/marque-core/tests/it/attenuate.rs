//! Narrowing single steps, case by case. The laws are properties in `tests/laws`.

use crate::support::{FILES, NOW, envelope, object};
use marque_core::attenuate::{StepRequest, attenuate, covers};
use marque_core::call::{Call, CallResource};
use marque_core::constraint::Constraint;
use marque_core::decide::{Decision, decide};
use marque_core::envelope::Envelope;
use marque_core::facts::Facts;
use marque_core::limits;
use marque_core::reason::Reason;
use serde_json::{Value, json};

fn permits(envelope: &Envelope, call: &Call) -> bool {
    matches!(decide(envelope, call, &Facts::default(), NOW), Decision::Permit(_))
}

fn constraint(value: Value) -> Constraint {
    serde_json::from_value(value).unwrap()
}

fn request(id: &str, args: Value) -> StepRequest {
    serde_json::from_value(json!({"type": "agent_intent_step", "id": id, "args": args})).unwrap()
}

fn step(id: &str, args: Value) -> Value {
    json!({"id": id, "location": FILES, "action": "act", "resource": {"type": "t", "id": "r"}, "args": args,
        "uses": 2, "class": "change"})
}

// ---- a small universe of steps

/// Law 1 for whole steps: every parent with up to two arguments, every request, every call.
#[test]
fn narrowing_is_sound_over_a_small_universe_of_steps() {
    let kinds = [json!({"any": true}), json!({"const": 1}), json!({"one_of": [1, "ab"]}), json!({"text": {"max": 2}})];
    let choice: Vec<Option<&Value>> = std::iter::once(None).chain(kinds.iter().map(Some)).collect();
    let calls = small_calls();
    let (mut narrowed, mut refused) = (0, 0);
    for (a, b, star) in product(&choice, &choice, &[None, Some(&kinds[0])]) {
        let parent = envelope(json!([step("s", named(&[("a", a), ("b", b), ("*", star)]))]));
        for (a, b, star) in product(&choice, &choice, &[None, Some(&kinds[0]), Some(&kinds[1])]) {
            let request = request("s", named(&[("a", a), ("b", b), ("*", star)]));
            match attenuate(&parent, std::slice::from_ref(&request)) {
                Ok(child) => {
                    narrowed += 1;
                    assert_narrower(&parent, &child, &calls);
                    assert!(honours(&child, &request, &calls), "{request:?}");
                }
                Err(widening) => {
                    refused += 1;
                    assert_eq!(widening.reason, Reason::WiderThanParent);
                }
            }
        }
    }
    println!("{narrowed} requests granted, {refused} refused, {} calls each", calls.len());
    assert!(narrowed > 200 && refused > 200);
}

type Choice<'v> = Option<&'v Value>;

fn product<'v>(a: &[Choice<'v>], b: &[Choice<'v>], c: &[Choice<'v>]) -> Vec<(Choice<'v>, Choice<'v>, Choice<'v>)> {
    let mut all = Vec::new();
    for first in a {
        for second in b {
            all.extend(c.iter().map(|third| (*first, *second, *third)));
        }
    }
    all
}

fn named(args: &[(&str, Choice<'_>)]) -> Value {
    args.iter().filter_map(|(name, value)| value.map(|value| ((*name).to_owned(), value.clone()))).collect()
}

fn small_calls() -> Vec<Call> {
    let values = [json!(1), json!("ab"), json!("abc"), json!(null)];
    let choice: Vec<Choice<'_>> = std::iter::once(None).chain(values.iter().map(Some)).collect();
    product(&choice, &choice, &choice)
        .iter()
        .map(|(a, b, c)| {
            let args = object(named(&[("a", *a), ("b", *b), ("c", *c)]));
            Call::new(FILES, "act", CallResource { kind: "t".into(), id: "r".into() }, args)
        })
        .collect()
}

#[track_caller]
fn assert_narrower(parent: &Envelope, child: &Envelope, calls: &[Call]) {
    assert!(covers(parent, child), "{parent:?} covers {child:?}");
    for call in calls {
        assert!(!permits(child, call) || permits(parent, call), "{child:?} permits {call:?}, {parent:?} does not");
    }
}

/// Whether every call that the child permits has what was asked for.
fn honours(child: &Envelope, request: &StepRequest, calls: &[Call]) -> bool {
    calls.iter().filter(|call| permits(child, call)).all(|call| {
        let named = request.args.iter().filter(|(name, _)| *name != "*");
        named.into_iter().all(|(name, wanted)| call.args.get(name).is_some_and(|value| wanted.holds(value)))
    })
}

// ---- single refusals

#[track_caller]
fn refused(parent: &Envelope, requests: &[StepRequest]) -> String {
    let widening = attenuate(parent, requests).unwrap_err();
    assert_eq!(widening.reason, Reason::WiderThanParent);
    widening.message
}

#[test]
fn a_request_for_a_foreign_or_repeated_step_is_refused() {
    let parent = envelope(json!([step("a", json!({})), step("b", json!({}))]));
    assert!(refused(&parent, &[request("c", json!({}))]).contains("\"c\""));
    assert!(refused(&parent, &[request("a", json!({})), request("a", json!({}))]).contains("twice"));
    assert_eq!(attenuate(&parent, &[]), Ok(Envelope::default()), "nothing asked for, nothing given");
    let swapped = attenuate(&parent, &[request("b", json!({})), request("a", json!({}))]);
    assert_eq!(swapped, Ok(parent), "the parent's order");
}

#[test]
fn an_argument_can_be_narrowed_or_named_only_where_the_parent_allows_it() {
    let parent = envelope(json!([step("s", json!({"a": {"one_of": [1, 2]}}))]));
    assert!(refused(&parent, &[request("s", json!({"a": {"any": true}}))]).contains("one_of"));
    assert!(refused(&parent, &[request("s", json!({"a": {"const": 3}}))]).contains("\"a\""));
    assert!(refused(&parent, &[request("s", json!({"b": {"const": 1}}))]).contains("absent"));
    assert!(refused(&parent, &[request("s", json!({"*": {"any": true}}))]).contains('*'));
    let open = envelope(json!([step("s", json!({"a": {"const": 1}, "*": {"any": true}}))]));
    assert!(attenuate(&open, &[request("s", json!({"b": {"const": 1}}))]).is_ok());
    assert!(
        attenuate(&open, &[request("s", json!({"a": {"const": 2}}))]).is_err(),
        "the star does not open a named one"
    );
}

/// `*` takes only `any`: another constraint there would be believed and never applied.
#[test]
fn the_star_cannot_be_given_another_constraint() {
    let open = envelope(json!([step("s", json!({"*": {"any": true}}))]));
    for bad in [json!({"const": 1}), json!({"one_of": [1]}), json!({"text": {"max": 1}})] {
        assert!(refused(&open, &[request("s", json!({"*": bad}))]).contains('*'));
    }
    assert_eq!(attenuate(&open, &[request("s", json!({"*": {"any": true}}))]), Ok(open));
}

/// A record that was not looked up may satisfy its constraint: what depends on it is not dropped from a conjunction.
#[test]
fn what_is_not_known_here_still_counts_as_allowed_by_a_child() {
    let parent = constraint(json!({"const": "a"}));
    let listed = json!({"one_of": ["a", "b"]});
    let looked_up =
        json!({"either": [{"const": "a"}, {"attr": {"collection": "people", "where": {"/vip": {"const": true}}}}]});
    for parts in [json!([listed, looked_up]), json!([looked_up, listed])] {
        assert!(!parent.covers(&constraint(json!({"all": parts}))), "{parts}");
    }
    let met = constraint(listed).meet(&constraint(looked_up));
    assert!(matches!(met, Constraint::All(_)), "{met:?}");
}

/// The limits of the language hold for what a hop adds too.
#[test]
fn constraints_of_a_request_keep_the_limits_of_the_language() {
    let open = envelope(json!([step("s", json!({"*": {"any": true}}))]));
    let many: Vec<usize> = (0..=limits::ALTERNATIVES).collect();
    for bad in [json!({"one_of": many}), json!({"one_of": []}), json!({"text": {"max": limits::TEXT_CHARS + 1}})] {
        assert!(attenuate(&open, &[request("s", json!({"a": bad}))]).is_err(), "{bad}");
    }
    let names = |count: usize| (0..count).map(|n| (format!("a{n}"), json!({"const": 1}))).collect::<Value>();
    assert!(attenuate(&open, &[request("s", names(limits::ARGUMENTS - 1))]).is_ok());
    assert!(attenuate(&open, &[request("s", names(limits::ARGUMENTS))]).is_err(), "with the star one too many");
}

#[test]
fn a_request_has_no_member_more() {
    let parse = |value: Value| serde_json::from_value::<StepRequest>(value);
    let good = json!({"type": "agent_intent_step", "id": "s"});
    assert!(parse(good.clone()).unwrap().args.is_empty());
    for (name, value) in [
        ("uses", json!(0)),
        ("bounds", json!({})),
        ("class", json!("read")),
        ("location", json!(FILES)),
        ("resource", json!({})),
        ("type", json!("agent_intent_plan")),
    ] {
        let mut bad = good.clone();
        bad[name] = value;
        assert!(parse(bad).is_err(), "{name}");
    }
    assert!(parse(json!({"id": "s"})).is_err() && parse(json!({"type": "agent_intent_step"})).is_err());
}

/// Each member of a step that a forged child could change.
#[test]
fn a_child_that_differs_in_anything_but_arguments_and_uses_is_not_covered() {
    let parent = envelope(json!([step("s", json!({"a": {"const": 1}}))]));
    for (name, value) in [
        ("id", json!("t")),
        ("location", json!("http://localhost:1")),
        ("action", json!("other")),
        ("class", json!("read")),
        ("resource", json!({"type": "u", "id": "r"})),
        ("resource", json!({"type": "t", "id": "q"})),
        ("resource", json!({"type": "t", "id": {"any": true}})),
        ("uses", json!(3)),
        ("uses", json!("any")),
        ("args", json!({})),
        ("args", json!({"a": {"any": true}})),
        ("args", json!({"a": {"const": 1}, "b": {"const": 1}})),
        ("args", json!({"a": {"const": 1}, "*": {"any": true}})),
    ] {
        let mut child = step("s", json!({"a": {"const": 1}}));
        child[name] = value.clone();
        assert!(!covers(&parent, &envelope(json!([child]))), "{name} {value}");
    }
    let mut fewer = step("s", json!({"a": {"const": 1}}));
    fewer["uses"] = json!(1);
    assert!(covers(&parent, &envelope(json!([fewer]))) && covers(&parent, &Envelope::default()));
    assert!(!covers(&Envelope::default(), &parent));
}
