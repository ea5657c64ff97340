//! Hostile plans cost bounded work: each is refused by the limit that is there for it, or the work it costs is counted
//! and stays under the stated bound. Nothing here looks at a clock.

use crate::support::{FILES, NOW, catalog, completion, merged, object, submission, submitted};
use marque_core::attenuate::compare_within;
use marque_core::call::{Call, CallResource};
use marque_core::catalog::Catalog;
use marque_core::constraint::{Comparison, Constraint, Truth, Work, World};
use marque_core::decide::{Decision, Offline, decide_offline, decide_within};
use marque_core::diff::diff_within;
use marque_core::envelope::Envelope;
use marque_core::explain::explain_within;
use marque_core::facts::{Facts, Past, PastCall};
use marque_core::json::parse_call;
use marque_core::limits;
use marque_core::lint::lint_within;
use marque_core::plan::SubmittedPlan;
use marque_core::prepared::Prepared;
use marque_core::reason::Reason;
use marque_core::resolve::resolve_within;
use serde_json::{Value, json};

/// Work without a limit that could hide what something costs.
fn unbounded() -> Work {
    Work::new(u64::MAX)
}

fn refusal(document: &Value) -> String {
    SubmittedPlan::parse(document.to_string().as_bytes()).unwrap_err().to_string()
}

fn constraint(value: Value) -> Constraint {
    serde_json::from_value(value).unwrap()
}

fn files() -> Catalog {
    catalog(&json!({"iss": "files", "version": 1, "location": FILES, "actions": {"file.write": {
        "class": "change", "reversible": true, "resource": "file",
        "args": {"mode": {"type": "string"}, "text": {"type": "string"}}, "display": {"en": "Writes {resource}"}}}}))
}

/// A plan of steps on files, each with some arguments.
fn plan(steps: Vec<Value>) -> Value {
    merged(&submission(), &json!({"limits": {"lifetime_secs": 3600, "max_hops": 0}, "steps": steps, "delegates": null}))
}

fn step(id: &str, args: &Value) -> Value {
    json!({"id": id, "location": FILES, "action": "file.write", "resource": {"type": "file", "id": "a"},
        "args": args, "uses": 1})
}

/// The step as a token carries it.
fn envelope(steps: Vec<Value>) -> Envelope {
    let steps = steps.into_iter().map(|mut step| {
        step["class"] = json!("change");
        step
    });
    crate::support::envelope(steps.collect())
}

fn call(args: Value) -> Call {
    let resource = CallResource { kind: "file".into(), id: "a".into() };
    Call::new(FILES, "file.write", resource, object(args))
}

/// What testing one value costs, and what comes out of it with the work of a decision.
fn tested(constraint: &Constraint, value: &Value) -> (u64, Truth) {
    let in_world = |work: &Work| constraint.test(value, &World { facts: None, records: None, work });
    let work = unbounded();
    in_world(&work);
    (work.spent(), in_world(&Work::new(limits::DECISION_WORK)))
}

fn nested(levels: usize) -> Value {
    (1..levels).fold(json!({"any": true}), |inner, _| json!({"each": inner}))
}

// ---- deep nesting

#[test]
fn nesting_is_refused_where_json_and_constraints_end() {
    let deep = format!("{}1{}", "[".repeat(60_000), "]".repeat(5_000));
    let refused = SubmittedPlan::parse(deep.as_bytes()).unwrap_err().to_string();
    assert!(refused.contains("nested deeper than 32 levels"), "{refused}");
    let refused = parse_call(deep.as_bytes(), limits::CALL_BYTES).unwrap_err().to_string();
    assert!(refused.contains("nested deeper than 32 levels"), "{refused}");
    let with = |levels: usize| plan(vec![step("s", &json!({"text": nested(levels)}))]);
    submitted(&with(limits::CONSTRAINT_DEPTH));
    let refused = refusal(&with(limits::CONSTRAINT_DEPTH + 1));
    assert!(refused.contains("$.steps[0].args.text: has more than 8 levels"), "{refused}");
}

