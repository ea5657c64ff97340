//! What a scenario file says. Each word is explained in `vectors/scenarios/README.md`.

use crate::tag::Tag;
use marque_core::attenuate::StepRequest;
use marque_core::catalog::Catalog;
use marque_core::facts::Records;
use marque_core::names::DETAIL_STEP;
use marque_core::plan::Blocked;
use marque_core::reason::Reason;
use marque_core::timestamp::Timestamp;
use regex::Regex;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

pub type Object = Map<String, Value>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    pub topic: String,
    pub catalogs: Vec<String>,
    /// A place for YAML anchors.
    #[serde(default, rename = "parts")]
    _parts: Value,
    #[serde(default)]
    pub plan: Object,
    pub scenarios: Vec<Scenario>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    pub name: String,
    #[serde(default, rename = "why")]
    _why: String,
    #[serde(default)]
    pub shows: BTreeSet<Tag>,
    #[serde(default)]
    pub plan: Object,
    pub submitted_by: Option<String>,
    #[serde(default)]
    pub blocked_above: Vec<Blocked>,
    pub refused: Option<Refused>,
    pub asks_again: Option<Vec<String>>,
    pub adds: Option<Vec<Object>>,
    #[serde(default)]
    pub before: BTreeMap<String, Before>,
    #[serde(default)]
    pub story: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    pub reason: Reason,
    pub at: String,
}

/// What is known only by number.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Before {
    pub uses: u64,
    pub committed: u64,
}

pub enum Entry {
    Call(Box<CallEntry>),
    Hop(HopEntry),
    Later(LaterEntry),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallEntry {
    #[serde(rename = "do")]
    pub action: String,
    pub resource: Target,
    #[serde(default)]
    pub with: Object,
    pub with_json: Option<String>,
    pub at: Option<String>,
    pub by: Option<String>,
    pub environment: Option<String>,
    #[serde(default)]
    pub records: Records,
    pub now: Option<Timestamp>,
    pub turn: Option<u64>,
    pub blocked_since: Option<Vec<Blocked>>,
    #[serde(default)]
    pub by_step_up: bool,
    pub expect: Expect,
    pub then: Option<Then>,
    pub outcome: Option<Outcome>,
    pub gives: Option<Value>,
    pub discloses: Option<BTreeMap<String, Value>>,
    pub name: Option<String>,
    #[serde(default, rename = "why")]
    _why: String,
}

pub struct Target {
    pub kind: String,
    pub id: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    Approved,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Committed,
    Reserved,
    Released,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaterEntry {
    #[serde(rename = "later")]
    pub of: String,
    pub outcome: Option<Outcome>,
    pub gives: Option<Value>,
    pub discloses: Option<BTreeMap<String, Value>>,
    #[serde(default, rename = "why")]
    _why: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HopEntry {
    #[serde(rename = "hop")]
    pub name: String,
    pub from: Option<String>,
    pub asks: Vec<Asked>,
    pub expect: HopExpect,
    #[serde(default, rename = "why")]
    _why: String,
}

/// A step request, without the member that is the same for all: as it is read, and as it is sent.
pub struct Asked(pub StepRequest, pub Object);

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum HopExpect {
    Accepted,
    Refused(Reason),
}

/// What a call is expected to come to. Members that are not stated are not looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectMembers {
    permit: Option<String>,
    step_up: Option<String>,
    values: Option<Vec<Object>>,
    escalate: Option<Reason>,
    deny: Option<Reason>,
    nearest: Option<Object>,
}

#[derive(Debug)]
pub enum Expect {
    Permit { step: Option<String> },
    StepUp { step: Option<String>, values: Option<Vec<Object>> },
    Escalate { reason: Reason, nearest: Option<Object> },
    Deny { reason: Reason, nearest: Option<Object> },
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(source)?;
        let has = |name: &str| value.get(name).is_some();
        match (has("do"), has("hop"), has("later")) {
            (true, false, false) => typed(value).map(|call| Self::Call(Box::new(call))),
            (false, true, false) => typed(value).map(Self::Hop),
            (false, false, true) => typed(value).map(Self::Later),
            _ => Err("needs exactly one of do, hop and later".to_owned()),
        }
        .map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Members {
            r#type: String,
            id: String,
        }
        match Value::deserialize(source)? {
            Value::String(short) => short
                .split_once('/')
                .map(|(kind, id)| Self { kind: kind.into(), id: id.into() })
                .ok_or_else(|| D::Error::custom("a resource is type/id, or {type, id}")),
            other => typed(other)
                .map(|members: Members| Self { kind: members.r#type, id: members.id })
                .map_err(D::Error::custom),
        }
    }
}

impl<'de> Deserialize<'de> for Asked {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let mut members = Object::deserialize(source)?;
        if members.insert("type".into(), DETAIL_STEP.into()).is_some() {
            return Err(D::Error::custom("a request has no type here"));
        }
        let request = typed(Value::Object(members.clone())).map_err(D::Error::custom)?;
        Ok(Self(request, members))
    }
}

impl<'de> Deserialize<'de> for Expect {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let members: ExpectMembers = match Value::deserialize(source)? {
            Value::String(word) if word == "permit" => return Ok(Self::Permit { step: None }),
            Value::String(word) if word == "step_up" => return Ok(Self::StepUp { step: None, values: None }),
            other => typed(other).map_err(D::Error::custom)?,
        };
        match members {
            ExpectMembers { permit, step_up: None, values: None, escalate: None, deny: None, nearest: None }
                if permit.is_some() =>
            {
                Ok(Self::Permit { step: permit })
            }
            ExpectMembers { permit: None, step_up, values, escalate: None, deny: None, nearest: None }
                if step_up.is_some() =>
            {
                Ok(Self::StepUp { step: step_up, values })
            }
            ExpectMembers {
                permit: None,
                step_up: None,
                values: None,
                escalate: Some(reason),
                deny: None,
                nearest,
            } => Ok(Self::Escalate { reason, nearest }),
            ExpectMembers {
                permit: None,
                step_up: None,
                values: None,
                escalate: None,
                deny: Some(reason),
                nearest,
            } => Ok(Self::Deny { reason, nearest }),
            other => Err(D::Error::custom(format!("is not one outcome: {other:?}"))),
        }
    }
}

fn typed<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_path_to_error::deserialize(value).map_err(|error| format!("{}: {}", error.path(), error.inner()))
}

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/scenarios")
}

