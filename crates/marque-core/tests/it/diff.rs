//! Differences of two envelopes, each with an example that both decide on.

use crate::generated::{constraints, envelope, pairs};
use crate::support::{FILES, MAIL};
use marque_core::attenuate::covers;
use marque_core::diff::{Diff, Difference, diff, find};
use marque_core::envelope::Envelope;
use marque_core::explain::Outcome;
use marque_core::reason::Reason;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use serde_json::{Value, json};
use std::cell::Cell;
use std::collections::BTreeMap;

fn step(change: &Value) -> Value {
    let mut step = json!({"id": "s", "location": FILES, "action": "act", "resource": {"type": "t", "id": "r"},
        "args": {}, "uses": 1, "class": "change"});
    for (name, value) in change.as_object().unwrap() {
        step[name] = value.clone();
    }
    step
}

fn look() -> Value {
    json!({"id": "s0", "location": FILES, "action": "look", "resource": {"type": "t", "id": "r"},
        "args": {"q": {"text": {"max": 9}}}, "uses": "any", "class": "read"})
}

fn with(change: &Value, bounds: &Value) -> Envelope {
    envelope(&[look(), step(change)], bounds)
}

fn of_argument(constraint: &Value) -> Envelope {
    with(&json!({"args": {"a": constraint}}), &json!({}))
}

/// The only difference of a narrow and a wide envelope, and that its example is right.
#[track_caller]
fn only(narrow: &Envelope, wide: &Envelope) -> Difference {
    let found = diff(narrow, wide);
    assert_eq!(found.first, [], "the narrow one permits nothing more");
    let [difference] = &found.second[..] else { panic!("{:#?}", found.second) };
    if let Some(witness) = &difference.witness {
        assert!(witness.is_confirmed(wide, narrow), "{witness:?}");
    }
    difference.clone()
}

/// The only difference, the argument of its example and why the narrow one refuses that.
#[track_caller]
fn shown(narrow: &Value, wide: &Value) -> Value {
    let difference = only(&of_argument(narrow), &of_argument(wide));
    let witness = difference.witness.unwrap_or_else(|| panic!("{narrow} {wide}"));
    assert_eq!(difference.member, "args.a");
    assert_eq!(witness.there.reason, Some(Reason::ArgumentMismatch));
    witness.call.args["a"].clone()
}

#[test]
fn what_is_the_same_differs_in_nothing() {
    for constraint in constraints() {
        let one = of_argument(&constraint);
        assert!(diff(&one, &one.clone()).is_empty(), "{constraint}");
    }
}

#[test]
fn each_kind_is_shown_at_its_bound() {
    for (narrow, wide, example) in [
        (json!({"const": "a"}), json!({"one_of": ["a", "b"]}), json!("b")),
        (json!({"text": {"max": 4}}), json!({"text": {"max": 9}}), json!("aaaaa")),
        (json!({"text": {"max": 40}}), json!({"text": {"max": 40, "urls": true}}), json!("example.com")),
        (json!({"num": {"min": "0", "max": "7"}}), json!({"num": {"min": "0", "max": "9"}}), json!(8)),
        (json!({"num": {"min": "0", "max": "7"}}), json!({"num": {"min": "-0.5", "max": "7"}}), json!("-0.5")),
        (
            json!({"amount": {"max": "9.50", "currency": "EUR"}}),
            json!({"amount": {"max": "9.51", "currency": "EUR"}}),
            json!({"currency": "EUR", "value": "9.51"}),
        ),
        (
            json!({"time_window": {"to": "2026-11-22T03:00:00Z"}}),
            json!({"time_window": {"to": "2026-11-22T04:00:00Z"}}),
            json!("2026-11-22T03:00:01Z"),
        ),
        (
            json!({"domain": {"any_of": ["x.com"]}}),
            json!({"domain": {"any_of": ["x.com"], "subdomains": true}}),
            json!("sub.x.com"),
        ),
        (json!({"prefix": "/a/b/"}), json!({"prefix": "/a/"}), json!("/a/a")),
        (
            json!({"items": {"of": {"const": 1}, "max": 2}}),
            json!({"items": {"of": {"const": 1}, "max": 3}}),
            json!([1, 1, 1]),
        ),
        (json!({"items": {"of": {"const": 1}, "max": 2}}), json!({"each": {"const": 1}}), json!([1, 1, 1])),
        (
            json!({"obj": {"a": {"const": 1}}}),
            json!({"obj": {"a": {"const": 1}, "b": {"optional": {"const": 2}}}}),
            json!({"a": 1, "b": 2}),
        ),
        (
            json!({"obj": {"a": {"const": 1}}}),
            json!({"obj": {"a": {"const": 1}, "*": {"any": true}}}),
            json!({"a": 1, "another": "anything"}),
        ),
        (json!({"pattern": "[a-c]{2}"}), json!({"any": true}), json!("anything")),
    ] {
        assert_eq!(shown(&narrow, &wide), example, "{narrow} {wide}");
    }
}

