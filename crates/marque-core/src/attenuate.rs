//! Narrowing on the way from hop to hop. What comes out never permits what its parent refuses.
//!
//! The laws, each a property test: sound; reflexive and transitive; the meet is below both; what
//! cannot be decided is refused; what a child does not state is its parent's; limits only tighten;
//! uses and budgets are counted under the signed plan's step ids, whatever the chain; and it is
//! useful: genuine narrowings are accepted.
//!
//! They hold for what can be decided within [`limits::DECISION_WORK`]. Steps share it, so a parent that runs out of it
//! refuses, with [`Reason::TooMuchWork`], what a child with fewer or cheaper steps may permit.

use crate::constraint::{
    Arguments, Comparison, TimeWindow, Work, argument_compare, arguments_compare, check_arguments, meet_arguments,
    of_entries,
};
use crate::envelope::{Bounds, Envelope, EnvelopeStep};
use crate::json::{self, Path, Refused};
use crate::limits;
use crate::names::DETAIL_STEP;
use crate::plan::{Approve, Budget, Resource, ResourceId, Uses};
use crate::reason::Reason;
use serde::Deserialize;
use std::collections::BTreeSet;

/// One object of an exchange's `authorization_details`: a step to keep, perhaps narrower. What it
/// does not state stays as the parent has it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepRequest {
    /// Always `agent_intent_step`.
    #[serde(rename = "type")]
    pub kind: StepKind,
    /// The parent's step id.
    pub id: String,
    /// Narrower constraints by argument name.
    #[serde(default)]
    pub args: Arguments,
    /// A narrower constraint on the resource's id.
    #[serde(default, deserialize_with = "json::stated")]
    pub resource_id: Option<ResourceId>,
    /// Fewer uses.
    #[serde(default, deserialize_with = "json::stated")]
    pub uses: Option<Uses>,
    /// Further steps that must have been committed before.
    #[serde(default)]
    pub after: BTreeSet<String>,
    /// Further steps that must not have been used.
    #[serde(default)]
    pub excludes: BTreeSet<String>,
    /// A shorter time.
    #[serde(default, deserialize_with = "json::stated")]
    pub window: Option<TimeWindow>,
    /// One environment, where the parent allows any.
    #[serde(default, deserialize_with = "json::stated")]
    pub environment: Option<String>,
    /// A step-up, where the parent needs none.
    #[serde(default, deserialize_with = "json::stated")]
    pub approve: Option<Approve>,
}

/// The `authorization_details` type of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct StepKind;

impl TryFrom<String> for StepKind {
    type Error = String;
    fn try_from(value: String) -> Result<Self, Self::Error> {
        if value == DETAIL_STEP { Ok(Self) } else { Err(format!("only {DETAIL_STEP} can be exchanged")) }
    }
}

/// Why an envelope was not narrowed as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Widening {
    /// [`Reason::WiderThanParent`] or [`Reason::ComparisonUndecidable`].
    pub reason: Reason,
    /// Which step and member, and what would be allowed.
    pub message: String,
}

fn widening(message: impl Into<String>) -> Widening {
    Widening { reason: Reason::WiderThanParent, message: message.into() }
}

impl Comparison {
    /// # Errors
    /// Unless it is narrower, with what the parent allows.
    fn or_widening(self, what: &str, allowed: impl FnOnce() -> String) -> Result<(), Widening> {
        match self {
            Self::Narrower => Ok(()),
            Self::Wider => Err(widening(format!("{what}: the parent allows {}", allowed()))),
            Self::Undecidable => Err(Widening {
                reason: Reason::ComparisonUndecidable,
                message: format!("{what}: cannot be compared with what the parent allows, {}", allowed()),
            }),
        }
    }
}

