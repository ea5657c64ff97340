//! Plans as agents submit them.

use super::{
    Approve, Blocked, Budget, Delegate, Mode, Resource, ResourceId, Uses, Version, chars, count, identifier, location,
};
use crate::canonical::Digest;
use crate::constraint::{Arguments, Constraint, SameAs, TimeWindow, check_arguments, check_currency};
use crate::json::{self, Path, Refused};
#[cfg(feature = "schema")]
use crate::schema;
#[cfg(feature = "schema")]
use crate::timestamp::Timestamp;
use crate::value::decimal::Decimal;
use crate::{limits, timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A plan as an agent submits it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SubmittedPlan {
    /// Always 1.
    pub version: Version,
    /// What the agent says the plan is for; shown as its unchecked claim.
    #[cfg_attr(feature = "schema", schemars(with = "schema::Purpose"))]
    pub purpose: String,
    /// The submitting client's id.
    #[cfg_attr(feature = "schema", schemars(with = "schema::Identifier"))]
    pub agent: String,
    /// For whom the agent wants to act.
    pub user: UserRef,
    /// How steps that the plan does not name are treated.
    pub mode: Mode,
    /// How long and how far the plan may travel.
    pub limits: SubmittedLimits,
    /// What the agent wants to do, in the order in which it is shown. No two steps have the same id.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = limits::STEPS)))]
    pub steps: Vec<SubmittedStep>,
    /// Other clients that may carry out some of the steps. Each is named once, and the agent is none of them.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = limits::DELEGATES)))]
    pub delegates: Vec<Delegate>,
    /// What must not be done whatever the steps say.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = limits::BLOCKED)))]
    pub blocked: Vec<Blocked>,
}

/// A user, by subject identifier or by user name: exactly one of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", schemars(extend("minProperties" = 1, "maxProperties" = 1)))]
pub struct UserRef {
    /// The realm's `sub`.
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "schema::Identifier"))]
    pub sub: Option<String>,
    /// The realm's user name.
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "schema::Identifier"))]
    pub username: Option<String>,
}

/// Limits as submitted: exactly one of `expires_at` and `lifetime_secs`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", schemars(extend("oneOf" = [{"required": ["expires_at"]}, {"required": ["lifetime_secs"]}])))]
pub struct SubmittedLimits {
    /// RFC 3339, UTC, whole seconds; within a week from submission.
    #[serde(default, deserialize_with = "json::stated")]
    #[cfg_attr(feature = "schema", schemars(with = "Timestamp"))]
    pub expires_at: Option<String>,
    /// Seconds from submission.
    #[serde(default, deserialize_with = "json::stated")]
    #[cfg_attr(feature = "schema", schemars(with = "i64", range(min = 1, max = limits::LIFETIME_SECS)))]
    pub lifetime_secs: Option<i64>,
    /// Hops beyond the agent itself; 0 if nothing is handed on.
    #[cfg_attr(feature = "schema", schemars(range(max = limits::HOPS)))]
    pub max_hops: u32,
    /// Turns that the agent may start; absent means that they are not counted.
    #[serde(default, deserialize_with = "json::stated")]
    #[cfg_attr(feature = "schema", schemars(with = "u64", range(min = 1, max = limits::TURNS)))]
    pub turns: Option<u64>,
    /// Step-ups that the person may be asked for.
    #[serde(default, deserialize_with = "json::stated")]
    #[cfg_attr(feature = "schema", schemars(with = "u64", range(max = limits::STEP_UPS)))]
    pub max_step_ups: Option<u64>,
    /// Bounds on what several steps come to together.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = limits::BUDGETS)))]
    pub budgets: Vec<Budget>,
}

