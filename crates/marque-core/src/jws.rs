//! Compact JWS (RFC 7515) with everything checked that a library leaves to its caller.
//!
//! A token is accepted for one `typ`, by one key that may sign that `typ`, with the key's own
//! algorithm. Headers that bring keys of their own (`jwk`, `jku`, `x5u`, `x5c`) and `crit` are refused.

use crate::canonical::{decode, encode};
use crate::json;
use crate::limits;
use crate::names::JWK_PURPOSE;
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};
use serde_json::{Map, Value, json};

/// Why a JWS was not accepted. Says what was wrong, never what the token held.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// Not three base64url parts with a strict JSON header.
    #[error("is not a compact JWS: {0}")]
    Malformed(String),
    /// Another kind of token.
    #[error("has another typ than {0}")]
    WrongType(String),
    /// A header that must not be there.
    #[error("has the header {0}, which is not accepted")]
    ForbiddenHeader(String),
    /// No such key, or the key is for another purpose or algorithm.
    #[error("is signed by no known key for this purpose")]
    UnknownKey,
    /// The signature does not match.
    #[error("has a signature that does not match")]
    BadSignature,
}

/// A public key with the one algorithm and, for Marque's own keys, the one `typ` it may sign.
#[derive(Clone)]
pub struct VerificationKey {
    kid: Option<String>,
    algorithm: Algorithm,
    purpose: Option<String>,
    thumbprint: String,
    key: DecodingKey,
}

impl std::fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VerificationKey({:?} {})", self.algorithm, self.thumbprint)
    }
}

impl VerificationKey {
    /// Reads a public JWK (RFC 7517). A key with private or symmetric members is refused; an absent
    /// `alg` is inferred for elliptic curves and is RS256 for RSA.
    ///
    /// # Errors
    /// Says what is missing or not accepted.
    pub fn from_jwk(jwk: &Value) -> Result<Self, String> {
        let members = jwk.as_object().ok_or("is no object")?;
        if let Some(secret) =
            ["d", "p", "q", "dp", "dq", "qi", "oth", "k"].iter().find(|name| members.contains_key(**name))
        {
            return Err(format!("holds the private member {secret:?}"));
        }
        expect_text(members, &["kty", "crv", "alg", "kid", "use", JWK_PURPOSE])?;
        let algorithm = algorithm_of(members)?;
        let parsed: Jwk =
            serde_json::from_value(Value::Object(public_members(members))).map_err(|error| error.to_string())?;
        Ok(Self {
            kid: members.get("kid").and_then(Value::as_str).map(str::to_owned),
            algorithm,
            purpose: members.get(JWK_PURPOSE).and_then(Value::as_str).map(str::to_owned),
            thumbprint: parsed.thumbprint(ThumbprintHash::SHA256).map_err(|error| error.to_string())?,
            key: DecodingKey::from_jwk(&parsed).map_err(|error| error.to_string())?,
        })
    }

    /// RFC 7638 thumbprint, SHA-256, base64url.
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// The key id, if the key has one.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    fn may_sign(&self, typ: &str) -> bool {
        self.purpose.as_deref().is_none_or(|purpose| purpose == typ)
    }

    /// Whether `signature` (raw, as in JWS) is this key's over `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        crypto::verify(&encode(signature), message, &self.key, self.algorithm).unwrap_or(false)
    }
}

