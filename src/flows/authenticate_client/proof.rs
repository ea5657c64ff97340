//! The DPoP proof of a client's request (RFC 9449 §5, §8).

use super::{Context, Credentials, FlowError, OAuthError, Refusal};
use marque_core::canonical::Digest;
use marque_core::dpop::{self, Proof};
use marque_core::reason::Reason;

/// A proof for this very request. Nothing is used up yet.
pub(super) fn check(cx: Context<'_>, credentials: &Credentials<'_>) -> Result<Proof, FlowError> {
    let refuse = |description: String| Refusal::new(OAuthError::InvalidDpopProof, description);
    let proof = credentials
        .proof
        .ok_or_else(|| refuse("send one DPoP header (RFC 9449): every token is bound to a key".into()))?;
    let expected = dpop::Expected { method: credentials.method, uri: credentials.endpoint, token: None };
    let proof = dpop::verify(proof, &expected, cx.now_secs()).map_err(|error| refuse(error.to_string()))?;
    check_nonce(cx, &proof)?;
    Ok(proof)
}

/// The thumbprint of the key that is proven or named; where both are sent they are of one key (RFC 9449 §10).
pub(super) fn key(proof: Option<&Proof>, named: Option<&str>) -> Result<String, Refusal> {
    let refuse = |text: &str| Refusal::new(OAuthError::InvalidRequest, text);
    match (proof, named) {
        (_, Some(named)) if Digest::from_base64(named).is_none() => {
            Err(refuse("dpop_jkt must be the SHA-256 thumbprint of a key in base64url (RFC 7638)"))
        }
        (Some(proof), Some(named)) if proof.jkt != named => Err(refuse("dpop_jkt is not of the DPoP proof's key")),
        (Some(proof), _) => Ok(proof.jkt.clone()),
        (None, Some(named)) => Ok(named.to_owned()),
        (None, None) => Err(refuse("send a DPoP proof or dpop_jkt")),
    }
}

/// RFC 9449 §8: so that no proof is made long before its use. Nothing is used up by a request that has to be repeated.
fn check_nonce(cx: Context<'_>, proof: &Proof) -> Result<(), FlowError> {
    let takes = |nonce: &String| cx.app.nonces.takes(cx.realm_name(), nonce, cx.now_secs());
    if !cx.realm.config.dpop_nonces || proof.nonce.as_ref().map(takes).transpose()? == Some(true) {
        return Ok(());
    }
    let text = "make a new DPoP proof whose claim nonce is the value of this answer's field DPoP-Nonce";
    Err(Refusal::new(OAuthError::UseDpopNonce, text).into())
}

/// Uses a proof's id: each proof is for one request.
///
/// # Errors
/// `invalid_dpop_proof` if it was used before.
pub(super) async fn use_up(cx: Context<'_>, proof: &Proof) -> Result<(), FlowError> {
    if cx.use_once("dpop", &proof.jkt, &proof.jti, proof.over_at()).await? {
        return Ok(());
    }
    let text = "the DPoP proof was used before: make one for each request";
    Err(Refusal::new(OAuthError::InvalidDpopProof, text).because(Reason::ProofReplayed).into())
}
