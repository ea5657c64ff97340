//! How deep the shallowest document of a schema is, so that a walk through the schema can come to an end.

use serde_json::Value;
use std::collections::BTreeMap;

/// Deeper than anything that has an end.
const ENDLESS: usize = 1000;

/// The heights of a schema's definitions.
pub struct Heights<'s>(BTreeMap<&'s str, usize>);

impl<'s> Heights<'s> {
    /// Starts from "no end" and goes down until nothing changes.
    pub fn new(root: &'s Value) -> Self {
        let definitions = root["$defs"].as_object().unwrap();
        let mut heights = Self(definitions.keys().map(|name| (name.as_str(), ENDLESS)).collect());
        loop {
            let next = definitions.iter().map(|(name, schema)| (name.as_str(), heights.of(schema))).collect();
            if heights.0 == next {
                assert!(next.values().all(|height| *height < ENDLESS), "a definition without an end: {next:?}");
                return heights;
            }
            heights.0 = next;
        }
    }

    /// The height of a schema.
    pub fn of(&self, schema: &Value) -> usize {
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            return self.0[target.strip_prefix("#/$defs/").unwrap()];
        }
        for choice in ["oneOf", "anyOf"] {
            let branches = schema.get(choice).and_then(Value::as_array);
            if let Some(lowest) = branches.and_then(|branches| branches.iter().map(|branch| self.of(branch)).min()) {
                return self.parts(schema).max(lowest);
            }
        }
        self.parts(schema)
    }

    fn parts(&self, schema: &Value) -> usize {
        let is_scalar_too = schema.get("type").is_some_and(Value::is_array);
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let members = required.filter_map(|name| schema.get("properties")?.get(name));
        let at_least = |name: &str| schema.get(name).and_then(Value::as_u64).is_some_and(|least| least > 0);
        let items = schema.get("items").filter(|_| at_least("minItems"));
        let further = schema.get("additionalProperties").filter(|more| more.is_object() && at_least("minProperties"));
        let highest = members.chain(items).chain(further).map(|part| 1 + self.of(part)).max().unwrap_or(0);
        if is_scalar_too { 0 } else { highest.min(ENDLESS) }
    }
}