/// The members that make up a public key: what thumbprints and stored copies consist of.
pub fn public_members(jwk: &Map<String, Value>) -> Map<String, Value> {
    let keep = |name: &str| matches!(name, "kty" | "crv" | "x" | "y" | "n" | "e");
    jwk.iter().filter(|(name, _)| keep(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// A member of another type than text is refused: taken as absent, it would lift what the member restricts.
fn expect_text(members: &Map<String, Value>, names: &[&str]) -> Result<(), String> {
    match names.iter().find(|name| members.get(**name).is_some_and(|value| !value.is_string())) {
        Some(name) => Err(format!("has the member {name:?}, which is no text")),
        None => Ok(()),
    }
}

fn algorithm_of(jwk: &Map<String, Value>) -> Result<Algorithm, String> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    match (text("kty"), text("crv"), text("alg")) {
        (Some("EC"), Some("P-256"), None | Some("ES256")) => Ok(Algorithm::ES256),
        (Some("EC"), Some("P-384"), None | Some("ES384")) => Ok(Algorithm::ES384),
        (Some("OKP"), Some("Ed25519"), None | Some("EdDSA")) => Ok(Algorithm::EdDSA),
        (Some("RSA"), None, None | Some("RS256")) => Ok(Algorithm::RS256),
        (Some("RSA"), None, Some("PS256")) => Ok(Algorithm::PS256),
        _ => Err("is of a type or algorithm that is not accepted (ES256, ES384, EdDSA, RS256, PS256)".into()),
    }
}

/// Public keys by key id.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: Vec<VerificationKey>,
}

impl KeySet {
    /// Reads a JWK set; keys that are not for signatures or not of an accepted type are left out.
    ///
    /// # Errors
    /// When the document is no JWK set.
    pub fn from_jwks(jwks: &Value) -> Result<Self, String> {
        let keys = jwks.get("keys").and_then(Value::as_array).ok_or("has no member keys")?;
        let for_signatures = |jwk: &&Value| jwk.get("use").and_then(Value::as_str).is_none_or(|usage| usage == "sig");
        Ok(Self {
            keys: keys.iter().filter(for_signatures).filter_map(|jwk| VerificationKey::from_jwk(jwk).ok()).collect(),
        })
    }

    /// A set of given keys.
    pub fn new(keys: Vec<VerificationKey>) -> Self {
        Self { keys }
    }

    /// The keys.
    pub fn keys(&self) -> &[VerificationKey] {
        &self.keys
    }

    /// The key of a thumbprint, if it may sign the type.
    pub fn by_thumbprint(&self, thumbprint: &str, typ: &str) -> Option<&VerificationKey> {
        self.keys.iter().find(|key| key.thumbprint == thumbprint && key.may_sign(typ))
    }

    /// Whether a key id is known.
    pub fn has(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid() == Some(kid))
    }

    /// The key for a header: by key id, or the only one there is if the header names none.
    fn find(&self, header: &Header, typ: &str) -> Option<&VerificationKey> {
        let fits = |key: &&VerificationKey| key.algorithm == header.algorithm && key.may_sign(typ);
        match &header.kid {
            Some(kid) => self.keys.iter().find(|key| key.kid() == Some(kid) && fits(key)),
            None => match self.keys.as_slice() {
                [key] => Some(key).filter(fits),
                _ => None,
            },
        }
    }
}

/// A JWS whose signature holds.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The payload octets exactly as signed.
    pub payload: Vec<u8>,
    /// RFC 7638 thumbprint of the key that signed.
    pub thumbprint: String,
}

impl Verified {
    /// The payload as strictly parsed JSON.
    ///
    /// # Errors
    /// When the payload is not one strict JSON object.
    pub fn claims(&self) -> Result<Map<String, Value>, JwsError> {
        match json::parse_call(&self.payload, limits::JWS_BYTES) {
            Ok(Value::Object(claims)) => Ok(claims),
            Ok(_) => Err(JwsError::Malformed("the payload is no JSON object".into())),
            Err(refused) => Err(JwsError::Malformed(refused.to_string())),
        }
    }
}

/// Verifies a compact JWS of one type with a set of keys.
///
/// # Errors
/// When anything about it is not as it must be; see [`JwsError`].
pub fn verify(compact: &str, typ: &str, keys: &KeySet) -> Result<Verified, JwsError> {
    let parts = Parts::split(compact)?;
    let header = Header::parse(&parts.header)?;
    header.expect_type(typ)?;
    let key = keys.find(&header, typ).ok_or(JwsError::UnknownKey)?;
    parts.verify(key)
}

/// Verifies a JWS that brings its own public key in the header `jwk` (only DPoP proofs do).
///
/// # Errors
/// As [`verify`].
pub fn verify_self_keyed(compact: &str, typ: &str) -> Result<Verified, JwsError> {
    let parts = Parts::split(compact)?;
    let mut members = Header::members(&parts.header)?;
    let jwk = members.remove("jwk").ok_or(JwsError::UnknownKey)?;
    let header = Header::read(members)?;
    header.expect_type(typ)?;
    let key = VerificationKey::from_jwk(&jwk).map_err(JwsError::Malformed)?;
    if key.algorithm != header.algorithm {
        return Err(JwsError::UnknownKey);
    }
    parts.verify(&key)
}

/// The claims of a JWS that nobody has verified: only to find out whose keys to ask for.
///
/// # Errors
/// When it is not a compact JWS with a JSON object.
pub fn unverified_claims(compact: &str) -> Result<Map<String, Value>, JwsError> {
    let parts = Parts::split(compact)?;
    Verified { payload: parts.payload, thumbprint: String::new() }.claims()
}

/// The payload octets of a JWS that nobody has verified: for comparing their digest with a signed one.
///
/// # Errors
/// When it is not a compact JWS.
pub fn unverified_payload(compact: &str) -> Result<Vec<u8>, JwsError> {
    Parts::split(compact).map(|parts| parts.payload)
}

