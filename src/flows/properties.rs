//! What an AuthZEN request says of its subject and its resource beside their ids.

use marque_core::facts::Records;
use marque_core::names::RECORDS_AUTHZEN;
use serde_json::{Map, Value, json};

/// `subject.properties` and `resource.properties`. The resource server says so itself, as it does of its records.
#[derive(Clone, Debug, Default)]
pub struct Properties {
    /// Of the subject; empty if none are stated.
    pub subject: Map<String, Value>,
    /// Of the resource; empty if none are stated.
    pub resource: Map<String, Value>,
}

impl Properties {
    /// Adds them as the record of a resource, for `attr` constraints of the plan: whatever a request says here can
    /// only fulfil or fail a condition that the person signed.
    pub fn record(&self, resource_id: &str, records: &mut Records) {
        let record = json!({"subject": self.subject, "resource": self.resource});
        records.entry(RECORDS_AUTHZEN.to_owned()).or_default().entry(resource_id.to_owned()).or_insert(record);
    }
}
