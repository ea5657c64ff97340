//! Permissive mode: the reads that the steps need and the plan does not name.

use super::{Rejection, rejection};
use crate::catalog::{Catalog, Prerequisite};
use crate::limits;
use crate::plan::{Approve, Resource, SubmittedPlan, SubmittedStep, Uses};
use crate::reason::Reason;
use std::collections::BTreeSet;

/// Adds, behind the stated steps, each read that the catalog declares for one of them, and the reads for those reads.
///
/// # Errors
/// When the plan would have more steps than it may.
pub(super) fn add(plan: &mut SubmittedPlan, catalogs: &[Catalog]) -> Result<(), Rejection> {
    let (stated, mut next) = (plan.steps.len(), 0);
    while let Some(step) = plan.steps.get(next).cloned() {
        let catalog = catalogs.iter().find(|catalog| catalog.document().location == step.location);
        let action = catalog.and_then(|catalog| catalog.action(&step.action));
        for required in action.map_or(&[][..], |action| &action.requires) {
            add_read(plan, stated, &step, required);
            if plan.steps.len() > limits::STEPS {
                let message = format!("is more than {} steps with the reads that permissive mode adds", limits::STEPS);
                return Err(rejection(Reason::PlanInvalid, "$.steps", message));
            }
        }
        next += 1;
    }
    Ok(())
}

/// One read for all steps that need it at the same time and in the same environment, as often as those together; none
/// where the plan states it itself.
fn add_read(plan: &mut SubmittedPlan, stated: usize, step: &SubmittedStep, required: &Prerequisite) {
    let resource = required.resource.clone().unwrap_or_else(|| Resource::clone(&step.resource));
    let is_same = |other: &SubmittedStep| {
        other.location == step.location
            && other.action == required.action
            && other.resource == resource
            && other.args == required.args
    };
    let serves = |(place, other): (usize, &SubmittedStep)| {
        let is_then_and_there = other.window == step.window && other.environment == step.environment;
        is_same(other) && (place < stated || is_then_and_there)
    };
    let same = plan.steps.iter().enumerate().position(serves);
    if let Some(place) = same {
        if let Some(read) = plan.steps.get_mut(place).filter(|_| place >= stated) {
            read.uses = match (read.uses, step.uses) {
                (Uses::Count(have), Uses::Count(more)) => Uses::Count(have.saturating_add(more).min(limits::USES)),
                _ => Uses::Any,
            };
        }
        return;
    }
    let taken: BTreeSet<&str> = plan.steps.iter().map(|other| other.id.as_str()).collect();
    let name = |number: usize| format!("added-{number}");
    let id = (1..).map(name).find(|id| !taken.contains(id.as_str())).unwrap_or_default();
    plan.steps.push(SubmittedStep {
        id,
        location: step.location.clone(),
        action: required.action.clone(),
        resource,
        args: required.args.clone(),
        uses: step.uses,
        after: BTreeSet::new(),
        group: None,
        window: step.window.clone(),
        environment: step.environment.clone(),
        approve: Approve::Plan,
    });
}
