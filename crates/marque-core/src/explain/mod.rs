//! How a decision came about, for a person who asks why: every check of every step, and what late-bound values
//! depend on. The decision itself is [`crate::decide::decide`]'s.

mod depends;

pub use depends::{Dependence, Origin};

use crate::call::Call;
use crate::constraint::{Arguments, Constraint, Truth, Work, World};
use crate::decide::{Case, Decision, adds_up, decide_within};
use crate::envelope::{Envelope, EnvelopeStep};
use crate::facts::Facts;
use crate::plan::{Approve, Uses};
use crate::reason::Reason;
use crate::value::instant::Moment;
use crate::{limits, timestamp};
use serde::Serialize;
use serde_json::{Value, json};

/// A decision and all that it was made from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The decision.
    pub outcome: Outcome,
    /// Why it is no permission.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The step that permits, that asks the person again, or that came closest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// What is checked before any step.
    pub checks: Vec<Check>,
    /// Each step, in the plan's order.
    pub steps: Vec<StepExplanation>,
}

/// The kinds of decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The call is permitted.
    Permit,
    /// The call is permitted once the person has approved it.
    StepUp,
    /// The call is outside the plan.
    Escalate,
    /// The call is refused.
    Deny,
}

/// How one step stands to the call.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepExplanation {
    /// The step's id.
    pub step: String,
    /// What was checked. Of a step for another place or another action only that.
    pub checks: Vec<Check>,
    /// What the late-bound values of the step depend on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<Dependence>,
}

/// One thing that was checked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// What it is about.
    pub subject: Subject,
    /// The argument that it is about, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub argument: Option<String>,
    /// Whether it holds.
    pub held: Held,
    /// Why the step does not permit the call, if it does not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What the plan says.
    pub expected: Value,
    /// What the call, or the past, has.
    pub got: Value,
}

/// What a check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The end of the plan.
    Expiry,
    /// What is blocked.
    Blocked,
    /// The resource server.
    Location,
    /// The action.
    Action,
    /// The resource.
    Resource,
    /// One argument.
    Argument,
    /// The environment that the resource server runs in.
    Environment,
    /// The time of the call.
    Window,
    /// Steps that come before.
    After,
    /// The other steps of a group.
    Group,
    /// How often the step was used.
    Uses,
    /// What several steps come to together.
    Budget,
    /// How many turns the agent started.
    Turns,
    /// The person's approval of this very call.
    StepUp,
}

/// Whether a check holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// It holds.
    Yes,
    /// It does not hold.
    No,
    /// It depends on something that is not known.
    Unknown,
}

impl From<Truth> for Held {
    fn from(truth: Truth) -> Self {
        match truth {
            Truth::Holds => Self::Yes,
            Truth::Fails => Self::No,
            Truth::Unknown => Self::Unknown,
        }
    }
}

/// Explains the decision on one call. `now` is in seconds since the Unix epoch.
pub fn explain(envelope: &Envelope, call: &Call, facts: &Facts, now: i64) -> Explanation {
    explain_within(envelope, call, facts, now, &Work::new(2 * limits::DECISION_WORK))
}

/// [`explain`] for some work: half of it for the decision, the rest for the checks. Where that runs out, what is not
/// checked is unknown.
pub fn explain_within(envelope: &Envelope, call: &Call, facts: &Facts, now: i64, work: &Work) -> Explanation {
    let half = work.left() / 2;
    let decision = work.within(half, |work| decide_within(envelope, call, facts, now, work));
    let (outcome, reason, step) = match decision {
        Decision::Permit(step) => (Outcome::Permit, None, Some(step.id.clone())),
        Decision::StepUp(asked) => (Outcome::StepUp, Some(Reason::StepUpRequired), Some(asked.step.id.clone())),
        Decision::Escalate(refusal) => (Outcome::Escalate, Some(refusal.reason), refusal.nearest.map(|near| near.step)),
        Decision::Deny(refusal) => (Outcome::Deny, Some(refusal.reason), refusal.nearest.map(|near| near.step)),
    };
    let asked = Question { case: Case::new(envelope, call, Some(facts), now, work), envelope, call, facts, now };
    let steps = envelope.steps.iter().map(|step| asked.step(step)).collect();
    Explanation { outcome, reason, step, checks: asked.before_all(), steps }
}

