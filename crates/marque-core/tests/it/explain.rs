//! Explanations say what the decision says.

use crate::generated::{choices, constraints, envelope};
use crate::support::{FILES, NOW, object};
use marque_core::call::{Call, CallResource};
use marque_core::decide::{Decision, decide};
use marque_core::diff::diff;
use marque_core::envelope::Envelope;
use marque_core::explain::{Explanation, Held, Origin, Outcome, Subject, explain};
use marque_core::facts::{Facts, Past};
use marque_core::reason::Reason;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use serde_json::{Value, json};
use std::cell::Cell;

fn call(action: &str, args: Value) -> Call {
    Call::new(FILES, action, CallResource { kind: "t".into(), id: "r".into() }, object(args))
}

fn transfer() -> Envelope {
    let look = json!({"id": "look", "location": FILES, "action": "look", "resource": {"type": "t", "id": "r"},
        "args": {}, "uses": "any", "class": "read"});
    let pay = json!({"id": "pay", "location": FILES, "action": "pay", "resource": {"type": "t", "id": "r"},
        "args": {"to": {"ref": {"step": "look", "field": "/iban"}}, "note": {"text": {"max": 5}}}, "uses": 1,
        "class": "pay", "after": ["look"], "approve": "step_up"});
    envelope(&[look, pay], &json!({"expires_at": NOW + 10, "max_step_ups": 2, "turns": 3}))
}

fn facts(document: Value) -> Facts {
    serde_json::from_value(document).unwrap()
}

fn held(explanation: &Explanation, step: usize, subject: Subject, argument: Option<&str>) -> Held {
    let checks = explanation.steps[step].checks.iter();
    let mut found = checks.filter(|check| check.subject == subject && check.argument.as_deref() == argument);
    found.next().unwrap().held
}

#[test]
fn tells_what_held_and_what_is_not_known_yet() {
    let explanation = explain(&transfer(), &call("pay", json!({"to": "X", "note": "rent"})), &Facts::default(), NOW);
    assert_eq!((explanation.outcome, explanation.reason), (Outcome::Deny, Some(Reason::ResultUnknown)));
    assert_eq!(explanation.step.as_deref(), Some("pay"));
    assert_eq!(explanation.steps[0].fault().unwrap().reason, Some(Reason::ActionNotInPlan));
    assert_eq!(held(&explanation, 1, Subject::Argument, Some("note")), Held::Yes);
    assert_eq!(held(&explanation, 1, Subject::Argument, Some("to")), Held::Unknown);
    assert_eq!(held(&explanation, 1, Subject::After, None), Held::No);
    let [dependence] = &explanation.steps[1].depends_on[..] else { panic!("one") };
    assert_eq!(dependence.on, Origin::Result { step: "look".into(), field: "/iban".into() });
    assert_eq!((dependence.argument.as_deref(), dependence.known), (Some("to"), false));
}

#[test]
fn tells_what_is_known_and_who_is_asked() {
    let known = facts(json!({"steps": {"look": {"uses": 1, "committed": 1,
        "calls": [{"committed": true, "result": {"iban": "X"}}]}}}));
    let right = call("pay", json!({"to": "X", "note": "rent"}));
    let explanation = explain(&transfer(), &right, &known, NOW);
    assert_eq!((explanation.outcome, explanation.reason), (Outcome::StepUp, Some(Reason::StepUpRequired)));
    let dependence = &explanation.steps[1].depends_on[0];
    assert_eq!((dependence.known, &dependence.values), (true, &vec![json!("X")]));
    let approved = Facts { approvals: [right.approval_for("pay")].into(), ..known.clone() };
    assert_eq!(explain(&transfer(), &right, &approved, NOW).outcome, Outcome::Permit);
    let wrong = explain(&transfer(), &call("pay", json!({"to": "Y", "note": "rent"})), &known, NOW);
    assert_eq!(held(&wrong, 1, Subject::Argument, Some("to")), Held::No);
    let late = explain(&transfer(), &right, &known, NOW + 10);
    assert_eq!((late.reason, late.checks[0].held), (Some(Reason::IntentExpired), Held::No));
}

