//! Completion: from what an agent submitted to what a person signs.

mod prerequisites;

use crate::catalog::{ArgumentKind, Catalog, CatalogAction, Source, UnknownActions};
use crate::claims::Confirmation;
use crate::constraint::{Comparison, Constraint, Work};
use crate::envelope::EnvelopeStep;
use crate::json::Refused;
use crate::leave;
use crate::plan::{
    Agent, Approve, Blocked, Class, Limits, Mode, ResolvedPlan, ResourceId, StartedBy, Step, SubmittedPlan,
    SubmittedStep, User, Uses,
};
use crate::reason::Reason;
use crate::taint::{Earlier, Place, collections};
use crate::{limits, timestamp};

/// What Marque adds to a submission. Nothing here comes from the agent's plan.
#[derive(Clone, Debug)]
pub struct Completion<'c> {
    /// The Marque issuer.
    pub issuer: &'c str,
    /// The realm's issuer.
    pub realm_issuer: &'c str,
    /// Drawn at random for this submission.
    pub intent_id: &'c str,
    /// The authenticated client.
    pub client_id: &'c str,
    /// The key or the certificate that the plan's tokens will be bound to.
    pub cnf: Confirmation,
    /// Who began, where that is known.
    pub started_by: Option<StartedBy>,
    /// The newest catalog of each location that the plan names, as far as there is one.
    pub catalogs: &'c [Catalog],
    /// What the agent, the realm or the organisation blocks.
    pub blocked: &'c [Blocked],
    /// What happens to steps that no catalog describes.
    pub unknown_actions: UnknownActions,
    /// Seconds since the Unix epoch.
    pub now: i64,
}

/// Why a plan was not admitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{refused}")]
pub struct Rejection {
    /// One of the closed list.
    pub reason: Reason,
    /// Where in the submitted plan, and what would mend it.
    pub refused: Refused,
}

impl From<Refused> for Rejection {
    fn from(refused: Refused) -> Self {
        Self { reason: Reason::PlanInvalid, refused }
    }
}

fn rejection(reason: Reason, path: impl Into<String>, message: impl Into<String>) -> Rejection {
    Rejection { reason, refused: Refused::at(path, message) }
}

/// Completes a submitted plan. What comes out depends on nothing that may change later.
///
/// # Errors
/// When the plan names another agent, ends too late or in the past, names something blocked, or a
/// step is not what the resource server's catalog describes.
pub fn resolve(plan: SubmittedPlan, with: &Completion<'_>) -> Result<ResolvedPlan, Rejection> {
    resolve_within(plan, with, &Work::new(limits::SUBMISSION_WORK))
}

/// [`resolve`] for some work: where it runs out, the plan is refused for [`Reason::TooMuchWork`].
///
/// # Errors
/// As [`resolve`].
pub fn resolve_within(mut plan: SubmittedPlan, with: &Completion<'_>, work: &Work) -> Result<ResolvedPlan, Rejection> {
    if plan.agent != with.client_id {
        return Err(rejection(Reason::PlanInvalid, "$.agent", "is not the client that submits the plan"));
    }
    let expires_at = deadline(&plan, with.now)?;
    let further = with.blocked.iter().filter(|blocked| !plan.blocked.contains(blocked));
    let blocked: Vec<Blocked> = plan.blocked.iter().chain(further).cloned().collect();
    let stated = plan.steps.len();
    if plan.mode == Mode::Permissive {
        prerequisites::add(&mut plan, with.catalogs)?;
    }
    let steps = resolve_steps(&plan, stated, with)?;
    refuse_blocked(&steps, &blocked, work)?;
    let max_step_ups = step_ups(&plan, &steps)?;
    let used = |catalog: &&Catalog| steps.iter().any(|step| step.location == catalog.document().location);
    let mut catalogs: Vec<_> = with.catalogs.iter().filter(used).map(Catalog::reference).collect();
    catalogs.sort_by(|a, b| a.location.cmp(&b.location));
    Ok(ResolvedPlan {
        version: plan.version,
        issuer: with.issuer.into(),
        intent_id: with.intent_id.into(),
        purpose: plan.purpose,
        agent: Agent { client_id: with.client_id.into(), cnf: with.cnf.clone() },
        user: User { iss: with.realm_issuer.into(), sub: plan.user.sub, username: plan.user.username },
        started_by: with.started_by,
        mode: plan.mode,
        limits: Limits {
            expires_at,
            max_hops: plan.limits.max_hops,
            turns: plan.limits.turns,
            max_step_ups,
            budgets: plan.limits.budgets,
        },
        steps,
        delegates: plan.delegates,
        blocked,
        catalogs,
    })
}

