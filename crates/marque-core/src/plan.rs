//! Plans: as an agent submits one, and as Marque resolves it for a person to sign.

use crate::canonical::{Digest, canonical};
use crate::constraint::Constraint;
use crate::json::{self, Refused};
use crate::{limits, text, timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A plan as an agent submits it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubmittedPlan {
    /// Always 1.
    pub version: Version,
    /// What the agent says the plan is for; shown as its unchecked claim.
    pub purpose: String,
    /// The submitting client's id.
    pub agent: String,
    /// For whom the agent wants to act.
    pub user: UserRef,
    /// How steps that the plan does not name are treated.
    pub mode: Mode,
    /// How long and how far the plan may travel.
    pub limits: SubmittedLimits,
    /// What the agent wants to do, in the order in which it is shown.
    pub steps: Vec<SubmittedStep>,
    /// Other clients that may carry out some of the steps.
    #[serde(default)]
    pub delegates: Vec<Delegate>,
}

/// The plan language's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Version;

impl TryFrom<u64> for Version {
    type Error = &'static str;
    fn try_from(value: u64) -> Result<Self, Self::Error> {
        (value == 1).then_some(Self).ok_or("only version 1 exists")
    }
}

impl From<Version> for u64 {
    fn from(_: Version) -> Self {
        1
    }
}

/// A user, by subject identifier or by user name: exactly one of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserRef {
    /// The realm's `sub`.
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// The realm's user name.
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
}

/// How steps that the plan does not name are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Nothing is added: only the stated steps are admitted.
    Strict,
}

/// Limits as submitted: exactly one of `expires_at` and `lifetime_secs`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubmittedLimits {
    /// RFC 3339, UTC, whole seconds.
    #[serde(default, deserialize_with = "json::stated")]
    pub expires_at: Option<String>,
    /// Seconds from submission.
    #[serde(default, deserialize_with = "json::stated")]
    pub lifetime_secs: Option<i64>,
    /// Hops beyond the agent itself.
    pub max_hops: u32,
}

/// A step as submitted.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubmittedStep {
    /// Unique within the plan.
    pub id: String,
    /// URI of the resource server.
    pub location: String,
    /// Name of the action in that resource server's catalog.
    pub action: String,
    /// What the action is done to.
    pub resource: Resource,
    /// What each argument must satisfy.
    #[serde(default)]
    pub args: BTreeMap<String, Constraint>,
    /// How often; absent means once.
    #[serde(default)]
    pub uses: Uses,
}

/// What an action is done to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    /// The catalog's name for this kind of resource.
    #[serde(rename = "type")]
    pub kind: String,
    /// One id exactly, or a constraint on it.
    pub id: ResourceId,
}

/// One resource id exactly, or a constraint on it.
#[derive(Clone, Debug, PartialEq)]
pub enum ResourceId {
    /// Exactly this id.
    Exact(String),
    /// Any id that satisfies the constraint.
    Bound(Constraint),
}

impl ResourceId {
    /// Whether a concrete id is allowed.
    pub fn holds(&self, id: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == id,
            Self::Bound(constraint) => constraint.holds(&Value::from(id)),
        }
    }
}

impl Serialize for ResourceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Exact(id) => serializer.serialize_str(id),
            Self::Bound(constraint) => constraint.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ResourceId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(id) => Ok(Self::Exact(id)),
            other => serde_json::from_value(other).map(Self::Bound).map_err(de::Error::custom),
        }
    }
}

/// How often a step may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uses {
    /// So often; counted at the ledger.
    Count(u64),
    /// Uncounted, hence decided offline; reads only; shown UNBOUNDED.
    Any,
}

impl Default for Uses {
    fn default() -> Self {
        Self::Count(1)
    }
}

impl Serialize for Uses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => serializer.serialize_u64(*count),
            Self::Any => serializer.serialize_str("any"),
        }
    }
}

impl<'de> Deserialize<'de> for Uses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        match (value.as_u64(), value.as_str()) {
            (Some(count), _) if (1..=limits::USES).contains(&count) => Ok(Self::Count(count)),
            (_, Some("any")) => Ok(Self::Any),
            _ => Err(de::Error::custom(format!("uses is 1 to {} or \"any\"", limits::USES))),
        }
    }
}

