//! Completion: from what an agent submitted to what a person signs.

use crate::catalog::{Catalog, CatalogAction};
use crate::constraint::Constraint;
use crate::json::Refused;
use crate::plan::{Agent, Approve, Class, Limits, ResolvedPlan, Step, SubmittedPlan, SubmittedStep, User, Uses};
use crate::reason::Reason;
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
    /// RFC 7638 thumbprint of the key that the submission proved.
    pub jkt: &'c str,
    /// The newest catalog of each location that the plan names, as far as there is one.
    pub catalogs: &'c [Catalog],
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
/// When the plan names another agent, ends too late or in the past, or a step is not what the
/// resource server's catalog describes.
pub fn resolve(plan: SubmittedPlan, with: &Completion<'_>) -> Result<ResolvedPlan, Rejection> {
    if plan.agent != with.client_id {
        return Err(rejection(Reason::PlanInvalid, "$.agent", "is not the client that submits the plan"));
    }
    let expires_at = deadline(&plan, with.now)?;
    let mut steps = Vec::with_capacity(plan.steps.len());
    for (index, step) in plan.steps.into_iter().enumerate() {
        steps.push(resolve_step(step, &format!("$.steps[{index}]"), with.catalogs)?);
    }
    let used = |catalog: &&Catalog| steps.iter().any(|step| step.location == catalog.document().location);
    let mut catalogs: Vec<_> = with.catalogs.iter().filter(used).map(Catalog::reference).collect();
    catalogs.sort_by(|a, b| a.location.cmp(&b.location));
    Ok(ResolvedPlan {
        version: plan.version,
        issuer: with.issuer.into(),
        intent_id: with.intent_id.into(),
        purpose: plan.purpose,
        agent: Agent { client_id: with.client_id.into(), jkt: with.jkt.into() },
        user: User { iss: with.realm_issuer.into(), sub: plan.user.sub, username: plan.user.username },
        mode: plan.mode,
        limits: Limits { expires_at, max_hops: plan.limits.max_hops },
        steps,
        delegates: plan.delegates,
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

fn resolve_step(step: SubmittedStep, path: &str, catalogs: &[Catalog]) -> Result<Step, Rejection> {
    let catalog = catalogs.iter().find(|catalog| catalog.document().location == step.location);
    let catalog = catalog.ok_or_else(|| {
        rejection(
            Reason::UnknownLocation,
            format!("{path}.location"),
            "no resource server has published a catalog for it",
        )
    })?;
    let action = catalog.action(&step.action);
    let action = action.ok_or_else(|| {
        rejection(Reason::UnknownAction, format!("{path}.action"), "is not in the resource server's catalog")
    })?;
    if action.resource != step.resource.kind {
        return Err(rejection(
            Reason::PlanInvalid,
            format!("{path}.resource.type"),
            format!("the action is done to a {:?}", action.resource),
        ));
    }
    if step.uses == Uses::Any && action.class != Class::Read {
        return Err(rejection(
            Reason::PlanInvalid,
            format!("{path}.uses"),
            "only reads may be used any number of times",
        ));
    }
    check_arguments(&step, path, action)?;
    Ok(Step {
        id: step.id,
        location: step.location,
        action: step.action,
        resource: step.resource,
        args: step.args,
        uses: step.uses,
        class: action.class,
        approve: Approve::Plan,
        added: false,
    })
}

fn check_arguments(step: &SubmittedStep, path: &str, action: &CatalogAction) -> Result<(), Rejection> {
    for (name, constraint) in step.args.iter().filter(|(name, _)| *name != "*") {
        let path = format!("{path}.args.{name}");
        let described = action.args.get(name);
        let described =
            described.ok_or_else(|| rejection(Reason::PlanInvalid, &path, "the action has no such argument"))?;
        let fits = match constraint {
            Constraint::Const(value) => described.kind.holds(value),
            Constraint::OneOf(values) => values.iter().all(|value| described.kind.holds(value)),
            Constraint::Text(_) => described.kind.holds(&"".into()),
            Constraint::Any(_) => true,
        };
        if !fits {
            return Err(rejection(
                Reason::PlanInvalid,
                &path,
                format!("the argument is of type {:?}", described.kind).to_lowercase(),
            ));
        }
    }
    Ok(())
}
