//! Documents that are almost of a schema.

use crate::generator::Generator;
use serde_json::{Value, json};

impl Generator<'_> {
    /// The next document with one place changed, whatever the schema says of it.
    pub fn changed_document(&mut self) -> Value {
        let mut document = self.document();
        let place = self.pick(&places(&document, ""));
        let value = self.pick(&[
            json!(null),
            json!(true),
            json!(-1),
            json!(0),
            json!(1),
            json!(20_001),
            json!(""),
            json!("a"),
            json!("any"),
            json!("-1"),
            json!("1.0"),
            json!("/"),
            json!("/a/*/b"),
            json!("http://a_b"),
            json!([]),
            json!(["a", "a"]),
            json!({}),
            json!({"any": true}),
            json!({"optional": {"any": true}}),
            json!({"const": [1, {"a": null}]}),
        ]);
        let target = document.pointer_mut(&place).unwrap();
        match target {
            Value::Object(members) if self.chance(60) => {
                let name = members.keys().next().cloned().filter(|_| self.chance(50));
                match name.filter(|_| self.chance(50)) {
                    Some(name) => drop(members.remove(&name)),
                    None => {
                        drop(members.insert(self.pick(&["a", "reduce", "where", "*", "min", "sub"]).to_owned(), value))
                    }
                }
            }
            Value::String(text) if value.is_string() || self.chance(50) => text.push_str(value.as_str().unwrap_or("a")),
            Value::Number(number) if self.chance(50) => *number = (number.as_i64().unwrap_or_default() + 1).into(),
            Value::Array(items) if self.chance(60) => items.push(items.first().cloned().unwrap_or(value)),
            target => *target = value,
        }
        document
    }
}

/// The JSON pointers of everything in a value.
fn places(value: &Value, pointer: &str) -> Vec<String> {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(members) => {
            members.iter().map(|(name, inner)| (name.replace('~', "~0").replace('/', "~1"), inner)).collect()
        }
        Value::Array(items) => items.iter().enumerate().map(|(at, inner)| (at.to_string(), inner)).collect(),
        _ => Vec::new(),
    };
    let inner = inner.into_iter().flat_map(|(name, inner)| places(inner, &format!("{pointer}/{name}")));
    [pointer.to_owned()].into_iter().chain(inner).collect()
}
