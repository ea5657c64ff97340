//! The claims of intent tokens and transaction tokens.

use crate::canonical::{Digest, canonical};
use crate::envelope::{Bounds, Envelope, EnvelopeStep};
use crate::json::{self, Refused};
use crate::limits;
use crate::names::DETAIL_STEP;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;

/// What the holder of a token proves (RFC 7800): exactly one of these. A second confirmation method beside it is refused: it
/// would be believed and not checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Confirmation {
    /// Possession of a DPoP key, by its RFC 7638 thumbprint (RFC 9449 §6.1).
    #[serde(rename = "jkt")]
    Jkt(String),
    /// Possession of the key of a client certificate, by the SHA-256 of the certificate's DER (RFC 8705 §3.1).
    #[serde(rename = "x5t#S256")]
    X5t(Digest),
}

impl Confirmation {
    /// What names a certificate in [`fmt::Display`]; no thumbprint of a key has such signs.
    const CERTIFICATE: &'static str = "x5t#S256:";

    /// Whether it is the DPoP key with this thumbprint.
    pub fn is_key(&self, jkt: &str) -> bool {
        matches!(self, Self::Jkt(own) if own == jkt)
    }

    /// The thumbprint of the certificate, if it is one.
    pub const fn certificate(&self) -> Option<Digest> {
        match self {
            Self::Jkt(_) => None,
            Self::X5t(thumbprint) => Some(*thumbprint),
        }
    }

    /// How whoever holds a token that is bound so presents it (RFC 6749 §7.1): `DPoP` with a proof, `Bearer` over a connection
    /// with the certificate, since RFC 8705 §3 has no word of its own.
    pub const fn token_type(&self) -> &'static str {
        match self {
            Self::Jkt(_) => "DPoP",
            Self::X5t(_) => "Bearer",
        }
    }
}

/// One text for each: the thumbprint of a key as it is, that of a certificate behind `x5t#S256:`.
impl fmt::Display for Confirmation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Jkt(thumbprint) => f.write_str(thumbprint),
            Self::X5t(thumbprint) => write!(f, "{}{}", Self::CERTIFICATE, thumbprint.to_base64()),
        }
    }
}

/// Who acts (RFC 8693 §4.1): the outermost actor is the current one, earlier ones are nested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// The actor's client id.
    pub sub: String,
    /// The actor before it.
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    pub act: Option<Box<Actor>>,
}

impl Actor {
    /// A chain of one.
    pub fn first(client_id: &str) -> Self {
        Self { sub: client_id.into(), act: None }
    }

    /// The chain with one more actor in front.
    #[must_use]
    pub fn followed_by(self, client_id: &str) -> Self {
        Self { sub: client_id.into(), act: Some(Box::new(self)) }
    }

    /// The client ids, current actor first.
    pub fn chain(&self) -> Vec<&str> {
        std::iter::successors(Some(self), |actor| actor.act.as_deref()).map(|actor| actor.sub.as_str()).collect()
    }

    /// Hops beyond the agent itself.
    pub fn hops(&self) -> u32 {
        u32::try_from(self.chain().len() - 1).unwrap_or(u32::MAX)
    }
}

/// Who may exchange a token besides its holder (RFC 8693 §4.4): a client that the holder named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MayAct {
    /// The client's id.
    pub sub: String,
}

/// Which signed plan a token comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntentRef {
    /// The intent's id.
    pub id: String,
    /// The plan digest.
    pub digest: Digest,
    /// The plan's version: amendments count upward.
    pub version: u32,
}

/// Claims of an intent token: used at Marque alone, refused by every gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntentClaims {
    /// The Marque issuer.
    pub iss: String,
    /// The Marque issuer again: nobody else accepts the token.
    pub aud: String,
    /// The person.
    pub sub: String,
    /// Seconds since the Unix epoch.
    pub iat: i64,
    /// Seconds since the Unix epoch.
    pub exp: i64,
    /// The token's id.
    pub jti: String,
    /// The agent.
    pub client_id: String,
    /// The agent's key or certificate.
    pub cnf: Confirmation,
    /// The agent as actor.
    pub act: Actor,
    /// The realm's authentication context of the approval.
    pub acr: String,
    /// When the person last signed in; seconds since the Unix epoch.
    pub auth_time: i64,
    /// Sorted distinct actions.
    pub scope: String,
    /// The signed plan, its evidence and its passkey.
    pub intent: IntentProof,
    /// The steps, each an `agent_intent_step`.
    pub authorization_details: Vec<Value>,
    /// What holds for all steps together.
    pub bounds: Bounds,
    /// Where verifiers that are no gates learn whether it was revoked.
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusClaim>,
}

