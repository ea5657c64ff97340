//! A concrete call: what an agent really does, arguments included.

use crate::canonical::Digest;
use crate::envelope::EnvelopeStep;
use crate::facts::Records;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// One concrete action at one resource server.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// URI of the resource server that decides.
    pub location: String,
    /// Name of the action.
    pub action: String,
    /// What it is done to.
    pub resource: CallResource,
    /// The arguments, strictly parsed.
    pub args: Map<String, Value>,
    /// The environment that the resource server runs in, if it says so.
    pub environment: Option<String>,
    /// Records that the resource server looked up, for `attr` constraints.
    pub records: Records,
}

/// The concrete resource of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallResource {
    /// The catalog's name for this kind of resource.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id.
    pub id: String,
}

impl Call {
    /// A call at a resource server that says nothing of its environment and looked up no records.
    pub fn new(
        location: impl Into<String>,
        action: impl Into<String>,
        resource: CallResource,
        args: Map<String, Value>,
    ) -> Self {
        let (location, action) = (location.into(), action.into());
        Self { location, action, resource, args, environment: None, records: Records::new() }
    }

    /// The call as a document: what the commands that take a call read.
    pub fn document(&self) -> Value {
        let mut document = json!({
            "location": self.location, "action": self.action, "resource": self.resource, "args": self.args,
        });
        let environment = self.environment.as_ref().map(|word| ("environment", json!(word)));
        let records = (!self.records.is_empty()).then(|| ("records", json!(self.records)));
        if let Some(members) = document.as_object_mut() {
            members.extend(environment.into_iter().chain(records).map(|(name, value)| (name.to_owned(), value)));
        }
        document
    }

    /// `SHA-256(JCS({action, resource, args}))`: what a proof of possession covers for everything
    /// but reads, so that nobody in between can swap one allowed value for another.
    pub fn digest(&self) -> Digest {
        Digest::of_canonical(&json!({"action": self.action, "resource": self.resource, "args": self.args}))
    }

    /// `SHA-256(JCS({location, action, resource, args}))`: the call that a person approves in a step-up. A proof of possession
    /// names the resource server by its address; an approval does it here, since two of them may offer the same action.
    pub fn approval(&self) -> Digest {
        Digest::of_canonical(&json!({
            "location": self.location, "action": self.action, "resource": self.resource, "args": self.args,
        }))
    }

    /// `SHA-256(JCS({call, step}))` with [`Self::approval`]: an approval of the call as a use of one step, and of no other.
    pub fn approval_for(&self, step: &str) -> Digest {
        approval_for(step, &self.approval())
    }

    /// The call with of its records only what the conditions of a step read: nothing else that the resource server
    /// looked up is signed by it or shown to a person.
    #[must_use]
    pub fn seen_by(&self, step: &EnvelopeStep) -> Self {
        let read = step.reads();
        let rows = |(name, rows): (&String, &BTreeMap<String, Value>)| {
            let pointers = read.get(name.as_str())?;
            let rows = rows.iter().map(|(id, row)| (id.clone(), pruned(row, pointers)));
            Some((name.clone(), rows.collect()))
        };
        Self { records: self.records.iter().filter_map(rows).collect(), ..self.clone() }
    }
}

pub(crate) fn approval_for(step: &str, call: &Digest) -> Digest {
    Digest::of_canonical(&json!({"call": call, "step": step}))
}

/// A value with only the members that JSON pointers lead through or to. Whatever a pointer found in the value, it finds here.
fn pruned(value: &Value, pointers: &BTreeSet<&str>) -> Value {
    let Value::Object(members) = value else { return value.clone() };
    if pointers.contains("") {
        return value.clone();
    }
    let mut below: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for pointer in pointers.iter().filter_map(|pointer| pointer.strip_prefix('/')) {
        let (name, rest) = pointer.split_at(pointer.find('/').unwrap_or(pointer.len()));
        below.entry(name.replace("~1", "/").replace("~0", "~")).or_default().insert(rest);
    }
    let kept = members.iter().filter_map(|(name, member)| Some((name.clone(), pruned(member, below.get(name)?))));
    Value::Object(kept.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_pointer_finds_stays_and_the_rest_goes() {
        let row = json!({"a": {"b": 1, "c": {"d": 2}}, "x/y": [{"z": 1}, 2], "~": null, "secret": "s"});
        let prune = |pointers: &[&str]| pruned(&row, &pointers.iter().copied().collect());
        assert_eq!(prune(&["/a/b"]), json!({"a": {"b": 1}}));
        assert_eq!(prune(&["/a/c/d", "/a/b"]), json!({"a": {"b": 1, "c": {"d": 2}}}));
        assert_eq!(prune(&["/a/b", "/a"]), json!({"a": {"b": 1, "c": {"d": 2}}}));
        assert_eq!(prune(&["/x~1y/0/z", "/~0"]), json!({"x/y": [{"z": 1}, 2], "~": null}));
        assert_eq!(prune(&["/none", "/a/none/deep"]), json!({"a": {}}));
        assert_eq!((prune(&[""]), prune(&[])), (row.clone(), json!({})));
        for pointer in ["/a/b", "/a/c", "/a/c/d", "/x~1y/0/z", "/x~1y/1", "/~0", "/none", "/secret", ""] {
            assert_eq!(prune(&[pointer]).pointer(pointer), row.pointer(pointer), "{pointer}");
        }
        assert_eq!(pruned(&Value::Null, &["/a"].into()), Value::Null);
    }
}
