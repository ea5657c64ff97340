//! The decision once more, naively, from the words of the design alone, and beside it the one of the library.

use crate::generate::{a_call, a_world, an_envelope, with_approval};
use crate::support::{Known, NOW, Rng, pairs};
use marque_core::call::Call;
use marque_core::constraint::{Constraint, Truth};
use marque_core::decide::{Decision, Offline, Refusal, decide, decide_offline};
use marque_core::envelope::{Envelope, EnvelopeStep};
use marque_core::facts::Facts;
use marque_core::plan::{Approve, Blocked, Budget, ResourceId, Uses};
use marque_core::prepared::Prepared;
use marque_core::reason::Reason;
use marque_core::value::instant::Moment;
use serde_json::Value;
use std::collections::BTreeMap;

/// What is decided, in short: how, because of what, of which step and argument.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    Permit(String),
    StepUp(String),
    AskLedger(String),
    Escalate(Reason, Option<String>, Option<String>),
    Deny(Reason, Option<String>, Option<String>),
}

struct Naive<'c> {
    envelope: &'c Envelope,
    call: &'c Call,
    /// None where the ledger is not at hand.
    facts: Option<&'c Facts>,
    known: Known,
    now: i64,
}

type Fault = (Reason, Option<String>);

impl<'c> Naive<'c> {
    fn new(envelope: &'c Envelope, call: &'c Call, facts: Option<&'c Facts>, now: i64) -> Self {
        let known = Known { facts: facts.cloned(), records: call.records.clone() };
        Self { envelope, call, facts, known, now }
    }

    fn decide(&self) -> Said {
        if self.envelope.bounds.expires_at.is_some_and(|end| self.now >= end) {
            return Said::Deny(Reason::IntentExpired, None, None);
        }
        let mut blocked = self.envelope.bounds.blocked.iter().chain(self.facts.iter().flat_map(|facts| &facts.blocked));
        if blocked.any(|blocked| self.is_blocked(blocked)) {
            return Said::Deny(Reason::Blocked, None, None);
        }
        let faults: Vec<Option<Fault>> = self.envelope.steps.iter().map(|step| self.fault(step)).collect();
        let fitting: Vec<&EnvelopeStep> = self
            .envelope
            .steps
            .iter()
            .zip(&faults)
            .filter(|(_, fault)| fault.is_none())
            .map(|(step, _)| step)
            .collect();
        if let Some(step) = fitting.iter().find(|step| self.is_permitted(step)) {
            return Said::Permit(step.id.clone());
        }
        if let Some(step) = fitting.first() {
            return if self.facts.is_some() { Said::StepUp(step.id.clone()) } else { Said::AskLedger(step.id.clone()) };
        }
        let mut closest = (Reason::LocationNotInPlan, None, None);
        for (step, fault) in self.envelope.steps.iter().zip(faults) {
            let (reason, argument) = fault.unwrap();
            if reason > closest.0 {
                closest = (reason, Some(step.id.clone()), argument);
            }
        }
        let (reason, step, argument) = closest;
        let step = step.filter(|_| reason > Reason::ActionNotInPlan);
        match reason {
            Reason::LocationNotInPlan
            | Reason::ActionNotInPlan
            | Reason::ResourceNotInPlan
            | Reason::ArgumentNotInPlan
            | Reason::ArgumentMissing
            | Reason::ArgumentMismatch
            | Reason::EnvironmentMismatch => Said::Escalate(reason, step, argument),
            _ => Said::Deny(reason, step, argument),
        }
    }

    fn is_blocked(&self, blocked: &Blocked) -> bool {
        let resource = blocked.resource.as_ref();
        // How else a text could be read is told by the scenarios of what is blocked.
        let may_be = |blocked: &ResourceId| match blocked {
            ResourceId::Exact(exact) => *exact == self.call.resource.id,
            ResourceId::Bound(bound) => bound.may_hold(&self.call.resource.id),
        };
        blocked.action.as_ref().is_none_or(|action| *action == self.call.action)
            && blocked.location.as_ref().is_none_or(|location| *location == self.call.location)
            && resource.and_then(|resource| resource.kind.as_ref()).is_none_or(|kind| *kind == self.call.resource.kind)
            && resource.and_then(|resource| resource.id.as_ref()).is_none_or(may_be)
    }

