//! Plans: as an agent submits one, and as Marque resolves it for a person to sign.

mod resolved;
mod submitted;

pub use resolved::{Agent, CatalogRef, Limits, ResolvedPlan, StartedBy, Step, User};
pub use submitted::{SubmittedLimits, SubmittedPlan, SubmittedStep, UserRef};

use crate::call::Call;
use crate::constraint::{Constraint, Truth, Work, World};
use crate::json::{self, Path, Refused};
#[cfg(feature = "schema")]
use crate::schema;
use crate::value::decimal::DecimalText;
use crate::{limits, text};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeSet;

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

/// What happens to reads that the steps need and the plan does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Nothing is added: only the stated steps are admitted.
    Strict,
    /// The catalog adds the reads that it declares as prerequisites of a step; they are shown as added.
    Permissive,
}

/// What an action is done to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Resource {
    /// The catalog's name for this kind of resource.
    #[serde(rename = "type")]
    #[cfg_attr(feature = "schema", schemars(with = "schema::Identifier"))]
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
    /// Whether a concrete id is allowed in a world. Ids are texts: a constraint on another type never holds.
    pub fn test(&self, id: &str, world: &World<'_>) -> Truth {
        match self {
            Self::Exact(exact) => (exact == id).into(),
            Self::Bound(constraint) => constraint.test_text(id, world),
        }
    }

    /// Whether a concrete id is not certainly another one: for what is blocked, not knowing is enough.
    fn may_hold(&self, id: &str, work: &Work) -> bool {
        match self {
            Self::Exact(exact) => exact == id,
            Self::Bound(constraint) => constraint.may_hold_within(id, work),
        }
    }

    /// The constraint that it is.
    pub fn as_constraint(&self) -> Cow<'_, Constraint> {
        match self {
            Self::Exact(id) => Cow::Owned(Constraint::Const(id.as_str().into())),
            Self::Bound(constraint) => Cow::Borrowed(constraint),
        }
    }

    /// # Errors
    /// With the path of what is not well formed.
    pub(crate) fn check<'p>(&self, path: impl Into<Path<'p>>) -> Result<(), Refused> {
        match self {
            Self::Exact(id) => identifier(path, id),
            Self::Bound(constraint) => constraint.check(path),
        }
    }

    /// [`Self::check`] for what is blocked, which stands outside the order of the steps.
    fn check_blocked(&self, path: Path<'_>) -> Result<(), Refused> {
        self.check(path)?;
        if self.as_constraint().needs_history() {
            return Err(Refused::at(path, "depends on a step; what is blocked is known when the plan is signed"));
        }
        Ok(())
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
            other => Constraint::deserialize(json::Exact(&other)).map(Self::Bound).map_err(de::Error::custom),
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

/// When a person approves a step. The later one is the stricter one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Approve {
    /// With the plan.
    #[default]
    Plan,
    /// Again at each call, which is shown with its values.
    StepUp,
}

impl Approve {
    pub(crate) fn is_with_plan(&self) -> bool {
        *self == Self::Plan
    }
}

/// A client that may carry out some of the steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Delegate {
    /// The client's id.
    #[cfg_attr(feature = "schema", schemars(with = "schema::Identifier"))]
    pub client_id: String,
    /// Ids of the steps it may carry out.
    #[serde(deserialize_with = "distinct")]
    #[cfg_attr(feature = "schema", schemars(with = "BTreeSet<schema::StepOfPlan>", length(min = 1, max = limits::STEPS)))]
    pub steps: BTreeSet<String>,
}

pub(crate) fn distinct<'de, D: Deserializer<'de>>(source: D) -> Result<BTreeSet<String>, D::Error> {
    let listed = Vec::<String>::deserialize(source)?;
    let count = listed.len();
    let distinct: BTreeSet<_> = listed.into_iter().collect();
    if distinct.len() == count { Ok(distinct) } else { Err(de::Error::custom("names a step twice")) }
}