/// Lists within lists, as deep as constraints go, against as many values as a call holds.
#[test]
fn the_deepest_constraint_costs_no_more_than_the_values_it_is_put_to() {
    let deepest = constraint(nested(limits::CONSTRAINT_DEPTH));
    let mut value = json!(0);
    for _ in 1..limits::CONSTRAINT_DEPTH {
        value = json!([value.clone(), value.clone(), value]);
    }
    let (spent, truth) = tested(&deepest, &value);
    assert_eq!(truth, Truth::Holds);
    assert!((3_280..=2 * 3_280).contains(&spent), "{spent} for 3,280 values");
}

/// Fifteen ways, each of sixteen, compared with themselves in another order: every pair of ways is looked at, and what the
/// parts of one come to together only where no part tells by itself.
#[test]
fn comparing_nested_alternatives_stops_at_its_bound() {
    let inner = |shift: usize| {
        let texts = (0..16).map(|at| json!({"text": {"max": (at + shift) % 16 + 1}}));
        json!({"all": texts.collect::<Vec<_>>()})
    };
    let side = |from: usize| json!({"either": (0..15).map(|at| inner(from + at)).collect::<Vec<_>>()});
    let (parent, child) = (constraint(side(0)), constraint(side(7)));
    let free = unbounded();
    parent.compare_within(&child, &free);
    let work = Work::new(limits::COMPARISON_WORK);
    let comparison = parent.compare_within(&child, &work);
    assert!(work.spent() <= limits::COMPARISON_WORK);
    assert!(free.spent() > 15 * 15, "every pair: {}", free.spent());
    assert!(free.spent() < 15 * 15 * 16, "and no meets: {}", free.spent());
    assert!(comparison == Comparison::Narrower || work.left() == 0, "{comparison:?} for {}", free.spent());
}

/// What the parts of a conjunction come to together is found by comparing them, and that is counted too.
#[test]
fn meeting_the_parts_of_a_conjunction_is_charged_to_the_comparison() {
    let parts = |max: usize| {
        let of = |at: usize| json!({"domain": {"any_of": (0..100).map(|n| format!("a{n}.b{at}.example")).collect::<Vec<_>>()}});
        json!({"all": (0..max).map(of).collect::<Vec<_>>()})
    };
    let (child, parent) = (constraint(parts(16)), constraint(json!({"domain": {"any_of": ["x.example"]}})));
    let work = unbounded();
    assert_eq!(parent.compare_within(&child, &work), Comparison::Undecidable);
    // Fifteen times a hundred entries with a hundred, both ways, sixteen pairs for a unit.
    assert!(work.spent() > 15 * 2 * 10_000 / limits::ENTRIES_PER_WORK, "{}", work.spent());
    let little = Work::new(1_000);
    let met = constraint(parts(1)).meet_within(&constraint(parts(2)), &little);
    assert!(little.spent() <= 1_000 && matches!(met, Constraint::All(_)), "{met:?}");
}

/// Each level names the one below it thirty-two times: 32^7 evaluations, if each were made.
#[test]
fn expressions_within_expressions_are_evaluated_once_each() {
    let names = ["a"; 32].join("+");
    let mut inner = json!({"const": 0});
    for _ in 1..limits::CONSTRAINT_DEPTH {
        inner = json!({"compute": {"expr": names, "vars": {"a": inner}}});
    }
    let (spent, truth) = tested(&constraint(inner.clone()), &json!(0));
    assert_eq!(truth, Truth::Holds);
    assert!(spent <= 100, "{spent}");
    let work = unbounded();
    let within = constraint(json!({"num": {"min": "0", "max": "1"}}));
    assert_eq!(within.compare_within(&constraint(inner), &work), Comparison::Narrower);
    assert!(work.spent() <= 200, "{}", work.spent());
}

// ---- 200 steps of long identifiers

