//! The decision: does this envelope permit this call, given what was used so far?
//!
//! Pure. Precedence of refusals: location, action, resource, arguments, uses. The first stage that
//! no step passes names the reason; among the steps that came furthest the first one is `nearest`.

use crate::call::Call;
use crate::constraint::Constraint;
use crate::envelope::{Envelope, EnvelopeStep};
use crate::plan::{ResourceId, Uses};
use crate::reason::Reason;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What a decision may depend on beside the envelope and the call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Uses that are committed or reserved, by step id.
    pub uses: BTreeMap<String, u64>,
}

/// The outcome.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision<'e> {
    /// The step permits the call.
    Permit(&'e EnvelopeStep),
    /// The call is outside the plan: ask the person for an amendment.
    Escalate(Refusal),
    /// The call is inside the plan, but what was approved is used up.
    Deny(Refusal),
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

/// Decides one call.
pub fn decide<'e>(envelope: &'e Envelope, call: &Call, facts: &Facts) -> Decision<'e> {
    let mut closest: Option<(usize, Refusal)> = None;
    let mut exhausted = None;
    for step in &envelope.steps {
        match judge(step, call) {
            Ok(()) if has_uses_left(step, facts) => return Decision::Permit(step),
            Ok(()) => exhausted = exhausted.or(Some(step)),
            Err((stage, refusal)) if closest.as_ref().is_none_or(|(furthest, _)| stage > *furthest) => {
                closest = Some((stage, refusal))
            }
            Err(_) => {}
        }
    }
    match (exhausted, closest) {
        (Some(step), _) => Decision::Deny(refusal(
            Reason::UsesExhausted,
            Some(nearest(step, None, json!(step.uses), json!(used(step, facts)))),
        )),
        (None, Some((_, refusal))) => Decision::Escalate(refusal),
        (None, None) => Decision::Escalate(refusal(Reason::LocationNotInPlan, None)),
    }
}

fn used(step: &EnvelopeStep, facts: &Facts) -> u64 {
    facts.uses.get(&step.id).copied().unwrap_or(0)
}

fn has_uses_left(step: &EnvelopeStep, facts: &Facts) -> bool {
    match step.uses {
        Uses::Any => true,
        Uses::Count(allowed) => used(step, facts) < allowed,
    }
}

fn refusal(reason: Reason, nearest: Option<Box<Nearest>>) -> Refusal {
    Refusal { reason, nearest }
}

fn nearest(step: &EnvelopeStep, argument: Option<&str>, expected: Value, got: Value) -> Box<Nearest> {
    Box::new(Nearest { step: step.id.clone(), argument: argument.map(str::to_owned), expected, got })
}

/// How far a call comes with one step: the higher the stage, the closer.
fn judge(step: &EnvelopeStep, call: &Call) -> Result<(), (usize, Refusal)> {
    if step.location != call.location {
        return Err((0, refusal(Reason::LocationNotInPlan, None)));
    }
    if step.action != call.action {
        return Err((1, refusal(Reason::ActionNotInPlan, None)));
    }
    if !resource_holds(step, call) {
        let differs = nearest(step, None, json!(step.resource), json!(call.resource));
        return Err((2, refusal(Reason::ResourceNotInPlan, Some(differs))));
    }
    judge_arguments(step, call).map_err(|refusal| (3, refusal))
}

fn resource_holds(step: &EnvelopeStep, call: &Call) -> bool {
    let id_holds = match &step.resource.id {
        ResourceId::Exact(id) => *id == call.resource.id,
        bound @ ResourceId::Bound(_) => bound.holds(&call.resource.id),
    };
    step.resource.kind == call.resource.kind && id_holds
}

fn judge_arguments(step: &EnvelopeStep, call: &Call) -> Result<(), Refusal> {
    let open = step.args.contains_key("*");
    for (name, constraint) in step.args.iter().filter(|(name, _)| *name != "*") {
        judge_argument(step, name, constraint, call.args.get(name))?;
    }
    match call.args.iter().find(|(name, _)| !open && (!step.args.contains_key(*name) || *name == "*")) {
        Some((name, got)) => {
            Err(refusal(Reason::ArgumentNotInPlan, Some(nearest(step, Some(name), Value::Null, got.clone()))))
        }
        None => Ok(()),
    }
}

fn judge_argument(
    step: &EnvelopeStep,
    name: &str,
    constraint: &Constraint,
    got: Option<&Value>,
) -> Result<(), Refusal> {
    let differs =
        |reason, got: Value| Err(refusal(reason, Some(nearest(step, Some(name), constraint.expected(), got))));
    match got {
        None => differs(Reason::ArgumentMissing, Value::Null),
        Some(got) if !constraint.holds(got) => differs(Reason::ArgumentMismatch, got.clone()),
        Some(_) => Ok(()),
    }
}