/// What kind of effect an action has, from harmless to grave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Looks and changes nothing.
    Read,
    /// Makes something new.
    Create,
    /// Changes something that is there.
    Change,
    /// Removes something.
    Delete,
    /// Runs code.
    Run,
    /// Sends something to somebody.
    Send,
    /// Spends money.
    Pay,
    /// Gives somebody access.
    Grant,
}

/// When a person approves a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approve {
    /// With the plan.
    Plan,
}

/// A client that may carry out some of the steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delegate {
    /// The client's id.
    pub client_id: String,
    /// Ids of the steps it may carry out.
    #[serde(deserialize_with = "distinct")]
    pub steps: BTreeSet<String>,
}

fn distinct<'de, D: Deserializer<'de>>(source: D) -> Result<BTreeSet<String>, D::Error> {
    let listed = Vec::<String>::deserialize(source)?;
    let count = listed.len();
    let distinct: BTreeSet<_> = listed.into_iter().collect();
    if distinct.len() == count { Ok(distinct) } else { Err(de::Error::custom("names a step twice")) }
}

/// A plan as Marque completed it: what the person signs. Its canonical bytes are digested.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResolvedPlan {
    /// Always 1.
    pub version: Version,
    /// The Marque issuer.
    pub issuer: String,
    /// Drawn by Marque, so that an agent cannot choose digests.
    pub intent_id: String,
    /// The agent's claim.
    pub purpose: String,
    /// Who acts.
    pub agent: Agent,
    /// For whom.
    pub user: User,
    /// How steps that the plan does not name are treated.
    pub mode: Mode,
    /// How long and how far the plan may travel.
    pub limits: Limits,
    /// What may be done.
    pub steps: Vec<Step>,
    /// Other clients that may carry out some of the steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delegates: Vec<Delegate>,
    /// The catalogs that the steps were resolved with.
    pub catalogs: Vec<CatalogRef>,
}

/// The agent and the key it submitted the plan with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// The client's id at the realm.
    pub client_id: String,
    /// RFC 7638 thumbprint of its DPoP key.
    pub jkt: String,
}

/// The person for whom the agent acts: a principal is always (realm, sub) or (realm, user name).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The realm's issuer.
    pub iss: String,
    /// The realm's `sub`, if the agent named the user so.
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// The realm's user name, if the agent named the user so.
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
}

impl User {
    /// Whether somebody who is signed in at the realm is this user.
    pub fn is(&self, iss: &str, sub: &str, username: &str) -> bool {
        self.iss == iss
            && match (&self.sub, &self.username) {
                (Some(wanted), None) => wanted == sub,
                (None, Some(wanted)) => wanted == username,
                _ => false,
            }
    }

    /// The name to show.
    pub fn name(&self) -> &str {
        self.username.as_deref().or(self.sub.as_deref()).unwrap_or_default()
    }
}

/// Limits of a resolved plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// RFC 3339, UTC, whole seconds.
    pub expires_at: String,
    /// Hops beyond the agent itself.
    pub max_hops: u32,
}

/// A step of a resolved plan: one SARC tuple.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Unique within the plan.
    pub id: String,
    /// URI of the resource server.
    pub location: String,
    /// Name of the action in that resource server's catalog.
    pub action: String,
    /// What the action is done to.
    pub resource: Resource,
    /// What each argument must satisfy; an argument that is not named must be absent.
    pub args: BTreeMap<String, Constraint>,
    /// How often.
    pub uses: Uses,
    /// The catalog's class of the action.
    pub class: Class,
    /// When a person approves the step.
    pub approve: Approve,
    /// Whether Marque added the step.
    pub added: bool,
}

/// The catalog that a step's location was described by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogRef {
    /// URI of the resource server.
    pub location: String,
    /// The catalog's version.
    pub version: u64,
    /// SHA-256 of the catalog's octets as signed.
    pub sha256: Digest,
}