/// A step as submitted.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(
    feature = "schema",
    schemars(extend("dependentSchemas" = {"group": {"properties": {"uses": {"$ref": "#/$defs/Count"}}}}))
)]
pub struct SubmittedStep {
    /// Unique within the plan: other parts of the plan name the step by it.
    #[cfg_attr(feature = "schema", schemars(with = "schema::Identifier"))]
    pub id: String,
    /// URI of the resource server.
    #[cfg_attr(feature = "schema", schemars(with = "schema::Location"))]
    pub location: String,
    /// Name of the action in that resource server's catalog.
    #[cfg_attr(feature = "schema", schemars(with = "schema::Identifier"))]
    pub action: String,
    /// What the action is done to.
    pub resource: Resource,
    /// What each argument must satisfy. An argument that is not named here must be absent from the call.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "schema::Arguments"))]
    pub args: Arguments,
    /// How often; absent means once. "any" is for reads only.
    #[serde(default)]
    pub uses: Uses,
    /// Steps that must have been committed before.
    #[serde(default, deserialize_with = "super::distinct")]
    #[cfg_attr(feature = "schema", schemars(with = "BTreeSet<schema::EarlierStep>", length(max = limits::STEPS)))]
    pub after: BTreeSet<String>,
    /// A word of the plan's own: at most one step of a group is used.
    #[serde(default, deserialize_with = "json::stated")]
    #[cfg_attr(feature = "schema", schemars(with = "schema::Identifier"))]
    pub group: Option<String>,
    /// When it may be done.
    #[serde(default, deserialize_with = "json::stated")]
    #[cfg_attr(feature = "schema", schemars(with = "TimeWindow"))]
    pub window: Option<TimeWindow>,
    /// In which of the catalog's environments it may be done; absent means in any.
    #[serde(default, deserialize_with = "json::stated")]
    #[cfg_attr(feature = "schema", schemars(with = "schema::Identifier"))]
    pub environment: Option<String>,
    /// When a person approves it; the catalog may ask for more.
    #[serde(default)]
    pub approve: Approve,
}

impl SubmittedPlan {
    /// Reads a plan from the bytes an agent sent.
    ///
    /// # Errors
    /// The first offence, with its JSON path.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refused> {
        Self::parse_canonical(bytes).map(|(plan, _)| plan)
    }

    /// Reads a plan from the bytes an agent sent, with the digest of its canonical form: the same for every way to write
    /// the plan. It is not the digest that a person signs, which is the resolved plan's.
    ///
    /// # Errors
    /// The first offence, with its JSON path.
    pub fn parse_with_digest(bytes: &[u8]) -> Result<(Self, Digest), Refused> {
        Self::parse_canonical(bytes).map(|(plan, canonical)| (plan, Digest::of(&canonical)))
    }

    fn parse_canonical(bytes: &[u8]) -> Result<(Self, Vec<u8>), Refused> {
        let (plan, canonical) = json::read_plan::<Self>(bytes, limits::PLAN_BYTES)?;
        Ok((plan.checked()?, canonical))
    }

    /// Reads a plan from a strictly parsed value.
    ///
    /// # Errors
    /// The first offence, with its JSON path.
    pub fn from_value(value: Value) -> Result<Self, Refused> {
        json::typed::<Self>(value)?.checked()
    }

    /// The plan, if it makes sense: every other function here has asked this already.
    ///
    /// # Errors
    /// The first offence, with its JSON path.
    pub fn checked(self) -> Result<Self, Refused> {
        self.check()?;
        Ok(self)
    }

    fn check(&self) -> Result<(), Refused> {
        chars("$.purpose", &self.purpose, limits::PURPOSE_CHARS)?;
        identifier("$.agent", &self.agent)?;
        self.user.check()?;
        count("$.steps", self.steps.len(), limits::STEPS)?;
        self.check_patterns()?;
        let mut earlier = BTreeMap::new();
        let mut known_location = None;
        for (index, step) in self.steps.iter().enumerate() {
            let steps = Path::At("$.steps");
            let path = steps.item(index);
            step.check(path, known_location)?;
            known_location = Some(step.location.as_str());
            step.check_sources(path, &earlier)?;
            if earlier.insert(step.id.as_str(), step).is_some() {
                return Err(Refused::at(path.member("id"), "another step has this id"));
            }
        }
        self.limits.check(&earlier)?;
        let ids = earlier.into_keys().collect();
        most("$.blocked", self.blocked.len(), limits::BLOCKED)?;
        for (index, blocked) in self.blocked.iter().enumerate() {
            blocked.check(Path::At("$.blocked").item(index))?;
        }
        self.check_delegates(&ids)
    }

    /// Before any of them is compiled.
    fn check_patterns(&self) -> Result<(), Refused> {
        let of_step = |step: &SubmittedStep| {
            let resource = if let ResourceId::Bound(id) = &step.resource.id { id.patterns() } else { 0 };
            step.args.values().map(Constraint::patterns).sum::<usize>() + resource
        };
        if self.steps.iter().map(of_step).sum::<usize>() > limits::PATTERNS {
            return Err(Refused::at("$.steps", format!("may have at most {} patterns", limits::PATTERNS)));
        }
        Ok(())
    }

    fn check_delegates(&self, ids: &BTreeSet<&str>) -> Result<(), Refused> {
        if self.delegates.len() > limits::DELEGATES {
            return Err(Refused::at("$.delegates", format!("may name at most {} clients", limits::DELEGATES)));
        }
        let mut clients = BTreeSet::from([self.agent.as_str()]);
        for (index, delegate) in self.delegates.iter().enumerate() {
            let delegates = Path::At("$.delegates");
            let path = delegates.item(index);
            identifier(path.member("client_id"), &delegate.client_id)?;
            if !clients.insert(&delegate.client_id) {
                return Err(Refused::at(path.member("client_id"), "is named twice or is the agent itself"));
            }
            if delegate.steps.is_empty() {
                return Err(Refused::at(path.member("steps"), "names no step"));
            }
            if let Some(unknown) = delegate.steps.iter().find(|id| !ids.contains(id.as_str())) {
                return Err(Refused::at(path.member("steps"), format!("the plan has no step {unknown:?}")));
            }
        }
        Ok(())
    }
}