fn deadline(plan: &SubmittedPlan, now: i64) -> Result<String, Rejection> {
    let at = match (&plan.limits.expires_at, plan.limits.lifetime_secs) {
        (Some(text), _) => timestamp::parse(text).map_err(|message| Refused::at("$.limits.expires_at", message))?,
        (None, secs) => now + secs.unwrap_or(0),
    };
    if at <= now || at > now + limits::LIFETIME_SECS {
        return Err(rejection(
            Reason::PlanInvalid,
            "$.limits.expires_at",
            format!("is not within the next {} seconds", limits::LIFETIME_SECS),
        ));
    }
    timestamp::format(at).map_err(|message| Refused::at("$.limits.expires_at", message).into())
}

/// How many step-ups the plan allows: what it says, or a default where it needs some.
fn step_ups(plan: &SubmittedPlan, steps: &[Step]) -> Result<Option<u64>, Rejection> {
    let asks_again = steps.iter().find(|step| step.approve == Approve::StepUp);
    match (plan.limits.max_step_ups, asks_again) {
        (Some(0), Some(step)) => Err(rejection(
            Reason::PlanInvalid,
            "$.limits.max_step_ups",
            format!("allows none, and step {:?} needs one for each call", step.id),
        )),
        (None, Some(_)) => Ok(Some(limits::DEFAULT_STEP_UPS)),
        (stated, _) => Ok(stated),
    }
}

fn refuse_blocked(steps: &[Step], blocked: &[Blocked], work: &Work) -> Result<(), Rejection> {
    for (index, step) in steps.iter().enumerate() {
        let refused = |reason, message: &str| Err(rejection(reason, format!("$.steps[{index}]"), message));
        if blocked.iter().any(|blocked| blocked.covers(step, work)) {
            return refused(Reason::Blocked, "every call of it is blocked");
        }
        if work.left() == 0 {
            return refused(Reason::TooMuchWork, "comparing the plan with what is blocked is too much work");
        }
    }
    Ok(())
}

impl Blocked {
    /// Whether everything that a step could permit is blocked.
    fn covers(&self, step: &Step, work: &Work) -> bool {
        work.spend(1);
        let resource = self.resource.as_ref().is_none_or(|blocked| {
            let id = |id: &ResourceId| {
                let comparison = id.as_constraint().compare_within(&step.resource.id.as_constraint(), work);
                comparison == Comparison::Narrower
            };
            blocked.kind.as_ref().is_none_or(|kind| *kind == step.resource.kind) && blocked.id.as_ref().is_none_or(id)
        });
        self.action.as_ref().is_none_or(|action| *action == step.action)
            && self.location.as_ref().is_none_or(|location| *location == step.location)
            && resource
    }
}

fn resolve_steps(plan: &SubmittedPlan, stated: usize, with: &Completion<'_>) -> Result<Vec<Step>, Rejection> {
    let unexplained: Vec<_> = plan.steps.iter().map(|step| unexplained(step, with)).collect();
    let mut earlier = Earlier::default();
    let mut steps = Vec::with_capacity(plan.steps.len());
    for (index, (step, unexplained)) in plan.steps.iter().zip(&unexplained).enumerate() {
        let path = format!("$.steps[{index}]");
        let action = match unexplained {
            Some(action) => check_unexplained(step, &path).map(|()| action)?,
            None => check_step(step, &path, with.catalogs)?,
        };
        let asks = if unexplained.is_some() { Approve::StepUp } else { Approve::Plan };
        let at = Place { path: &path, collections: collections(with.catalogs, &step.location) };
        let approve = approval(step, action, at, &earlier)?.max(asks);
        earlier.push(step, action, at)?;
        let step = Step {
            id: step.id.clone(),
            location: step.location.clone(),
            action: step.action.clone(),
            resource: step.resource.clone(),
            args: step.args.clone(),
            uses: step.uses,
            class: action.class,
            after: step.after.clone(),
            group: step.group.clone(),
            window: step.window.clone(),
            environment: step.environment.clone(),
            approve,
            added: index >= stated,
        };
        if leave::leaves(&step.action) {
            leave::scope(&EnvelopeStep::from(&step)).map_err(|refused| refused.under(&path))?;
        }
        steps.push(step);
    }
    Ok(steps)
}

/// What is taken for granted of a step's action, where no catalog describes it and the realm lets it be shown.
fn unexplained(step: &SubmittedStep, with: &Completion<'_>) -> Option<CatalogAction> {
    let catalog = with.catalogs.iter().find(|catalog| catalog.document().location == step.location);
    let is_described = catalog.is_some_and(|catalog| catalog.action(&step.action).is_some());
    let is_shown = with.unknown_actions == UnknownActions::Show && !is_described;
    is_shown.then(|| CatalogAction::unexplained(&step.resource.kind))
}

