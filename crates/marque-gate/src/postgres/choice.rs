//! Who decides about a call: this ledger, about the steps that are counted here, or Marque.

use super::home::Division;
use super::ledger::unavailable;
use crate::refusal::Refusal;
use marque_core::call::Call;
use marque_core::decide::{Decision, Offline, decide, decide_offline};
use marque_core::envelope::{Envelope, EnvelopeStep};
use marque_core::facts::Facts;
use marque_core::reason::Reason;

/// Who is to decide about a call.
pub(super) enum Choice<'e> {
    Permit(&'e EnvelopeStep),
    AskMarque(Vec<&'e EnvelopeStep>),
    Refuse(Refusal),
}

/// Decides about the steps that are counted here; of the others, whether one could permit the call.
pub(super) fn choose<'e>(
    division: &Division<'e>,
    envelope: &'e Envelope,
    call: &Call,
    facts: &Facts,
    now: i64,
) -> Choice<'e> {
    let of = |steps: &[&EnvelopeStep]| Envelope {
        steps: steps.iter().map(|step| (*step).clone()).collect(),
        bounds: envelope.bounds.clone(),
    };
    if let Decision::Permit(step) = decide(&of(&division.here), call, facts, now)
        && let Some(step) = envelope.step(&step.id)
    {
        return Choice::Permit(step);
    }
    let fits = |step: &&&EnvelopeStep| !matches!(decide_offline(&of(&[**step]), call, now), Offline::Refused(_));
    let at_marque: Vec<_> = division.at_marque.iter().filter(fits).copied().collect();
    if !at_marque.is_empty() {
        return Choice::AskMarque(at_marque);
    }
    if division.nowhere.iter().any(|step| fits(&step)) {
        return Choice::Refuse(Refusal::new(Reason::LedgerUnavailable).because(
            "the step's uses are counted at this resource server, and this token shows too little of the plan, or \
             asks for more than is known here: call with the token that was used before",
        ));
    }
    Choice::Refuse(match decide(envelope, call, facts, now) {
        Decision::Escalate(refusal) | Decision::Deny(refusal) => Refusal::new(refusal.reason).near(refusal.nearest),
        Decision::StepUp(_) => Refusal::new(Reason::StepUpRequired),
        Decision::Permit(_) => unavailable("a step permits that is not counted here"),
    })
}
