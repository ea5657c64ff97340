//! Proof of possession (RFC 9449): a proof is good for one request, by one key, for one minute.

use crate::canonical::Digest;
use crate::names::TYP_DPOP;
use crate::{jws, limits};
use serde_json::{Map, Value};

/// What a proof must cover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected<'a> {
    /// The request's method.
    pub method: &'a str,
    /// The request's URI; query and fragment are left out of the comparison.
    pub uri: &'a str,
    /// The token that comes with the request, if one does: the proof carries its hash.
    pub token: Option<&'a str>,
}

/// A proof that holds. Its caller still has to see that `jti` was not used before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// RFC 7638 thumbprint of the key.
    pub jkt: String,
    /// The proof's id: single use per key.
    pub jti: String,
    /// Seconds since the Unix epoch; after `iat` + [`limits::PROOF_SECS`] the id may be forgotten.
    pub iat: i64,
    /// The call that the proof covers, if it names one.
    pub call_digest: Option<Digest>,
    /// The server's nonce that it repeats, if it repeats one (RFC 9449 §8, §9). Whether one is asked for, and which, is
    /// its caller's to say.
    pub nonce: Option<String>,
}

impl Proof {
    /// When its id may be forgotten, in seconds since the Unix epoch: from then on no clock takes the proof.
    pub fn over_at(&self) -> i64 {
        self.iat + limits::PROOF_SECS + limits::CLOCK_LEEWAY_SECS
    }
}

/// Why a proof does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the DPoP proof {0}")]
pub struct ProofError(String);

fn refuse<T>(message: impl Into<String>) -> Result<T, ProofError> {
    Err(ProofError(message.into()))
}

/// Checks a proof (RFC 9449 §4.3), all but its single use and its nonce.
///
/// # Errors
/// Says which check failed.
pub fn verify(proof: &str, expected: &Expected<'_>, now: i64) -> Result<Proof, ProofError> {
    let verified = jws::verify_self_keyed(proof, TYP_DPOP).map_err(|error| ProofError(error.to_string()))?;
    let claims = verified.claims().map_err(|error| ProofError(error.to_string()))?;
    if text(&claims, "htm")? != expected.method {
        return refuse("is for another method (htm)");
    }
    let uri = normal_uri(expected.uri);
    if uri.is_none() || normal_uri(text(&claims, "htu")?) != uri {
        return refuse("is for another URI (htu)");
    }
    let hash = expected.token.map(|token| Digest::of(token.as_bytes()).to_base64());
    if claims.get("ath").map(Value::as_str) != hash.as_deref().map(Some) {
        return refuse("does not carry the hash of the token that comes with it (ath)");
    }
    let iat = claims.get("iat").and_then(Value::as_i64).ok_or_else(|| ProofError("has no iat".into()))?;
    if iat > now.saturating_add(limits::CLOCK_LEEWAY_SECS) {
        let ahead = iat.saturating_sub(now);
        return refuse(format!("is from {ahead} s ahead of the clock here (iat): the clocks differ by too much"));
    }
    let age = now.saturating_sub(iat);
    if age > limits::PROOF_SECS {
        let good = limits::PROOF_SECS;
        return refuse(format!("was made {age} s ago by the clock here (iat), and is good for {good}: make a new one"));
    }
    let jti = text(&claims, "jti")?;
    if !limits::is_single_use_id(jti) {
        return refuse("has no usable jti");
    }
    let (call_digest, nonce) = (call_digest(&claims)?, nonce(&claims)?);
    Ok(Proof { jkt: verified.thumbprint, jti: jti.to_owned(), iat, call_digest, nonce })
}

fn nonce(claims: &Map<String, Value>) -> Result<Option<String>, ProofError> {
    match claims.get("nonce") {
        None => Ok(None),
        Some(Value::String(nonce)) if limits::is_single_use_id(nonce) => Ok(Some(nonce.clone())),
        Some(_) => refuse("has a nonce that is none (nonce)"),
    }
}

fn call_digest(claims: &Map<String, Value>) -> Result<Option<Digest>, ProofError> {
    match claims.get("call_digest") {
        None => Ok(None),
        Some(value) => match value.as_str().and_then(Digest::from_base64) {
            Some(digest) => Ok(Some(digest)),
            None => refuse("has a call_digest that is no SHA-256 value in base64url"),
        },
    }
}

fn text<'c>(claims: &'c Map<String, Value>, name: &str) -> Result<&'c str, ProofError> {
    claims.get(name).and_then(Value::as_str).ok_or_else(|| ProofError(format!("has no {name}")))
}

/// A URI for comparison: normal form (RFC 3986 §6), without query and fragment.
fn normal_uri(uri: &str) -> Option<String> {
    // The parser drops white space and turns backslashes round; neither belongs in a URI (RFC 3986 §2).
    if !uri.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
        return None;
    }
    let mut uri = url::Url::parse(uri).ok()?;
    uri.set_query(None);
    uri.set_fragment(None);
    Some(uri.into())
}
