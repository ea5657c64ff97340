//! What is checked for every call beside what the scenario expects.

use marque_core::call::Call;
use marque_core::decide::{Decision, Refusal, decide, decide_offline};
use marque_core::envelope::{Envelope, EnvelopeStep};
use marque_core::facts::Facts;
use marque_core::prepared::Prepared;
use marque_core::reason::Reason;
use marque_scenarios::format::Expect;
use serde_json::{Map, Value, json};

/// Whether an object has the members that are wanted; further ones do not matter.
pub fn holds_members(object: &Value, wanted: &Map<String, Value>) -> bool {
    wanted.iter().all(|(name, value)| object.get(name).unwrap_or(&Value::Null) == value)
}

/// Whether a value that only the ledger knows could decide.
pub fn is_late_bound(envelope: &Envelope) -> bool {
    let constraints = envelope
        .steps
        .iter()
        .flat_map(|step| step.args.values().cloned().chain([step.resource.id.as_constraint().into_owned()]));
    constraints.into_iter().any(|constraint| constraint.needs_history())
}

/// The prepared envelope answers the same, with and without its index.
pub fn prepared(envelope: &Envelope, call: &Call, facts: &Facts, now: i64) -> Result<(), String> {
    let mut padded = envelope.clone();
    if let Some(step) = envelope.steps.first() {
        let elsewhere = |number| EnvelopeStep {
            id: format!("elsewhere-{number}"),
            location: "https://elsewhere.example".into(),
            ..step.clone()
        };
        padded.steps.extend((0..9).map(elsewhere));
    }
    for envelope in [envelope, &padded] {
        let prepared = Prepared::from(envelope.clone());
        let (plain, quick) = (decide(envelope, call, facts, now), prepared.decide(call, facts, now));
        let (plain_offline, quick_offline) = (decide_offline(envelope, call, now), prepared.decide_offline(call, now));
        if plain != quick || plain_offline != quick_offline {
            return Err(format!("prepared {quick:?} and {quick_offline:?}, else {plain:?} and {plain_offline:?}"));
        }
    }
    Ok(())
}

pub fn expected(expected: &Expect, decision: &Decision<'_>) -> Result<(), String> {
    let names = |expected: &Option<String>, step: &EnvelopeStep| expected.as_ref().is_none_or(|id| *id == step.id);
    let refuses = |reason: Reason, nearest: &Option<Map<String, Value>>, refusal: &Refusal| {
        reason == refusal.reason && nearest.as_ref().is_none_or(|wanted| holds_members(&json!(refusal.nearest), wanted))
    };
    let fits = match (expected, decision) {
        (Expect::Permit { step }, Decision::Permit(by)) => names(step, by),
        (Expect::StepUp { step, values }, Decision::StepUp(asked)) => {
            let shown = json!(asked.values);
            names(step, asked.step) && values.as_ref().is_none_or(|wanted| json!(wanted) == shown)
        }
        (Expect::Escalate { reason, nearest }, Decision::Escalate(refusal))
        | (Expect::Deny { reason, nearest }, Decision::Deny(refusal)) => refuses(*reason, nearest, refusal),
        _ => false,
    };
    if fits { Ok(()) } else { Err(format!("expected {expected:?}, got {}", short(decision))) }
}

fn short(decision: &Decision<'_>) -> String {
    match decision {
        Decision::Permit(step) => format!("permit: {}", step.id),
        Decision::StepUp(asked) => format!("step_up: {}, values: {}", asked.step.id, json!(asked.values)),
        Decision::Escalate(refusal) => format!("escalate: {}", json!(refusal)),
        Decision::Deny(refusal) => format!("deny: {}", json!(refusal)),
    }
}
