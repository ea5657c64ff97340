//! The order of the closed list is the precedence: where several things are wrong with a call, the first of them is said.

use crate::support::{FILES, MAIL, NOW, object};
use marque_core::call::{Call, CallResource};
use marque_core::decide::{Decision, Offline, decide, decide_offline};
use marque_core::envelope::Envelope;
use marque_core::facts::{Facts, Past};
use marque_core::plan::Approve;
use marque_core::prepared::Prepared;
use marque_core::reason::Reason;
use serde_json::json;

/// A call that its envelope permits, and what was done so far.
#[derive(Clone)]
struct Case {
    envelope: Envelope,
    call: Call,
    facts: Facts,
}

impl Case {
    fn good() -> Self {
        let step = json!({"id": "s", "location": FILES, "action": "file.write", "resource": {"type": "file", "id": "a"},
            "args": {"mode": {"const": "append"}, "text": {"text": {"max": 5}}}, "uses": 1, "class": "change"});
        let resource = CallResource { kind: "file".into(), id: "a".into() };
        let args = object(json!({"mode": "append", "text": "hello"}));
        Self {
            envelope: serde_json::from_value(json!({"steps": [step]})).unwrap(),
            call: Call::new(FILES, "file.write", resource, args),
            facts: Facts::default(),
        }
    }

    fn reason(&self) -> Option<Reason> {
        let decision = decide(&self.envelope, &self.call, &self.facts, NOW);
        assert_eq!(Prepared::from(self.envelope.clone()).decide(&self.call, &self.facts, NOW), decision);
        match decision {
            Decision::Permit(_) | Decision::StepUp(_) => None,
            Decision::Escalate(refusal) | Decision::Deny(refusal) => Some(refusal.reason),
        }
    }
}

/// A reason, and what makes it hold of a call of the step.
type Cause = (Reason, fn(&mut Case));

/// Each that a decision can give but `too_much_work`, in the order of the list.
const CAUSES: &[Cause] = &[
    (Reason::IntentExpired, |case| case.envelope.bounds.expires_at = Some(NOW)),
    (Reason::Blocked, |case| {
        case.facts.blocked = serde_json::from_value(json!([{"location": FILES}, {"location": MAIL}])).unwrap()
    }),
    (Reason::LocationNotInPlan, |case| case.call.location = MAIL.into()),
    (Reason::ActionNotInPlan, |case| case.call.action = "file.read".into()),
    (Reason::ResourceNotInPlan, |case| case.call.resource.id = "b".into()),
    (Reason::ArgumentNotInPlan, |case| drop(case.call.args.insert("bcc".into(), json!("eve")))),
    (Reason::ArgumentMissing, |case| drop(case.call.args.remove("text"))),
    (Reason::ArgumentMismatch, |case| drop(case.call.args.insert("mode".into(), json!("truncate")))),
    (Reason::EnvironmentMismatch, |case| case.envelope.steps[0].environment = Some("test".into())),
    (Reason::OutsideWindow, |case| {
        case.envelope.steps[0].window = Some(serde_json::from_value(json!({"to": "2026-01-01T00:00:00Z"})).unwrap());
    }),
    (Reason::ResultUnknown, |case| {
        let late = serde_json::from_value(json!({"ref": {"step": "earlier", "field": "/f"}})).unwrap();
        case.envelope.steps[0].args.insert("late".into(), late);
        case.call.args.insert("late".into(), json!(1));
    }),
    (Reason::OutOfOrder, |case| case.envelope.steps[0].after.extend(["earlier".to_owned()])),
    (Reason::GroupUsed, |case| {
        case.envelope.steps[0].excludes.insert("rival".into());
        case.facts.steps.insert("rival".into(), Past::counted(1, 0));
    }),
    (Reason::UsesExhausted, |case| drop(case.facts.steps.insert("s".into(), Past::counted(1, 1)))),
    (Reason::BudgetExhausted, |case| {
        case.envelope.bounds.budgets = serde_json::from_value(json!([{"steps": ["s"], "max": "0"}])).unwrap();
    }),
    (Reason::TurnsExhausted, |case| (case.envelope.bounds.turns, case.facts.turns) = (Some(1), 2)),
    (Reason::StepUpsExhausted, |case| case.envelope.steps[0].approve = Approve::StepUp),
];