#[test]
fn what_is_too_much_or_missing_is_named() {
    let explanation = explain(&transfer(), &call("pay", json!({"to": "X", "bcc": 1})), &Facts::default(), NOW);
    let of = |name: &str| {
        let mut checks = explanation.steps[1].checks.iter();
        checks.find(|check| check.argument.as_deref() == Some(name)).unwrap().reason
    };
    assert_eq!(of("bcc"), Some(Reason::ArgumentNotInPlan));
    assert_eq!(of("note"), Some(Reason::ArgumentMissing));
    assert_eq!(explanation.reason, Some(Reason::ArgumentNotInPlan), "as the decision says");
}

/// What an explanation finds first, and what the decision on the step alone says.
fn agrees(envelope: &Envelope, call: &Call, facts: &Facts, now: i64) -> Option<Reason> {
    let whole = explain(envelope, call, facts, now);
    let mut last = None;
    for (index, step) in envelope.steps.iter().enumerate() {
        let alone = Envelope { steps: vec![step.clone()], bounds: envelope.bounds.clone() };
        let decided = match decide(&alone, call, facts, now) {
            Decision::Permit(_) => None,
            Decision::StepUp(_) => Some(Reason::StepUpRequired),
            Decision::Escalate(refusal) | Decision::Deny(refusal) => Some(refusal.reason),
        };
        let before = whole.checks.iter().find(|check| check.held != Held::Yes);
        let found = before.or_else(|| whole.steps[index].fault()).and_then(|check| check.reason);
        assert_eq!(found, decided, "{step:?} {call:?} {facts:?}");
        last = decided;
    }
    last
}

/// Always the same cases: a failure today is a failure tomorrow.
#[test]
fn the_first_check_that_fails_is_the_reason_of_the_decision() {
    let config = Config { cases: 300, rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..Config::default() };
    let (agreed, reasons) = (Cell::new(0_u32), std::cell::RefCell::new(std::collections::BTreeSet::new()));
    let law = |choices: crate::generated::Choices| {
        let one = choices.envelope();
        let other = envelope(&[], &json!({}));
        // Calls that are permitted, with what was done before: then the same on poorer facts, and changed.
        for witness in diff(&one, &other).first.iter().filter_map(|difference| difference.witness.as_ref()) {
            let mut changed = witness.call.clone();
            changed.args.insert("b".into(), json!("changed"));
            let mut renamed = witness.call.clone();
            renamed.resource.id = "elsewhere".into();
            for call in [&witness.call, &changed, &renamed] {
                let used = facts(json!({"steps": {"s1": {"uses": 9}, "s2": {"uses": 9}}, "turns": 5, "step_ups": 9}));
                let mut turned = witness.facts.clone();
                turned.turns = 50;
                let mut spent = witness.facts.clone();
                spent.steps.insert("s2".into(), Past::counted(4, 0));
                for facts in [&witness.facts, &Facts::default(), &used, &turned, &spent] {
                    for now in [witness.now, NOW - 7200, NOW, NOW + 3601, NOW + 9000] {
                        reasons.borrow_mut().insert(agrees(&one, call, facts, now));
                        agreed.set(agreed.get() + 1);
                    }
                }
            }
        }
        Ok(())
    };
    TestRunner::new(config).run(&choices(), law).unwrap();
    println!("{} explanations agree, with the reasons {:?}", agreed.get(), reasons.borrow());
    assert!(agreed.get() > 3000 && reasons.borrow().len() > 15);
}

#[test]
fn every_kind_of_constraint_is_explained() {
    for constraint in constraints() {
        let step = json!({"id": "s1", "location": FILES, "action": "act", "resource": {"type": "t", "id": "r"},
            "args": {"a": constraint}, "uses": 1, "class": "change"});
        let explanation =
            explain(&envelope(&[step], &json!({})), &call("act", json!({"a": 1.5})), &Facts::default(), NOW);
        let is_late = constraint.to_string().contains("s0") || constraint.get("attr").is_some();
        assert_eq!(!explanation.steps[0].depends_on.is_empty(), is_late, "{constraint}");
    }
}
