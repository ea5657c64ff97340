//! Catalogs: a resource server's own description of its actions, and of nothing but itself.

pub mod lint;
mod lowered;
mod unexplained;

pub use lowered::{Lowered, LoweredPart};
pub use unexplained::UnknownActions;

use crate::canonical::Digest;
use crate::constraint::{Arguments, Constraint, Field, check_arguments};
use crate::json::{self, Refused};
use crate::plan::{CatalogRef, Class, Resource, identifier, location};
use crate::{limits, text};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The payload of a `marque-catalog+jwt`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogDocument {
    /// Client id of the resource server, whose registered key signs the catalog.
    pub iss: String,
    /// Only ever goes up.
    pub version: u64,
    /// URI of the resource server.
    pub location: String,
    /// Words for the environments that steps can be limited to, such as `production`.
    #[serde(default, deserialize_with = "crate::plan::distinct", skip_serializing_if = "BTreeSet::is_empty")]
    pub environments: BTreeSet<String>,
    /// Who writes the records that `attr` looks up, by the name of their collection. Of one that is not named, the
    /// resource server itself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub collections: Collections,
    /// The actions by name.
    pub actions: BTreeMap<String, CatalogAction>,
}

/// What a catalog says of the collections of its records, by their names.
pub type Collections = BTreeMap<String, CatalogCollection>;

/// What a catalog says of the records of a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogCollection {
    /// Who writes their attributes: where that is somebody else, whoever it is decides which record satisfies a predicate.
    pub source: Source,
}

/// One action that a resource server offers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogAction {
    /// What kind of effect it has.
    pub class: Class,
    /// Whether its effect can be undone.
    pub reversible: bool,
    /// The kind of resource it is done to.
    pub resource: String,
    /// Its arguments by name.
    #[serde(default)]
    pub args: BTreeMap<String, CatalogArgument>,
    /// The fields of its result, by JSON pointer; `*` stands for each element of a list.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub results: BTreeMap<Field, CatalogResult>,
    /// Reads that have to be done before: permissive mode adds them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Prerequisite>,
    /// Sentences by locale; `en` is required. `{resource}` and `{args.NAME}` are replaced.
    pub display: BTreeMap<String, String>,
}

/// One argument of an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogArgument {
    /// Its JSON type.
    #[serde(rename = "type")]
    pub kind: ArgumentKind,
    /// What is at stake with it, if anything.
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    pub sensitive: Option<Sensitive>,
    /// Whether it may be bound to a value that is known only after earlier steps; absent means that it may.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub late: bool,
}

const fn yes() -> bool {
    true
}

/// What is at stake with an argument. A value that somebody else could have written needs a step-up there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sensitive {
    /// It moves money.
    Money,
    /// It says who somebody is.
    Identity,
    /// It leaves the organisation.
    Egress,
    /// It gives access.
    Access,
}

/// One field of an action's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogResult {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: ResultKind,
    /// Who wrote it.
    pub source: Source,
}

/// Types that a field of a result can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResultKind {
    /// Free text, received whole: for `extract` and `quote` alone.
    Text,
    /// A short text with a meaning of its own.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A list.
    Array,
    /// An object.
    Object,
}

/// Who could have written a value. The later one is the weaker one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The resource server itself, from its own records; or it is in the signed plan.
    Authoritative,
    /// Somebody else: an invoice's account number, a message, a contact's address.
    ThirdParty,
}

/// A read that has to be done before an action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prerequisite {
    /// The read, at the same resource server.
    pub action: String,
    /// What it is done to; absent means the resource of the step itself.
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    pub resource: Option<Resource>,
    /// Its arguments.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub args: Arguments,
}

/// JSON types that an argument can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArgumentKind {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A list.
    Array,
    /// An object.
    Object,
}

impl ArgumentKind {
    /// Whether a value is of this type.
    pub fn holds(self, value: &Value) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Integer => value.is_i64() || value.is_u64(),
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::Array => value.is_array(),
            Self::Object => value.is_object(),
        }
    }
}

/// A catalog with the digest of exactly the octets that were signed.
#[derive(Clone, Debug, PartialEq)]
pub struct Catalog {
    document: CatalogDocument,
    sha256: Digest,
}

impl Catalog {
    /// Reads a catalog from the payload octets of its JWS. The caller has verified the signature.
    ///
    /// # Errors
    /// The first offence, with its JSON path.
    pub fn parse(payload: &[u8]) -> Result<Self, Refused> {
        let document: CatalogDocument = json::typed(json::parse_plan(payload, limits::CATALOG_BYTES)?)?;
        document.check()?;
        Ok(Self { document, sha256: Digest::of(payload) })
    }

    /// What it says.
    pub fn document(&self) -> &CatalogDocument {
        &self.document
    }

    /// How a resolved plan names it.
    pub fn reference(&self) -> CatalogRef {
        CatalogRef { location: self.document.location.clone(), version: self.document.version, sha256: self.sha256 }
    }