    /// The first check that fails, in the order of the closed list.
    fn fault(&self, step: &EnvelopeStep) -> Option<Fault> {
        let no_argument = |reason, fails: bool| fails.then_some((reason, None));
        no_argument(Reason::LocationNotInPlan, step.location != self.call.location)
            .or_else(|| no_argument(Reason::ActionNotInPlan, step.action != self.call.action))
            .or_else(|| no_argument(Reason::ResourceNotInPlan, self.resource(step) == Truth::Fails))
            .or_else(|| self.argument_fault(step))
            .or_else(|| {
                no_argument(
                    Reason::EnvironmentMismatch,
                    step.environment.is_some() && step.environment != self.call.environment,
                )
            })
            .or_else(|| {
                no_argument(
                    Reason::OutsideWindow,
                    step.window.as_ref().is_some_and(|window| !window.holds(Moment::from_secs(self.now))),
                )
            })
            .or_else(|| self.history_fault(step, self.facts?))
    }

    fn resource(&self, step: &EnvelopeStep) -> Truth {
        if step.resource.kind != self.call.resource.kind {
            return Truth::Fails;
        }
        self.known.truth(&step.resource.id.as_constraint(), &Value::from(self.call.resource.id.as_str()))
    }

    fn named<'s>(&self, step: &'s EnvelopeStep) -> impl Iterator<Item = (&'s String, &'s Constraint)> {
        step.args.iter().filter(|(name, _)| *name != "*")
    }

    fn argument_fault(&self, step: &EnvelopeStep) -> Option<Fault> {
        let is_open = |name: &String| step.args.contains_key("*") && !self.call.args.contains_key("*") && name != "*";
        let is_named = |name: &String| name != "*" && step.args.contains_key(name);
        let unnamed = self.call.args.keys().find(|name| !is_named(name));
        if self.call.args.keys().any(|name| !is_named(name) && !is_open(name)) {
            return Some((Reason::ArgumentNotInPlan, unnamed.cloned()));
        }
        let missing = self
            .named(step)
            .find(|(name, one)| !matches!(one, Constraint::Optional(_)) && !self.call.args.contains_key(*name));
        if let Some((name, _)) = missing {
            return Some((Reason::ArgumentMissing, Some(name.clone())));
        }
        self.first_argument(step, Truth::Fails).map(|name| (Reason::ArgumentMismatch, Some(name)))
    }

    fn first_argument(&self, step: &EnvelopeStep, truth: Truth) -> Option<String> {
        let is = |name: &String, one: &Constraint| {
            self.call.args.get(name).is_some_and(|value| self.known.truth(one.required(), value) == truth)
        };
        self.named(step).find(|(name, one)| is(name, one)).map(|(name, _)| name.clone())
    }

    fn history_fault(&self, step: &EnvelopeStep, facts: &Facts) -> Option<Fault> {
        let used = |id: &String| facts.steps.get(id).map_or(0, |past| past.uses);
        let committed = |id: &String| facts.steps.get(id).map_or(0, |past| past.committed);
        let budgets: Vec<&Budget> =
            self.envelope.bounds.budgets.iter().filter(|budget| budget.steps.contains(&step.id)).collect();
        let argument = |budget: &Budget| budget.arg.clone().filter(|arg| step.args.contains_key(arg));
        let unknown = self.first_argument(step, Truth::Unknown);
        if unknown.is_some() || self.resource(step) == Truth::Unknown {
            return Some((Reason::ResultUnknown, unknown));
        }
        let is_unclear = |budget: &&&Budget| {
            budget.arg.is_some()
                && budget
                    .steps
                    .iter()
                    .any(|id| (facts.steps.get(id).map_or(0, |past| past.calls.len()) as u64) < used(id))
        };
        if let Some(budget) = budgets.iter().find(is_unclear) {
            return Some((Reason::ResultUnknown, argument(budget)));
        }
        if step.after.iter().any(|id| committed(id) == 0) {
            return Some((Reason::OutOfOrder, None));
        }
        if step.excludes.iter().any(|id| used(id) > 0) {
            return Some((Reason::GroupUsed, None));
        }
        if matches!(step.uses, Uses::Count(most) if used(&step.id) + 1 > most) {
            return Some((Reason::UsesExhausted, None));
        }
        if let Some(budget) = budgets.iter().find(|budget| !self.is_within(budget, facts)) {
            return Some((Reason::BudgetExhausted, argument(budget)));
        }
        if self.envelope.bounds.turns.is_some_and(|most| facts.turns > most) {
            return Some((Reason::TurnsExhausted, None));
        }
        let is_asked = step.approve == Approve::StepUp && !facts.approvals.contains(&self.call.approval_for(&step.id));
        (is_asked && facts.step_ups >= self.envelope.bounds.max_step_ups).then_some((Reason::StepUpsExhausted, None))
    }

    fn is_within(&self, budget: &Budget, facts: &Facts) -> bool {
        let most = budget.max.as_str();
        let pasts = budget.steps.iter().filter_map(|id| facts.steps.get(id));
        let Some(arg) = &budget.arg else {
            let uses = 1 + pasts.map(|past| i128::from(past.uses)).sum::<i128>();
            return is_at_most([(uses, 0)], most);
        };
        let calls = pasts.flat_map(|past| &past.calls).map(|call| &call.args).chain([&self.call.args]);
        let numbers: Option<Vec<Parts>> =
            calls.filter_map(|args| args.get(arg)).map(|value| spent(budget, value)).collect();
        numbers.is_some_and(|numbers| is_at_most(numbers, most))
    }

    /// Of a step without a fault: whether nobody has to be asked.
    fn is_permitted(&self, step: &EnvelopeStep) -> bool {
        match self.facts {
            Some(facts) => step.approve == Approve::Plan || facts.approvals.contains(&self.call.approval_for(&step.id)),
            None => {
                let bounds = &self.envelope.bounds;
                let is_counted =
                    bounds.turns.is_some() || bounds.budgets.iter().any(|budget| budget.steps.contains(&step.id));
                let is_free = step.uses == Uses::Any
                    && step.after.is_empty()
                    && step.excludes.is_empty()
                    && step.approve == Approve::Plan;
                let is_known =
                    self.resource(step) == Truth::Holds && self.first_argument(step, Truth::Unknown).is_none();
                is_free && is_known && !is_counted
            }
        }
    }
}

