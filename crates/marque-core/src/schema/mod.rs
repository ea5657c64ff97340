//! The JSON Schema (2020-12) of the submitted plan, for whoever writes plans, language models among them.
//!
//! It is generated from the types that read a plan, so that it cannot say something else than they do. What they
//! refuse and a JSON Schema cannot express, a `description` says: whatever the schema allows either parses, or
//! breaks a rule that a description names (`tests/schema.rs`).

mod examples;
mod forms;
mod kinds;
mod terms;

pub(crate) use terms::{
    Alternatives, Arguments, Attributes, Column, Currency, EarlierStep, Host, Identifier, Location, NotNegative,
    OneValue, Parts, PlanValue, Pointer, Prefix, Purpose, Slots, StepOfPlan, Template, Variables,
};

use crate::limits;
use crate::plan::SubmittedPlan;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// The schema's `$id`. The number is the plan language's version.
pub const ID: &str = "urn:marque:schema:plan:1";
/// The media type of a JSON Schema.
pub const MEDIA_TYPE: &str = "application/schema+json";

/// The schema of the plan that an agent submits, with an example of each kind of constraint and of a whole plan.
pub fn plan_schema() -> Value {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<SubmittedPlan>();
    let mut schema = schema.to_value();
    tidy(&mut schema);
    if let Some(definitions) = schema.get_mut("$defs").and_then(Value::as_object_mut) {
        kinds::refine(definitions);
    }
    if let Some(root) = schema.as_object_mut() {
        root.extend(head());
    }
    schema
}

/// What stands at the root: which rules hold for the document as a whole.
fn head() -> Map<String, Value> {
    let description = format!(
        "What an agent wants to do, for a person to read and approve before anything happens. The agent can do what the \
         steps state and nothing else, so state each value as narrowly as it is known. At most {} bytes of UTF-8 JSON, \
         nested at most {} levels, of at most {} values. No member name twice. Integers are written plainly, as 12: no \
         point, no exponent; amounts and bounds are decimal strings. A member that is not needed is left out, never null. \
         Every text, member names too, is in Unicode normalization form C, without line breaks, control characters and \
         characters that are invisible, unassigned or change the direction of text.",
        limits::PLAN_BYTES,
        limits::JSON_DEPTH,
        limits::JSON_VALUES
    );
    let head = [
        ("$id", ID.into()),
        ("title", "Plan".into()),
        ("description", description.into()),
        ("examples", json!([examples::plan()])),
    ];
    head.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Takes away what says nothing: the widths of Rust's integers, and defaults that mean "nothing".
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if members.get("format").and_then(Value::as_str).is_some_and(|format| format != "date-time") {
                members.remove("format");
            }
            if let Some(Value::Null | Value::Array(_) | Value::Object(_)) = members.get("default") {
                members.remove("default");
            }
            if let Some(Value::String(text)) = members.get_mut("description") {
                *text = text.replace('\n', " ");
            }
            members.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}
