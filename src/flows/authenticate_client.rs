//! Client authentication: exactly one method, and proof of possession of what tokens are bound to. Who hands in a plan may name
//! that key instead, and who asks about a token or gives it up needs none.
//!
//! 1. One method: an assertion that the client signed (`private_key_jwt`), one that the realm gave it, or a certificate.
//! 2. Its client is an enabled one of the realm.
//! 3. A DPoP proof for this very request, which repeats a nonce that was given out lately. A client that authenticates with a
//!    certificate may leave it out: its tokens are then bound to that certificate (RFC 8705 §3), whose key it proved to the
//!    connection.
//! 4. Both ids are used once, after everything else holds.

mod certificate;
mod private_key;
mod proof;
mod realm_token;

use super::{Context, FlowError, OAuthError, Refusal};
use crate::certificates::ClientCertificate;
use crate::keycloak::ClientRecord;
use marque_core::canonical::Digest;
use marque_core::claims::Confirmation;
use marque_core::dpop::Proof;
use marque_core::times::{Lives, Times};
use marque_core::{jws, limits, names};
use serde_json::{Map, Value};
use std::sync::Arc;

/// What a client sends to authenticate.
#[derive(Clone, Copy, Debug)]
pub struct Credentials<'a> {
    /// `client_id`, if sent.
    pub client_id: Option<&'a str>,
    /// `client_assertion_type`.
    pub assertion_type: Option<&'a str>,
    /// `client_assertion`.
    pub assertion: Option<&'a str>,
    /// Whether `client_secret` was sent.
    pub has_secret: bool,
    /// Whether the header `Authorization` was sent.
    pub has_authorization: bool,
    /// The `DPoP` header.
    pub proof: Option<&'a str>,
    /// `dpop_jkt` (RFC 9449 §10), where a submission may name the key that is proven when the approval is redeemed.
    pub dpop_jkt: Option<&'a str>,
    /// The certificate that the client proved to be its own.
    pub certificate: Option<&'a ClientCertificate>,
    /// The request's method.
    pub method: &'a str,
    /// The endpoint's URL.
    pub endpoint: &'a str,
}

/// A client that proved who it is, with what its tokens are bound to.
#[derive(Clone, Debug)]
pub struct AuthenticatedClient {
    /// What the realm says of it.
    pub record: Arc<ClientRecord>,
    /// What its tokens are bound to: its DPoP key, or its certificate where it authenticates with one and sends no proof.
    pub cnf: Confirmation,
    /// `cnf` as one text, which rows hold in their columns `jkt`.
    pub jkt: String,
    /// Whether it proved that key, or only named it.
    pub has_proven: bool,
}

impl AuthenticatedClient {
    fn bound(record: Arc<ClientRecord>, cnf: Confirmation, has_proven: bool) -> Self {
        Self { record, jkt: cnf.to_string(), cnf, has_proven }
    }

    /// Its id.
    pub fn client_id(&self) -> &str {
        &self.record.client_id
    }
}

/// The id of a client that proved who it is.
#[derive(Clone, Debug)]
pub struct IdentifiedClient(String);

impl IdentifiedClient {
    /// Its id.
    pub fn client_id(&self) -> &str {
        &self.0
    }
}

/// What makes an assertion that holds single use.
struct Asserted {
    /// Whose ids its own is one of.
    kind: &'static str,
    jti: String,
    times: Times,
    /// The key that the assertion itself is bound to, if it is.
    jkt: Option<String>,
}

/// A client whose credentials hold, as far as they can hold more than once.
struct Claimed {
    record: Arc<ClientRecord>,
    asserted: Option<Asserted>,
    /// Thumbprint of the certificate, if that is what it authenticated with.
    certificate: Option<Digest>,
}

impl Claimed {
    /// Uses up what is single use.
    async fn use_up(&self, cx: Context<'_>, proof: Option<&Proof>) -> Result<(), FlowError> {
        let assertion = async {
            match &self.asserted {
                Some(asserted) => asserted.use_up(cx, &self.record, proof).await,
                None => Ok(()),
            }
        };
        let proof = async {
            match proof {
                Some(proof) => proof::use_up(cx, proof).await,
                None => Ok(()),
            }
        };
        // Both wait for the same commit.
        let (assertion, proof) = tokio::join!(assertion, proof);
        assertion.and(proof)
    }
}

/// Authenticates a client that proves what tokens are bound to, or names a key where it may.
///
/// # Errors
/// `invalid_request` for two methods at once, `invalid_client`, `invalid_dpop_proof` or `use_dpop_nonce`; unavailable while
/// the realm cannot be asked.
pub async fn authenticate_client(
    cx: Context<'_>,
    credentials: &Credentials<'_>,
) -> Result<AuthenticatedClient, FlowError> {
    let claimed = claimed(cx, credentials).await?;
    let certificate = match (credentials.proof, credentials.dpop_jkt) {
        (None, None) => claimed.certificate,
        _ => None,
    };
    if let Some(thumbprint) = certificate {
        return Ok(AuthenticatedClient::bound(claimed.record, Confirmation::X5t(thumbprint), true));
    }
    let proof = match credentials.dpop_jkt {
        Some(_) if credentials.proof.is_none() => None,
        _ => Some(proof::check(cx, credentials)?),
    };
    let jkt = proof::key(proof.as_ref(), credentials.dpop_jkt)?;
    claimed.use_up(cx, proof.as_ref()).await?;
    Ok(AuthenticatedClient::bound(claimed.record, Confirmation::Jkt(jkt), proof.is_some()))
}

