//! Actions that no catalog describes, where the realm lets them be shown at all.

use super::CatalogAction;
use crate::plan::{Approve, Class, Step, Uses};
use serde::Deserialize;
use std::collections::BTreeMap;

/// What happens to a step whose action no catalog describes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownActions {
    /// The plan is refused.
    #[default]
    Refuse,
    /// The step is shown as one that cannot be explained, as one of the gravest class, with a step-up for each call.
    Show,
}

/// What stands in the place of a catalog's sentence.
const SENTENCE: &str = "CANNOT BE EXPLAINED: no catalog describes what it does";

impl CatalogAction {
    /// What is taken for granted of an action that no catalog describes: the gravest, and nothing of its results.
    pub fn unexplained(resource: &str) -> Self {
        Self {
            class: Class::Grant,
            reversible: false,
            resource: resource.to_owned(),
            args: BTreeMap::new(),
            results: BTreeMap::new(),
            requires: Vec::new(),
            display: [("en".to_owned(), SENTENCE.to_owned())].into(),
        }
    }
}

impl Step {
    /// Whether a step is resolved as one that no catalog describes. A milder one is not to be shown without its catalog.
    pub(crate) fn may_be_unexplained(&self) -> bool {
        self.class == Class::Grant
            && self.approve == Approve::StepUp
            && self.uses != Uses::Any
            && !self.added
            && self.environment.is_none()
    }
}
