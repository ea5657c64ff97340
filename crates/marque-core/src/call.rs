//! A concrete call: what an agent really does, arguments included.

use crate::canonical::Digest;
use crate::facts::Records;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

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

    /// `SHA-256(JCS({location, action, resource, args}))`: what a person approves in a step-up. A proof of possession
    /// names the resource server by its address; an approval does it here, since two of them may offer the same action.
    pub fn approval(&self) -> Digest {
        Digest::of_canonical(&json!({
            "location": self.location, "action": self.action, "resource": self.resource, "args": self.args,
        }))
    }
}