    /// The action of a name, if the resource server offers it.
    pub fn action(&self, name: &str) -> Option<&CatalogAction> {
        self.document.actions.get(name)
    }
}

impl CatalogDocument {
    fn check(&self) -> Result<(), Refused> {
        identifier("$.iss", &self.iss)?;
        location("$.location", &self.location)?;
        if self.version == 0 {
            return Err(Refused::at("$.version", "starts at 1"));
        }
        if self.environments.len() > limits::ENVIRONMENTS {
            return Err(Refused::at("$.environments", format!("may name at most {}", limits::ENVIRONMENTS)));
        }
        self.environments.iter().try_for_each(|word| identifier("$.environments", word))?;
        self.collections.keys().try_for_each(|name| identifier("$.collections", name))?;
        for (name, action) in &self.actions {
            action.check(name)?;
            for (index, required) in action.requires.iter().enumerate() {
                self.check_prerequisite(&format!("$.actions.{name}.requires[{index}]"), action, required)?;
            }
        }
        Ok(())
    }
}

impl CatalogDocument {
    /// A prerequisite is a read of the same catalog, of whose arguments nothing depends on other steps.
    fn check_prerequisite(&self, path: &str, action: &CatalogAction, required: &Prerequisite) -> Result<(), Refused> {
        let refused = |member: &str, message: &str| Err(Refused::at(format!("{path}.{member}"), message));
        let Some(read) = self.actions.get(&required.action).filter(|read| read.class == Class::Read) else {
            return refused("action", "is not a read of this catalog");
        };
        let kind = required.resource.as_ref().map_or(&action.resource, |resource| &resource.kind);
        if *kind != read.resource {
            return refused("resource", "is of another type than the read is done to");
        }
        check_arguments(&format!("{path}.args"), &required.args)?;
        if required.args.keys().any(|name| !read.args.contains_key(name)) {
            return refused("args", "names an argument that the read does not have");
        }
        required.resource.iter().try_for_each(|resource| resource.id.check(&format!("{path}.resource.id")))?;
        let id = required.resource.as_ref().map(|resource| resource.id.as_constraint());
        if required.args.values().chain(id.as_deref()).any(Constraint::needs_history) {
            return refused("args", "depends on a step; a catalog knows no steps");
        }
        Ok(())
    }
}

impl CatalogAction {
    /// How a field of its result is described.
    pub fn result(&self, field: &str) -> Option<&CatalogResult> {
        self.results.iter().find(|(described, _)| described.as_str() == field).map(|(_, result)| result)
    }

    /// How all that may lie within a field of its result is described; the field itself is among it.
    pub fn results_within(&self, field: &str) -> impl Iterator<Item = (&Field, &CatalogResult)> {
        self.results.iter().filter(move |(described, _)| described.is_within(field))
    }

    fn check(&self, name: &str) -> Result<(), Refused> {
        let path = format!("$.actions.{name}");
        identifier(&path, name)?;
        if name.contains(char::is_whitespace) {
            return Err(Refused::at(path, "holds a space, which separates the names of actions in a scope"));
        }
        identifier(&format!("{path}.resource"), &self.resource)?;
        for argument in self.args.keys() {
            identifier(&format!("{path}.args"), argument)?;
            if argument == "*" {
                return Err(Refused::at(format!("{path}.args"), "names \"*\", which stands for all further arguments"));
            }
        }
        if !self.display.contains_key("en") {
            return Err(Refused::at(format!("{path}.display"), "needs a sentence for the locale en"));
        }
        for (locale, template) in &self.display {
            let path = format!("{path}.display.{locale}");
            text::check_plain(template).map_err(|message| Refused::at(&path, message))?;
            for slot in slots(template).map_err(|message| Refused::at(&path, message))? {
                if let Part::Argument(name) = slot
                    && !self.args.contains_key(name)
                {
                    return Err(Refused::at(&path, format!("the action has no argument {name:?}")));
                }
            }
        }
        Ok(())
    }
}

/// A piece of a display template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'t> {
    /// Text as it stands.
    Text(&'t str),
    /// `{resource}`.
    Resource,
    /// `{args.NAME}`.
    Argument(&'t str),
}

/// Splits a display template into its parts.
///
/// # Errors
/// When a brace does not belong to `{resource}` or `{args.NAME}`.
pub fn slots(template: &str) -> Result<Vec<Part<'_>>, String> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (slot, following) = after.split_once('}').ok_or("has a brace that is not closed")?;
        parts.push(Part::Text(before));
        parts.push(match (slot, slot.strip_prefix("args.")) {
            ("resource", _) => Part::Resource,
            (_, Some(name)) if !name.contains('{') => Part::Argument(name),
            _ => return Err(format!("has the unknown slot {{{slot}}}; use {{resource}} or {{args.NAME}}")),
        });
        rest = following;
    }
    parts.push(Part::Text(rest));
    let stray = |part: &Part<'_>| matches!(part, Part::Text(text) if text.contains('}'));
    if parts.iter().any(stray) { Err("has a closing brace without an opening one".into()) } else { Ok(parts) }
}