impl SubmittedPlan {
    /// Reads a plan from the bytes an agent sent.
    ///
    /// # Errors
    /// The first offence, with its JSON path.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refused> {
        Self::from_value(json::parse_plan(bytes, limits::PLAN_BYTES)?)
    }

    /// Reads a plan from a strictly parsed value.
    ///
    /// # Errors
    /// The first offence, with its JSON path.
    pub fn from_value(value: Value) -> Result<Self, Refused> {
        let plan: Self = json::typed(value)?;
        plan.check()?;
        Ok(plan)
    }

    fn check(&self) -> Result<(), Refused> {
        chars("$.purpose", &self.purpose, limits::PURPOSE_CHARS)?;
        identifier("$.agent", &self.agent)?;
        self.user.check()?;
        self.limits.check()?;
        count("$.steps", self.steps.len(), limits::STEPS)?;
        let mut ids = BTreeSet::new();
        for (index, step) in self.steps.iter().enumerate() {
            let path = format!("$.steps[{index}]");
            step.check(&path)?;
            if !ids.insert(step.id.as_str()) {
                return Err(Refused::at(format!("{path}.id"), "another step has this id"));
            }
        }
        self.check_delegates(&ids)
    }

    fn check_delegates(&self, ids: &BTreeSet<&str>) -> Result<(), Refused> {
        if self.delegates.len() > limits::DELEGATES {
            return Err(Refused::at("$.delegates", format!("may name at most {} clients", limits::DELEGATES)));
        }
        let mut clients = BTreeSet::from([self.agent.as_str()]);
        for (index, delegate) in self.delegates.iter().enumerate() {
            let path = format!("$.delegates[{index}]");
            identifier(&format!("{path}.client_id"), &delegate.client_id)?;
            if !clients.insert(&delegate.client_id) {
                return Err(Refused::at(format!("{path}.client_id"), "is named twice or is the agent itself"));
            }
            if delegate.steps.is_empty() {
                return Err(Refused::at(format!("{path}.steps"), "names no step"));
            }
            if let Some(unknown) = delegate.steps.iter().find(|id| !ids.contains(id.as_str())) {
                return Err(Refused::at(format!("{path}.steps"), format!("the plan has no step {unknown:?}")));
            }
        }
        Ok(())
    }
}

impl UserRef {
    fn check(&self) -> Result<(), Refused> {
        match (&self.sub, &self.username) {
            (Some(name), None) => identifier("$.user.sub", name),
            (None, Some(name)) => identifier("$.user.username", name),
            _ => Err(Refused::at("$.user", "needs exactly one of sub and username")),
        }
    }
}

impl SubmittedLimits {
    fn check(&self) -> Result<(), Refused> {
        if self.max_hops > limits::HOPS {
            return Err(Refused::at("$.limits.max_hops", format!("may be at most {}", limits::HOPS)));
        }
        match (&self.expires_at, self.lifetime_secs) {
            (Some(text), None) => {
                timestamp::parse(text).map(drop).map_err(|message| Refused::at("$.limits.expires_at", message))
            }
            (None, Some(secs)) if (1..=limits::LIFETIME_SECS).contains(&secs) => Ok(()),
            (None, Some(_)) => Err(Refused::at("$.limits.lifetime_secs", format!("is 1 to {}", limits::LIFETIME_SECS))),
            _ => Err(Refused::at("$.limits", "needs exactly one of expires_at and lifetime_secs")),
        }
    }
}

impl SubmittedStep {
    fn check(&self, path: &str) -> Result<(), Refused> {
        identifier(&format!("{path}.id"), &self.id)?;
        identifier(&format!("{path}.action"), &self.action)?;
        identifier(&format!("{path}.resource.type"), &self.resource.kind)?;
        location(&format!("{path}.location"), &self.location)?;
        match &self.resource.id {
            ResourceId::Exact(id) => identifier(&format!("{path}.resource.id"), id)?,
            ResourceId::Bound(constraint) => constraint.check(&format!("{path}.resource.id"))?,
        }
        if self.args.len() > limits::ARGUMENTS {
            return Err(Refused::at(
                format!("{path}.args"),
                format!("may name at most {} arguments", limits::ARGUMENTS),
            ));
        }
        for (name, constraint) in &self.args {
            let path = format!("{path}.args.{name}");
            identifier(&path, name)?;
            constraint.check(&path)?;
            if name == "*" && !matches!(constraint, Constraint::Any(_)) {
                return Err(Refused::at(path, "opens the remaining arguments and takes only {\"any\":true}"));
            }
        }
        Ok(())
    }
}