impl UserRef {
    fn check(&self) -> Result<(), Refused> {
        match (&self.sub, &self.username) {
            (Some(name), None) => identifier("$.user.sub", name),
            (None, Some(name)) => identifier("$.user.username", name),
            _ => Err(Refused::at("$.user", "needs exactly one of sub and username")),
        }
    }
}

impl SubmittedLimits {
    fn check(&self, steps: &BTreeMap<&str, &SubmittedStep>) -> Result<(), Refused> {
        if self.max_hops > limits::HOPS {
            return Err(Refused::at("$.limits.max_hops", format!("may be at most {}", limits::HOPS)));
        }
        if self.turns.is_some_and(|turns| !(1..=limits::TURNS).contains(&turns)) {
            return Err(Refused::at("$.limits.turns", format!("is 1 to {}", limits::TURNS)));
        }
        if self.max_step_ups.is_some_and(|step_ups| step_ups > limits::STEP_UPS) {
            return Err(Refused::at("$.limits.max_step_ups", format!("may be at most {}", limits::STEP_UPS)));
        }
        most("$.limits.budgets", self.budgets.len(), limits::BUDGETS)?;
        for (index, budget) in self.budgets.iter().enumerate() {
            budget.check(Path::At("$.limits.budgets").item(index), steps)?;
        }
        match (&self.expires_at, self.lifetime_secs) {
            (Some(text), None) => {
                timestamp::parse(text).map(drop).map_err(|message| Refused::at("$.limits.expires_at", message))
            }
            (None, Some(secs)) if (1..=limits::LIFETIME_SECS).contains(&secs) => Ok(()),
            (None, Some(_)) => Err(Refused::at("$.limits.lifetime_secs", format!("is 1 to {}", limits::LIFETIME_SECS))),
            _ => Err(Refused::at("$.limits", "needs exactly one of expires_at and lifetime_secs")),
        }
    }
}

