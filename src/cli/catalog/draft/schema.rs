//! What JSON Schemas say, as far as a catalog can say it too. References are followed inside the document alone.

use std::collections::BTreeMap;

use marque_core::catalog::lint::looks_like_free_text;
use marque_core::catalog::{ArgumentKind, ResultKind};
use serde_json::Value;

/// References that are followed one after the other; a longer chain goes in circles.
const REFERENCES: usize = 32;
/// Levels of a result, and of `allOf`, that are looked at.
const LEVELS: usize = 5;
/// Fields of a result that are described at most.
const FIELDS: usize = 200;

/// A document in which references are followed.
#[derive(Clone, Copy)]
pub(super) struct Root<'d>(pub(super) &'d Value);

impl<'d> Root<'d> {
    /// What a value stands for: itself, or what it refers to.
    pub(super) fn resolve(self, value: &'d Value) -> Result<&'d Value, String> {
        let mut value = value;
        for _ in 0..REFERENCES {
            let Some(reference) = value.get("$ref").and_then(Value::as_str) else { return Ok(value) };
            let pointer = reference.strip_prefix('#').ok_or_else(|| format!("{reference:?} is another document"))?;
            value = self.0.pointer(pointer).ok_or_else(|| format!("{reference:?} leads nowhere"))?;
        }
        Err("its references go in circles".into())
    }

    /// The members of an object that a schema describes, in all of its parts.
    pub(super) fn properties(self, schema: &'d Value) -> Result<BTreeMap<&'d str, &'d Value>, String> {
        let mut found = BTreeMap::new();
        self.collect(schema, LEVELS, &mut found)?;
        Ok(found)
    }

    fn collect(self, schema: &'d Value, levels: usize, found: &mut BTreeMap<&'d str, &'d Value>) -> Result<(), String> {
        let schema = self.resolve(schema)?;
        if levels == 0 {
            return Err("its schema is too deep".into());
        }
        for (name, member) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            found.entry(name).or_insert(member);
        }
        for part in ["allOf", "anyOf", "oneOf"].iter().filter_map(|name| schema.get(*name)).filter_map(Value::as_array)
        {
            part.iter().try_for_each(|part| self.collect(part, levels - 1, found))?;
        }
        Ok(())
    }

    /// The type of an argument; text where the schema states none.
    pub(super) fn argument(self, schema: &'d Value) -> Result<ArgumentKind, String> {
        Ok(match self.kind(schema)? {
            "integer" => ArgumentKind::Integer,
            "number" => ArgumentKind::Number,
            "boolean" => ArgumentKind::Boolean,
            "array" => ArgumentKind::Array,
            "object" => ArgumentKind::Object,
            _ => ArgumentKind::String,
        })
    }

    /// The leaves of a result by JSON pointer; `*` stands for each element of a list.
    pub(super) fn leaves(self, schema: &'d Value) -> Result<BTreeMap<String, ResultKind>, String> {
        let mut found = BTreeMap::new();
        self.collect_leaves(schema, "", LEVELS, &mut found)?;
        Ok(found)
    }

    fn collect_leaves(
        self,
        schema: &'d Value,
        pointer: &str,
        levels: usize,
        found: &mut BTreeMap<String, ResultKind>,
    ) -> Result<(), String> {
        if levels == 0 || found.len() >= FIELDS {
            return Ok(());
        }
        let schema = self.resolve(schema)?;
        let leaf = match self.kind(schema)? {
            "object" => {
                for (name, member) in self.properties(schema)? {
                    let name = name.replace('~', "~0").replace('/', "~1");
                    self.collect_leaves(member, &format!("{pointer}/{name}"), levels - 1, found)?;
                }
                return Ok(());
            }
            "array" => {
                let items = schema.get("items").unwrap_or(&Value::Null);
                return self.collect_leaves(items, &format!("{pointer}/*"), levels - 1, found);
            }
            "integer" => ResultKind::Integer,
            "number" => ResultKind::Number,
            "boolean" => ResultKind::Boolean,
            _ if looks_like_free_text(pointer) => ResultKind::Text,
            "string" => ResultKind::String,
            _ => ResultKind::Text,
        };
        if !pointer.is_empty() {
            found.insert(pointer.to_owned(), leaf);
        }
        Ok(())
    }

    /// The one type that a schema states beside `null`, or that its keywords tell; empty if there is none.
    fn kind(self, schema: &'d Value) -> Result<&'d str, String> {
        let schema = self.resolve(schema)?;
        let stated = match schema.get("type") {
            Some(Value::String(one)) => Some(one.as_str()),
            Some(Value::Array(several)) => {
                let mut words = several.iter().filter_map(Value::as_str).filter(|word| *word != "null");
                words.next().filter(|_| words.next().is_none())
            }
            _ => None,
        };
        let has = |name: &str| schema.get(name).is_some();
        Ok(stated.unwrap_or(if has("properties") || has("allOf") {
            "object"
        } else if has("items") {
            "array"
        } else {
            ""
        }))
    }
}
