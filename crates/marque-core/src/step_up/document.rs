//! What a person approves in a step-up: one call with its exact values, and where each came from.
//!
//! Values are JSON texts, so that a number keeps its spelling and a line break is seen. A text with characters that
//! hide something, or that two readers could take differently, is written in ASCII with escapes: it says the same.

use super::challenge::plain;
use crate::call::{Call, CallResource};
use crate::canonical::{Digest, canonical, canonical_text};
use crate::decide::LateValue;
use crate::facts::Records;
use crate::json::{self, Refused};
use crate::plan::{Agent, CatalogRef, Class, ResolvedPlan, ResourceId, Step};
use crate::timestamp::Timestamp;
use crate::{limits, text};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The document of one step-up. Its canonical bytes are digested.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Always 1.
    pub version: u32,
    /// The Marque issuer.
    pub issuer: String,
    /// Drawn by Marque.
    pub step_up_id: String,
    /// The intent.
    pub intent_id: String,
    /// Digest of the signed plan.
    pub plan_digest: Digest,
    /// Who is asked.
    pub user: Person,
    /// Who will make the call, and with which key.
    pub presenter: Agent,
    /// The plan's step that the call is one of.
    pub step: String,
    /// What kind of effect it has.
    pub class: Class,
    /// URI of the resource server.
    pub location: String,
    /// Name of the action.
    pub action: String,
    /// What it is done to.
    pub resource: ShownResource,
    /// The arguments, by name.
    pub args: Vec<ShownArgument>,
    /// What the resource server says of the records that the step's conditions read, by collection and id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<ShownRecord>,
    /// [`Call::approval`] of the call.
    pub approval: Digest,
    /// Why the resource server asks, in its own words.
    pub reason: String,
    /// The catalog whose sentence describes the action; none where the plan has none for the location, and the call
    /// cannot be explained.
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    pub catalog: Option<CatalogRef>,
    /// Until when the approved call may be made.
    pub expires_at: Timestamp,
}

/// The person who is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// The realm's issuer.
    pub iss: String,
    /// The realm's `sub`.
    pub sub: String,
    /// Her user name when she approved the plan.
    pub username: String,
}

/// The resource, its id as JSON text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownResource {
    /// The catalog's name for this kind of resource.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id, as JSON text.
    pub id: String,
    /// The earlier steps that the plan takes the id from, if it does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
}

/// One argument with its exact value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownArgument {
    /// Its name.
    pub name: String,
    /// Its value, as JSON text.
    pub value: String,
    /// The earlier steps that the plan takes it from; none if the agent chose it within what the plan allows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
}

/// What the resource server says of one record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownRecord {
    /// The resource server's name for the records.
    pub collection: String,
    /// Which one, as JSON text.
    pub id: String,
    /// Its members that are read, as JSON text; `null` for a record that is not there.
    pub value: String,
}

/// An earlier step that a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Its id in the plan.
    pub step: String,
    /// What it did.
    pub action: String,
    /// Where.
    pub location: String,
}

/// A value as a person is shown it: JSON text without anything that hides.
pub fn shown(value: &Value) -> String {
    let text = canonical_text(value);
    if text::check_plain(&text).is_ok() {
        return text;
    }
    let mut units = [0; 2];
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, ' '..='~') {
            escaped.push(c);
        } else {
            c.encode_utf16(&mut units).iter().for_each(|unit| escaped.push_str(&format!("\\u{unit:04x}")));
        }
    }
    escaped
}

impl ShownResource {
    /// A call's resource, with the plan's steps that its id comes from, as the plan's step binds it.
    pub fn of(resource: &CallResource, bound: &ResourceId, plan: &ResolvedPlan) -> Self {
        let sources = match bound {
            ResourceId::Exact(_) => Vec::new(),
            ResourceId::Bound(constraint) => Source::of(constraint.sources(), plan),
        };
        Self { kind: resource.kind.clone(), id: shown(&Value::from(resource.id.as_str())), sources }
    }
}

