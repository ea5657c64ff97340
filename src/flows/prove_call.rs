//! What a call proves beside its token: possession of what the token is bound to, a DPoP key or a client certificate.
//!
//! A proof is signed for one request and may name the call that it covers. A certificate signs nothing of a request: it says who
//! is at the other end of the resource server's own connection, and only reads are permitted by it.

use super::evaluate_access::Evaluation;
use super::{Context, FlowError};
use crate::store::replays::SingleUse;
use marque_core::canonical::Digest;
use marque_core::claims::TxnClaims;
use marque_core::dpop::{self, Proof};
use marque_core::reason::Reason;
use marque_core::{claims::Confirmation, limits};
use serde_json::{Value, json};
use uuid::Uuid;

/// What came with a call beside its token.
#[derive(Clone, Debug)]
pub enum Possession {
    /// A DPoP proof.
    Proof {
        /// `context.dpop`.
        proof: String,
        /// `context.method`.
        method: String,
        /// `context.url`.
        url: String,
    },
    /// `context.x5t#S256`: the thumbprint of the certificate whose key the client proved to the resource server's TLS.
    Certificate(Digest),
}

/// Possession that holds, of what the token is bound to.
#[derive(Clone, Debug)]
pub(super) enum Proven {
    Key(Proof),
    Certificate(Digest),
}

/// Verifies that a call came from the holder of its token.
pub(super) fn verify(cx: Context<'_>, evaluation: &Evaluation, claims: &TxnClaims) -> Result<Proven, Reason> {
    match (&evaluation.possession, &claims.cnf) {
        (Possession::Proof { proof, method, url }, Confirmation::Jkt(_)) => {
            let expected = dpop::Expected { method, uri: url, token: Some(evaluation.token.compact()) };
            let proof = dpop::verify(proof, &expected, cx.now_secs()).map_err(|_| Reason::ProofInvalid)?;
            if claims.cnf.is_key(&proof.jkt) { Ok(Proven::Key(proof)) } else { Err(Reason::ProofKeyMismatch) }
        }
        (Possession::Certificate(thumbprint), Confirmation::X5t(bound)) if thumbprint == bound => {
            Ok(Proven::Certificate(*thumbprint))
        }
        (Possession::Certificate(_), Confirmation::Jkt(_)) => Err(Reason::ProofMissing),
        (_, Confirmation::X5t(_)) => Err(Reason::CertificateMismatch),
    }
}

impl Proven {
    /// What it says of the call, if anything.
    pub(super) fn call_digest(&self) -> Option<Digest> {
        match self {
            Self::Key(proof) => proof.call_digest,
            Self::Certificate(_) => None,
        }
    }

    /// What is the same only for a repeat of the same request.
    pub(super) fn identity(&self) -> (String, Value) {
        match self {
            Self::Key(proof) => (proof.jkt.clone(), json!(proof.jti)),
            Self::Certificate(thumbprint) => (Confirmation::X5t(*thumbprint).to_string(), Value::Null),
        }
    }

    /// Until when a permit that nothing counts is good; seconds since the Unix epoch. Never longer than a proof made now.
    pub(super) fn over_at(&self, claims: &TxnClaims, now: i64) -> i64 {
        match self {
            Self::Key(proof) => proof.over_at(),
            Self::Certificate(_) => claims.exp.min(now + limits::PROOF_SECS),
        }
    }

    /// What the call uses up: its proof, or in place of one its own id, which the resource server draws for one call and may
    /// use once while the token lives.
    pub(super) fn used(
        &self,
        cx: Context<'_>,
        claims: &TxnClaims,
        (client_id, token_id, call_id): (&str, Uuid, &str),
    ) -> Result<SingleUse, FlowError> {
        match self {
            Self::Key(proof) => cx.single_use("evaluation", &proof.jkt, &proof.jti, proof.over_at()),
            Self::Certificate(_) => {
                let id = Digest::of_canonical(&json!([token_id, call_id])).to_base64();
                cx.single_use("evaluation-call", client_id, &id, claims.exp)
            }
        }
    }
}