/// As many steps as fit a plan, and each id as long as it may be there.
fn long_steps(chars: usize) -> Vec<Value> {
    let named = |index: usize| {
        let id = format!("{index:0chars$}");
        let mut long = step(&id, &json!({"mode": {"const": "append"}, "text": {"text": {"max": 5}}}));
        long["resource"]["id"] = json!(id);
        long
    };
    (0..limits::STEPS).map(named).collect()
}

#[test]
fn two_hundred_steps_of_the_longest_ids_are_more_than_a_plan_may_be() {
    let refused = refusal(&plan(long_steps(limits::IDENTIFIER_CHARS)));
    assert!(refused.contains("at most 65536 are allowed"), "{refused}");
    let refused = refusal(&plan(vec![step(&"i".repeat(limits::IDENTIFIER_CHARS + 1), &json!({}))]));
    assert!(refused.contains("has 513 characters; at most 512 are allowed"), "{refused}");
    let refused = refusal(&plan((0..=limits::STEPS).map(|at| step(&format!("s{at}"), &json!({}))).collect()));
    assert!(refused.contains("$.steps: needs 1 to 200 entries"), "{refused}");
}

/// All the way: read, resolved, decided, explained, compared, linted and set against another plan.
#[test]
fn two_hundred_steps_stay_under_every_bound() {
    let catalogs = [files()];
    let work = Work::new(limits::SUBMISSION_WORK);
    let long = submitted(&plan(long_steps(50)));
    let resolved = resolve_within(long.clone(), &completion(&catalogs), &work).unwrap();
    assert!(work.spent() <= limits::STEPS as u64, "nothing is blocked: {}", work.spent());
    let carried = Envelope::of(&resolved).unwrap();
    // The longest ids stand in a token too, where no 64 KiB bound them.
    for envelope in [carried, envelope(long_steps(limits::IDENTIFIER_CHARS))] {
        let mut last = call(json!({"mode": "append", "text": "hello"}));
        last.resource.id = envelope.steps.last().unwrap().id.clone();
        let work = unbounded();
        let decision = decide_within(&envelope, &last, &Facts::default(), NOW, &work);
        assert!(matches!(decision, Decision::Permit(_)), "{decision:?}");
        assert!((200..=1_000).contains(&work.spent()), "{}", work.spent());
        let work = unbounded();
        explain_within(&envelope, &last, &Facts::default(), NOW, &work);
        assert!(work.spent() <= 2_000, "{}", work.spent());
        let work = unbounded();
        compare_within(&envelope, &envelope, &work).unwrap();
        assert!((200..=5_000).contains(&work.spent()), "{}", work.spent());
        let mut narrower = envelope.clone();
        narrower
            .steps
            .iter_mut()
            .for_each(|step| drop(step.args.insert("text".into(), constraint(json!({"const": "x"})))));
        let work = Work::new(limits::DIFF_WORK);
        let found = diff_within(&envelope, &narrower, &work);
        assert_eq!((found.first.len(), found.second.len()), (limits::STEPS, 0));
        assert!(found.first.iter().all(|difference| difference.witness.is_some()), "an example for each");
        assert!((1..limits::DIFF_WORK / 4).contains(&work.spent()), "{}", work.spent());
    }
    let work = Work::new(limits::LINT_WORK);
    lint_within(&long, &catalogs, &work);
    assert!((200 * 199..limits::LINT_WORK / 2).contains(&work.spent()), "every pair: {}", work.spent());
}

