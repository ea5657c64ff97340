//! What a ledger has to look up for one call: nothing of the past that the decision does not read.

use crate::call::Call;
use crate::constraint::Constraint;
use crate::envelope::{Envelope, EnvelopeStep};
use crate::plan::{Approve, ResourceId, Uses};
use std::collections::BTreeSet;

/// Rows of the past that one decision may read, all steps together: the uses of a step that may be used most often.
pub const PAST_ROWS: usize = 10_000;
/// Bytes of arguments and results that one decision may read, as they are kept.
pub const PAST_BYTES: u64 = 8 * 1024 * 1024;

/// The earlier calls that a decision may read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recall<'e> {
    /// Ids of the steps whose arguments it may read: what `same_as` takes values from, and what a budget adds up.
    pub arguments: BTreeSet<&'e str>,
    /// Ids of the steps whose results it may read.
    pub results: BTreeSet<&'e str>,
    /// Whether what it finds has to stay so until its use is counted.
    pub counts: bool,
}

impl<'e> Recall<'e> {
    /// What a decision about one call may read.
    pub fn of_call(envelope: &'e Envelope, call: &Call) -> Self {
        let is_named = |step: &EnvelopeStep| match &step.resource.id {
            ResourceId::Exact(id) => *id == call.resource.id,
            ResourceId::Bound(_) => true,
        };
        let is_near = |step: &&EnvelopeStep| {
            let is_alike = step.location == call.location && step.action == call.action;
            is_alike && step.resource.kind == call.resource.kind && is_named(step)
        };
        Self::of_steps(envelope, &envelope.steps.iter().filter(is_near).collect::<Vec<_>>())
    }

    /// What a decision about any call may read.
    pub fn of_any(envelope: &'e Envelope) -> Self {
        Self::of_steps(envelope, &envelope.steps.iter().collect::<Vec<_>>())
    }

    /// Whether only numbers of uses are read.
    pub fn is_empty(&self) -> bool {
        self.arguments.is_empty() && self.results.is_empty()
    }

    fn of_steps(envelope: &'e Envelope, steps: &[&'e EnvelopeStep]) -> Self {
        let mut recall = Self::default();
        for step in steps {
            recall.counts |= step.uses != Uses::Any || step.approve != Approve::Plan;
            let resource = if let ResourceId::Bound(id) = &step.resource.id { Some(id) } else { None };
            step.args.values().chain(resource).for_each(|constraint| recall.add(constraint));
        }
        let budgets = envelope.bounds.budgets.iter().filter(|budget| budget.arg.is_some());
        for budget in budgets.filter(|budget| steps.iter().any(|step| budget.steps.contains(&step.id))) {
            recall.arguments.extend(budget.steps.iter().map(String::as_str));
        }
        recall
    }

    fn add(&mut self, constraint: &'e Constraint) {
        match constraint {
            Constraint::SameAs(rule) => {
                self.arguments.insert(&rule.step);
            }
            Constraint::Ref(rule) => {
                self.results.insert(&rule.step);
            }
            Constraint::RefSet(rule) => {
                self.results.insert(&rule.step);
            }
            Constraint::Extract(rule) => {
                self.results.insert(&rule.step);
            }
            Constraint::Quote(rule) => {
                self.results.insert(&rule.step);
            }
            _ => {}
        }
        constraint.parts().into_iter().for_each(|part| self.add(part));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::CallResource;
    use serde_json::{Map, Value, json};

    fn envelope() -> Envelope {
        let step = |id: &str, action: &str, uses: Value, args: Value| {
            json!({"id": id, "location": "https://rs.example", "action": action, "resource": {"type": "t", "id": "x"},
                   "args": args, "uses": uses, "class": "read"})
        };
        let late = json!({"all": [{"ref": {"step": "a", "field": "/x"}}, {"optional": {"same_as": {"step": "b", "arg": "y"}}}]});
        let steps = json!([
            step("a", "look", json!("any"), json!({})),
            step("b", "pay", json!(5), json!({})),
            step("c", "late", json!(1), json!({"v": late})),
            step("d", "plain", json!(1), json!({})),
            step("e", "total", json!(1), json!({})),
        ]);
        let budgets = json!([{"steps": ["b", "e"], "arg": "sum", "max": "5"}, {"steps": ["d", "e"], "max": "5"}]);
        serde_json::from_value(json!({"steps": steps, "bounds": {"budgets": budgets}})).unwrap()
    }

    fn of(action: &str) -> (Vec<String>, Vec<String>, bool) {
        let resource = CallResource { kind: "t".into(), id: "x".into() };
        let (envelope, call) = (envelope(), Call::new("https://rs.example", action, resource, Map::new()));
        let recall = Recall::of_call(&envelope, &call);
        let owned = |ids: &BTreeSet<&str>| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        (owned(&recall.arguments), owned(&recall.results), recall.counts)
    }

    #[test]
    fn only_what_the_calls_own_steps_refer_to_is_looked_up() {
        let none: Vec<String> = Vec::new();
        assert_eq!(of("look"), (none.clone(), none.clone(), false));
        assert_eq!(of("plain"), (none.clone(), none.clone(), true), "a budget over uses needs numbers only");
        assert_eq!(of("late"), (vec!["b".into()], vec!["a".into()], true));
        assert_eq!(of("total"), (vec!["b".into(), "e".into()], none, true));
        assert_eq!(of("nothing"), (Vec::new(), Vec::new(), false));
        let elsewhere = CallResource { kind: "t".into(), id: "y".into() };
        let call = Call::new("https://rs.example", "late", elsewhere, Map::new());
        assert_eq!(Recall::of_call(&envelope(), &call), Recall::default(), "another resource");
        let (envelope, all) = (envelope(), BTreeSet::from(["b", "e"]));
        assert_eq!(Recall::of_any(&envelope).arguments, all);
    }
}