impl Source {
    fn of<'s>(ids: impl IntoIterator<Item = &'s str>, plan: &ResolvedPlan) -> Vec<Self> {
        let ids: BTreeSet<&str> = ids.into_iter().collect();
        let steps = ids.into_iter().filter_map(|id| plan.steps.iter().find(|step| step.id == id));
        let source =
            |step: &Step| Self { step: step.id.clone(), action: step.action.clone(), location: step.location.clone() };
        steps.map(source).collect()
    }
}

impl ShownArgument {
    /// A call's arguments, each with the plan's steps that its value comes from.
    pub fn of(call: &Call, late: &[LateValue], plan: &ResolvedPlan) -> Vec<Self> {
        let argument = |(name, value): (&String, &Value)| {
            let of_value = late
                .iter()
                .filter(|late| late.argument.as_deref() == Some(name.as_str()))
                .flat_map(|late| &late.sources);
            let sources = Source::of(of_value.map(String::as_str), plan);
            Self { name: name.clone(), value: shown(value), sources }
        };
        call.args.iter().map(argument).collect()
    }
}

impl ShownRecord {
    /// A call's records.
    pub fn of(call: &Call) -> Vec<Self> {
        let row = |collection: &String, (id, value): (&String, &Value)| Self {
            collection: collection.clone(),
            id: shown(&Value::from(id.as_str())),
            value: shown(value),
        };
        call.records.iter().flat_map(|(name, rows)| rows.iter().map(move |entry| row(name, entry))).collect()
    }
}

impl Document {
    /// The canonical bytes: what is digested, shown and kept.
    pub fn canonical(&self) -> Vec<u8> {
        canonical(&serde_json::to_value(self).unwrap_or_default())
    }

    /// SHA-256 of the canonical bytes.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.canonical())
    }

    /// Reads a document: exactly its canonical bytes, and of the very call whose digest it has.
    ///
    /// # Errors
    /// With the path of what is not as it must be.
    pub fn from_canonical(bytes: &[u8]) -> Result<Self, Refused> {
        let value = json::parse_plan(bytes, limits::EVIDENCE_BYTES)?;
        if canonical(&value) != bytes {
            return Err(Refused::at("$", "is not exactly its canonical form (RFC 8785)"));
        }
        let document: Self = json::typed(value)?;
        if document.version != 1 {
            return Err(Refused::at("$.version", "is not 1, the only version that exists"));
        }
        plain("$.reason", &document.reason, limits::CHALLENGE_REASON_CHARS)?;
        if document.call()?.approval() != document.approval {
            return Err(Refused::at("$.approval", "is not the digest of the call that is shown"));
        }
        Ok(document)
    }

    /// The call that it shows.
    ///
    /// # Errors
    /// When a value is no JSON text as it is shown, or an argument is there twice.
    pub fn call(&self) -> Result<Call, Refused> {
        let id = parsed_text("$.resource.id", &self.resource.id)?;
        let mut args = Map::new();
        for argument in &self.args {
            plain("$.args", &argument.name, limits::IDENTIFIER_CHARS)?;
            let value = parsed("$.args", &argument.value)?;
            if args.insert(argument.name.clone(), value).is_some() {
                return Err(Refused::at("$.args", "names an argument twice"));
            }
        }
        let resource = CallResource { kind: self.resource.kind.clone(), id };
        let mut records = Records::new();
        for record in &self.records {
            plain("$.records", &record.collection, limits::IDENTIFIER_CHARS)?;
            let (id, value) = (parsed_text("$.records", &record.id)?, parsed("$.records", &record.value)?);
            if records.entry(record.collection.clone()).or_default().insert(id, value).is_some() {
                return Err(Refused::at("$.records", "names a record twice"));
            }
        }
        Ok(Call { records, ..Call::new(&self.location, &self.action, resource, args) })
    }
}

fn parsed_text(path: &str, text: &str) -> Result<String, Refused> {
    match parsed(path, text)? {
        Value::String(text) => Ok(text),
        _ => Err(Refused::at(path, "is no JSON text of a string")),
    }
}

/// The value of a JSON text that is spelled as it must be shown.
fn parsed(path: &str, text: &str) -> Result<Value, Refused> {
    let value = json::parse_call(text.as_bytes(), limits::EVIDENCE_BYTES).map_err(|refused| refused.under(path))?;
    if shown(&value) == text { Ok(value) } else { Err(Refused::at(path, "is not spelled as it must be shown")) }
}
