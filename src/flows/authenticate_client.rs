//! Client authentication by `private_key_jwt` (RFC 7523 §3 as tightened by rfc7523bis) and proof of possession.
//!
//! 1. One assertion of the JWT type.
//! 2. Its issuer is an enabled client of the realm, whose keys the realm answers for.
//! 3. Signature; `iss` = `sub`; the sole audience is this issuer; short-lived.
//! 4. A DPoP proof for this very request.
//! 5. Both ids are used once, after everything else holds.

use super::{Context, FlowError, OAuthError, Refusal};
use crate::keycloak::ClientRecord;
use marque_core::dpop::{self, Proof};
use marque_core::jws::{self, JwsError, KeySet};
use marque_core::{limits, names};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Seconds that an assertion may live: longer only helps who copied it.
const ASSERTION_SECS: i64 = 300;

/// What a client sends to authenticate.
#[derive(Clone, Copy, Debug)]
pub struct Credentials<'a> {
    /// `client_id`, if sent.
    pub client_id: Option<&'a str>,
    /// `client_assertion_type`.
    pub assertion_type: Option<&'a str>,
    /// `client_assertion`.
    pub assertion: Option<&'a str>,
    /// The `DPoP` header.
    pub proof: Option<&'a str>,
    /// The request's method.
    pub method: &'a str,
    /// The endpoint's URL.
    pub endpoint: &'a str,
}

/// A client that proved who it is and which key it holds.
#[derive(Clone, Debug)]
pub struct AuthenticatedClient {
    /// What the realm says of it.
    pub record: Arc<ClientRecord>,
    /// Thumbprint of its DPoP key.
    pub jkt: String,
}

impl AuthenticatedClient {
    /// Its id.
    pub fn client_id(&self) -> &str {
        &self.record.client_id
    }
}

/// Authenticates a client.
///
/// # Errors
/// `invalid_client` or `invalid_dpop_proof`; unavailable while the realm cannot be asked.
pub async fn authenticate_client(
    cx: Context<'_>,
    credentials: &Credentials<'_>,
) -> Result<AuthenticatedClient, FlowError> {
    let assertion = assertion(credentials)?;
    let claimed = jws::unverified_claims(assertion).map_err(|error| refuse(error.to_string()))?;
    let client_id = text(&claimed, "iss")?;
    if credentials.client_id.is_some_and(|given| given != client_id) {
        return Err(refuse("client_id is not the assertion's iss").into());
    }
    let record = cx.realm.directory.find_client(&cx.realm.keycloak, client_id).await?;
    // One answer for a client that is not there and for a signature that is not its own: strangers learn no ids.
    let record = record.filter(|record| record.enabled).ok_or_else(not_its_own)?;
    let keys = KeySet::from_jwks(&record.jwks).unwrap_or_default();
    let claims = verify(assertion, &keys)?;
    let (jti, exp) = check_claims(&claims, client_id, cx.issuer(), cx.now_secs())?;
    let proof = check_proof(credentials, cx.now_secs())?;
    if !cx.use_once("assertion", client_id, jti, exp + limits::CLOCK_LEEWAY_SECS).await? {
        return Err(refuse("client_assertion was used before: its jti is single use").into());
    }
    use_proof(cx, &proof).await?;
    Ok(AuthenticatedClient { record, jkt: proof.jkt })
}

/// Uses a proof's id: each proof is for one request.
///
/// # Errors
/// `invalid_dpop_proof` if it was used before.
async fn use_proof(cx: Context<'_>, proof: &Proof) -> Result<(), FlowError> {
    if cx.use_once("dpop", &proof.jkt, &proof.jti, proof.over_at()).await? {
        return Ok(());
    }
    let refusal =
        Refusal::new(OAuthError::InvalidDpopProof, "the DPoP proof was used before: make one for each request");
    Err(refusal.because(marque_core::reason::Reason::ProofReplayed).into())
}

fn refuse(description: impl Into<String>) -> Refusal {
    Refusal::new(OAuthError::InvalidClient, description)
}

fn not_its_own() -> Refusal {
    refuse("client_assertion is not signed by a key of an enabled client of this realm whose id is its iss")
}

fn assertion<'a>(credentials: &Credentials<'a>) -> Result<&'a str, Refusal> {
    match (credentials.assertion_type, credentials.assertion) {
        (Some(names::ASSERTION_TYPE_JWT), Some(assertion)) => Ok(assertion),
        _ => Err(refuse(format!(
            "authenticate with client_assertion_type={} and a client_assertion (private_key_jwt)",
            names::ASSERTION_TYPE_JWT
        ))),
    }
}

/// The type that rfc7523bis gives assertions, or a plain JWT: nothing else that the key signs.
fn verify(assertion: &str, keys: &KeySet) -> Result<Map<String, Value>, Refusal> {
    let typed = jws::verify(assertion, names::TYP_CLIENT_ASSERTION, keys);
    let verified = match typed {
        Err(JwsError::WrongType(_)) => jws::verify(assertion, names::TYP_JWT, keys),
        other => other,
    };
    verified.and_then(|verified| verified.claims()).map_err(|error| match error {
        JwsError::UnknownKey | JwsError::BadSignature => not_its_own(),
        error => refuse(format!("client_assertion {error}")),
    })
}

fn check_claims<'c>(
    claims: &'c Map<String, Value>,
    client_id: &str,
    issuer: &str,
    now: i64,
) -> Result<(&'c str, i64), Refusal> {
    if text(claims, "sub")? != client_id || text(claims, "iss")? != client_id {
        return Err(refuse("client_assertion: iss and sub must both be the client_id"));
    }
    if claims.get("aud").and_then(Value::as_str) != Some(issuer) {
        return Err(refuse(format!("client_assertion: aud must be {issuer} alone")));
    }
    let instant = |name: &str| claims.get(name).and_then(Value::as_i64);
    let exp = instant("exp").ok_or_else(|| refuse("client_assertion has no exp"))?;
    if exp + limits::CLOCK_LEEWAY_SECS <= now || exp > now + ASSERTION_SECS + limits::CLOCK_LEEWAY_SECS {
        return Err(refuse(format!("client_assertion: exp must be within the next {ASSERTION_SECS} seconds")));
    }
    if ["iat", "nbf"].into_iter().filter_map(instant).any(|at| at > now + limits::CLOCK_LEEWAY_SECS) {
        return Err(refuse("client_assertion is from the future (iat, nbf)"));
    }
    match text(claims, "jti")? {
        jti if limits::is_single_use_id(jti) => Ok((jti, exp)),
        _ => Err(refuse("client_assertion has no usable jti")),
    }
}

fn check_proof(credentials: &Credentials<'_>, now: i64) -> Result<Proof, Refusal> {
    let refuse = |description: String| Refusal::new(OAuthError::InvalidDpopProof, description);
    let proof = credentials
        .proof
        .ok_or_else(|| refuse("send one DPoP header (RFC 9449): every token is bound to a key".into()))?;
    let expected = dpop::Expected { method: credentials.method, uri: credentials.endpoint, token: None };
    dpop::verify(proof, &expected, now).map_err(|error| refuse(error.to_string()))
}

fn text<'c>(claims: &'c Map<String, Value>, name: &str) -> Result<&'c str, Refusal> {
    claims.get(name).and_then(Value::as_str).ok_or_else(|| refuse(format!("client_assertion has no {name}")))
}
