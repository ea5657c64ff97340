//! What a decision may depend on beside the envelope and the call.

use crate::canonical::Digest;
use crate::plan::Blocked;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What the ledger knows of an intent: everything that was done under it so far, over all hops.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Facts {
    /// What was done of each step, by step id.
    pub steps: BTreeMap<String, Past>,
    /// Turns that were started, this one included.
    pub turns: u64,
    /// The calls that a person approved in a step-up and that were not yet used, each as a use of one step:
    /// [`crate::call::Call::approval_for`].
    pub approvals: BTreeSet<Digest>,
    /// Step-ups that were asked for so far, this call's own approval not counted again.
    pub step_ups: u64,
    /// What was blocked after the plan was signed.
    pub blocked: Vec<Blocked>,
}

/// What was done of one step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Past {
    /// Uses that are reserved or committed.
    pub uses: u64,
    /// Uses that are committed.
    pub committed: u64,
    /// The calls that are known. Where they are fewer than the uses, what depends on the others is unknown.
    pub calls: Vec<PastCall>,
}

/// One use of a step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PastCall {
    /// The arguments it was permitted with.
    #[serde(default)]
    pub args: Map<String, Value>,
    /// Whether its effect is known to have happened.
    pub committed: bool,
    /// What it gave, from its result receipt, if all of it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// The leaves that were disclosed of a result that is not known whole, by JSON pointer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub disclosed: BTreeMap<String, Value>,
}

impl Past {
    /// A step that was used so often and has no results.
    pub fn counted(uses: u64, committed: u64) -> Self {
        Self { uses, committed, calls: Vec::new() }
    }

    /// The committed calls, and whether those are all.
    pub fn committed_calls(&self) -> (impl Iterator<Item = &PastCall>, bool) {
        let calls = self.calls.iter().filter(|call| call.committed);
        let complete = calls.clone().count() as u64 == self.committed;
        (calls, complete)
    }
}

impl Facts {
    /// What was done of a step.
    pub fn past(&self, step: &str) -> Option<&Past> {
        self.steps.get(step)
    }

    /// Uses of a step, reserved or committed.
    pub fn uses(&self, step: &str) -> u64 {
        self.past(step).map_or(0, |past| past.uses)
    }

    /// Committed uses of a step.
    pub fn committed(&self, step: &str) -> u64 {
        self.past(step).map_or(0, |past| past.committed)
    }
}

/// Records that the resource server looked up for one call: by collection, then by id.
pub type Records = BTreeMap<String, BTreeMap<String, Value>>;
