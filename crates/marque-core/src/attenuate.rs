//! Narrowing on the way from hop to hop. What comes out never permits what its parent refuses.

use crate::constraint::Constraint;
use crate::envelope::{Envelope, EnvelopeStep};
use crate::limits;
use crate::names::DETAIL_STEP;
use crate::plan::Uses;
use crate::reason::Reason;
use serde::Deserialize;
use std::collections::BTreeMap;

/// One object of an exchange's `authorization_details`: a step to keep, perhaps with narrower arguments.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepRequest {
    /// Always `agent_intent_step`.
    #[serde(rename = "type")]
    pub kind: StepKind,
    /// The parent's step id.
    pub id: String,
    /// Narrower constraints by argument name; what is not named stays as the parent has it.
    #[serde(default)]
    pub args: BTreeMap<String, Constraint>,
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
    /// Always [`Reason::WiderThanParent`] so far; named so that callers do not invent their own.
    pub reason: Reason,
    /// Which step and argument, and what would be allowed.
    pub message: String,
}

fn widening(message: impl Into<String>) -> Widening {
    Widening { reason: Reason::WiderThanParent, message: message.into() }
}

/// Narrows an envelope to the requested steps. The result keeps the parent's order and step ids.
///
/// # Errors
/// When a request names a step the parent lacks, names one twice, or asks for an argument that the
/// parent does not allow. A comparison that cannot be decided is an error too.
pub fn attenuate(parent: &Envelope, requests: &[StepRequest]) -> Result<Envelope, Widening> {
    for (index, request) in requests.iter().enumerate() {
        if requests.iter().take(index).any(|earlier| earlier.id == request.id) {
            return Err(widening(format!("step {:?} is asked for twice", request.id)));
        }
        if parent.step(&request.id).is_none() {
            return Err(widening(format!("the parent token has no step {:?}", request.id)));
        }
    }
    let asked = |step: &EnvelopeStep| {
        requests.iter().find(|request| request.id == step.id).map(|request| narrow(step, request))
    };
    Ok(Envelope { steps: parent.steps.iter().filter_map(asked).collect::<Result<_, _>>()? })
}

fn narrow(parent: &EnvelopeStep, request: &StepRequest) -> Result<EnvelopeStep, Widening> {
    let mut step = parent.clone();
    for (name, wanted) in &request.args {
        if name == "*" && !matches!(wanted, Constraint::Any(_)) {
            return Err(widening(format!("step {:?}: \"*\" takes only {{\"any\":true}}", parent.id)));
        }
        wanted
            .check(&format!("step {:?}, argument {name:?}", parent.id))
            .map_err(|refused| widening(refused.to_string()))?;
        let allowed = parent.args.get(name).or_else(|| parent.args.get("*"));
        if !allowed.is_some_and(|allowed| allowed.covers(wanted)) {
            let expected =
                allowed.map_or_else(|| "the argument to be absent".into(), |allowed| allowed.expected().to_string());
            return Err(widening(format!("step {:?}, argument {name:?}: the parent allows {expected}", parent.id)));
        }
        step.args.insert(name.clone(), wanted.clone());
    }
    if step.args.len() > limits::ARGUMENTS {
        return Err(widening(format!("step {:?} may name at most {} arguments", parent.id, limits::ARGUMENTS)));
    }
    Ok(step)
}

/// Whether every call that `child` permits is permitted by `parent` too. `false` also means that it
/// cannot be decided.
pub fn covers(parent: &Envelope, child: &Envelope) -> bool {
    child.steps.iter().all(|step| parent.step(&step.id).is_some_and(|allowed| step_covers(allowed, step)))
}

fn step_covers(parent: &EnvelopeStep, child: &EnvelopeStep) -> bool {
    let same = parent.location == child.location
        && parent.action == child.action
        && parent.class == child.class
        && parent.resource == child.resource;
    same && uses_cover(parent.uses, child.uses) && arguments_cover(&parent.args, &child.args)
}

fn uses_cover(parent: Uses, child: Uses) -> bool {
    match (parent, child) {
        (Uses::Any, _) => true,
        (Uses::Count(allowed), Uses::Count(wanted)) => wanted <= allowed,
        (Uses::Count(_), Uses::Any) => false,
    }
}

/// Named arguments must be present in a call, so a child must name each argument of its parent, and
/// may name others only where the parent opened them with `*`.
fn arguments_cover(parent: &BTreeMap<String, Constraint>, child: &BTreeMap<String, Constraint>) -> bool {
    let open = parent.get("*");
    parent.keys().filter(|name| *name != "*").all(|name| child.contains_key(name))
        && child.iter().all(|(name, wanted)| parent.get(name).or(open).is_some_and(|allowed| allowed.covers(wanted)))
}