/// The whole part of a number and its fraction in units of 10^-28: exact for all that the worlds hold.
type Parts = (i128, i128);

/// What a value adds to a budget, if it is a number, in the currency if there is one. Negative numbers give nothing back.
fn spent(budget: &Budget, value: &Value) -> Option<Parts> {
    let value = match &budget.currency {
        Some(currency) => value.get("value").filter(|_| value["currency"] == **currency)?,
        None => value,
    };
    // `007` is a name and no number.
    let has_zeros = |text: &str| {
        let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
        matches!(digits, [b'0', next, ..] if next.is_ascii_digit())
    };
    let is_plain =
        |text: &&str| !text.contains(['e', 'E', '+', 'i', 'n']) && !text.starts_with('.') && !has_zeros(text);
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => {
            let plain = Some(text.as_str()).filter(is_plain).filter(|text| text.parse::<f64>().is_ok());
            plain?.to_owned()
        }
        _ => return None,
    };
    Some(if text.starts_with('-') { (0, 0) } else { parts(&text) })
}

fn parts(text: &str) -> Parts {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    assert!(fraction.len() <= 28, "{text} has more digits than the worlds hold");
    (whole.parse().unwrap(), format!("{fraction:0<28}").parse().unwrap())
}

/// Whether numbers that are not negative come to no more than another one.
fn is_at_most(numbers: impl IntoIterator<Item = Parts>, most: &str) -> bool {
    const UNIT: i128 = 10_i128.pow(28);
    let (whole, part) = numbers.into_iter().fold((0, 0), |sum, number| (sum.0 + number.0, sum.1 + number.1));
    !most.starts_with('-') && (whole + part / UNIT, part % UNIT) <= parts(most)
}

fn in_short(refusal: &Refusal) -> (Reason, Option<String>, Option<String>) {
    let nearest = refusal.nearest.as_ref();
    (refusal.reason, nearest.map(|nearest| nearest.step.clone()), nearest.and_then(|nearest| nearest.argument.clone()))
}

fn said(decision: &Decision<'_>) -> Said {
    match decision {
        Decision::Permit(step) => Said::Permit(step.id.clone()),
        Decision::StepUp(step_up) => Said::StepUp(step_up.step.id.clone()),
        Decision::Escalate(refusal) => {
            let (reason, step, argument) = in_short(refusal);
            Said::Escalate(reason, step, argument)
        }
        Decision::Deny(refusal) => {
            let (reason, step, argument) = in_short(refusal);
            Said::Deny(reason, step, argument)
        }
    }
}