impl StepRequest {
    /// Refuses what is not well formed.
    ///
    /// # Errors
    /// With the path of the offence.
    pub fn check<'p>(&self, path: impl Into<Path<'p>>) -> Result<(), Refused> {
        let path = path.into();
        check_arguments(path.member("args"), &self.args)?;
        self.resource_id.iter().try_for_each(|id| id.check(path.member("resource_id")))?;
        self.window.iter().try_for_each(|window| window.check(path.member("window")))
    }
}

/// Narrows an envelope to the requested steps. The result keeps the parent's order, step ids and bounds.
///
/// # Errors
/// When a request names a step the parent lacks, names one twice, or asks for something that the
/// parent does not allow. A comparison that cannot be decided is an error too.
pub fn attenuate(parent: &Envelope, requests: &[StepRequest]) -> Result<Envelope, Widening> {
    attenuate_within(parent, requests, &Work::new(limits::ENVELOPE_WORK))
}

/// [`attenuate`] for some work: where it runs out, nothing can be compared any more.
///
/// # Errors
/// As [`attenuate`].
pub fn attenuate_within(parent: &Envelope, requests: &[StepRequest], work: &Work) -> Result<Envelope, Widening> {
    for (index, request) in requests.iter().enumerate() {
        if requests.iter().take(index).any(|earlier| earlier.id == request.id) {
            return Err(widening(format!("step {:?} is asked for twice", request.id)));
        }
        if parent.step(&request.id).is_none() {
            return Err(widening(format!("the parent token has no step {:?}", request.id)));
        }
        request.check("$").map_err(|refused| widening(format!("step {:?}: {refused}", request.id)))?;
    }
    let asked = |step: &EnvelopeStep| {
        requests.iter().find(|request| request.id == step.id).map(|request| narrow(step, request, work))
    };
    let steps = parent.steps.iter().filter_map(asked).collect::<Result<_, _>>()?;
    Ok(Envelope { steps, bounds: parent.bounds.clone() })
}

fn narrow(parent: &EnvelopeStep, request: &StepRequest, work: &Work) -> Result<EnvelopeStep, Widening> {
    let mut step = parent.clone();
    narrow_arguments(&mut step, request, work)?;
    let what = |member: &str| format!("step {:?}, {member}", parent.id);
    if let Some(id) = &request.resource_id {
        let allowed = parent.resource.id.as_constraint();
        let comparison = work.within(limits::COMPARISON_WORK, |work| allowed.compare_within(&id.as_constraint(), work));
        comparison.or_widening(&what("resource_id"), || allowed.expected().to_string())?;
        step.resource.id = id.clone();
    }
    if let Some(uses) = request.uses {
        Comparison::from(parent.uses.covers(uses)).or_widening(&what("uses"), || format!("{:?}", parent.uses))?;
        step.uses = uses;
    }
    if let Some(window) = &request.window {
        let is_within = parent.window.as_ref().is_none_or(|allowed| allowed.covers(window));
        Comparison::from(is_within).or_widening(&what("window"), || format!("{:?}", parent.window))?;
        step.window = Some(window.clone());
    }
    if let Some(environment) = &request.environment {
        let is_same = parent.environment.as_ref().is_none_or(|allowed| allowed == environment);
        Comparison::from(is_same).or_widening(&what("environment"), || format!("{:?}", parent.environment))?;
        step.environment = Some(environment.clone());
    }
    if let Some(approve) = request.approve {
        Comparison::from(approve >= parent.approve).or_widening(&what("approve"), || "only a step-up".into())?;
        step.approve = approve;
    }
    step.after.extend(request.after.iter().cloned());
    step.excludes.extend(request.excludes.iter().cloned());
    Ok(step)
}

