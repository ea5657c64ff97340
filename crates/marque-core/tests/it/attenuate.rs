//! The attenuation laws of the plan language, over generated envelopes and over a small universe.

use crate::support::{FILES, NOW, envelope, object};
use marque_core::attenuate::{StepRequest, attenuate, covers};
use marque_core::call::{Call, CallResource};
use marque_core::constraint::Constraint;
use marque_core::decide::{Decision, decide};
use marque_core::envelope::Envelope;
use marque_core::facts::Facts;
use marque_core::limits;
use marque_core::reason::Reason;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use serde_json::{Value, json};
use std::cell::Cell;
use std::collections::BTreeMap;

const LINK: &str = "a.com";

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

// ---- a small universe, exhaustively

fn universe() -> Vec<Value> {
    vec![
        json!(null),
        json!(1),
        json!(2),
        json!("1"),
        json!(""),
        json!("ab"),
        json!("abcdefgh"),
        json!(LINK),
        json!("\u{202e}"),
        json!(true),
        json!([1]),
        json!({"a": 1}),
    ]
}

fn constraints() -> Vec<Constraint> {
    let values = universe();
    let mut all = vec![json!({"any": true}), json!({"one_of": []})];
    for (index, value) in values.iter().enumerate() {
        all.push(json!({"const": value}));
        all.extend(values[index..].iter().map(|other| json!({"one_of": [value, other]})));
    }
    for max in [0, 2, 5, 9] {
        all.extend([false, true].map(|urls| json!({"text": {"max": max, "urls": urls}})));
    }
    all.into_iter().map(constraint).collect()
}

fn is_narrower(child: &Constraint, parent: &Constraint) -> bool {
    universe().iter().all(|value| !child.holds(value) || parent.holds(value))
}

/// Laws 1 and 8: what is accepted is narrower, and nearly everything narrower is accepted.
#[test]
fn covering_is_sound_and_useful_over_a_small_universe() {
    let all = constraints();
    let (mut genuine, mut accepted, mut undecidable) = (0, 0, 0);
    for parent in &all {
        for child in &all {
            let narrower = is_narrower(child, parent);
            assert!(!parent.covers(child) || narrower, "{parent:?} covers {child:?}");
            let finite = matches!(parent, Constraint::Const(_) | Constraint::OneOf(_));
            match (narrower, finite && matches!(child, Constraint::Text(_))) {
                (true, true) => undecidable += 1,
                (true, false) => {
                    genuine += 1;
                    accepted += usize::from(parent.covers(child));
                }
                (false, _) => {}
            }
        }
    }
    println!(
        "{} constraints: {accepted} of {genuine} genuine narrowings accepted, {undecidable} undecidable",
        all.len()
    );
    assert!(genuine > 500 && accepted * 100 >= genuine * 95, "{accepted} of {genuine}");
}

/// Law 2 over the small universe.
#[test]
fn covering_is_reflexive_and_transitive_over_a_small_universe() {
    let all = constraints();
    let below: Vec<Vec<usize>> =
        all.iter().map(|parent| (0..all.len()).filter(|child| parent.covers(&all[*child])).collect()).collect();
    for (parent, children) in below.iter().enumerate() {
        assert!(children.contains(&parent), "{:?} covers itself", all[parent]);
        for child in children {
            for grandchild in &below[*child] {
                assert!(children.contains(grandchild), "{:?} {:?} {:?}", all[parent], all[*child], all[*grandchild]);
            }
        }
    }
}

/// The pairs of kinds that must be comparable, and those that must be refused (law 4).
#[test]
fn every_pair_of_kinds_is_decided_as_listed() {
    let (one, short) = (json!({"const": "ab"}), json!({"one_of": ["ab", ""]}));
    let (text, any) = (json!({"text": {"max": 5}}), json!({"any": true}));
    let table = [
        (&one, &one, true),
        (&one, &json!({"one_of": ["ab"]}), true),
        (&one, &short, false),
        (&one, &text, false),
        (&one, &any, false),
        (&short, &one, true),
        (&short, &short, true),
        (&short, &json!({"one_of": [""]}), true),
        (&short, &json!({"one_of": ["", 1]}), false),
        (&short, &text, false),
        (&short, &any, false),
        (&text, &one, true),
        (&text, &short, true),
        (&text, &json!({"one_of": ["ab", LINK]}), false),
        (&text, &json!({"const": 1}), false),
        (&text, &json!({"const": "abcdefgh"}), false),
        (&text, &json!({"text": {"max": 4}}), true),
        (&text, &json!({"text": {"max": 6}}), false),
        (&text, &json!({"text": {"max": 5, "urls": true}}), false),
        (&json!({"text": {"max": 5, "urls": true}}), &text, true),
        (&text, &any, false),
        (&any, &one, true),
        (&any, &short, true),
        (&any, &text, true),
        (&any, &any, true),
    ];
    for (parent, child, expected) in table {
        assert_eq!(constraint(parent.clone()).covers(&constraint(child.clone())), expected, "{parent} covers {child}");
    }
}

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

// ---- generated envelopes

