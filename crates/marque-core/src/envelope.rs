//! The envelope: the steps that a token carries from the signed plan to the gate.

use crate::canonical::{Digest, canonical};
use crate::constraint::{Arguments, Constraint, TimeWindow};
use crate::plan::{
    Approve, Blocked, Budget, Class, ResolvedPlan, Resource, ResourceId, Step, SubmittedPlan, SubmittedStep, Uses,
};
use crate::{json, limits, timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A step as tokens carry it: what a gate needs to decide, nothing that only a person reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvelopeStep {
    /// The signed plan's step id; uses are counted under it wherever the step travels.
    pub id: String,
    /// URI of the resource server.
    pub location: String,
    /// Name of the action.
    pub action: String,
    /// What it is done to.
    pub resource: Resource,
    /// What each argument must satisfy.
    pub args: Arguments,
    /// How often, over all hops together.
    pub uses: Uses,
    /// What kind of effect it has.
    pub class: Class,
    /// Steps that must have been committed before.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub after: BTreeSet<String>,
    /// Steps that must not have been used: the others of its group.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub excludes: BTreeSet<String>,
    /// When it may be done.
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    pub window: Option<TimeWindow>,
    /// In which environment it may be done; absent means in any.
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// When a person approves it; absent means with the plan.
    #[serde(default, skip_serializing_if = "Approve::is_with_plan")]
    pub approve: Approve,
}

/// What holds for all steps together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// When the plan ends, in seconds since the Unix epoch.
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// Turns that may be started; absent means that they are not counted.
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    pub turns: Option<u64>,
    /// Hops beyond the agent itself.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub max_hops: u32,
    /// Step-ups that the person may be asked for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub max_step_ups: u64,
    /// Bounds on what several steps come to together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
    /// What must not be done whatever the steps say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocked: Vec<Blocked>,
}

fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

/// The steps that a token carries, in the signed plan's order, and what holds for all of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// The steps.
    pub steps: Vec<EnvelopeStep>,
    /// What holds for all of them.
    #[serde(default)]
    pub bounds: Bounds,
}

impl From<&Step> for EnvelopeStep {
    fn from(step: &Step) -> Self {
        Self {
            id: step.id.clone(),
            location: step.location.clone(),
            action: step.action.clone(),
            resource: step.resource.clone(),
            args: step.args.clone(),
            uses: step.uses,
            class: step.class,
            after: step.after.clone(),
            excludes: BTreeSet::new(),
            window: step.window.clone(),
            environment: step.environment.clone(),
            approve: step.approve,
        }
    }
}

impl EnvelopeStep {
    /// What the step's conditions read of records: JSON pointers by collection.
    pub fn reads(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut found = BTreeMap::new();
        let id = match &self.resource.id {
            ResourceId::Bound(constraint) => Some(constraint),
            ResourceId::Exact(_) => None,
        };
        self.args.values().chain(id).for_each(|constraint| add_reads(constraint, &mut found));
        found
    }

    /// How many patterns its resource and its arguments have.
    pub fn patterns(&self) -> usize {
        let resource = if let ResourceId::Bound(id) = &self.resource.id { id.patterns() } else { 0 };
        resource + self.args.values().map(Constraint::patterns).sum::<usize>()
    }
}

fn add_reads<'c>(constraint: &'c Constraint, found: &mut BTreeMap<&'c str, BTreeSet<&'c str>>) {
    if let Constraint::Attr(rule) = constraint {
        found.entry(&rule.collection).or_default().extend(rule.attributes.keys().map(String::as_str));
    }
    constraint.parts().into_iter().for_each(|part| add_reads(part, found));
}

impl SubmittedStep {
    /// Whether the resource or an argument is bound to something that is known only after earlier steps.
    pub fn needs_history(&self) -> bool {
        matches!(&self.resource.id, ResourceId::Bound(id) if id.needs_history())
            || self.args.values().any(|constraint| constraint.needs_history())
    }

    fn as_written(&self, steps: &[Self]) -> EnvelopeStep {
        EnvelopeStep {
            id: self.id.clone(),
            location: self.location.clone(),
            action: self.action.clone(),
            resource: self.resource.clone(),
            args: self.args.clone(),
            uses: self.uses,
            class: Class::Grant,
            after: self.after.clone(),
            excludes: others_of_group((&self.id, &self.group), steps.iter().map(|other| (&other.id, &other.group))),
            window: self.window.clone(),
            environment: self.environment.clone(),
            approve: if self.needs_history() { Approve::StepUp } else { self.approve },
        }
    }
}

/// A step's id, and its group if it has one.
type Grouped<'s> = (&'s String, &'s Option<String>);