/// The key id in the header of a JWS that nobody has verified.
pub fn unverified_kid(compact: &str) -> Option<String> {
    Parts::split(compact)
        .ok()
        .and_then(|parts| Header::members(&parts.header).ok())
        .and_then(|header| Some(header.get("kid")?.as_str()?.to_owned()))
}

/// Signs a payload with ES256.
///
/// # Errors
/// When the key is not a P-256 key.
pub fn sign_es256(typ: &str, kid: Option<&str>, payload: &[u8], key: &EncodingKey) -> Result<String, JwsError> {
    sign_with_header(&header_es256(typ, kid), payload, key)
}

/// What an ES256 signature of a payload is over (RFC 7515 §5.1), for who keeps the key elsewhere: the compact JWS is this, a
/// full stop, and the signature in base64url.
pub fn signing_input_es256(typ: &str, kid: &str, payload: &[u8]) -> String {
    signing_input(&header_es256(typ, Some(kid)), payload)
}

fn header_es256(typ: &str, kid: Option<&str>) -> Value {
    let mut header = json!({"alg": "ES256", "typ": typ});
    if let (Some(kid), Some(members)) = (kid, header.as_object_mut()) {
        members.insert("kid".into(), kid.into());
    }
    header
}

fn signing_input(header: &Value, payload: &[u8]) -> String {
    format!("{}.{}", encode(header.to_string().as_bytes()), encode(payload))
}

/// Signs a payload with ES256 under a header of the caller's (a DPoP proof's has the member `jwk`).
///
/// # Errors
/// When the key is not a P-256 key.
pub fn sign_with_header(header: &Value, payload: &[u8], key: &EncodingKey) -> Result<String, JwsError> {
    let message = signing_input(header, payload);
    let signature = crypto::sign(message.as_bytes(), key, Algorithm::ES256).map_err(|_| JwsError::UnknownKey)?;
    Ok(format!("{message}.{signature}"))
}

struct Parts<'t> {
    message: &'t str,
    header: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl<'t> Parts<'t> {
    fn split(compact: &'t str) -> Result<Self, JwsError> {
        let malformed = |what: &str| JwsError::Malformed(what.into());
        if compact.len() > limits::JWS_BYTES {
            return Err(malformed("it is too long"));
        }
        let (message, signature) = compact.rsplit_once('.').ok_or_else(|| malformed("it has no parts"))?;
        let (header, payload) = message.split_once('.').ok_or_else(|| malformed("it has two parts"))?;
        let part = |text: &str| decode(text).ok_or_else(|| malformed("a part is not base64url"));
        Ok(Self { message, header: part(header)?, payload: part(payload)?, signature: part(signature)? })
    }

    fn verify(self, key: &VerificationKey) -> Result<Verified, JwsError> {
        if key.verifies(self.message.as_bytes(), &self.signature) {
            Ok(Verified { payload: self.payload, thumbprint: key.thumbprint.clone() })
        } else {
            Err(JwsError::BadSignature)
        }
    }
}

struct Header {
    algorithm: Algorithm,
    typ: Option<String>,
    kid: Option<String>,
}

impl Header {
    fn members(bytes: &[u8]) -> Result<Map<String, Value>, JwsError> {
        match json::parse_call(bytes, limits::CALL_BYTES) {
            Ok(Value::Object(members)) => Ok(members),
            Ok(_) => Err(JwsError::Malformed("the header is no object".into())),
            Err(refused) => Err(JwsError::Malformed(format!("header {refused}"))),
        }
    }

    fn parse(bytes: &[u8]) -> Result<Self, JwsError> {
        Self::read(Self::members(bytes)?)
    }

    fn read(members: Map<String, Value>) -> Result<Self, JwsError> {
        if let Some(name) = members.keys().find(|name| !matches!(name.as_str(), "alg" | "typ" | "kid" | "cty")) {
            return Err(JwsError::ForbiddenHeader(name.chars().take(32).collect()));
        }
        expect_text(&members, &["alg", "typ", "kid", "cty"]).map_err(JwsError::Malformed)?;
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        let algorithm = text("alg")
            .and_then(|alg| alg.parse().ok())
            .ok_or_else(|| JwsError::Malformed("the header has no known alg".into()))?;
        Ok(Self { algorithm, typ: text("typ").map(str::to_owned), kid: text("kid").map(str::to_owned) })
    }

    /// `typ` is compared without case and without an `application/` before it (RFC 7515 §4.1.9). A token
    /// without one is a plain JWT and nothing else.
    fn expect_type(&self, typ: &str) -> Result<(), JwsError> {
        let given = self.typ.as_deref().unwrap_or("JWT").to_ascii_lowercase();
        let given = given.strip_prefix("application/").unwrap_or(&given);
        if given == typ.to_ascii_lowercase() { Ok(()) } else { Err(JwsError::WrongType(typ.into())) }
    }
}
