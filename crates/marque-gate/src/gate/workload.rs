//! Calls without an intent: a transaction token that a workload started for itself (`self_signed` of
//! draft-ietf-oauth-transaction-tokens). It says who calls, and permits nothing.

use super::Gate;
use crate::refusal::Refusal;
use crate::request::{Presented, PresentedToken};
use marque_core::claims::WorkloadClaims;
use marque_core::jws::{self, JwsError};
use marque_core::limits;
use marque_core::names::TYP_TXN;
use marque_core::reason::Reason;
use serde_json::{Map, Value};

/// A workload whose own token holds, with proven possession of what the token is bound to. No person signed anything for it:
/// what it may do is the resource server's own to say. Only a [`Gate`] makes one, one per proof; no permit comes of it.
pub struct Workload(WorkloadClaims);

/// Says who.
impl std::fmt::Debug for Workload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workload").field("client_id", &self.client_id()).finish_non_exhaustive()
    }
}

impl Workload {
    /// Its client id at the realm (claims `sub` and `act`).
    pub fn client_id(&self) -> &str {
        &self.0.sub
    }

    /// The call chain that it started (claim `txn`).
    pub fn transaction(&self) -> &str {
        &self.0.txn
    }

    /// What it was allowed to say of its environment (claim `rctx`).
    pub fn context(&self) -> &Map<String, Value> {
        &self.0.rctx
    }

    /// When its token ends; seconds since the Unix epoch.
    pub fn expires_at(&self) -> i64 {
        self.0.exp
    }
}

fn invalid(problem: impl Into<String>) -> Refusal {
    Refusal::new(Reason::TokenInvalid).because(problem)
}

impl Gate {
    /// Checks who calls with a token that a workload started without an intent, where the resource server takes such calls
    /// ([`GateConfig::with_workloads`](crate::GateConfig::with_workloads)): the token, its time, its key, the proof or the certificate, and that what is
    /// known of withdrawn keys is fresh. No step of a plan permits anything here; [`Gate::check`] refuses such a token always.
    /// `now` is in seconds since the Unix epoch.
    ///
    /// # Errors
    /// The first check that failed; [`Reason::TokenInvalid`] where the resource server takes no such calls.
    pub async fn verify_workload(&self, request: &Presented, now: i64) -> Result<Workload, Refusal> {
        if !self.config.takes_workloads {
            return Err(invalid("a call without an intent: this resource server takes only what a person signed"));
        }
        let presented = request.token()?;
        let PresentedToken::Transaction(token) = presented else {
            return Err(invalid("a workload's own token is a transaction token: send it in Txn-Token"));
        };
        let claims = self.workload_claims(token).await?;
        if claims.exp <= now {
            return Err(Refusal::new(Reason::TokenExpired));
        }
        if claims.iat > now.saturating_add(limits::CLOCK_LEEWAY_SECS) {
            return Err(invalid("the token is from ahead of this gate's clock (iat)"));
        }
        let holder = (&claims.cnf, claims.act.sub.as_str());
        self.possession(request, (token, presented), holder, now).await?;
        self.expect_fresh(claims.iat, now)?;
        Ok(Workload(claims))
    }

    async fn workload_claims(&self, token: &str) -> Result<WorkloadClaims, Refusal> {
        let keys = self.keys.current();
        let verified = match jws::verify(token, TYP_TXN, keys.as_ref()) {
            Err(JwsError::UnknownKey) => {
                let kid = jws::unverified_kid(token).unwrap_or_default();
                jws::verify(token, TYP_TXN, self.keys.refreshed(&kid).await.as_ref())
            }
            verified => verified,
        };
        let verified = verified.map_err(|error| invalid(format!("the token {error}")))?;
        if self.revocations.is_withdrawn(&verified.thumbprint) {
            return Err(invalid("the key that signed the token was withdrawn"));
        }
        let claims = WorkloadClaims::parse(&verified.payload);
        let claims = claims.map_err(|refused| invalid(format!("the token is no workload's own: {refused}")))?;
        if claims.iss != self.config.issuer || claims.aud != self.config.trust_domain {
            return Err(invalid("the token is from another issuer or for another trust domain"));
        }
        if claims.act.sub != claims.sub || claims.act.act.is_some() || !claims.scope.is_empty() {
            return Err(invalid("the token is of more than its own workload"));
        }
        Ok(claims)
    }

    /// What the feed says of keys is fresh, and of an instant after which nothing was lost. No intent has an empty id.
    fn expect_fresh(&self, issued_at: i64, now: i64) -> Result<(), Refusal> {
        let limit = self.config.max_staleness;
        let known = self.revocations.check("", now, limit);
        known.map_err(|reason| Refusal::new(reason).because(self.revocations.why_stale(now, limit)))?;
        match self.revocations.is_suspended(issued_at) {
            true => Err(Refusal::new(Reason::IntentSuspended)),
            false => Ok(()),
        }
    }
}
