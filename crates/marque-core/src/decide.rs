//! The decision: does this envelope permit this call, given what was done so far?
//!
//! Pure. Within a step the first check that fails gives its reason, in the order of [`Reason::ALL`];
//! among the steps the one whose reason comes latest came closest, and of several the first. A step
//! that permits wins over one that asks for a step-up, and that over every refusal.

use crate::call::{Call, approval_for};
use crate::canonical::Digest;
use crate::constraint::{ArgumentFault, Constraint, Truth, Work, World, arguments_test, of_entries};
use crate::envelope::{Envelope, EnvelopeStep};
use crate::facts::{Facts, Past};
use crate::limits;
use crate::plan::{Approve, Budget, ResourceId, Uses};
use crate::reason::Reason;
use crate::value::decimal::{Decimal, Sum};
use crate::value::instant::Moment;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::cell::OnceCell;
use std::collections::BTreeSet;

/// The outcome.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision<'e> {
    /// The step permits the call.
    Permit(&'e EnvelopeStep),
    /// The step permits the call once the person has approved this very call.
    StepUp(StepUp<'e>),
    /// The call is outside the plan: ask the person for an amendment.
    Escalate(Refusal),
    /// No amendment is what the call lacks: it is blocked, too early, too late, or what was approved is used up.
    Deny(Refusal),
}

/// What a person has to approve before a call is permitted.
#[derive(Clone, Debug, PartialEq)]
pub struct StepUp<'e> {
    /// The step.
    pub step: &'e EnvelopeStep,
    /// The call, its resource server and the step, which the approval is for and for no other: [`Call::approval_for`].
    pub approval: Digest,
    /// The values that were not in the plan.
    pub values: Vec<LateValue>,
}

/// A value that was not in the plan, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LateValue {
    /// The argument; absent for the id of the resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub argument: Option<String>,
    /// Its value.
    pub value: Value,
    /// The earlier steps it was taken from.
    pub sources: BTreeSet<String>,
}

/// Why a call is refused and what it missed by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    /// One of the closed list.
    pub reason: Reason,
    /// The step that came closest, if any did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<Box<Nearest>>,
}

/// The step that came closest to permitting the call, and what differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Nearest {
    /// Its id.
    pub step: String,
    /// The argument that differs, if it is an argument.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argument: Option<String>,
    /// What the step allows.
    pub expected: Value,
    /// What the call had.
    pub got: Value,
}

/// What can be told where the ledger is not at hand.
#[derive(Clone, Debug, PartialEq)]
pub enum Offline<'e> {
    /// The step permits the call, and nothing has to be counted for it.
    Permit(&'e EnvelopeStep),
    /// This step fits, as far as can be told here, or it would be too much work to tell; the ledger decides. Where it
    /// knows what a value has to be, it has less to look for.
    AskLedger(&'e EnvelopeStep),
    /// No step can permit the call, whatever the ledger knows. Looking at what is blocked costs the ledger as much, so
    /// that it refuses, too, what is too much work there.
    Refused(Refusal),
}

/// How one step stands to a call.
#[derive(Clone, Copy)]
enum Verdict<'s> {
    Permits,
    /// It permits, unless the ledger knows better.
    AskLedger,
    StepUp,
    Fails(Fault<'s>),
}

/// What a call missed a step by.
#[derive(Clone, Copy)]
struct Fault<'s> {
    reason: Reason,
    argument: Option<&'s str>,
}

impl Fault<'_> {
    const fn of(reason: Reason) -> Self {
        Self { reason, argument: None }
    }
}

/// Everything that a decision is made from.
pub(crate) struct Case<'c> {
    pub(crate) envelope: &'c Envelope,
    pub(crate) call: &'c Call,
    pub(crate) facts: Option<&'c Facts>,
    pub(crate) now: i64,
    pub(crate) work: &'c Work,
    /// [`Call::approval`], once it was asked for: it takes the whole call.
    approval: OnceCell<Digest>,
}