/// Each step is bound to the one before it twice over: 2^199 ways back to the first.
#[test]
fn steps_that_take_values_from_each_other_are_followed_once() {
    let bound = |index: usize| {
        let earlier = json!({"same_as": {"step": format!("s{}", index.max(1) - 1), "arg": "text"}});
        let text = if index == 0 { json!({"text": {"max": 5}}) } else { json!({"either": [earlier, earlier]}) };
        step(&format!("s{index}"), &json!({"mode": {"const": "append"}, "text": text}))
    };
    let long = submitted(&plan((0..limits::STEPS).map(bound).collect()));
    let catalogs = [files()];
    let work = Work::new(limits::SUBMISSION_WORK);
    let resolved = resolve_within(long.clone(), &completion(&catalogs), &work).unwrap();
    lint_within(&long, &catalogs, &Work::new(limits::LINT_WORK));
    let envelope = Envelope::of(&resolved).unwrap();
    let mut narrower = envelope.clone();
    narrower.steps.last_mut().unwrap().args.insert("text".into(), constraint(json!({"const": "x"})));
    let work = Work::new(limits::DIFF_WORK);
    let found = diff_within(&envelope, &narrower, &work);
    assert_eq!(found.first.len(), 1, "there is a difference, whether or not an example was found");
    assert!(work.spent() <= limits::DIFF_WORK);
}

/// What is done for each step that fits and was not counted once: its budgets, and the approval of the call.
#[test]
fn a_long_past_of_many_steps_is_charged() {
    let args = json!({"mode": {"any": true}, "text": {"any": true}});
    let mut envelope = envelope((0..limits::STEPS).map(|at| step(&format!("s{at}"), &args)).collect());
    let ids: Vec<&String> = envelope.steps.iter().map(|step| &step.id).collect();
    let budget = json!({"steps": ids, "arg": "text", "max": "1000000"});
    envelope.bounds.budgets = serde_json::from_value(json!(vec![budget; limits::BUDGETS])).unwrap();
    let past = PastCall { args: object(json!({"text": "1"})), committed: true, ..PastCall::default() };
    let past = Past { uses: 100, committed: 100, calls: vec![past; 100] };
    let facts =
        Facts { steps: (0..limits::STEPS).map(|at| (format!("s{at}"), past.clone())).collect(), ..Facts::default() };
    let work = unbounded();
    decide_within(&envelope, &call(json!({"mode": "append", "text": "1"})), &facts, NOW, &work);
    let entries = (limits::STEPS * limits::BUDGETS * limits::STEPS * 100) as u64;
    assert!(work.spent() >= entries / limits::ENTRIES_PER_WORK, "{}", work.spent());
    let refused = refusal_of(&envelope, &call(json!({"mode": "append", "text": "1"})), &facts);
    assert_eq!(refused, Reason::TooMuchWork);
}

fn refusal_of(envelope: &Envelope, call: &Call, facts: &Facts) -> Reason {
    let work = Work::new(limits::DECISION_WORK);
    let refused = match decide_within(envelope, call, facts, NOW, &work) {
        Decision::Deny(refusal) | Decision::Escalate(refusal) => refusal.reason,
        other => panic!("{other:?}"),
    };
    assert!(work.spent() <= limits::DECISION_WORK);
    refused
}

// ---- pathological patterns

#[test]
fn patterns_that_compile_to_too_much_are_refused() {
    let parsed =
        |pattern: &str| serde_json::from_value::<Constraint>(json!({"pattern": pattern})).unwrap_err().to_string();
    let open = format!("{}a{}", "(".repeat(60), ")".repeat(60));
    for (pattern, limit) in [
        ("((a{1000}){1000}){1000}", "262144 bytes when it is compiled"),
        ("([^a]{1000}){10}", "262144 bytes when it is compiled"),
        ("a{1001}", "repeats 1001 times; at most 1000"),
        (&"a".repeat(257), "is 257 characters long; at most 256"),
        (&open, "is no pattern"),
        ("(a+)++", "lazy|repeats a repetition"),
    ] {
        let refused = parsed(pattern);
        assert!(limit.split('|').any(|limit| refused.contains(limit)), "{pattern}: {refused}");
    }
}

