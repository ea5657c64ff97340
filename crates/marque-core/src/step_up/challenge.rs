//! The resource server's challenge for one call (draft-rosomakho-oauth-txn-challenge).
//!
//! The agent carries it and cannot change it. It names one step, one call and one presenter; whether the step needs a
//! step-up is decided again by whoever takes it.

use crate::call::{Call, CallResource};
use crate::canonical::{Digest, canonical};
use crate::claims::{Actor, Confirmation, IntentRef};
use crate::facts::Records;
use crate::json::{self, Refused};
use crate::{limits, names, text};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The claims of a challenge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    /// Client id of the resource server that signs it.
    pub iss: String,
    /// The Marque issuer.
    pub aud: String,
    /// Seconds since the Unix epoch.
    pub iat: i64,
    /// Seconds since the Unix epoch; at most [`limits::CHALLENGE_SECS`] after `iat`.
    pub exp: i64,
    /// Single use.
    pub jti: String,
    /// The call chain that the call belongs to.
    pub txn: String,
    /// The one call.
    pub authorization_details: [CallDetail; 1],
    /// Why it asks, in its own words.
    pub reason: String,
    /// The signed plan.
    pub intent: IntentRef,
    /// The plan's step that the call is one of.
    pub step: String,
    /// [`Call::digest`] of the call.
    pub call_digest: Digest,
    /// The key or the certificate of whoever presented the call.
    pub cnf: Confirmation,
    /// Who presented it, and the actors before.
    pub act: Actor,
}

/// One concrete call as an entry of `authorization_details` (RFC 9396 §2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallDetail {
    /// Always [`names::DETAIL_CALL`].
    #[serde(rename = "type")]
    pub kind: String,
    /// URI of the resource server.
    pub location: String,
    /// Name of the action.
    pub action: String,
    /// What it is done to.
    pub resource: CallResource,
    /// The arguments.
    pub args: Map<String, Value>,
    /// The environment that the resource server runs in, if it says so.
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// What it says of the records that the step's conditions read ([`Call::seen_by`]).
    #[serde(default, skip_serializing_if = "Records::is_empty")]
    pub records: Records,
}

/// Why a challenge is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the challenge {0}")]
pub struct ChallengeError(String);

/// What a challenge must say, according to whoever takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected<'a> {
    /// The Marque issuer.
    pub issuer: &'a str,
    /// Client id of whoever signed it, by its registered keys.
    pub signer: &'a str,
    /// Client id of whoever hands it in.
    pub client_id: &'a str,
    /// The key or the certificate that it was handed in with.
    pub cnf: &'a Confirmation,
    /// Seconds since the Unix epoch.
    pub now: i64,
}

impl From<&Call> for CallDetail {
    fn from(call: &Call) -> Self {
        Self {
            kind: names::DETAIL_CALL.into(),
            location: call.location.clone(),
            action: call.action.clone(),
            resource: call.resource.clone(),
            args: call.args.clone(),
            environment: call.environment.clone(),
            records: call.records.clone(),
        }
    }
}

impl Challenge {
    /// The claims of a verified payload.
    ///
    /// # Errors
    /// With the path of what is not as it must be.
    pub fn parse(payload: &[u8]) -> Result<Self, Refused> {
        let value = json::parse_call(payload, limits::CHALLENGE_BYTES)?;
        let challenge: Self = json::typed(value.clone())?;
        // Members that no type here names would be shown to nobody.
        if serde_json::to_value(&challenge).ok().as_ref() != Some(&value) {
            return Err(Refused::at("$", "holds members that a challenge does not have"));
        }
        challenge.check_form()?;
        Ok(challenge)
    }

    /// The payload that is signed.
    pub fn payload(&self) -> Vec<u8> {
        canonical(&serde_json::to_value(self).unwrap_or_default())
    }

    /// The call that it is for.
    pub fn call(&self) -> Call {
        let [detail] = &self.authorization_details;
        Call {
            environment: detail.environment.clone(),
            records: detail.records.clone(),
            ..Call::new(&detail.location, &detail.action, detail.resource.clone(), detail.args.clone())
        }
    }

    /// Whether it is of its signer, for this server, of this time, and handed in by its presenter with the same key.
    /// That its `jti` was not used before, its caller has to see.
    ///
    /// # Errors
    /// Says which check failed.
    pub fn check(&self, expected: &Expected<'_>) -> Result<(), ChallengeError> {
        let refuse = |text: &str| Err(ChallengeError(text.into()));
        if self.iss != expected.signer {
            return refuse("is of another issuer than its signer (iss)");
        }
        if self.aud != expected.issuer {
            return refuse("is for another authorization server (aud)");
        }
        if self.exp <= expected.now || self.iat > expected.now.saturating_add(limits::CLOCK_LEEWAY_SECS) {
            return refuse("is over, or not valid yet (exp, iat): repeat the call to get a new one");
        }
        if self.act.sub != expected.client_id {
            return refuse("is for another client (act)");
        }
        if self.cnf != *expected.cnf {
            return refuse("is for another key or certificate (cnf)");
        }
        Ok(())
    }

    fn check_form(&self) -> Result<(), Refused> {
        let [detail] = &self.authorization_details;
        let named = [
            ("$.iss", &self.iss),
            ("$.txn", &self.txn),
            ("$.step", &self.step),
            ("$.authorization_details[0].location", &detail.location),
            ("$.authorization_details[0].action", &detail.action),
            ("$.authorization_details[0].resource.type", &detail.resource.kind),
        ];
        named.into_iter().try_for_each(|(path, name)| plain(path, name, limits::IDENTIFIER_CHARS))?;
        let collections = detail.records.keys().map(|name| ("$.authorization_details[0].records", name));
        collections.into_iter().try_for_each(|(path, name)| plain(path, name, limits::IDENTIFIER_CHARS))?;
        plain("$.reason", &self.reason, limits::CHALLENGE_REASON_CHARS)?;
        if detail.kind != names::DETAIL_CALL {
            let text = format!("is not {}", names::DETAIL_CALL);
            return Err(Refused::at("$.authorization_details[0].type", text));
        }
        if !limits::is_single_use_id(&self.jti) {
            return Err(Refused::at("$.jti", "must be 1 to 512 printable ASCII characters"));
        }
        let lives = self.exp.checked_sub(self.iat);
        if !lives.is_some_and(|secs| (1..=limits::CHALLENGE_SECS).contains(&secs)) {
            let text = format!("must be 1 to {} seconds after iat", limits::CHALLENGE_SECS);
            return Err(Refused::at("$.exp", text));
        }
        if self.call_digest != self.call().digest() {
            return Err(Refused::at("$.call_digest", "is not the digest of the call in authorization_details"));
        }
        Ok(())
    }
}

/// Text that names something or is read by a person: there is some, it is short and hides nothing.
pub(super) fn plain(path: &str, text: &str, most: usize) -> Result<(), Refused> {
    if text.is_empty() || text.chars().count() > most {
        return Err(Refused::at(path, format!("must have 1 to {most} characters")));
    }
    text::check_plain(text).map_err(|message| Refused::at(path, message))
}