/// Values that are known only after earlier steps come with what was done there.
#[test]
fn late_bound_kinds_are_shown_with_the_results_they_need() {
    let reference = json!({"ref": {"step": "s0", "field": "/id"}});
    let lookup = json!({"ref": {"step": "s0", "field": "/rows/*/id", "reduce": "lookup",
        "where": {"/name": {"const": "n"}}}});
    for late in [
        reference.clone(),
        lookup,
        json!({"ref": {"step": "s0", "field": "/rows/*/n", "reduce": "sum"}}),
        json!({"ref": {"step": "s0", "field": "/rows/*/n", "reduce": "count"}}),
        json!({"ref": {"step": "s0", "field": "/rows/*/id", "reduce": {"argmax": "/n"}}}),
        json!({"ref_set": {"step": "s0", "field": "/rows/*/id"}}),
        json!({"same_as": {"step": "s0", "arg": "q"}}),
        json!({"fmt": {"template": "Hi {a}!", "slots": {"a": reference}}}),
        json!({"compute": {"expr": "x * 2", "vars": {"x": reference}}}),
        json!({"rel": {"base": reference, "min": "-1", "max": "1"}}),
        json!({"attr": {"collection": "people", "where": {"/team": {"const": "t"}}}}),
        json!({"extract": {"step": "s0", "type": "email"}}),
        json!({"extract": {"step": "s0", "type": "host"}}),
        json!({"extract": {"step": "s0", "type": "number"}}),
        json!({"extract": {"step": "s0", "type": "date"}}),
        json!({"extract": {"step": "s0", "type": "iban"}}),
        json!({"extract": {"step": "s0", "type": "word"}}),
        json!({"quote": {"step": "s0"}}),
    ] {
        let (never, late_bound) = (of_argument(&json!({"const": "never"})), of_argument(&late));
        let found = diff(&never, &late_bound);
        let [difference] = &found.second[..] else { panic!("{late}") };
        let witness = difference.witness.as_ref().unwrap_or_else(|| panic!("no example of {late}"));
        assert!(witness.is_confirmed(&late_bound, &never), "{late}");
        let any = diff(&late_bound, &of_argument(&json!({"any": true}))).second;
        assert!(any[0].witness.is_some(), "anything beyond {late}");
    }
}

/// A value from a result may be what the other does not allow, and is chosen so.
#[test]
fn a_reference_is_shown_beyond_the_others_bound() {
    let reference = of_argument(&json!({"ref": {"step": "s0", "field": "/id"}}));
    let range = of_argument(&json!({"num": {"min": "0", "max": "100"}}));
    let found = diff(&range, &reference).second;
    let value = found[0].witness.as_ref().unwrap().call.args["a"].clone();
    assert!(value == json!(101) || value == json!("101") || value == json!(-1), "{value}");
}