/// A bound on what several steps come to together, over all hops. Kept by the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", schemars(extend("dependentRequired" = {"currency": ["arg"]})))]
pub struct Budget {
    /// The steps whose calls are added up. Their uses are counted, not `any`.
    #[serde(deserialize_with = "distinct")]
    #[cfg_attr(feature = "schema", schemars(with = "BTreeSet<schema::StepOfPlan>", length(min = 1, max = limits::STEPS)))]
    pub steps: BTreeSet<String>,
    /// The argument that is added up; absent means that uses are counted.
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "schema::Identifier"))]
    pub arg: Option<String>,
    /// The greatest sum.
    #[cfg_attr(feature = "schema", schemars(with = "schema::NotNegative"))]
    pub max: DecimalText,
    /// The currency of the argument, if it is an amount.
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "schema::Currency"))]
    pub currency: Option<String>,
}

/// What must not be done whatever the steps say: a call to which everything that is stated here applies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", schemars(extend("minProperties" = 1)))]
pub struct Blocked {
    /// The name of an action.
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "schema::Identifier"))]
    pub action: Option<String>,
    /// A resource.
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "BlockedResource"))]
    pub resource: Option<BlockedResource>,
    /// URI of a resource server.
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "schema::Location"))]
    pub location: Option<String>,
}

/// A resource that is blocked: of a type, by its id, or both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", schemars(extend("minProperties" = 1)))]
pub struct BlockedResource {
    /// The catalog's name for this kind of resource.
    #[serde(rename = "type", default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "schema::Identifier"))]
    pub kind: Option<String>,
    /// One id exactly, or a constraint on it that depends on no step.
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "ResourceId"))]
    pub id: Option<ResourceId>,
}

impl Blocked {
    /// Whether everything that is stated applies to a call.
    pub fn applies(&self, call: &Call) -> bool {
        self.applies_within(call, &Work::new(limits::DECISION_WORK))
    }

    /// [`Self::applies`] for some work: where it runs out, it applies.
    pub(crate) fn applies_within(&self, call: &Call, work: &Work) -> bool {
        let resource = self.resource.as_ref().is_none_or(|blocked| {
            blocked.kind.as_ref().is_none_or(|kind| *kind == call.resource.kind)
                && blocked.id.as_ref().is_none_or(|id| id.may_hold(&call.resource.id, work))
        });
        self.action.as_ref().is_none_or(|action| *action == call.action)
            && self.location.as_ref().is_none_or(|location| *location == call.location)
            && resource
    }

    pub(crate) fn check<'p>(&self, path: impl Into<Path<'p>>) -> Result<(), Refused> {
        let path = path.into();
        let Self { action, resource, location: place } = self;
        if action.is_none() && resource.is_none() && place.is_none() {
            return Err(Refused::at(path, "blocks everything; name an action, a resource or a location"));
        }
        action.iter().try_for_each(|action| identifier(path.member("action"), action))?;
        place.iter().try_for_each(|place| location(path.member("location"), place))?;
        let Some(resource) = resource else { return Ok(()) };
        if resource.kind.is_none() && resource.id.is_none() {
            return Err(Refused::at(path.member("resource"), "needs type or id"));
        }
        resource.kind.iter().try_for_each(|kind| identifier(path.member("resource.type"), kind))?;
        resource.id.iter().try_for_each(|id| id.check_blocked(path.member("resource.id")))
    }
}

pub(crate) fn chars<'p>(path: impl Into<Path<'p>>, value: &str, max: usize) -> Result<(), Refused> {
    let path = path.into();
    text::check_plain(value).map_err(|message| Refused::at(path, message))?;
    // There are not more characters than bytes.
    if (1..=max).contains(&value.len()) {
        return Ok(());
    }
    match value.chars().count() {
        0 => Err(Refused::at(path, "is empty")),
        length if length > max => Err(Refused::at(path, format!("has {length} characters; at most {max} are allowed"))),
        _ => Ok(()),
    }
}

pub(crate) fn identifier<'p>(path: impl Into<Path<'p>>, value: &str) -> Result<(), Refused> {
    chars(path, value, limits::IDENTIFIER_CHARS)
}

fn count<'p>(path: impl Into<Path<'p>>, count: usize, max: usize) -> Result<(), Refused> {
    if (1..=max).contains(&count) { Ok(()) } else { Err(Refused::at(path.into(), format!("needs 1 to {max} entries"))) }
}

/// A location is an absolute http(s) URI in normal form, without user, query, fragment, percent-encoding or final slash.
pub(crate) fn location<'p>(path: impl Into<Path<'p>>, value: &str) -> Result<(), Refused> {
    let path = path.into();
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