impl Check {
    fn new(subject: Subject, held: impl Into<Held>, reason: Reason, expected: Value, got: Value) -> Self {
        let held = held.into();
        let reason = match held {
            Held::Yes => None,
            Held::No => Some(reason),
            Held::Unknown => Some(Reason::ResultUnknown),
        };
        Self { subject, argument: None, held, reason, expected, got }
    }

    fn of(self, argument: &str) -> Self {
        Self { argument: Some(argument.to_owned()), ..self }
    }
}

impl From<bool> for Held {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

impl StepExplanation {
    /// The check that decides against the step: the first one that does not hold.
    pub fn fault(&self) -> Option<&Check> {
        self.checks.iter().filter(|check| check.held != Held::Yes).min_by_key(|check| check.reason)
    }
}

struct Question<'q> {
    case: Case<'q>,
    envelope: &'q Envelope,
    call: &'q Call,
    facts: &'q Facts,
    now: i64,
}

impl Question<'_> {
    fn before_all(&self) -> Vec<Check> {
        let bounds = &self.envelope.bounds;
        let written = |at: i64| json!(timestamp::format(at).unwrap_or_default());
        let expiry = bounds.expires_at.map(|end| {
            let held = end > self.now;
            Check::new(Subject::Expiry, held, Reason::IntentExpired, written(end), written(self.now))
        });
        let blocked = bounds.blocked.iter().chain(&self.facts.blocked).map(|blocked| {
            let got = json!({"action": self.call.action, "resource": self.call.resource});
            Check::new(
                Subject::Blocked,
                !blocked.applies_within(self.call, self.case.work),
                Reason::Blocked,
                json!(blocked),
                got,
            )
        });
        expiry.into_iter().chain(blocked).collect()
    }

    fn step(&self, step: &EnvelopeStep) -> StepExplanation {
        let (call, id) = (self.call, step.id.clone());
        let (here, same) = (step.location == call.location, step.action == call.action);
        let place =
            Check::new(Subject::Location, here, Reason::LocationNotInPlan, json!(step.location), json!(call.location));
        let action = Check::new(Subject::Action, same, Reason::ActionNotInPlan, json!(step.action), json!(call.action));
        if !here {
            return StepExplanation { step: id, checks: vec![place], depends_on: Vec::new() };
        }
        let mut checks = vec![place, action];
        if !same {
            return StepExplanation { step: id, checks, depends_on: Vec::new() };
        }
        checks.push(self.resource(step));
        checks.extend(self.arguments(&step.args));
        checks.extend(self.circumstances(step));
        checks.extend(self.room(step));
        StepExplanation { step: id, checks, depends_on: self.dependences(step) }
    }

    fn resource(&self, step: &EnvelopeStep) -> Check {
        let held = self.case.resource(step, &self.world());
        let (expected, got) = (json!(step.resource), json!(self.call.resource));
        Check::new(Subject::Resource, held, Reason::ResourceNotInPlan, expected, got)
    }

    fn world(&self) -> World<'_> {
        World { facts: Some(self.facts), records: Some(&self.call.records), work: self.case.work }
    }

    fn arguments(&self, wanted: &Arguments) -> Vec<Check> {
        let given = &self.call.args;
        let named = wanted.iter().filter(|(name, _)| *name != "*").map(|(name, constraint)| {
            let (expected, got) = (constraint.expected(), given.get(name).cloned().unwrap_or_default());
            let (held, reason) = match given.get(name) {
                Some(value) => (constraint.test(value, &self.world()).into(), Reason::ArgumentMismatch),
                None => (Held::from(matches!(constraint, Constraint::Optional(_))), Reason::ArgumentMissing),
            };
            Check::new(Subject::Argument, held, reason, expected, got).of(name)
        });
        let is_open = wanted.contains_key("*");
        let further = given.iter().filter(|(name, _)| *name == "*" || !wanted.contains_key(*name));
        let further = further.map(|(name, value)| {
            let held = is_open && name != "*";
            let expected = if held { json!({"any": true}) } else { Value::Null };
            Check::new(Subject::Argument, held, Reason::ArgumentNotInPlan, expected, value.clone()).of(name)
        });
        named.chain(further).collect()
    }

    fn circumstances(&self, step: &EnvelopeStep) -> Vec<Check> {
        let environment = step.environment.as_ref().map(|word| {
            let held = self.call.environment.as_ref() == Some(word);
            let got = json!(self.call.environment);
            Check::new(Subject::Environment, held, Reason::EnvironmentMismatch, json!(word), got)
        });
        let window = step.window.as_ref().map(|window| {
            let held = window.holds(Moment::from_secs(self.now));
            let got = json!(timestamp::format(self.now).unwrap_or_default());
            Check::new(Subject::Window, held, Reason::OutsideWindow, json!(window), got)
        });
        environment.into_iter().chain(window).collect()
    }

    /// Whether what was done so far leaves room for the step.
    fn room(&self, step: &EnvelopeStep) -> Vec<Check> {
        let facts = self.facts;
        let mut checks = Vec::new();
        if !step.after.is_empty() {
            let done: Vec<_> = step.after.iter().filter(|earlier| facts.committed(earlier) > 0).collect();
            let (held, got) = (done.len() == step.after.len(), json!(done));
            checks.push(Check::new(Subject::After, held, Reason::OutOfOrder, json!(step.after), got));
        }
        if !step.excludes.is_empty() {
            let used: Vec<_> = step.excludes.iter().filter(|other| facts.uses(other) > 0).collect();
            let (held, expected) = (used.is_empty(), json!({"unused": step.excludes}));
            checks.push(Check::new(Subject::Group, held, Reason::GroupUsed, expected, json!({"used": used})));
        }
        let used = facts.uses(&step.id);
        let held = matches!(step.uses, Uses::Any) || matches!(step.uses, Uses::Count(allowed) if used < allowed);
        checks.push(Check::new(Subject::Uses, held, Reason::UsesExhausted, json!(step.uses), json!(used)));
        checks.extend(self.budgets(step));
        if let Some(turns) = self.envelope.bounds.turns {
            let held = facts.turns <= turns;
            checks.push(Check::new(Subject::Turns, held, Reason::TurnsExhausted, json!(turns), json!(facts.turns)));
        }
        if step.approve == Approve::StepUp {
            checks.push(self.step_up(step));
        }
        checks
    }

    fn budgets(&self, step: &EnvelopeStep) -> Vec<Check> {
        let is_known = self.case.work.spend(self.case.room_cost(step, self.facts));
        let budgets = self.envelope.bounds.budgets.iter().filter(|budget| budget.steps.contains(&step.id));
        let check = |budget: &crate::plan::Budget| {
            let held = match is_known && adds_up(budget, self.facts) {
                false => Held::Unknown,
                true => (!self.case.exceeds(budget, self.facts)).into(),
            };
            let of_step = |id: &String| (id.clone(), json!(self.facts.uses(id)));
            let got = match &budget.arg {
                None => Value::Object(budget.steps.iter().map(of_step).collect()),
                Some(arg) => self.call.args.get(arg).cloned().unwrap_or_default(),
            };
            Check::new(Subject::Budget, held, Reason::BudgetExhausted, json!(budget), got)
        };
        budgets.map(check).collect()
    }

    fn step_up(&self, step: &EnvelopeStep) -> Check {
        let approval = self.case.approval_for(step);
        let held = self.facts.approvals.contains(&approval);
        let most = self.envelope.bounds.max_step_ups;
        let is_spent = self.facts.step_ups >= most;
        let reason = if is_spent { Reason::StepUpsExhausted } else { Reason::StepUpRequired };
        let expected = json!({"approval_of": approval, "max_step_ups": most});
        Check::new(Subject::StepUp, held, reason, expected, json!({"step_ups": self.facts.step_ups}))
    }
}
