//! Plans as people sign them.

use super::{Approve, Blocked, Budget, Class, Delegate, Mode, Resource, Uses, Version};
use crate::canonical::{Digest, canonical};
use crate::claims::Confirmation;
use crate::constraint::{Arguments, TimeWindow, check_arguments};
use crate::json::{self, Refused};
use crate::{limits, timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

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
    /// Who began; absent in plans from before it was said.
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    pub started_by: Option<StartedBy>,
    /// How steps that the plan does not name are treated.
    pub mode: Mode,
    /// How long and how far the plan may travel.
    pub limits: Limits,
    /// What may be done.
    pub steps: Vec<Step>,
    /// Other clients that may carry out some of the steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delegates: Vec<Delegate>,
    /// What must not be done whatever the steps say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocked: Vec<Blocked>,
    /// The catalogs that the steps were resolved with.
    pub catalogs: Vec<CatalogRef>,
}

/// Who began a plan: what Marque saw when it was submitted, never the agent's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartedBy {
    /// The user: the submission came with an ID token of a sign-in of hers a moment ago, made for this very agent.
    User,
    /// The agent, which may ask this user because the realm pairs them or another issuer says so. The person is told that she did not
    /// start it.
    Agent,
}

/// The agent, and the key or the certificate that it submitted the plan with: `{client_id, jkt}`, or
/// `{client_id, "x5t#S256"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "AgentMember", into = "AgentMember")]
pub struct Agent {
    /// The client's id at the realm.
    pub client_id: String,
    /// What it proves: every token of the plan is bound to it.
    pub cnf: Confirmation,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AgentMember {
    client_id: String,
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    jkt: Option<String>,
    #[serde(default, rename = "x5t#S256", deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    x5t: Option<Digest>,
}

impl TryFrom<AgentMember> for Agent {
    type Error = &'static str;

    fn try_from(AgentMember { client_id, jkt, x5t }: AgentMember) -> Result<Self, Self::Error> {
        let cnf = match (jkt, x5t) {
            (Some(jkt), None) => Confirmation::Jkt(jkt),
            (None, Some(thumbprint)) => Confirmation::X5t(thumbprint),
            _ => return Err("has either jkt or x5t#S256"),
        };
        Ok(Self { client_id, cnf })
    }
}

impl From<Agent> for AgentMember {
    fn from(Agent { client_id, cnf }: Agent) -> Self {
        match cnf {
            Confirmation::Jkt(jkt) => Self { client_id, jkt: Some(jkt), x5t: None },
            Confirmation::X5t(thumbprint) => Self { client_id, jkt: None, x5t: Some(thumbprint) },
        }
    }
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
    /// Turns that the agent may start; absent means that they are not counted.
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    pub turns: Option<u64>,
    /// Step-ups that the person may be asked for.
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    pub max_step_ups: Option<u64>,
    /// Bounds on what several steps come to together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
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
    pub args: Arguments,
    /// How often.
    pub uses: Uses,
    /// The catalog's class of the action.
    pub class: Class,
    /// Steps that must have been committed before.
    #[serde(default, deserialize_with = "super::distinct", skip_serializing_if = "BTreeSet::is_empty")]
    pub after: BTreeSet<String>,
    /// At most one step of a group is used.
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// When it may be done.
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    pub window: Option<TimeWindow>,
    /// In which of the catalog's environments it may be done; absent means in any.
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
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
        let (plan, canonical) = json::read_plan::<Self>(bytes, limits::EVIDENCE_BYTES)?;
        if canonical != bytes {
            return Err(Refused::at("$", "is not in canonical form (RFC 8785)"));
        }
        if plan.canonical() != bytes {
            return Err(Refused::at("$", "states a default that the resolved form leaves out, or the reverse"));
        }
        Ok(plan)
    }

    /// Reads a resolved plan from a strictly parsed value, however it was written. Only the canonical bytes are what
    /// somebody signed.
    ///
    /// # Errors
    /// The first offence, with its JSON path.
    pub fn from_value(value: Value) -> Result<Self, Refused> {
        let plan: Self = json::typed(value)?;
        for (index, step) in plan.steps.iter().enumerate() {
            step.resource.id.check(&format!("$.steps[{index}].resource.id"))?;
            check_arguments(&format!("$.steps[{index}].args"), &step.args)?;
        }
        plan.expires_at()?;
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