#[test]
fn each_cause_alone_gives_its_reason() {
    assert_eq!(Case::good().reason(), None);
    for (reason, cause) in CAUSES {
        let mut case = Case::good();
        cause(&mut case);
        assert_eq!(case.reason(), Some(*reason));
    }
}

#[test]
fn of_two_reasons_the_one_that_stands_first_in_the_list_is_given() {
    let mut pairs = 0;
    for (first, one) in CAUSES {
        for (later, other) in CAUSES.iter().filter(|(later, _)| later > first) {
            for [earlier, next] in [[one, other], [other, one]] {
                let mut case = Case::good();
                earlier(&mut case);
                next(&mut case);
                assert_eq!(case.reason(), Some(*first), "{first} before {later}");
            }
            pairs += 1;
        }
    }
    assert_eq!(pairs, CAUSES.len() * (CAUSES.len() - 1) / 2);
}

#[test]
fn of_all_that_is_wrong_the_first_is_given_until_nothing_is() {
    for at in 0..CAUSES.len() {
        let mut case = Case::good();
        CAUSES[at..].iter().for_each(|(_, cause)| cause(&mut case));
        assert_eq!(case.reason(), Some(CAUSES[at].0));
        let here = decide_offline(&case.envelope, &case.call, NOW);
        // What was blocked later is a fact, which is not at hand here.
        let known = CAUSES[at].0 != Reason::Blocked && CAUSES[at].0 <= Reason::OutsideWindow;
        match here {
            Offline::Refused(refusal) if known => assert_eq!(refusal.reason, CAUSES[at].0),
            Offline::Refused(_) => assert_eq!(CAUSES[at].0, Reason::Blocked),
            Offline::AskLedger(_) => assert!(!known, "{}", CAUSES[at].0),
            Offline::Permit(_) => panic!("permitted"),
        }
    }
}

/// The list has them in the order in which they are looked for, and no others that a decision gives.
#[test]
fn the_causes_are_those_of_the_list_in_its_order() {
    assert!(CAUSES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    assert!(Reason::ALL.is_sorted(), "the list's order is that of the reasons");
    let own = Reason::ALL.iter().filter(|reason| (Reason::IntentExpired..=Reason::StepUpsExhausted).contains(reason));
    let expected: Vec<Reason> = own.copied().filter(|reason| *reason != Reason::NoLiveIntent).collect();
    assert_eq!(CAUSES.iter().map(|(reason, _)| *reason).collect::<Vec<_>>(), expected);
}

/// Among steps the one whose reason stands last came closest: each pair of reasons, each at a step of its own.
#[test]
fn among_steps_the_reason_that_stands_last_is_given() {
    // What is said of the call, and not of the step, is the same for every step.
    let of_step: Vec<&Cause> = CAUSES
        .iter()
        .filter(|(reason, _)| (Reason::EnvironmentMismatch..=Reason::UsesExhausted).contains(reason))
        .collect();
    let mut pairs = 0;
    for (first, one) in &of_step {
        for (later, other) in of_step.iter().filter(|(later, _)| later > first) {
            let (mut near, mut far) = (Case::good(), Case::good());
            one(&mut far);
            other(&mut near);
            let mut both = far.clone();
            both.facts.steps.extend(near.facts.steps.clone());
            both.call.args.extend(near.call.args.clone());
            for step in &mut near.envelope.steps {
                step.id = if *later == Reason::UsesExhausted { "s".into() } else { "near".into() };
            }
            both.envelope.steps[0].id = "far".into();
            let rest = [&mut both.envelope.steps[..], &mut near.envelope.steps[..]].concat();
            both.envelope.steps = rest;
            // A late value is an argument of the call: a step that does not name it does not describe the call.
            let late = both.envelope.steps.iter().find_map(|step| step.args.get("late").cloned());
            if late.is_some() {
                continue;
            }
            assert_eq!(both.reason(), Some(*later), "{first} at one step, {later} at another");
            both.envelope.steps.reverse();
            assert_eq!(both.reason(), Some(*later), "{first} at one step, {later} at another");
            pairs += 1;
        }
    }
    assert_eq!(pairs, 10, "environment, window, order, group and uses");
}