fn others_of_group<'s>((id, group): Grouped<'s>, steps: impl Iterator<Item = Grouped<'s>>) -> BTreeSet<String> {
    let is_rival = |(other, theirs): &Grouped<'s>| group.is_some() && *theirs == group && *other != id;
    steps.filter(is_rival).map(|(other, _)| other.clone()).collect()
}

impl EnvelopeStep {
    /// Ids of the steps that its resource and its arguments take values from.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        let resource = match &self.resource.id {
            ResourceId::Bound(id) => Some(id),
            ResourceId::Exact(_) => None,
        };
        self.args.values().chain(resource).flat_map(Constraint::sources)
    }
}

impl Envelope {
    /// The whole of a resolved plan.
    ///
    /// # Errors
    /// When the plan's instant is malformed.
    pub fn of(plan: &ResolvedPlan) -> Result<Self, json::Refused> {
        let carried = |step: &Step| {
            let all = plan.steps.iter().map(|other| (&other.id, &other.group));
            EnvelopeStep { excludes: others_of_group((&step.id, &step.group), all), ..step.into() }
        };
        let bounds = Bounds {
            expires_at: Some(plan.expires_at()?),
            turns: plan.limits.turns,
            max_hops: plan.limits.max_hops,
            max_step_ups: plan.limits.max_step_ups.unwrap_or(0),
            budgets: plan.limits.budgets.clone(),
            blocked: plan.blocked.clone(),
        };
        Ok(Self { steps: plan.steps.iter().map(carried).collect(), bounds })
    }

    /// A submitted plan as if it were approved at `now` as it is written, where no catalog says more of it. Whatever a
    /// catalog would say is taken to be the gravest: each step gives access, and what is bound late is somebody
    /// else's text, so that it needs a step-up.
    pub fn as_written(plan: &SubmittedPlan, now: i64) -> Self {
        let carried = |step: &SubmittedStep| step.as_written(&plan.steps);
        let steps: Vec<EnvelopeStep> = plan.steps.iter().map(carried).collect();
        let asks_again = steps.iter().any(|step| step.approve == Approve::StepUp);
        let limits = &plan.limits;
        let stated = limits.expires_at.as_deref().and_then(|text| timestamp::parse(text).ok());
        let bounds = Bounds {
            expires_at: Some(stated.unwrap_or_else(|| now.saturating_add(limits.lifetime_secs.unwrap_or(0)))),
            turns: limits.turns,
            max_hops: limits.max_hops,
            max_step_ups: limits.max_step_ups.unwrap_or(if asks_again { limits::DEFAULT_STEP_UPS } else { 0 }),
            budgets: limits.budgets.clone(),
            blocked: plan.blocked.clone(),
        };
        Self { steps, bounds }
    }

    /// The OAuth scope that goes with it; see [`scope_of`].
    pub fn scope(&self) -> String {
        scope_of(&self.steps)
    }

    /// The canonical form: what is kept where the envelope does not travel in the token.
    pub fn canonical(&self) -> Vec<u8> {
        canonical(&serde_json::to_value(self).unwrap_or_default())
    }

    /// SHA-256 over the canonical form.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.canonical())
    }

    /// The envelope of a digest that is signed, from what somebody kept under it.
    ///
    /// # Errors
    /// When the bytes are not those of the digest, or no envelope.
    pub fn of_digest(digest: &Digest, kept: &[u8]) -> Result<Self, json::Refused> {
        if Digest::of(kept) != *digest {
            return Err(json::Refused::at("$", "is not what the digest names"));
        }
        json::read_plan(kept, limits::ENVELOPE_BYTES).map(|(envelope, _)| envelope)
    }

    /// Ids of the steps of whose earlier calls a decision may need more than their number: what late-bound values come
    /// from, and what a budget adds up.
    pub fn remembered(&self) -> BTreeSet<&str> {
        let sources = self.steps.iter().flat_map(EnvelopeStep::sources);
        let added_up = self.bounds.budgets.iter().filter(|budget| budget.arg.is_some());
        sources.chain(added_up.flat_map(|budget| budget.steps.iter().map(String::as_str))).collect()
    }

    /// The step of an id.
    pub fn step(&self, id: &str) -> Option<&EnvelopeStep> {
        self.steps.iter().find(|step| step.id == id)
    }
}

/// The OAuth scope of steps: their distinct actions, sorted, separated by spaces.
pub fn scope_of<'e>(steps: impl IntoIterator<Item = &'e EnvelopeStep>) -> String {
    let actions: BTreeSet<&str> = steps.into_iter().map(|step| step.action.as_str()).collect();
    actions.into_iter().collect::<Vec<_>>().join(" ")
}