impl Budget {
    fn check(&self, path: Path<'_>, steps: &BTreeMap<&str, &SubmittedStep>) -> Result<(), Refused> {
        known_steps(path.member("steps"), &self.steps, |id| steps.contains_key(id))?;
        let bounded = self.steps.iter().filter_map(|id| steps.get(id.as_str()));
        bounded.into_iter().try_for_each(|step| step.expect_counted(path.member("steps")))?;
        self.arg.iter().try_for_each(|arg| identifier(path.member("arg"), arg))?;
        if self.max.value() < Decimal::ZERO {
            return Err(Refused::at(path.member("max"), "is below zero"));
        }
        match (&self.currency, &self.arg) {
            (Some(_), None) => Err(Refused::at(path.member("currency"), "needs arg: which amount is added up?")),
            (Some(currency), _) => check_currency(path.member("currency"), currency),
            (None, _) => Ok(()),
        }
    }
}

fn known_steps<'p>(
    path: impl Into<Path<'p>>,
    steps: &BTreeSet<String>,
    is_known: impl Fn(&str) -> bool,
) -> Result<(), Refused> {
    let path = path.into();
    if steps.is_empty() {
        return Err(Refused::at(path, "names no step"));
    }
    match steps.iter().find(|id| !is_known(id)) {
        Some(unknown) => Err(Refused::at(path, format!("the plan has no step {unknown:?} here"))),
        None => Ok(()),
    }
}

fn most<'p>(path: impl Into<Path<'p>>, count: usize, most: usize) -> Result<(), Refused> {
    if count <= most { Ok(()) } else { Err(Refused::at(path.into(), format!("may have at most {most} entries"))) }
}

impl SubmittedStep {
    /// `known_location` was checked before: most plans have few locations, and reading a URI is dear.
    fn check(&self, path: Path<'_>, known_location: Option<&str>) -> Result<(), Refused> {
        identifier(path.member("id"), &self.id)?;
        identifier(path.member("action"), &self.action)?;
        identifier(path.member("resource.type"), &self.resource.kind)?;
        if known_location != Some(self.location.as_str()) {
            location(path.member("location"), &self.location)?;
        }
        self.resource.id.check(path.member("resource.id"))?;
        check_arguments(path.member("args"), &self.args)?;
        self.group.iter().try_for_each(|group| identifier(path.member("group"), group))?;
        self.environment.iter().try_for_each(|word| identifier(path.member("environment"), word))?;
        self.window.iter().try_for_each(|window| window.check(path.member("window")))
    }

    /// An uncounted use leaves no permit, so that nobody knows of it: nothing can depend on it.
    fn expect_counted(&self, path: Path<'_>) -> Result<(), Refused> {
        if self.uses == Uses::Any {
            let message =
                format!("depends on step {:?}, whose uses are not counted; say how often it may be used", self.id);
            return Err(Refused::at(path, message));
        }
        Ok(())
    }

    /// What a step waits for, or takes values from, stands before it: so a plan reads from top to bottom and has no circle.
    fn check_sources(&self, path: Path<'_>, earlier: &BTreeMap<&str, &Self>) -> Result<(), Refused> {
        if !self.after.is_empty() {
            known_steps(path.member("after"), &self.after, |id| earlier.contains_key(id))?;
        }
        let waits_for = self.after.iter().filter_map(|id| earlier.get(id.as_str()));
        waits_for.into_iter().try_for_each(|step| step.expect_counted(path.member("after")))?;
        if self.group.is_some() {
            self.expect_counted(path.member("group"))?;
        }
        if let ResourceId::Bound(id) = &self.resource.id {
            id.check_sources(path.member("resource.id"), earlier)?;
        }
        let args = path.member("args");
        self.args.iter().try_for_each(|(name, constraint)| constraint.check_sources(args.member(name), earlier))
    }
}

impl Constraint {
    fn check_sources(&self, path: Path<'_>, earlier: &BTreeMap<&str, &SubmittedStep>) -> Result<(), Refused> {
        for step in self.sources() {
            let earlier = earlier.get(step);
            let earlier = earlier.ok_or_else(|| Refused::at(path, format!("no earlier step has the id {step:?}")))?;
            earlier.expect_counted(path)?;
        }
        for SameAs { step, arg } in self.same_as() {
            if earlier.get(step.as_str()).is_some_and(|step| !step.args.contains_key(arg) || arg == "*") {
                return Err(Refused::at(path, format!("step {step:?} binds no argument {arg:?}")));
            }
        }
        Ok(())
    }
}