/// What makes a backtracking engine take forever, against as long a value as a call holds: the work is that of each
/// state over each byte and no more.
#[test]
fn a_pattern_costs_its_states_over_the_values_bytes() {
    let value = json!("a".repeat(60_000) + "!");
    for pattern in ["(a+)+", "((a+)+)+", "(a|aa)+", "(a|a?)+", "(a*)*b", "([a-z]+)*@", "(.*)(.*)(.*)(.*)x"] {
        let rule = constraint(json!({"pattern": pattern}));
        let (spent, truth) = tested(&rule, &value);
        assert_eq!(truth, Truth::Fails, "{pattern}");
        let bytes = 60_001 / limits::BYTES_PER_WORK;
        assert!((bytes..bytes + 60_002 * 128 / limits::STATES_PER_WORK).contains(&spent), "{pattern}: {spent}");
    }
}

#[test]
fn the_largest_patterns_against_long_values_are_too_much_work() {
    let value = "ab".repeat(30_000);
    let rule = constraint(json!({"pattern": "([ab]{0,700}|(a|b){0,700})*c"}));
    let (spent, truth) = tested(&rule, &json!(value));
    assert!(spent > limits::DECISION_WORK, "{spent}");
    assert_eq!(truth, Truth::Unknown);
    let args = json!({"mode": {"const": "append"}, "text": {"pattern": "([ab]{0,700}|(a|b){0,700})*c"}});
    let envelope = envelope(vec![step("s", &args)]);
    assert_eq!(
        refusal_of(&envelope, &call(json!({"mode": "append", "text": value})), &Facts::default()),
        Reason::TooMuchWork
    );
    // Where a pattern is bounded, what is longer is not looked at.
    let (spent, truth) = tested(&constraint(json!({"pattern": "[ab]{0,1000}"})), &json!(value));
    assert_eq!(truth, Truth::Fails);
    assert!(spent <= 60_000 / limits::BYTES_PER_WORK + 1, "{spent}");
    // What people write stays far below.
    let (spent, truth) = tested(&constraint(json!({"pattern": "[a-z ]{0,1000}"})), &json!("a b".repeat(300)));
    assert_eq!(truth, Truth::Holds);
    assert!(spent < limits::DECISION_WORK / 5, "{spent}");
}

/// A word of 20,000 characters in which each dot might begin an address.
#[test]
fn looking_for_links_is_charged_by_what_it_looks_at() {
    let rule = constraint(json!({"text": {"max": limits::TEXT_CHARS}}));
    let (spent, truth) = tested(&rule, &json!("1.".repeat(10_000)));
    assert!(spent > limits::DECISION_WORK, "{spent}");
    assert_eq!(truth, Truth::Unknown);
    let (spent, truth) = tested(&rule, &json!("Prices rose by 1.5 per cent, to 3.20 each. ".repeat(460)));
    assert_eq!(truth, Truth::Holds);
    assert!(spent < 1_000, "{spent}");
}

// ---- huge numbers

#[test]
fn huge_numbers_are_refused_by_name() {
    let digits = "9".repeat(60_000);
    let with = |number: &str| plan(vec![step("s", &json!({}))]).to_string().replace("3600", number);
    let refused = SubmittedPlan::parse(with(&digits).as_bytes()).unwrap_err().to_string();
    assert!(refused.contains("number out of range") || refused.contains("2^53"), "{refused}");
    for number in ["9007199254740993", "1e400", "1e-60000", "1.5"] {
        let refused = SubmittedPlan::parse(with(number).as_bytes()).unwrap_err().to_string();
        assert!(refused.contains("2^53") || refused.contains("out of range"), "{number}: {refused}");
    }
    for rule in [
        json!({"num": {"max": digits}}),
        json!({"amount": {"max": digits, "currency": "EUR"}}),
        json!({"rel": {"base": {"const": 1}, "min": "0", "max": digits}}),
    ] {
        let refused = refusal(&plan(vec![step("s", &json!({"text": rule}))]));
        assert!(refused.contains("at most 28 digits"), "{refused}");
    }
    for (expr, limit) in [
        (digits.clone(), "at most 200 are allowed"),
        ("9".repeat(200), "a number in plain notation"),
        (format!("{}1{}", "(".repeat(90), ")".repeat(90)), "more than 16 parentheses"),
        (vec!["1"; 70].join("+"), "more than 64 numbers"),
    ] {
        let refused = refusal(&plan(vec![step("s", &json!({"text": {"compute": {"expr": expr, "vars": {}}}}))]));
        assert!(refused.contains(limit), "{refused}");
    }
}