#[test]
fn each_member_of_a_step_is_shown() {
    use Reason as R;
    let window = |from: &str, to: &str| json!({"window": {"from": from, "to": to}});
    let narrow_window = window("2026-11-22T03:00:00Z", "2026-11-22T04:00:00Z");
    for (narrow, wide, member, reason) in [
        (json!({}), json!({"resource": {"type": "t", "id": {"any": true}}}), "resource", R::ResourceNotInPlan),
        (json!({}), json!({"uses": 4}), "uses", R::UsesExhausted),
        (json!({}), json!({"uses": "any"}), "uses", R::UsesExhausted),
        (json!({"after": ["s0"]}), json!({}), "after", R::OutOfOrder),
        (json!({"excludes": ["s0"]}), json!({}), "excludes", R::GroupUsed),
        (narrow_window.clone(), json!({}), "window", R::OutsideWindow),
        (narrow_window, window("2026-11-22T03:00:00Z", "2026-11-22T04:00:01Z"), "window", R::OutsideWindow),
        (json!({"environment": "staging"}), json!({}), "environment", R::EnvironmentMismatch),
        (json!({}), json!({"args": {"a": {"optional": {"const": 1}}}}), "args.a", R::ArgumentNotInPlan),
        (
            json!({"args": {"a": {"const": 1}}}),
            json!({"args": {"a": {"optional": {"const": 1}}}}),
            "args.a",
            R::ArgumentMissing,
        ),
        (json!({}), json!({"args": {"*": {"any": true}}}), "args.*", R::ArgumentNotInPlan),
    ] {
        let difference = only(&with(&narrow, &json!({})), &with(&wide, &json!({})));
        assert_eq!(difference.member, member);
        assert_eq!(difference.step.as_deref(), Some("s"));
        let witness = difference.witness.unwrap_or_else(|| panic!("{narrow} {wide}"));
        assert_eq!((witness.here.outcome, witness.there.reason), (Outcome::Permit, Some(reason)), "{member}");
    }
}

#[test]
fn a_step_up_less_is_a_difference_that_is_shown() {
    let bounds = json!({"max_step_ups": 3});
    let (asks, plain) = (with(&json!({"approve": "step_up"}), &bounds), with(&json!({}), &bounds));
    let difference = only(&asks, &plain);
    let witness = difference.witness.unwrap();
    assert_eq!((witness.here.outcome, witness.there.outcome), (Outcome::Permit, Outcome::StepUp));
    let more = with(&json!({"approve": "step_up"}), &json!({"max_step_ups": 5}));
    let difference = only(&asks, &more);
    let witness = difference.witness.unwrap();
    assert_eq!(difference.member, "max_step_ups");
    assert_eq!((witness.here.outcome, witness.there.reason), (Outcome::StepUp, Some(Reason::StepUpsExhausted)));
}

#[test]
fn each_bound_is_shown_or_at_least_named() {
    use Reason as R;
    let paying = json!({"args": {"a": {"amount": {"max": "9", "currency": "EUR"}}}, "uses": 3});
    let budget = |more: Value| {
        let mut budget = json!({"steps": ["s"], "max": "2"});
        budget.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"budgets": [budget]})
    };
    for (narrow, wide, member, reason) in [
        (json!({"expires_at": 100}), json!({"expires_at": 200}), "expires_at", Some(R::IntentExpired)),
        (json!({"expires_at": 100}), json!({}), "expires_at", Some(R::IntentExpired)),
        (json!({"turns": 2}), json!({"turns": 3}), "turns", Some(R::TurnsExhausted)),
        (json!({"turns": 2}), json!({}), "turns", Some(R::TurnsExhausted)),
        (json!({"max_hops": 1}), json!({"max_hops": 2}), "max_hops", None),
        (budget(json!({})), json!({}), "budgets", Some(R::BudgetExhausted)),
        (budget(json!({"arg": "a", "currency": "EUR"})), json!({}), "budgets", Some(R::BudgetExhausted)),
        (
            budget(json!({"arg": "a", "currency": "EUR", "max": "20"})),
            budget(json!({"arg": "a", "currency": "EUR", "max": "25"})),
            "budgets",
            Some(R::BudgetExhausted),
        ),
        (json!({"blocked": [{"action": "act"}]}), json!({}), "blocked", Some(R::Blocked)),
        (json!({"blocked": [{"resource": {"id": "r"}}]}), json!({}), "blocked", Some(R::Blocked)),
    ] {
        let difference = only(&with(&paying, &narrow), &with(&paying, &wide));
        assert_eq!((difference.member.as_str(), difference.step), (member, None));
        let found = difference.witness.and_then(|witness| witness.there.reason);
        assert_eq!(found, reason, "{narrow} {wide}");
    }
}