fn values() -> impl Strategy<Value = Value> {
    proptest::sample::select(universe())
}

fn any_constraint() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => values().prop_map(|value| json!({"const": value})),
        2 => proptest::collection::vec(values(), 1..4).prop_map(|values| json!({"one_of": values})),
        2 => (0u64..10, any::<bool>()).prop_map(|(max, urls)| json!({"text": {"max": max, "urls": urls}})),
        2 => Just(json!({"any": true})),
    ]
}

fn arguments() -> impl Strategy<Value = Value> {
    let named = proptest::collection::btree_map(proptest::sample::select(vec!["a", "b", "c"]), any_constraint(), 0..3);
    (named, any::<bool>()).prop_map(|(named, open)| {
        let mut args = json!(named);
        if open {
            args["*"] = json!({"any": true});
        }
        args
    })
}

fn parents() -> impl Strategy<Value = Envelope> {
    let resource = prop_oneof![Just(json!("r")), Just(json!({"any": true})), Just(json!({"one_of": ["r", "q"]}))];
    let one = (arguments(), resource, 0u8..2, prop_oneof![Just(json!(1)), Just(json!(3)), Just(json!("any"))]);
    proptest::collection::vec(one, 1..4).prop_map(|steps| {
        let steps = steps.into_iter().enumerate().map(|(index, (args, resource, action, uses))| {
            let mut step = step(&format!("s{index}"), args);
            step["resource"]["id"] = resource;
            step["action"] = json!(format!("act{action}"));
            step["uses"] = uses;
            step
        });
        envelope(steps.collect())
    })
}

fn requests() -> impl Strategy<Value = Vec<StepRequest>> {
    let args = proptest::collection::btree_map(proptest::sample::select(vec!["a", "b", "c"]), any_constraint(), 0..3);
    let one = (0u8..4, args).prop_map(|(index, args)| request(&format!("s{index}"), json!(args)));
    proptest::collection::vec(one, 0..3)
}

/// What is asked for at one hop, in several ways.
type Hop = Vec<Vec<StepRequest>>;

fn calls() -> impl Strategy<Value = Call> {
    let args = proptest::collection::btree_map(proptest::sample::select(vec!["a", "b", "c", "d"]), values(), 0..4);
    (args, 0u8..2, proptest::sample::select(vec!["r", "q", "z"])).prop_map(|(args, action, id)| {
        let resource = CallResource { kind: "t".into(), id: id.into() };
        Call::new(FILES, format!("act{action}"), resource, object(json!(args)))
    })
}

/// Always the same cases: a failure today is a failure tomorrow.
fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..Config::default() })
}

/// Laws 1, 2 and 5 over a million pairs of a request and a call; the shares show that they are not empty.
#[test]
fn a_child_permits_nothing_that_its_parent_refuses() {
    let many = |count| proptest::collection::vec(requests(), count);
    let cases = (parents(), many(8), many(2), proptest::collection::vec(calls(), 16));
    let (pairs, narrowed, permitted) = (Cell::new(0_u32), Cell::new(0_u32), Cell::new(0_u32));
    let count = |cell: &Cell<u32>, more: u32| cell.set(cell.get() + more);
    let laws = |(parent, first, second, calls): (Envelope, Hop, Hop, Vec<Call>)| {
        assert!(covers(&parent, &parent), "reflexive");
        for requests in &first {
            count(&pairs, 16);
            let Ok(child) = attenuate(&parent, requests) else { continue };
            count(&narrowed, 1);
            assert_narrower(&parent, &child, &calls);
            assert_kept(&parent, &child, requests);
            count(&permitted, u32::try_from(calls.iter().filter(|call| permits(&child, call)).count()).unwrap());
            for grandchild in second.iter().filter_map(|requests| attenuate(&child, requests).ok()) {
                assert_narrower(&child, &grandchild, &calls);
                assert!(covers(&parent, &grandchild), "transitive");
            }
        }
        Ok(())
    };
    runner(8000).run(&cases, laws).unwrap();
    let (pairs, narrowed, permitted) = (pairs.get(), narrowed.get(), permitted.get());
    println!("{pairs} pairs, {narrowed} narrowed envelopes, {permitted} permitted calls");
    assert!(pairs >= 1_000_000 && narrowed > 5_000 && permitted > 5_000);
}

/// What a request does not name stays exactly as the parent has it; what it names is exactly that.
#[track_caller]
fn assert_kept(parent: &Envelope, child: &Envelope, requests: &[StepRequest]) {
    let wanted: BTreeMap<_, _> = requests.iter().map(|request| (request.id.as_str(), request)).collect();
    assert_eq!(child.steps.len(), wanted.len());
    let places: Vec<_> =
        child.steps.iter().map(|step| parent.steps.iter().position(|own| own.id == step.id).unwrap()).collect();
    assert!(places.is_sorted(), "the parent's order");
    for step in &child.steps {
        let mut expected = parent.step(&step.id).unwrap().clone();
        expected.args.extend(wanted[step.id.as_str()].args.clone());
        assert_eq!(*step, expected);
    }
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
