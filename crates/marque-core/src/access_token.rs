//! The claims of access tokens for one resource server (RFC 9068), which an ordinary OAuth library can check.
//!
//! Such a library checks neither arguments nor uses: the token is issued only where a gate or Marque's decision point
//! decides on each call.

use crate::claims::{Actor, Carried, Confirmation, IntentRef, StatusClaim, TxnClaims, TxnContext, envelope_of};
use crate::envelope::Bounds;
use crate::json::{self, Refused};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Claims of an access token (RFC 9068 §2.2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessClaims {
    /// The Marque issuer.
    pub iss: String,
    /// The one resource server: its location.
    pub aud: String,
    /// The person: never changes along a chain.
    pub sub: String,
    /// The client that it was issued to.
    pub client_id: String,
    /// Seconds since the Unix epoch.
    pub iat: i64,
    /// Seconds since the Unix epoch.
    pub exp: i64,
    /// The token's id.
    pub jti: String,
    /// Sorted distinct actions.
    pub scope: String,
    /// The current actor's key or certificate: always there.
    pub cnf: Confirmation,
    /// The chain of actors.
    pub act: Actor,
    /// One call chain: never changes along it.
    pub txn: String,
    /// The signed plan.
    pub intent: IntentRef,
    /// The steps at the resource server, each an `agent_intent_step`.
    pub authorization_details: Vec<Value>,
    /// What holds for all steps together.
    pub bounds: Bounds,
    /// Where verifiers that are no gates learn whether it was revoked.
    #[serde(default, deserialize_with = "json::stated", skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusClaim>,
}

impl AccessClaims {
    /// The claims of a verified payload.
    ///
    /// # Errors
    /// With the path of what is not as it must be.
    pub fn parse(payload: &[u8]) -> Result<Self, Refused> {
        json::read_claims(payload)
    }

    /// What it says, in the form of a transaction token: both are decided on alike. `aud` stays the resource server, so
    /// that it never passes for a token of the trust domain.
    ///
    /// # Errors
    /// When an entry of `authorization_details` is not an `agent_intent_step`.
    pub fn into_transaction(self) -> Result<TxnClaims, Refused> {
        let envelope = envelope_of(&self.authorization_details, &self.bounds)?;
        Ok(TxnClaims {
            iss: self.iss,
            aud: self.aud,
            sub: self.sub,
            iat: self.iat,
            exp: self.exp,
            jti: self.jti,
            txn: self.txn,
            scope: self.scope,
            req_wl: self.client_id,
            tctx: TxnContext { intent: self.intent, carried: Carried::Inline(envelope) },
            rctx: Map::new(),
            act: self.act,
            may_act: None,
            cnf: self.cnf,
        })
    }
}