#[test]
fn a_step_that_only_one_has_is_shown_and_a_renamed_one_is_named() {
    let (one, mut two) = (envelope(&[step(&json!({}))], &json!({})), step(&json!({"location": MAIL})));
    let found = diff(&one, &envelope(&[two.clone()], &json!({})));
    assert_eq!((found.first[0].member.as_str(), found.first.len(), found.second.len()), ("action", 1, 1));
    assert_eq!(found.first[0].witness.as_ref().unwrap().there.reason, Some(Reason::LocationNotInPlan));
    two["id"] = json!("t");
    let found = diff(&one, &envelope(&[two], &json!({})));
    assert_eq!((found.second[0].member.as_str(), found.second[0].step.as_deref()), ("step", Some("t")));
    let renamed = diff(&one, &envelope(&[step(&json!({"id": "t"}))], &json!({})));
    assert_eq!(renamed, Diff { renamed: vec![("s".into(), "t".into())], ..Diff::default() });
}

/// Two patterns cannot be compared; where no example is at hand that is said and nothing is made up.
#[test]
fn what_no_example_shows_is_still_listed() {
    let found = diff(&of_argument(&json!({"pattern": "[a-z]+"})), &of_argument(&json!({"pattern": "[a-c]+"})));
    assert_eq!((found.first.len(), found.second.len()), (1, 1));
    assert!(found.second[0].witness.is_none(), "whatever matches the second matches the first");
}

/// Always the same cases: a failure today is a failure tomorrow.
fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..Config::default() })
}

/// Examples are true, and there are none where nothing more is permitted.
#[test]
fn every_example_is_confirmed_and_none_is_found_where_the_other_covers() {
    let (differences, examples, covered) = (Cell::new(0_u32), Cell::new(0_u32), Cell::new(0_u32));
    let (wider, shown) = (Cell::new(0_u32), Cell::new(0_u32));
    let count = |cell: &Cell<u32>| cell.set(cell.get() + 1);
    let shares = std::cell::RefCell::new(BTreeMap::<String, (u32, u32)>::new());
    let laws = |(one, other): (crate::generated::Choices, crate::generated::Choices)| {
        let (a, b) = (one.envelope(), other.envelope());
        let found = diff(&a, &b);
        for (own, theirs, list) in [(&a, &b, &found.first), (&b, &a, &found.second)] {
            let is_covered = covers(theirs, own);
            assert!(!found.renamed.is_empty() || is_covered == list.is_empty(), "{own:?} {theirs:?} {list:?}");
            for difference in list {
                count(&differences);
                let mut shares = shares.borrow_mut();
                let share = shares.entry(difference.member.clone()).or_default();
                share.1 += 1;
                if let Some(witness) = &difference.witness {
                    count(&examples);
                    share.0 += 1;
                    assert!(witness.is_confirmed(own, theirs), "{own:?} {theirs:?} {witness:?}");
                }
            }
            if !list.is_empty() {
                count(&wider);
                if list.iter().any(|difference| difference.witness.is_some()) {
                    count(&shown);
                }
            }
            if is_covered {
                count(&covered);
                for step in &own.steps {
                    assert_eq!(find(own, step, theirs), None, "{own:?} {theirs:?}");
                }
            }
        }
        Ok(())
    };
    runner(1500).run(&pairs(), laws).unwrap();
    let (differences, examples, covered) = (differences.get(), examples.get(), covered.get());
    println!("{examples} of {differences} differences shown, {covered} covered: {:?}", shares.borrow());
    println!("{} of {} envelopes that are not covered shown to be wider", shown.get(), wider.get());
    assert!(differences > 1000 && examples * 2 > differences && covered > 200);
    assert!(wider.get() > 1000 && shown.get() * 10 > wider.get() * 8);
}
