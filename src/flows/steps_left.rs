//! The steps behind a search's results: what results alone cannot say of arguments, constraints and uses.

use marque_core::constraint::Arguments;
use marque_core::envelope::{Envelope, EnvelopeStep};
use marque_core::facts::Facts;
use marque_core::plan::{Resource, Uses};
use serde::Serialize;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A step that can still be used.
#[derive(Clone, Debug, Serialize)]
pub struct Left {
    /// The intent.
    pub intent_id: Uuid,
    /// The step's id in the signed plan.
    pub step: String,
    /// Name of the action.
    pub action: String,
    /// What it is done to: one id, or the constraint on it.
    pub resource: Resource,
    /// What each argument must satisfy.
    pub args: Arguments,
    /// Uses that are left; absent where they are not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uses_left: Option<u64>,
    /// Whether a person has to approve each call first.
    pub step_up: bool,
}

/// The steps of one intent that a search came upon, each once.
pub struct StepsLeft<'f> {
    intent_id: Uuid,
    facts: &'f Facts,
    steps: BTreeMap<String, Left>,
}

impl<'f> StepsLeft<'f> {
    /// None yet.
    pub const fn new(intent_id: Uuid, facts: &'f Facts) -> Self {
        Self { intent_id, facts, steps: BTreeMap::new() }
    }

    /// A step that permits, or that asks for a step-up.
    pub fn add(&mut self, envelope: &Envelope, id: &str, step_up: bool) {
        if let Some(step) = envelope.step(id) {
            self.insert(step, step_up);
        }
    }

    /// A step about whose resources nothing can be decided; one that is used up is left out.
    pub fn add_unless_used_up(&mut self, step: &EnvelopeStep) {
        if self.uses_left(step) != Some(0) {
            self.insert(step, step.approve == marque_core::plan::Approve::StepUp);
        }
    }

    /// All of them, by id.
    pub fn done(self) -> impl Iterator<Item = Left> {
        self.steps.into_values()
    }

    fn insert(&mut self, step: &EnvelopeStep, step_up: bool) {
        let left = Left {
            intent_id: self.intent_id,
            step: step.id.clone(),
            action: step.action.clone(),
            resource: step.resource.clone(),
            args: step.args.clone(),
            uses_left: self.uses_left(step),
            step_up,
        };
        self.steps.entry(step.id.clone()).or_insert(left);
    }

    fn uses_left(&self, step: &EnvelopeStep) -> Option<u64> {
        match step.uses {
            Uses::Any => None,
            Uses::Count(allowed) => Some(allowed.saturating_sub(self.facts.uses(&step.id))),
        }
    }
}
