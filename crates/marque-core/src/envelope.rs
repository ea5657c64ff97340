//! The envelope: the steps that a token carries from the signed plan to the gate.

use crate::canonical::Digest;
use crate::constraint::Constraint;
use crate::plan::{Class, Resource, Step, Uses};
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
    pub args: BTreeMap<String, Constraint>,
    /// How often, over all hops together.
    pub uses: Uses,
    /// What kind of effect it has.
    pub class: Class,
}

/// The steps that a token carries, in the signed plan's order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Envelope {
    /// The steps.
    pub steps: Vec<EnvelopeStep>,
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
        }
    }
}

impl Envelope {
    /// The whole of a resolved plan.
    pub fn of(steps: &[Step]) -> Self {
        Self { steps: steps.iter().map(EnvelopeStep::from).collect() }
    }

    /// The OAuth scope that goes with it: its distinct actions, sorted, separated by spaces.
    pub fn scope(&self) -> String {
        let actions: BTreeSet<&str> = self.steps.iter().map(|step| step.action.as_str()).collect();
        actions.into_iter().collect::<Vec<_>>().join(" ")
    }

    /// SHA-256 over the canonical form.
    pub fn digest(&self) -> Digest {
        Digest::of_canonical(&serde_json::to_value(self).unwrap_or_default())
    }

    /// The step of an id.
    pub fn step(&self, id: &str) -> Option<&EnvelopeStep> {
        self.steps.iter().find(|step| step.id == id)
    }
}
