//! What late-bound values depend on, and whether that is known.

use super::Question;
use crate::constraint::{Constraint, Field, Ref, RefSet, SameAs};
use crate::envelope::EnvelopeStep;
use crate::facts::Past;
use crate::plan::ResourceId;
use serde::Serialize;
use serde_json::Value;

/// What a late-bound value depends on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Dependence {
    /// The argument that is bound; absent for the id of the resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub argument: Option<String>,
    /// What it is bound to.
    pub on: Origin,
    /// Whether that is known.
    pub known: bool,
    /// The values that stand there, as far as they are known; none for free text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Value>,
}

/// Where a late-bound value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A field of a step's result.
    Result {
        /// The step.
        step: String,
        /// JSON pointer into the result; `*` stands for each row.
        field: String,
    },
    /// The free text of a step's result.
    Text {
        /// The step.
        step: String,
    },
    /// An argument that a step was used with.
    Argument {
        /// The step.
        step: String,
        /// The argument.
        argument: String,
    },
    /// A record that the resource server looks up.
    Record {
        /// The resource server's name for the records.
        collection: String,
    },
}

impl Question<'_> {
    pub(super) fn dependences(&self, step: &EnvelopeStep) -> Vec<Dependence> {
        let mut found = Vec::new();
        if let ResourceId::Bound(constraint) = &step.resource.id {
            self.depends(None, constraint, &mut found);
        }
        for (name, constraint) in &step.args {
            self.depends(Some(name), constraint, &mut found);
        }
        found
    }

    fn depends(&self, argument: Option<&String>, constraint: &Constraint, found: &mut Vec<Dependence>) {
        let given = match argument {
            Some(name) => self.call.args.get(name).and_then(Value::as_str),
            None => Some(self.call.resource.id.as_str()),
        };
        let own = match constraint {
            Constraint::Ref(Ref { step, field, .. }) | Constraint::RefSet(RefSet { step, field }) => {
                let (values, known) = self.values_at(step, field);
                Some((Origin::Result { step: step.clone(), field: field.as_str().to_owned() }, known, values))
            }
            Constraint::SameAs(SameAs { step, arg }) => {
                let (values, known) = self.arguments_of(step, arg);
                Some((Origin::Argument { step: step.clone(), argument: arg.clone() }, known, values))
            }
            Constraint::Extract(_) | Constraint::Quote(_) => constraint
                .sources()
                .first()
                .map(|step| (Origin::Text { step: (*step).to_owned() }, self.results(step).1, Vec::new())),
            Constraint::Attr(rule) => {
                let record = given.and_then(|id| self.call.records.get(&rule.collection)?.get(id));
                let values: Vec<Value> = record.into_iter().cloned().collect();
                Some((Origin::Record { collection: rule.collection.clone() }, record.is_some(), values))
            }
            _ => None,
        };
        found.extend(own.map(|(on, known, values)| Dependence { argument: argument.cloned(), on, known, values }));
        constraint.parts().into_iter().for_each(|part| self.depends(argument, part, found));
    }

    /// The results of a step that are known, and whether those are all.
    fn results(&self, step: &str) -> (Vec<&Value>, bool) {
        let Some(past) = self.facts.past(step) else { return (Vec::new(), false) };
        let (calls, complete) = past.committed_calls();
        let found: Vec<Option<&Value>> = calls.map(|call| call.result.as_ref()).collect();
        let known = complete && !found.is_empty() && found.iter().all(Option::is_some);
        (found.into_iter().flatten().collect(), known)
    }

    fn values_at(&self, step: &str, field: &Field) -> (Vec<Value>, bool) {
        let (results, known) = self.results(step);
        let (list, within) = field.split();
        let values: Vec<Value> = if field.is_column() {
            let rows = results.iter().filter_map(|result| result.pointer(list)?.as_array()).flatten();
            rows.filter_map(|row| row.pointer(within)).cloned().collect()
        } else {
            results.iter().filter_map(|result| result.pointer(field.as_str())).cloned().collect()
        };
        (values, known)
    }

    fn arguments_of(&self, step: &str, argument: &str) -> (Vec<Value>, bool) {
        let past = self.facts.past(step);
        let known = past.is_some_and(|past| past.committed > 0 && past.committed_calls().1);
        let calls = past.into_iter().flat_map(|past| Past::committed_calls(past).0);
        (calls.filter_map(|call| call.args.get(argument)).cloned().collect(), known)
    }
}