/// The YAML files of a folder by name, each as JSON.
pub fn documents(folder: &Path) -> Vec<(String, Value)> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    let read = |file: &PathBuf| {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(file).unwrap();
        (name.clone(), document(&text).unwrap_or_else(|error| panic!("{name}.yaml: {error}")))
    };
    files.iter().map(read).collect()
}

/// Reads YAML, and refuses what parsers of YAML 1.1 and 1.2 read differently.
pub fn document(text: &str) -> Result<Value, String> {
    let ambiguous = [
        (
            r#"(?m)(^\s*(- )?|[{\[,]\s*)(on|off|yes|no|y|n|On|Off|Yes|No|ON|OFF|YES|NO|Y|N)\s*[:,}\]]"#,
            "a key or item that is a Boolean elsewhere",
        ),
        (
            r#"(?m):\s+(on|off|yes|no|y|n|On|Off|Yes|No|ON|OFF|YES|NO|Y|N)\s*([,}\]#]|$)"#,
            "a value that is a Boolean elsewhere",
        ),
        (r#"(?m)[:,\[]\s+[0-9]+(-[0-9]+-[0-9T]|:[0-9])"#, "a date or time without quotes"),
        (r#"(?m)[:,\[]\s+[-+]?0[0-9_xob]"#, "a number that is octal elsewhere"),
    ];
    let quoted = Regex::new(r#""(\\.|[^"\\])*""#).unwrap();
    let plain = quoted.replace_all(text, "\"\"");
    for (pattern, what) in ambiguous {
        if let Some(found) = Regex::new(pattern).unwrap().find(&plain) {
            let line = plain[..found.end()].lines().count();
            return Err(format!("line {line}: {what}: {:?}; write quotes", found.as_str().trim()));
        }
    }
    let options = serde_saphyr::options! {
        strict_booleans: true,
        merge_keys: serde_saphyr::options::MergeKeyPolicy::Error,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())
}

pub fn file(document: Value) -> Result<File, String> {
    typed(document)
}

pub fn files() -> Vec<(String, File)> {
    let read = |(name, document): (String, Value)| {
        let file = file(document).unwrap_or_else(|error| panic!("{name}.yaml: {error}"));
        (name, file)
    };
    documents(&folder()).into_iter().map(read).collect()
}

pub fn catalogs() -> BTreeMap<String, Catalog> {
    let read = |(name, document): (String, Value)| {
        let catalog = Catalog::parse(document.to_string().as_bytes());
        (name.clone(), catalog.unwrap_or_else(|refused| panic!("catalogs/{name}.yaml: {refused}")))
    };
    documents(&folder().join("catalogs")).into_iter().map(read).collect()
}