fn narrow_arguments(step: &mut EnvelopeStep, request: &StepRequest, work: &Work) -> Result<(), Widening> {
    for (name, wanted) in &request.args {
        let what = format!("step {:?}, argument {name:?}", step.id);
        match step.args.get(name) {
            Some(allowed) => work
                .within(limits::COMPARISON_WORK, |work| argument_compare(allowed, wanted, work))
                .or_widening(&what, || allowed.expected().to_string())?,
            None if step.args.contains_key("*") => {}
            None => return Err(widening(format!("{what}: the parent allows the argument to be absent only"))),
        }
        step.args.insert(name.clone(), wanted.clone());
    }
    if step.args.len() > limits::ARGUMENTS {
        return Err(widening(format!("step {:?} may name at most {} arguments", step.id, limits::ARGUMENTS)));
    }
    Ok(())
}

/// Whether every call that `child` permits is permitted by `parent` too.
pub fn covers(parent: &Envelope, child: &Envelope) -> bool {
    compare(parent, child).is_ok()
}

/// Whether every call that `child` permits is permitted by `parent` too, and if not, why.
///
/// # Errors
/// The first step and member that is wider, or cannot be compared.
pub fn compare(parent: &Envelope, child: &Envelope) -> Result<(), Widening> {
    compare_within(parent, child, &Work::new(limits::ENVELOPE_WORK))
}

/// [`compare`] for some work: where it runs out, nothing can be compared any more.
///
/// # Errors
/// As [`compare`].
pub fn compare_within(parent: &Envelope, child: &Envelope, work: &Work) -> Result<(), Widening> {
    parent.bounds.compare(&child.bounds)?;
    for step in &child.steps {
        let allowed = parent.step(&step.id);
        let allowed = allowed.ok_or_else(|| widening(format!("the parent has no step {:?}", step.id)))?;
        allowed.compare(step, work)?;
    }
    Ok(())
}

impl EnvelopeStep {
    /// Whether every call that `child` permits is permitted by this step too.
    fn compare(&self, child: &Self, work: &Work) -> Result<(), Widening> {
        let sets = self.after.len() + child.after.len() + self.excludes.len() + child.excludes.len();
        work.spend(1 + of_entries(sets));
        let is_same = self.location == child.location
            && self.action == child.action
            && self.class == child.class
            && self.resource.kind == child.resource.kind;
        let tightens = [
            ("location, action, class or resource type", is_same),
            ("uses", self.uses.covers(child.uses)),
            ("after", self.after.is_subset(&child.after)),
            ("excludes", self.excludes.is_subset(&child.excludes)),
            ("window", window_covers(self.window.as_ref(), child.window.as_ref())),
            ("environment", self.environment.is_none() || self.environment == child.environment),
            ("approve", self.approve <= child.approve),
        ];
        if let Some((what, _)) = tightens.iter().find(|(_, tightens)| !tightens) {
            return Err(widening(format!("step {:?}: {what} differs or is wider", child.id)));
        }
        let resource = match (&self.resource.id, &child.resource.id) {
            (ResourceId::Exact(allowed), ResourceId::Exact(wanted)) => (allowed == wanted).into(),
            (allowed, wanted) => work.within(limits::COMPARISON_WORK, |work| {
                allowed.as_constraint().compare_within(&wanted.as_constraint(), work)
            }),
        };
        let allowed = || format!("{:?}", self.resource.id);
        resource.or_widening(&format!("step {:?}, resource", child.id), allowed)?;
        let arguments = work.within(limits::COMPARISON_WORK, |work| arguments_compare(&self.args, &child.args, work));
        arguments.or_widening(&format!("step {:?}, arguments", child.id), || format!("{:?}", self.args))
    }