/// Authenticates a client where no token is bound: a proof need not be sent, and holds if it is.
///
/// # Errors
/// As [`authenticate_client`].
pub async fn identify_client(cx: Context<'_>, credentials: &Credentials<'_>) -> Result<IdentifiedClient, FlowError> {
    let claimed = claimed(cx, credentials).await?;
    let proof = credentials.proof.map(|_| proof::check(cx, credentials)).transpose()?;
    claimed.use_up(cx, proof.as_ref()).await?;
    Ok(IdentifiedClient(claimed.record.client_id.clone()))
}

/// The client that the one method shows. Nothing is used up yet.
async fn claimed(cx: Context<'_>, credentials: &Credentials<'_>) -> Result<Claimed, FlowError> {
    let (record, asserted, certificate) = match the_one_method(credentials)? {
        Method::Certificate(client_id, certificate) => {
            (certificate::check(cx, client_id, certificate).await?, None, Some(certificate.thumbprint()))
        }
        Method::Assertion(assertion) => {
            let (record, asserted) = check_assertion(cx, assertion).await?;
            (record, Some(asserted), None)
        }
    };
    if credentials.client_id.is_some_and(|given| given != record.client_id) {
        return Err(refuse("client_id is not the client that client_assertion is for").into());
    }
    Ok(Claimed { record, asserted, certificate })
}

/// How a client authenticates.
enum Method<'a> {
    Assertion(&'a str),
    Certificate(&'a str, &'a ClientCertificate),
}

async fn check_assertion(cx: Context<'_>, assertion: &str) -> Result<(Arc<ClientRecord>, Asserted), FlowError> {
    let claimed = jws::unverified_claims(assertion).map_err(|error| refuse(error.to_string()))?;
    if text(&claimed, "iss")? == cx.realm.config.keycloak_issuer {
        realm_token::check(cx, assertion).await
    } else {
        private_key::check(cx, assertion, &claimed).await
    }
}

impl Asserted {
    /// Uses the assertion's id, with the key that it may be bound to.
    async fn use_up(&self, cx: Context<'_>, record: &ClientRecord, proof: Option<&Proof>) -> Result<(), FlowError> {
        if self.jkt.is_some() && self.jkt.as_ref() != proof.map(|proof| &proof.jkt) {
            let text = "client_assertion is bound to a key (cnf.jkt): send a DPoP proof by that key";
            return Err(refuse(text).into());
        }
        if cx.use_once(self.kind, &record.client_id, &self.jti, self.times.over_at()).await? {
            return Ok(());
        }
        Err(refuse("client_assertion was used before: its jti is single use").into())
    }
}

/// All that the client authenticates with (RFC 6749 §2.3: one method per request). A certificate beside an assertion is the
/// connection's and no second method.
fn the_one_method<'a>(credentials: &Credentials<'a>) -> Result<Method<'a>, Refusal> {
    let asserts = credentials.assertion.is_some() || credentials.assertion_type.is_some();
    match (asserts, credentials.has_secret, credentials.has_authorization) {
        (true, false, false) => assertion(credentials).map(Method::Assertion),
        (false, true, false) => Err(refuse(format!("client_secret: shared secrets are not taken here: {}", how()))),
        (false, false, true) => {
            let text = format!("Authorization: shared secrets are not taken here: {}", how());
            Err(Refusal::new(OAuthError::BasicRefused, text))
        }
        (false, false, false) => match (credentials.certificate, credentials.client_id) {
            (Some(certificate), Some(client_id)) => Ok(Method::Certificate(client_id, certificate)),
            (Some(_), None) => {
                Err(refuse("client_id is missing: a certificate alone does not say which client it is of"))
            }
            (None, _) => Err(refuse(how())),
        },
        _ => {
            let text = "authenticate in one way: client_assertion alone, without Authorization header or client_secret";
            Err(Refusal::new(OAuthError::InvalidRequest, text))
        }
    }
}

fn assertion<'a>(credentials: &Credentials<'a>) -> Result<&'a str, Refusal> {
    match (credentials.assertion_type, credentials.assertion) {
        (Some(names::ASSERTION_TYPE_JWT), Some(assertion)) => Ok(assertion),
        _ => Err(refuse(how())),
    }
}

fn how() -> String {
    format!(
        "authenticate with client_assertion_type={} and a client_assertion, or with a certificate",
        names::ASSERTION_TYPE_JWT
    )
}

fn refuse(description: impl Into<String>) -> Refusal {
    Refusal::new(OAuthError::InvalidClient, description)
}

fn text<'c>(claims: &'c Map<String, Value>, name: &str) -> Result<&'c str, Refusal> {
    claims.get(name).and_then(Value::as_str).ok_or_else(|| refuse(format!("client_assertion has no {name}")))
}

/// `jti`, as an id that can be used once.
fn single_use_id(claims: &Map<String, Value>) -> Result<String, Refusal> {
    match text(claims, "jti")? {
        jti if limits::is_single_use_id(jti) => Ok(jti.to_owned()),
        _ => Err(refuse("client_assertion has no usable jti")),
    }
}

/// The times of an assertion that is valid now.
fn times(claims: &Map<String, Value>, lives: Lives, now: i64) -> Result<Times, Refusal> {
    Times::check(claims, lives, now).map_err(|error| refuse(format!("client_assertion {error}")))
}