#[test]
fn huge_numbers_in_a_call_fail_for_the_length_of_their_text() {
    let digits = json!("9".repeat(60_000));
    let amount = json!({"currency": "EUR", "value": digits});
    let factor =
        json!({"compute": {"expr": "a*a*a*a*a*a*a*a", "vars": {"a": {"const": "9999999999999999999999999999"}}}});
    for (rule, value, truth) in [
        (json!({"num": {"max": "1"}}), &digits, Truth::Fails),
        (json!({"amount": {"max": "1", "currency": "EUR"}}), &amount, Truth::Fails),
        (json!({"rel": {"base": {"const": 1}, "min": "0", "max": "1"}}), &digits, Truth::Fails),
        (factor, &digits, Truth::Unknown),
    ] {
        let (spent, found) = tested(&constraint(rule.clone()), value);
        assert_eq!(found, truth, "{rule}");
        assert!(
            (1_875..=2_100).contains(&spent),
            "60,000 bytes, {} for a unit: {rule}, {spent}",
            limits::BYTES_PER_WORK
        );
    }
    for text in ["1e400", "123456789012345678901234567890", "0.12345678901234567890", "1e-400"] {
        let refused = parse_call(text.as_bytes(), limits::CALL_BYTES);
        assert!(refused.is_err(), "{text}: {refused:?}");
    }
}

// ---- ten thousand alternatives

#[test]
fn ten_thousand_alternatives_are_refused_by_name() {
    let numbers: Vec<u32> = (0..10_000).collect();
    let hosts: Vec<String> = numbers.iter().map(|at| format!("{at}.ab")).collect();
    let parts = vec![json!({"any": true}); 3_000];
    for (rule, limit) in [
        (json!({"one_of": numbers}), "needs 1 to 100 alternatives"),
        (json!({"domain": {"any_of": &hosts[..5_000]}}), "needs 1 to 100 alternatives"),
        (json!({"either": parts}), "more than 8 levels or 256 parts"),
        (json!({"all": parts}), "more than 8 levels or 256 parts"),
        (json!({"either": &parts[..17]}), "needs 2 to 16 alternatives"),
        (json!({"items": {"of": {"any": true}, "max": 10_000}}), "is 1 to 1000"),
    ] {
        let refused = refusal(&plan(vec![step("s", &json!({"text": rule}))]));
        assert!(refused.contains(limit), "{refused}");
    }
    let refused = refusal(&plan(vec![step("s", &json!({"text": {"const": vec![0; 21_000]}}))]));
    assert!(refused.contains("more than 20000 values"), "{refused}");
}

/// Lists of a thousand, each item one of a hundred, in two hundred steps: what each comparison costs is counted.
#[test]
fn the_most_alternatives_that_there_may_be_are_charged() {
    let values: Vec<String> = (0..limits::ALTERNATIVES).map(|at| format!("{at:0>60}")).collect();
    let args = json!({"mode": {"any": true}, "text": {"items": {"of": {"one_of": values}, "max": limits::ITEMS}}});
    let items = vec![json!("0".repeat(59) + "x"); limits::ITEMS as usize];
    let rule = constraint(args["text"].clone());
    let (spent, truth) = tested(&rule, &json!(items));
    // The first item decides.
    assert_eq!(truth, Truth::Fails);
    assert!(spent < 20, "{spent}");
    let good = vec![json!(values.last()); limits::ITEMS as usize];
    let (spent, truth) = tested(&rule, &json!(good));
    assert_eq!(truth, Truth::Holds);
    assert!((12_000..=20_000).contains(&spent), "a dozen units for an item: {spent}");
    let blocked = Work::new(limits::DECISION_WORK);
    let mut live =
        envelope((0..limits::STEPS).map(|at| step(&format!("s{at}"), &json!({"text": args["text"]}))).collect());
    live.steps.iter_mut().for_each(|step| step.environment = Some("live".into()));
    let decision = decide_within(&live, &call(json!({"text": good})), &Facts::default(), NOW, &blocked);
    assert!(matches!(&decision, Decision::Deny(refusal) if refusal.reason == Reason::TooMuchWork), "{decision:?}");
}