/// A step-up names the call and the values that were bound late, with where they came from.
fn assert_shows(decision: &Decision<'_>, call: &Call) {
    let Decision::StepUp(step_up) = decision else { return };
    assert_eq!(step_up.approval, call.approval_for(&step_up.step.id));
    let shown = step_up.values.iter().find(|late| late.argument.is_none());
    let is_late = step_up.step.resource.id.as_constraint().needs_history();
    assert_eq!(shown.and_then(|late| late.value.as_str()), is_late.then_some(call.resource.id.as_str()));
    for (name, constraint) in &step_up.step.args {
        let shown = step_up.values.iter().find(|late| late.argument.as_ref() == Some(name));
        let is_late = constraint.needs_history() && call.args.contains_key(name);
        assert_eq!(shown.map(|late| &late.value), call.args.get(name).filter(|_| is_late), "{step_up:?}");
        assert!(shown.is_none_or(|late| late.sources.iter().all(|source| source == "s" || source == "t")));
    }
}

/// Each with a variant of its own in what is counted, so that every reason is seen to be compared.
fn name(said: &Said) -> String {
    match said {
        Said::Permit(_) => "permit".into(),
        Said::StepUp(_) => "step-up".into(),
        Said::AskLedger(_) => "ask the ledger".into(),
        Said::Escalate(reason, ..) | Said::Deny(reason, ..) => reason.to_string(),
    }
}

#[test]
fn the_decision_is_what_the_design_says() {
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for case in 0..pairs() / 2 {
        let mut rng = Rng::of_case(8, case);
        let (envelope, known) = (an_envelope(&mut rng), a_world(&mut rng));
        let call = a_call(&mut rng, &envelope, &known);
        let facts = with_approval(&mut rng, &known, &envelope, &call);
        let now = *rng.pick(&[NOW - 1, NOW, NOW, NOW, NOW + 1]);
        let decision = decide(&envelope, &call, &facts, now);
        let expected = Naive::new(&envelope, &call, Some(&facts), now).decide();
        assert_eq!(said(&decision), expected, "case {case}: {envelope:?}\n{call:?}\n{facts:?}");
        assert_shows(&decision, &call);
        let offline = decide_offline(&envelope, &call, now);
        let short = match &offline {
            Offline::Permit(step) => Said::Permit(step.id.clone()),
            Offline::AskLedger(step) => Said::AskLedger(step.id.clone()),
            Offline::Refused(refusal) => {
                let (reason, step, argument) = in_short(refusal);
                if reason.is_outside_plan() {
                    Said::Escalate(reason, step, argument)
                } else {
                    Said::Deny(reason, step, argument)
                }
            }
        };
        assert_eq!(
            short,
            Naive::new(&envelope, &call, None, now).decide(),
            "case {case}, offline: {envelope:?}\n{call:?}"
        );
        let prepared = Prepared::from(envelope.clone());
        assert_eq!(prepared.decide(&call, &facts, now), decision, "case {case}, prepared");
        assert_eq!(prepared.decide_offline(&call, now), offline, "case {case}, prepared, offline");
        *seen.entry(name(&expected)).or_default() += 1;
        *seen.entry(format!("offline {}", name(&short))).or_default() += 1;
    }
    println!("{seen:?}");
    let all = [
        Reason::IntentExpired,
        Reason::Blocked,
        Reason::LocationNotInPlan,
        Reason::ActionNotInPlan,
        Reason::ResourceNotInPlan,
        Reason::ArgumentNotInPlan,
        Reason::ArgumentMissing,
        Reason::ArgumentMismatch,
        Reason::EnvironmentMismatch,
        Reason::OutsideWindow,
        Reason::ResultUnknown,
        Reason::OutOfOrder,
        Reason::GroupUsed,
        Reason::UsesExhausted,
        Reason::BudgetExhausted,
        Reason::TurnsExhausted,
        Reason::StepUpsExhausted,
    ];
    for reason in all {
        assert!(seen.contains_key(reason.code()), "{reason} never came");
    }
    assert!(
        ["permit", "step-up", "offline permit", "offline ask the ledger"].iter().all(|one| seen[*one] > 10),
        "{seen:?}"
    );
}