impl ResolvedPlan {
    /// The canonical bytes: what is digested, signed and kept.
    pub fn canonical(&self) -> Vec<u8> {
        canonical(&serde_json::to_value(self).unwrap_or_default())
    }

    /// The plan digest: SHA-256 over [`Self::canonical`].
    pub fn digest(&self) -> Digest {
        Digest::of(&self.canonical())
    }

    /// Reads a resolved plan back from its canonical bytes, and from nothing else.
    ///
    /// # Errors
    /// With the path of the offence; `$` if the bytes are not the canonical ones.
    pub fn from_canonical(bytes: &[u8]) -> Result<Self, Refused> {
        let value = json::parse_plan(bytes, limits::EVIDENCE_BYTES)?;
        if canonical(&value) != bytes {
            return Err(Refused::at("$", "is not in canonical form (RFC 8785)"));
        }
        let plan: Self = json::typed(value)?;
        if plan.canonical() != bytes {
            return Err(Refused::at("$", "states a default that the resolved form leaves out, or the reverse"));
        }
        Ok(plan)
    }

    /// When the plan ends, in seconds since the Unix epoch.
    ///
    /// # Errors
    /// When the plan's instant is malformed.
    pub fn expires_at(&self) -> Result<i64, Refused> {
        timestamp::parse(&self.limits.expires_at).map_err(|message| Refused::at("$.limits.expires_at", message))
    }

    /// The steps that a client may carry out: all for the agent, those it was given for a delegate.
    pub fn may_carry_out(&self, client_id: &str, step: &str) -> bool {
        self.agent.client_id == client_id
            || self.delegates.iter().any(|delegate| delegate.client_id == client_id && delegate.steps.contains(step))
    }

    /// Whether the signed plan lists the client as a delegate.
    pub fn is_delegate(&self, client_id: &str) -> bool {
        self.delegates.iter().any(|delegate| delegate.client_id == client_id)
    }
}

fn chars(path: &str, value: &str, max: usize) -> Result<(), Refused> {
    text::check_plain(value).map_err(|message| Refused::at(path, message))?;
    match value.chars().count() {
        0 => Err(Refused::at(path, "is empty")),
        length if length > max => Err(Refused::at(path, format!("has {length} characters; at most {max} are allowed"))),
        _ => Ok(()),
    }
}

pub(crate) fn identifier(path: &str, value: &str) -> Result<(), Refused> {
    chars(path, value, limits::IDENTIFIER_CHARS)
}

fn count(path: &str, count: usize, max: usize) -> Result<(), Refused> {
    if (1..=max).contains(&count) { Ok(()) } else { Err(Refused::at(path, format!("needs 1 to {max} entries"))) }
}

/// A location is an absolute http(s) URI in normal form, without user, query, fragment, percent-encoding or final slash.
pub(crate) fn location(path: &str, value: &str) -> Result<(), Refused> {
    identifier(path, value)?;
    let refused =
        || Refused::at(path, "is not an http(s) URI in normal form without user, query, fragment, % and final slash");
    let uri = url::Url::parse(value).map_err(|_| refused())?;
    let normal = uri.as_str().strip_suffix('/').unwrap_or(uri.as_str());
    // The parser keeps percent-encoding as it is, so that one address would have several spellings.
    let plain = !value.contains('%')
        && uri.username().is_empty()
        && uri.password().is_none()
        && uri.query().is_none()
        && uri.fragment().is_none();
    if matches!(uri.scheme(), "http" | "https") && plain && normal == value { Ok(()) } else { Err(refused()) }
}