    /// The step that permits what both permit; `None` if there is no such call.
    fn meet(&self, other: &Self, work: &Work) -> Option<Self> {
        let is_same = self.id == other.id
            && self.location == other.location
            && self.action == other.action
            && self.class == other.class
            && self.resource.kind == other.resource.kind;
        let environment = match (&self.environment, &other.environment) {
            (Some(one), Some(another)) if one != another => return None,
            (one, another) => one.clone().or_else(|| another.clone()),
        };
        let window = match (&self.window, &other.window) {
            (Some(one), Some(another)) => Some(one.meet(another)?),
            (one, another) => one.clone().or_else(|| another.clone()),
        };
        let id = match (&self.resource.id, &other.resource.id) {
            (one, another) if one == another => one.clone(),
            (one, another) => ResourceId::Bound(one.as_constraint().meet_within(&another.as_constraint(), work)),
        };
        is_same.then_some(())?;
        Some(Self {
            resource: Resource { kind: self.resource.kind.clone(), id },
            args: meet_arguments(&self.args, &other.args, work)?,
            uses: if self.uses.covers(other.uses) { other.uses } else { self.uses },
            after: self.after.union(&other.after).cloned().collect(),
            excludes: self.excludes.union(&other.excludes).cloned().collect(),
            window,
            environment,
            approve: self.approve.max(other.approve),
            ..self.clone()
        })
    }
}

pub(crate) fn window_covers(parent: Option<&TimeWindow>, child: Option<&TimeWindow>) -> bool {
    parent.is_none_or(|parent| child.is_some_and(|child| parent.covers(child)))
}

impl Uses {
    /// Whether `child` is at most as often.
    pub fn covers(self, child: Self) -> bool {
        match (self, child) {
            (Self::Any, _) => true,
            (Self::Count(allowed), Self::Count(wanted)) => wanted <= allowed,
            (Self::Count(_), Self::Any) => false,
        }
    }
}

/// A limit that a child may tighten and not drop.
pub(crate) fn limit_covers<T: PartialOrd>(parent: Option<T>, child: Option<T>) -> bool {
    parent.is_none_or(|parent| child.is_some_and(|child| child <= parent))
}

fn lower<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    one.into_iter().chain(other).min()
}

impl Bounds {
    fn compare(&self, child: &Self) -> Result<(), Widening> {
        let tightens = [
            ("expires_at", limit_covers(self.expires_at, child.expires_at)),
            ("turns", limit_covers(self.turns, child.turns)),
            ("max_hops", child.max_hops <= self.max_hops),
            ("max_step_ups", child.max_step_ups <= self.max_step_ups),
            ("budgets", self.budgets.iter().all(|budget| budget.is_kept_by(&child.budgets))),
            ("blocked", self.blocked.iter().all(|blocked| child.blocked.contains(blocked))),
        ];
        match tightens.iter().find(|(_, tightens)| !tightens) {
            Some((what, _)) => Err(widening(format!("{what} is wider than the parent's"))),
            None => Ok(()),
        }
    }

    /// What holds if both hold.
    #[must_use]
    fn meet(&self, other: &Self) -> Self {
        let further = |theirs: &&Budget| !self.budgets.contains(theirs);
        let also = other.blocked.iter().filter(|theirs| !self.blocked.contains(theirs));
        Self {
            expires_at: lower(self.expires_at, other.expires_at),
            turns: lower(self.turns, other.turns),
            max_hops: self.max_hops.min(other.max_hops),
            max_step_ups: self.max_step_ups.min(other.max_step_ups),
            budgets: self.budgets.iter().chain(other.budgets.iter().filter(further)).cloned().collect(),
            blocked: self.blocked.iter().chain(also).cloned().collect(),
        }
    }
}

impl Budget {
    /// Whether one of some budgets adds up at least the same, to at most as much.
    pub(crate) fn is_kept_by(&self, budgets: &[Self]) -> bool {
        let keeps = |other: &Self| {
            self.steps.is_subset(&other.steps)
                && self.arg == other.arg
                && self.currency == other.currency
                && other.max.value() <= self.max.value()
        };
        budgets.iter().any(keeps)
    }
}

impl Envelope {
    /// The envelope that permits what both permit.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        let work = Work::new(limits::ENVELOPE_WORK);
        let both = |step: &EnvelopeStep| other.step(&step.id).and_then(|theirs| step.meet(theirs, &work));
        Self { steps: self.steps.iter().filter_map(both).collect(), bounds: self.bounds.meet(&other.bounds) }
    }
}