/// Sixteen ways to divide a text, each in as many places as it has characters.
#[test]
fn the_ways_to_divide_a_text_are_counted() {
    let slots: Vec<String> = (0..limits::BRANCHES).map(|at| format!("s{at}")).collect();
    let template = slots.iter().map(|name| format!("{{{name}}}")).collect::<Vec<_>>().join("a") + "b";
    let of: serde_json::Map<String, Value> =
        slots.iter().map(|name| (name.clone(), json!({"text": {"max": 20_000}}))).collect();
    let rule = constraint(json!({"fmt": {"template": template, "slots": of}}));
    let work = Work::new(limits::DECISION_WORK);
    let world = World { facts: None, records: None, work: &work };
    assert_eq!(rule.test(&json!("a".repeat(500)), &world), Truth::Unknown);
    assert_eq!(work.left(), 0);
}

fn many_ways(last: &Value) -> Value {
    let text = json!({"text": {"max": 999}});
    let slots = json!({"a": text, "b": text, "c": text, "d": text, "e": last});
    json!({"fmt": {"template": "{a} {b} {c} {d} {e}", "slots": slots}})
}

/// A value that is not known cannot become known by dividing on.
#[test]
fn what_cannot_be_told_is_not_divided_on() {
    let words = json!(vec!["a"; 80].join(" "));
    let (spent, truth) = tested(&constraint(many_ways(&json!({"ref": {"step": "s", "field": "/f"}}))), &words);
    assert_eq!(truth, Truth::Unknown);
    assert!(spent < 100, "{spent}");
    let (spent, truth) = tested(&constraint(many_ways(&json!({"const": "end"}))), &words);
    assert_eq!(truth, Truth::Unknown);
    assert!(spent > limits::DECISION_WORK, "{spent}");
}

/// What the ledger knows makes a step cheap that is dear without it: a gate must not refuse what is left.
#[test]
fn what_is_too_much_work_offline_is_left_to_the_ledger() {
    let late = json!({"ref": {"step": "s", "field": "/f"}});
    let dear = json!({"text": {"either": [late, many_ways(&json!({"const": "end"}))]}});
    let mut envelope = envelope(vec![step("dear", &dear), step("cheap", &json!({"text": {"any": true}}))]);
    envelope.steps[0].environment = Some("live".into());
    let words = json!(vec!["a"; 80].join(" "));
    let call = call(json!({"text": words}));
    let known = PastCall { committed: true, result: Some(json!({"f": words})), ..PastCall::default() };
    let mut facts = Facts::default();
    facts.steps.insert("s".into(), Past { uses: 1, committed: 1, calls: vec![known] });
    let decision = decide_within(&envelope, &call, &facts, NOW, &Work::new(limits::DECISION_WORK));
    assert!(matches!(&decision, Decision::Permit(step) if step.id == "cheap"), "{decision:?}");
    let offline = decide_offline(&envelope, &call, NOW);
    assert!(matches!(&offline, Offline::AskLedger(step) if step.id == "cheap"), "{offline:?}");
    let prepared = Prepared::from(envelope.clone());
    assert_eq!(prepared.decide_offline(&call, NOW), offline);
}

