//! Where a plan is wider than it needs to be. Nothing here refuses a plan: it tells its author what a person would
//! have to trust, and how to ask for less.
//!
//! What depends on an action's class is told of the gravest one where no catalog describes the action.

mod constraint;
mod plan;
mod rule;
mod step;

pub use rule::Rule;
pub(crate) use rule::rules;

use crate::catalog::{Catalog, CatalogAction, Collections};
use crate::constraint::Work;
use crate::limits;
use crate::plan::{Class, SubmittedPlan, SubmittedStep};
use crate::taint::collections;
use serde::Serialize;
use serde_json::Value;

/// One place where a plan is wide, or where a catalog is probably too mild.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding<R = Rule> {
    /// Where, as a JSON path such as `$.steps[0].args.to` or `$.actions.mail.send.class`.
    pub path: String,
    /// Which rule found it.
    pub rule: R,
    /// What is too wide, or doubtful.
    pub message: String,
    /// What to do about it.
    pub mend: String,
    /// What could stand at the path instead, where it can be proposed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write: Option<Value>,
}

/// Finds where a plan is wide, with what the catalogs of some of its locations say. In the plan's order.
pub fn lint(plan: &SubmittedPlan, catalogs: &[Catalog]) -> Vec<Finding> {
    lint_within(plan, catalogs, &Work::new(limits::LINT_WORK))
}

/// [`lint`] for some work, which looking for redundant steps costs: where it runs out, no more of them are found.
pub fn lint_within(plan: &SubmittedPlan, catalogs: &[Catalog], work: &Work) -> Vec<Finding> {
    let mut report = Report::default();
    let steps: Vec<Described<'_>> = plan.steps.iter().map(|step| Described::new(step, catalogs)).collect();
    plan::check(plan, &steps, &mut report);
    for (index, step) in steps.iter().enumerate() {
        step::check(step, &format!("$.steps[{index}]"), &mut report);
    }
    plan::check_together(plan, &steps, &mut report, work);
    report.findings
}

/// A step and what its catalog says of its action, if one is at hand.
struct Described<'p> {
    step: &'p SubmittedStep,
    action: Option<&'p CatalogAction>,
    collections: &'p Collections,
}

impl<'p> Described<'p> {
    fn new(step: &'p SubmittedStep, catalogs: &'p [Catalog]) -> Self {
        let catalog = catalogs.iter().find(|catalog| catalog.document().location == step.location);
        let action = catalog.and_then(|catalog| catalog.action(&step.action));
        Self { step, action, collections: collections(catalogs, &step.location) }
    }

    /// Whether the action is of a class, or could be as far as is known.
    fn may_be(&self, class: Class) -> bool {
        self.action.is_none_or(|action| action.class == class)
    }

    /// ", if it is one" where nobody says so.
    fn unless_known(&self, what: &str) -> String {
        if self.action.is_some() { String::new() } else { format!(", if this is {what}: no catalog tells") }
    }
}

/// Findings, while they are collected.
#[derive(Default)]
struct Report {
    findings: Vec<Finding>,
}

impl Report {
    fn add(&mut self, rule: Rule, path: &str, message: impl Into<String>, mend: impl Into<String>) {
        let (message, mend) = (message.into(), mend.into());
        self.findings.push(Finding { path: path.to_owned(), rule, message, mend, write: None });
    }

    /// The last finding, with what to write instead.
    fn write(&mut self, value: Value) {
        if let Some(finding) = self.findings.last_mut() {
            finding.write = Some(value);
        }
    }
}