/// Claim `status` (Token Status List): the token's place in a published list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusClaim {
    /// The one mechanism that is used.
    pub status_list: StatusPlace,
}

/// A place in a status list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusPlace {
    /// The index, from 0.
    pub idx: u32,
    /// Where the list is.
    pub uri: String,
}

/// Member `intent` of an intent token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntentProof {
    /// The intent's id.
    pub id: String,
    /// The plan digest.
    pub digest: Digest,
    /// The plan's version.
    pub version: u32,
    /// SHA-256 of the evidence file.
    pub evidence: Digest,
    /// SHA-256 of the passkey's credential id.
    pub credential: Digest,
}

/// Claims of a transaction token (draft-ietf-oauth-transaction-tokens).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TxnClaims {
    /// The Marque issuer.
    pub iss: String,
    /// The trust domain.
    pub aud: String,
    /// The person: never changes along a chain.
    pub sub: String,
    /// Seconds since the Unix epoch.
    pub iat: i64,
    /// Seconds since the Unix epoch.
    pub exp: i64,
    /// The token's id.
    pub jti: String,
    /// One call chain: never changes along it.
    pub txn: String,
    /// Sorted distinct actions.
    pub scope: String,
    /// The workload that asked for the token.
    pub req_wl: String,
    /// What may be done.
    pub tctx: TxnContext,
    /// The environment of the request, as Marque saw it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub rctx: Map<String, Value>,
    /// The chain of actors.
    pub act: Actor,
    /// Who may act next, besides the delegates of the plan, if the holder named somebody.
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    pub may_act: Option<MayAct>,
    /// The current actor's key or certificate: always there.
    pub cnf: Confirmation,
}

/// Member `tctx` of a transaction token: `{intent, steps, bounds}`, or `{intent, env}` where the steps are long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "TctxMember", into = "TctxMember")]
pub struct TxnContext {
    /// The signed plan.
    pub intent: IntentRef,
    /// What may still be done.
    pub carried: Carried,
}

/// What may still be done, or which envelope says so.
#[derive(Clone, Debug, PartialEq)]
pub enum Carried {
    /// The envelope itself.
    Inline(Envelope),
    /// The digest of the envelope that Marque keeps.
    ByDigest(Digest),
}

