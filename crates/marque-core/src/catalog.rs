//! Catalogs: a resource server's own description of its actions, and of nothing but itself.

use crate::canonical::Digest;
use crate::json::{self, Refused};
use crate::plan::{CatalogRef, Class, identifier, location};
use crate::{limits, text};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

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
    /// The actions by name.
    pub actions: BTreeMap<String, CatalogAction>,
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
}

/// JSON types that an argument can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArgumentKind {
    /// Text.
    String,
    /// A whole number.
    Integer,
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

    /// The first action whose class got milder, or that became reversible, compared with an earlier version.
    pub fn lowered_since<'a>(&self, earlier: &'a Self) -> Option<&'a str> {
        let milder = |name: &str, before: &CatalogAction| {
            self.action(name).is_some_and(|now| now.class < before.class || (now.reversible && !before.reversible))
        };
        earlier.document.actions.iter().find(|(name, before)| milder(name, before)).map(|(name, _)| name.as_str())
    }
}

impl CatalogDocument {
    fn check(&self) -> Result<(), Refused> {
        identifier("$.iss", &self.iss)?;
        location("$.location", &self.location)?;
        if self.version == 0 {
            return Err(Refused::at("$.version", "starts at 1"));
        }
        for (name, action) in &self.actions {
            action.check(name)?;
        }
        Ok(())
    }
}

impl CatalogAction {
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