/// Nobody knows what such a step reads or where it may be done.
fn check_unexplained(step: &SubmittedStep, path: &str) -> Result<(), Rejection> {
    if step.uses == Uses::Any {
        let text = "no catalog describes the action, so how often it may be used is counted";
        return Err(rejection(Reason::UnknownAction, format!("{path}.uses"), text));
    }
    if step.environment.is_some() {
        let text = "no catalog describes the action, so no environment of it is known";
        return Err(rejection(Reason::UnknownAction, format!("{path}.environment"), text));
    }
    Ok(())
}

/// What the catalog says of a step's action, if the step is one of it.
fn check_step<'c>(step: &SubmittedStep, path: &str, catalogs: &'c [Catalog]) -> Result<&'c CatalogAction, Rejection> {
    let under = |member: &str| format!("{path}.{member}");
    let catalog = catalogs.iter().find(|catalog| catalog.document().location == step.location);
    let catalog = catalog.ok_or_else(|| {
        rejection(Reason::UnknownLocation, under("location"), "no resource server has published a catalog for it")
    })?;
    let action = catalog
        .action(&step.action)
        .ok_or_else(|| rejection(Reason::UnknownAction, under("action"), "is not in the resource server's catalog"))?;
    let invalid = |member: &str, message: String| Err(rejection(Reason::PlanInvalid, under(member), message));
    if action.resource != step.resource.kind {
        return invalid("resource.type", format!("the action is done to a {:?}", action.resource));
    }
    if step.uses == Uses::Any && action.class != Class::Read {
        return invalid("uses", "only reads may be used any number of times".into());
    }
    if let Some(word) = step.environment.as_ref().filter(|word| !catalog.document().environments.contains(*word)) {
        return invalid("environment", format!("the resource server knows no environment {word:?}"));
    }
    check_arguments(step, path, action)?;
    Ok(action)
}

fn check_arguments(step: &SubmittedStep, path: &str, action: &CatalogAction) -> Result<(), Rejection> {
    for (name, constraint) in step.args.iter().filter(|(name, _)| *name != "*") {
        let path = format!("{path}.args.{name}");
        let described = action.args.get(name);
        let described =
            described.ok_or_else(|| rejection(Reason::PlanInvalid, &path, "the action has no such argument"))?;
        if !described.kind.may_satisfy(constraint) {
            let message = format!("the argument is of type {:?}", described.kind).to_lowercase();
            return Err(rejection(Reason::PlanInvalid, &path, message));
        }
        if !described.late && constraint.needs_history() {
            let message = "the resource server wants this argument bound in the plan itself";
            return Err(rejection(Reason::PlanInvalid, &path, message));
        }
    }
    Ok(())
}

impl ArgumentKind {
    /// Whether a value of this type can satisfy a constraint.
    fn may_satisfy(self, constraint: &Constraint) -> bool {
        use Constraint as C;
        match constraint {
            C::Const(value) => self.holds(value),
            C::OneOf(values) => values.iter().all(|value| self.holds(value)),
            C::Text(_)
            | C::Pattern(_)
            | C::TimeWindow(_)
            | C::Domain(_)
            | C::Prefix(_)
            | C::Fmt(_)
            | C::Attr(_)
            | C::Extract(_)
            | C::Quote(_) => self == Self::String,
            C::Num(_) | C::Compute(_) | C::Rel(_) => matches!(self, Self::Integer | Self::Number | Self::String),
            C::Amount(_) | C::Obj(_) => self == Self::Object,
            C::Items(_) | C::Each(_) | C::RefSet(_) => self == Self::Array,
            C::All(parts) | C::Either(parts) => parts.iter().all(|part| self.may_satisfy(part)),
            C::Optional(inner) => self.may_satisfy(inner),
            C::Ref(_) | C::SameAs(_) | C::Any(_) => true,
        }
    }
}

/// A step-up where the agent asks for one, and where a value that somebody else could have written
/// reaches something that is at stake.
fn approval(
    step: &SubmittedStep,
    action: &CatalogAction,
    at: Place<'_>,
    earlier: &Earlier<'_>,
) -> Result<Approve, Rejection> {
    let leaves = matches!(action.class, Class::Send | Class::Pay | Class::Grant);
    let mut approve = step.approve;
    for (name, constraint) in step.args.iter().filter(|(_, constraint)| at.is_late(constraint)) {
        let source = earlier.source(constraint, Place { path: &format!("{}.args.{name}", at.path), ..at })?;
        let is_at_stake = leaves || action.args.get(name).is_some_and(|argument| argument.sensitive.is_some());
        if is_at_stake && source == Source::ThirdParty {
            approve = Approve::StepUp;
        }
    }
    let resource = step.resource.id.as_constraint();
    if at.is_late(&resource) {
        let source = earlier.source(&resource, Place { path: &format!("{}.resource.id", at.path), ..at })?;
        if action.class != Class::Read && source == Source::ThirdParty {
            approve = Approve::StepUp;
        }
    }
    Ok(approve)
}