impl Carried {
    /// How a token carries an envelope: by its digest if the steps are longer than [`limits::INLINE_STEPS_BYTES`].
    pub fn of(envelope: Envelope) -> Self {
        let steps = serde_json::to_value(&envelope.steps).unwrap_or_default();
        if canonical(&steps).len() > limits::INLINE_STEPS_BYTES {
            Self::ByDigest(envelope.digest())
        } else {
            Self::Inline(envelope)
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TctxMember {
    intent: IntentRef,
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    steps: Option<Vec<EnvelopeStep>>,
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    bounds: Option<Bounds>,
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    env: Option<Digest>,
}

impl TryFrom<TctxMember> for TxnContext {
    type Error = &'static str;

    fn try_from(TctxMember { intent, steps, bounds, env }: TctxMember) -> Result<Self, Self::Error> {
        let carried = match (steps, bounds, env) {
            (Some(steps), Some(bounds), None) => Carried::Inline(Envelope { steps, bounds }),
            (None, None, Some(digest)) => Carried::ByDigest(digest),
            _ => return Err("has either steps and bounds, or env"),
        };
        Ok(Self { intent, carried })
    }
}

impl From<TxnContext> for TctxMember {
    fn from(TxnContext { intent, carried }: TxnContext) -> Self {
        match carried {
            Carried::Inline(Envelope { steps, bounds }) => {
                Self { intent, steps: Some(steps), bounds: Some(bounds), env: None }
            }
            Carried::ByDigest(digest) => Self { intent, steps: None, bounds: None, env: Some(digest) },
        }
    }
}

impl IntentClaims {
    /// The claims of a verified payload.
    ///
    /// # Errors
    /// With the path of what is not as it must be.
    pub fn parse(payload: &[u8]) -> Result<Self, Refused> {
        json::read_claims(payload)
    }

    /// The steps as `authorization_details` (RFC 9396).
    pub fn details(envelope: &Envelope) -> Vec<Value> {
        envelope.steps.iter().map(|step| serde_json::to_value(StepDetail::of(step)).unwrap_or_default()).collect()
    }

    /// The envelope that the `authorization_details` carry.
    ///
    /// # Errors
    /// When an entry is not an `agent_intent_step`.
    pub fn envelope(&self) -> Result<Envelope, Refused> {
        envelope_of(&self.authorization_details, &self.bounds)
    }
}

/// A step as an entry of `authorization_details` (RFC 9396).
#[derive(Clone, Copy, Debug, Serialize)]
pub struct StepDetail<'e> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    step: &'e EnvelopeStep,
}

impl<'e> StepDetail<'e> {
    /// The entry of a step.
    pub const fn of(step: &'e EnvelopeStep) -> Self {
        Self { kind: DETAIL_STEP, step }
    }
}

/// The envelope that `authorization_details` carry.
pub(crate) fn envelope_of(details: &[Value], bounds: &Bounds) -> Result<Envelope, Refused> {
    let mut steps = details.to_vec();
    for (index, step) in steps.iter_mut().enumerate() {
        let kind = step.as_object_mut().and_then(|members| members.remove("type"));
        if kind.as_ref().and_then(Value::as_str) != Some(DETAIL_STEP) {
            return Err(Refused::at(format!("$.authorization_details[{index}].type"), format!("is not {DETAIL_STEP}")));
        }
    }
    let steps = json::typed(Value::Array(steps)).map_err(|refused| refused.under("$.authorization_details"))?;
    Ok(Envelope { steps, bounds: bounds.clone() })
}

impl TxnClaims {
    /// The claims of a verified payload.
    ///
    /// # Errors
    /// With the path of what is not as it must be.
    pub fn parse(payload: &[u8]) -> Result<Self, Refused> {
        json::read_claims(payload)
    }
}

/// Claims of a transaction token that a workload started for itself: no intent, and no steps. [`TxnClaims`] are read from
/// none of them, so whoever looks for what is permitted refuses it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadClaims {
    /// The Marque issuer.
    pub iss: String,
    /// The trust domain.
    pub aud: String,
    /// The workload's client id.
    pub sub: String,
    /// Seconds since the Unix epoch.
    pub iat: i64,
    /// Seconds since the Unix epoch.
    pub exp: i64,
    /// The token's id.
    pub jti: String,
    /// The call chain.
    pub txn: String,
    /// Empty: no action is permitted.
    pub scope: String,
    /// The workload again.
    pub req_wl: String,
    /// What may be done: nothing.
    pub tctx: NoSteps,
    /// The environment of the request, as far as the workload may say it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub rctx: Map<String, Value>,
    /// The workload as actor.
    pub act: Actor,
    /// The workload's key or certificate.
    pub cnf: Confirmation,
}

/// Member `tctx` of a token without an intent: `{"steps": []}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSteps {
    /// Always empty.
    pub steps: Vec<NoStep>,
}

/// A step that nothing is: there is no value of it, so none is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoStep {}

impl WorkloadClaims {
    /// The claims of a verified payload.
    ///
    /// # Errors
    /// With the path of what is not as it must be.
    pub fn parse(payload: &[u8]) -> Result<Self, Refused> {
        json::read_claims(payload)
    }
}

/// SHA-256 of a token as it travels: what custody rows and proofs name it by.
pub fn token_hash(token: &str) -> Digest {
    Digest::of(token.as_bytes())
}