/// As many blocked resources as a plan may name, none of which is cheap to look at.
#[test]
fn what_is_blocked_shares_the_work_of_the_decision() {
    let mut envelope = envelope(vec![step("s", &json!({"text": {"any": true}}))]);
    let blocked = json!({"resource": {"id": {"pattern": "([ab]{0,700}|(a|b){0,700})*c"}}});
    envelope.bounds.blocked = serde_json::from_value(json!(vec![blocked; limits::BLOCKED])).unwrap();
    let mut long = call(json!({"text": 1}));
    long.resource.id = "ab".repeat(250);
    let work = unbounded();
    decide_within(&envelope, &long, &Facts::default(), NOW, &work);
    let once = work.spent() / limits::BLOCKED as u64;
    assert!(once > 1_000, "{once}");
    long.resource.id = "ab".repeat(30_000);
    assert_eq!(refusal_of(&envelope, &long, &Facts::default()), Reason::TooMuchWork);
}

/// Values from results: rows, columns and passages are charged, whoever wrote them.
#[test]
fn long_results_are_charged() {
    let with = |result: Value| {
        let past = PastCall { args: object(json!({})), committed: true, result: Some(result), ..PastCall::default() };
        Facts {
            steps: [("r".to_owned(), Past { uses: 1, committed: 1, calls: vec![past] })].into(),
            ..Facts::default()
        }
    };
    let cost = |rule: Value, value: Value, facts: &Facts| {
        let work = unbounded();
        let truth = constraint(rule).test(&value, &World { facts: Some(facts), records: None, work: &work });
        (work.spent(), truth)
    };
    let rows: Vec<Value> = (0..5_000).map(|at| json!({"n": at})).collect();
    let numbers: Vec<u32> = (0..5_000).collect();
    let facts = with(json!({"rows": rows, "text": numbers}));
    let (spent, truth) =
        cost(json!({"ref": {"step": "r", "field": "/rows/*/n", "reduce": "sum"}}), json!(12_497_500), &facts);
    assert!(truth == Truth::Holds && (5_000..=6_000).contains(&spent), "{truth:?} {spent}");
    let set = json!({"ref_set": {"step": "r", "field": "/rows/*/n"}});
    let (spent, truth) = cost(set, json!(numbers), &facts);
    assert!(truth == Truth::Holds && (10_000..=40_000).contains(&spent), "linear in both: {truth:?} {spent}");
    let (spent, truth) = cost(json!({"quote": {"step": "r"}}), json!("none"), &facts);
    assert!(truth == Truth::Fails && spent >= 10_000 / limits::ENTRIES_PER_WORK, "{truth:?} {spent}");
}

#[test]
fn so_many_patterns_are_refused_before_any_of_them_is_compiled() {
    // The last one is over the size of a compiled pattern; it is never looked at, because the number is checked first.
    let steps = |patterns: usize| -> Vec<Value> {
        let rule = |n: usize| json!({"pattern": if n + 1 == patterns { "[^a]{1000}[^b]{1000}[^c]{1000}".into() } else { format!("a{n}") }});
        let of_step = |at: usize| {
            let args: serde_json::Map<_, _> =
                (at * 64..patterns.min(at * 64 + 64)).map(|n| (format!("a{n}"), rule(n))).collect();
            json!({"id": format!("s{at}"), "location": "http://localhost:7502", "action": "a",
                "resource": {"type": "t", "id": "r"}, "args": args})
        };
        (0..patterns.div_ceil(64)).map(of_step).collect()
    };
    let refused = |patterns: usize| {
        let plan = json!({"version": 1, "purpose": "p", "agent": "a", "user": {"sub": "u"}, "mode": "strict",
            "limits": {"lifetime_secs": 60, "max_hops": 0}, "steps": steps(patterns)});
        SubmittedPlan::parse(plan.to_string().as_bytes()).unwrap_err().to_string()
    };
    assert_eq!(refused(limits::PATTERNS + 1), "$.steps: may have at most 256 patterns");
    assert!(refused(limits::PATTERNS).contains("when it is compiled"), "{}", refused(limits::PATTERNS));
}