/// Decides one call. `now` is in seconds since the Unix epoch.
pub fn decide<'e>(envelope: &'e Envelope, call: &Call, facts: &Facts, now: i64) -> Decision<'e> {
    decide_within(envelope, call, facts, now, &Work::new(limits::DECISION_WORK))
}

/// [`decide`] for some work: where it runs out, the call is refused for [`Reason::TooMuchWork`].
pub fn decide_within<'e>(envelope: &'e Envelope, call: &Call, facts: &Facts, now: i64, work: &Work) -> Decision<'e> {
    Case::new(envelope, call, Some(facts), now, work).decide(envelope)
}

/// Decides one call as far as it can be decided without the ledger. `now` is in seconds since the Unix epoch.
pub fn decide_offline<'e>(envelope: &'e Envelope, call: &Call, now: i64) -> Offline<'e> {
    Case::new(envelope, call, None, now, &Work::new(limits::DECISION_WORK)).decide_offline(envelope)
}

impl<'c> Case<'c> {
    pub(crate) fn new(
        envelope: &'c Envelope,
        call: &'c Call,
        facts: Option<&'c Facts>,
        now: i64,
        work: &'c Work,
    ) -> Self {
        Self { envelope, call, facts, now, work, approval: OnceCell::new() }
    }

    pub(crate) fn decide<'e>(&self, envelope: &'e Envelope) -> Decision<'e> {
        let mut step_up = None;
        let closest = match self.closest(envelope.steps.iter(), |step, verdict| match verdict {
            Verdict::Permits | Verdict::AskLedger => true,
            Verdict::StepUp => {
                step_up = step_up.or(Some(step));
                false
            }
            Verdict::Fails(_) => false,
        }) {
            Ok(step) => return Decision::Permit(step),
            Err(closest) => closest,
        };
        match step_up {
            Some(step) => Decision::StepUp(self.step_up(step)),
            None => self.refused(closest),
        }
    }

    pub(crate) fn decide_offline<'e>(&self, envelope: &'e Envelope) -> Offline<'e> {
        let mut fits = None;
        let closest = match self.closest(envelope.steps.iter(), |step, verdict| match verdict {
            Verdict::Permits => true,
            Verdict::AskLedger | Verdict::StepUp => {
                fits = fits.or(Some(step));
                false
            }
            Verdict::Fails(_) => false,
        }) {
            Ok(step) => return Offline::Permit(step),
            Err(closest) => closest,
        };
        match fits {
            Some(step) => Offline::AskLedger(step),
            None => Offline::Refused(self.refusal(closest)),
        }
    }

    /// The first step that permits, among some; what refuses the whole call comes first.
    pub(crate) fn permitting<'e>(&self, steps: impl Iterator<Item = &'e EnvelopeStep>) -> Option<&'e EnvelopeStep> {
        self.closest(steps, |_, verdict| matches!(verdict, Verdict::Permits)).ok()
    }

    /// The first step whose verdict is accepted, or else the fault that came closest.
    fn closest<'e>(
        &self,
        steps: impl Iterator<Item = &'e EnvelopeStep>,
        mut accept: impl FnMut(&'e EnvelopeStep, Verdict<'e>) -> bool,
    ) -> Result<&'e EnvelopeStep, (Fault<'e>, Option<&'e EnvelopeStep>)> {
        if let Some(reason) = self.refuses_all() {
            let is_spent = reason == Reason::Blocked && self.work.left() == 0;
            return Err((Fault::of(if is_spent { Reason::TooMuchWork } else { reason }), None));
        }
        let mut closest = (Fault::of(Reason::LocationNotInPlan), None);
        for step in steps {
            let verdict = self.judge(step);
            if accept(step, verdict) {
                return Ok(step);
            }
            if let Verdict::Fails(fault) = verdict
                && fault.reason > closest.0.reason
            {
                closest = (fault, Some(step));
            }
        }
        if self.work.left() == 0 { Err((Fault::of(Reason::TooMuchWork), None)) } else { Err(closest) }
    }

    /// What refuses every call, or this one whatever the steps say.
    fn refuses_all(&self) -> Option<Reason> {
        let bounds = &self.envelope.bounds;
        if bounds.expires_at.is_some_and(|end| end <= self.now) {
            return Some(Reason::IntentExpired);
        }
        let later = self.facts.map_or(&[][..], |facts| &facts.blocked);
        let is_blocked = bounds.blocked.iter().chain(later).any(|blocked| blocked.applies_within(self.call, self.work));
        is_blocked.then_some(Reason::Blocked)
    }

    fn judge<'s>(&self, step: &'s EnvelopeStep) -> Verdict<'s> {
        if !self.work.spend(1) {
            let may_fit = step.location == self.call.location && step.action == self.call.action;
            let is_for_ledger = self.facts.is_none() && may_fit;
            return if is_for_ledger { Verdict::AskLedger } else { Verdict::Fails(Fault::of(Reason::TooMuchWork)) };
        }
        match self.fits(step) {
            Err(fault) => Verdict::Fails(fault),
            Ok(is_known) => self.admits(step, is_known),
        }
    }

    /// Whether the call is one that the step describes, and whether that is known or only possible.
    fn fits<'s>(&self, step: &'s EnvelopeStep) -> Result<bool, Fault<'s>> {
        if step.location != self.call.location {
            return Err(Fault::of(Reason::LocationNotInPlan));
        }
        if step.action != self.call.action {
            return Err(Fault::of(Reason::ActionNotInPlan));
        }
        let world = World { facts: self.facts, records: Some(&self.call.records), work: self.work };
        let resource = self.resource(step, &world);
        if resource == Truth::Fails {
            return Err(Fault::of(Reason::ResourceNotInPlan));
        }
        let (is_known, argument) = match arguments_test(&step.args, &self.call.args, &world) {
            Ok(()) => (resource == Truth::Holds, None),
            Err(ArgumentFault::Unknown(name)) => (false, Some(name)),
            Err(ArgumentFault::NotNamed) => {
                return Err(Fault::of(Reason::ArgumentNotInPlan));
            }
            Err(ArgumentFault::Missing(name)) => {
                return Err(Fault { reason: Reason::ArgumentMissing, argument: Some(name) });
            }
            Err(ArgumentFault::Mismatch(name)) => {
                return Err(Fault { reason: Reason::ArgumentMismatch, argument: Some(name) });
            }
        };
        self.circumstances(step)?;
        if is_known || self.facts.is_none() {
            return Ok(is_known);
        }
        Err(Fault { reason: Reason::ResultUnknown, argument })
    }

    pub(crate) fn resource(&self, step: &EnvelopeStep, world: &World<'_>) -> Truth {
        if step.resource.kind != self.call.resource.kind {
            return Truth::Fails;
        }
        step.resource.id.test(&self.call.resource.id, world)
    }

    fn circumstances<'s>(&self, step: &EnvelopeStep) -> Result<(), Fault<'s>> {
        if step.environment.is_some() && step.environment != self.call.environment {
            return Err(Fault::of(Reason::EnvironmentMismatch));
        }
        match &step.window {
            Some(window) if !window.holds(Moment::from_secs(self.now)) => Err(Fault::of(Reason::OutsideWindow)),
            _ => Ok(()),
        }
    }

    /// Whether what was done so far leaves room for the step.
    fn admits<'s>(&self, step: &'s EnvelopeStep, is_known: bool) -> Verdict<'s> {
        let Some(facts) = self.facts else {
            let is_free = is_known && step.uses == Uses::Any && !self.is_ledgered(step);
            return if is_free { Verdict::Permits } else { Verdict::AskLedger };
        };
        let refused = |reason| Verdict::Fails(Fault::of(reason));
        if !self.work.spend(self.room_cost(step, facts)) {
            return refused(Reason::TooMuchWork);
        }
        let budgets = self.envelope.bounds.budgets.iter().filter(|budget| budget.steps.contains(&step.id));
        let of_budget = |reason, budget: &Budget| {
            Verdict::Fails(Fault { reason, argument: budget.arg.as_deref().and_then(|arg| named(step, arg)) })
        };
        if let Some(budget) = budgets.clone().find(|budget| !adds_up(budget, facts)) {
            return of_budget(Reason::ResultUnknown, budget);
        }
        if step.after.iter().any(|earlier| facts.committed(earlier) == 0) {
            return refused(Reason::OutOfOrder);
        }
        if step.excludes.iter().any(|other| facts.uses(other) > 0) {
            return refused(Reason::GroupUsed);
        }
        if matches!(step.uses, Uses::Count(allowed) if facts.uses(&step.id) >= allowed) {
            return refused(Reason::UsesExhausted);
        }
        if let Some(budget) = budgets.clone().find(|budget| self.exceeds(budget, facts)) {
            return of_budget(Reason::BudgetExhausted, budget);
        }
        if self.envelope.bounds.turns.is_some_and(|turns| facts.turns > turns) {
            return refused(Reason::TurnsExhausted);
        }
        if step.approve == Approve::Plan || facts.approvals.contains(&self.approval_for(step)) {
            return Verdict::Permits;
        }
        if facts.step_ups >= self.envelope.bounds.max_step_ups {
            return refused(Reason::StepUpsExhausted);
        }
        Verdict::StepUp
    }

    /// What it costs to see whether there is room for a step: each entry of the past that its budgets add up.
    pub(crate) fn room_cost(&self, step: &EnvelopeStep, facts: &Facts) -> u64 {
        let of_past = |step: &String| 1 + facts.past(step).map_or(0, |past| past.calls.len());
        let budgets = self.envelope.bounds.budgets.iter().filter(|budget| budget.steps.contains(&step.id));
        let entries: usize = budgets.flat_map(|budget| budget.steps.iter().map(of_past)).sum();
        of_entries(entries + self.envelope.bounds.budgets.len() + step.after.len() + step.excludes.len())
    }

    /// Whether something beside the uses has to be asked of the ledger.
    fn is_ledgered(&self, step: &EnvelopeStep) -> bool {
        let bounds = &self.envelope.bounds;
        !step.after.is_empty()
            || !step.excludes.is_empty()
            || step.approve != Approve::Plan
            || bounds.turns.is_some()
            || bounds.budgets.iter().any(|budget| budget.steps.contains(&step.id))
    }

    /// Whether the call would go beyond a budget, as far as the past is known. Negative numbers give nothing back.
    pub(crate) fn exceeds(&self, budget: &Budget, facts: &Facts) -> bool {
        let pasts = budget.steps.iter().filter_map(|step| facts.past(step));
        let Some(arg) = &budget.arg else {
            let used: u64 = pasts.map(|past| past.uses).fold(1, u64::saturating_add);
            return i64::try_from(used).map_or(true, |used| Decimal::from(used) > budget.max.value());
        };
        let past = pasts.flat_map(|past| &past.calls).map(|call| call.args.get(arg));
        let spent: Option<Sum> = past
            .chain([self.call.args.get(arg)])
            .try_fold(Sum::default(), |sum, value| Some(sum.plus(spent(budget, value)?)));
        spent.is_none_or(|sum| sum.exceeds(budget.max.value()))
    }

    /// What a person approves of this call as a use of a step.
    pub(crate) fn approval_for(&self, step: &EnvelopeStep) -> Digest {
        approval_for(&step.id, self.approval.get_or_init(|| self.call.approval()))
    }

    fn step_up<'e>(&self, step: &'e EnvelopeStep) -> StepUp<'e> {
        let late = |argument: Option<&String>, constraint: &Constraint, value: Value| {
            let sources: BTreeSet<_> = constraint.sources().into_iter().map(str::to_owned).collect();
            (!sources.is_empty()).then(|| LateValue { argument: argument.cloned(), value, sources })
        };
        let id = match &step.resource.id {
            ResourceId::Bound(constraint) => late(None, constraint, self.call.resource.id.as_str().into()),
            ResourceId::Exact(_) => None,
        };
        let arguments = step
            .args
            .iter()
            .filter_map(|(name, constraint)| late(Some(name), constraint, self.call.args.get(name)?.clone()));
        StepUp { step, approval: self.approval_for(step), values: id.into_iter().chain(arguments).collect() }
    }

    fn refused<'e>(&self, closest: (Fault<'e>, Option<&'e EnvelopeStep>)) -> Decision<'e> {
        let refusal = self.refusal(closest);
        if refusal.reason.is_outside_plan() { Decision::Escalate(refusal) } else { Decision::Deny(refusal) }
    }

    fn refusal(&self, (fault, step): (Fault<'_>, Option<&EnvelopeStep>)) -> Refusal {
        let nearest = step.filter(|_| fault.reason > Reason::ActionNotInPlan).map(|step| self.nearest(fault, step));
        Refusal { reason: fault.reason, nearest: nearest.map(Box::new) }
    }

    /// What the step that came closest allows, and what the call or the past has instead.
    fn nearest(&self, fault: Fault<'_>, step: &EnvelopeStep) -> Nearest {
        let nothing = Facts::default();
        let facts = self.facts.unwrap_or(&nothing);
        let bounds = &self.envelope.bounds;
        let mut argument = fault.argument.map(str::to_owned);
        let given = |name: &Option<String>| name.as_ref().and_then(|name| self.call.args.get(name)).cloned();
        let (expected, got) = match fault.reason {
            Reason::ResourceNotInPlan => (json!(step.resource), json!(self.call.resource)),
            Reason::ArgumentNotInPlan => {
                argument = self.call.args.keys().find(|name| named(step, name).is_none()).cloned();
                (Value::Null, given(&argument).unwrap_or_default())
            }
            Reason::EnvironmentMismatch => (json!(step.environment), json!(self.call.environment)),
            Reason::OutsideWindow => {
                (json!(step.window), crate::timestamp::format(self.now).unwrap_or_default().into())
            }
            Reason::OutOfOrder => {
                let done: Vec<_> = step.after.iter().filter(|earlier| facts.committed(earlier) > 0).collect();
                (json!({"after": step.after}), json!({"committed": done}))
            }
            Reason::GroupUsed => {
                let used: Vec<_> = step.excludes.iter().filter(|other| facts.uses(other) > 0).collect();
                (json!({"excludes": step.excludes}), json!({"used": used}))
            }
            Reason::UsesExhausted => (json!(step.uses), json!(facts.uses(&step.id))),
            Reason::BudgetExhausted => {
                let exceeded =
                    bounds.budgets.iter().find(|budget| budget.steps.contains(&step.id) && self.exceeds(budget, facts));
                (json!(exceeded), given(&argument).unwrap_or_default())
            }
            Reason::TurnsExhausted => (json!(bounds.turns), json!(facts.turns)),
            Reason::StepUpsExhausted => (json!(bounds.max_step_ups), json!(facts.step_ups)),
            _ => match argument.as_ref().and_then(|name| step.args.get(name)) {
                Some(constraint) => (constraint.expected(), given(&argument).unwrap_or_default()),
                None => (json!(step.resource), json!(self.call.resource)),
            },
        };
        Nearest { step: step.id.clone(), argument, expected, got }
    }
}

fn named<'s>(step: &'s EnvelopeStep, name: &str) -> Option<&'s str> {
    step.args.get_key_value(name).filter(|_| name != "*").map(|(name, _)| name.as_str())
}

/// What one call adds to a budget; `None` where that is no number or in another currency.
fn spent(budget: &Budget, value: Option<&Value>) -> Option<Decimal> {
    let Some(value) = value else { return Some(Decimal::ZERO) };
    let number = match &budget.currency {
        None => Decimal::of_value(value),
        Some(currency) if value.get("currency").and_then(Value::as_str) == Some(currency) => {
            value.get("value").and_then(Decimal::of_value)
        }
        Some(_) => None,
    };
    number.map(|number| number.max(Decimal::ZERO))
}

/// Whether everything that a budget counts is known.
pub(crate) fn adds_up(budget: &Budget, facts: &Facts) -> bool {
    budget.arg.is_none() || budget.steps.iter().filter_map(|step| facts.past(step)).all(Past::is_known)
}

impl Past {
    /// Whether the arguments of all its uses are known.
    pub(crate) fn is_known(&self) -> bool {
        self.calls.len() as u64 >= self.uses
    }
}
