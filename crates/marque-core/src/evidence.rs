//! The evidence file: everything that one approval rests on, as canonical JSON, signed by Marque.
//!
//! This module reads and writes the form. Whether it proves anything (passkey, realm, digests) is
//! checked where the passkey library is.

use crate::canonical::{Digest, canonical, decode, encode};
use crate::display::DisplayRecord;
use crate::json::{self, Refused};
use crate::jws::{VerificationKey, public_members};
use crate::limits;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What Marque signed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    /// Always 1.
    pub version: u32,
    /// The Marque issuer.
    pub issuer: String,
    /// The intent.
    pub intent_id: String,
    /// The resolved plan.
    pub plan: Value,
    /// Digest of the plan's canonical bytes.
    pub plan_digest: Digest,
    /// The catalogs' own JWS, in the plan's order.
    pub catalogs: Vec<String>,
    /// What was shown.
    pub display: DisplayRecord,
    /// Digest of the display record.
    pub display_digest: Digest,
    /// The challenge's nonce.
    pub nonce: Digest,
    /// The passkey's raw answer.
    pub assertion: Assertion,
    /// The passkey.
    pub credential: Credential,
    /// WebAuthn relying party id.
    pub rp_id: String,
    /// Origin of the page.
    pub origin: String,
    /// The realm's ID token, raw.
    pub id_token: String,
    /// The one realm key that signed it.
    pub realm_jwk: Value,
    /// When Marque verified the approval; seconds since the Unix epoch.
    pub approved_at: i64,
}

/// A WebAuthn assertion; all values base64url.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assertion {
    /// `clientDataJSON`.
    pub client_data_json: String,
    /// `authenticatorData`.
    pub authenticator_data: String,
    /// The signature.
    pub signature: String,
    /// The user handle; some authenticators leave it out.
    pub user_handle: String,
}

/// The passkey that signed; binary values base64url.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// Credential id.
    pub id: String,
    /// COSE public key.
    pub public_key: String,
    /// The counter that the realm had stored before this assertion.
    pub sign_count: u32,
    /// Flag BE: the passkey can be synced, so it is not bound to one device.
    pub backup_eligible: bool,
    /// Flag BS: the passkey is synced.
    pub backed_up: bool,
}

/// What an evidence file is about: a plan, or one call of a step-up.
pub trait Content: Serialize + DeserializeOwned {
    /// The form's version, which is 1.
    fn version(&self) -> u32;
}

impl Content for Payload {
    fn version(&self) -> u32 {
        self.version
    }
}

/// An evidence file whose form and signature hold.
#[derive(Clone, Debug)]
pub struct Evidence<P = Payload> {
    /// What was signed.
    pub payload: P,
    /// The key in the file. Whose it is, the file alone cannot say.
    pub signer: VerificationKey,
    /// SHA-256 of the file.
    pub digest: Digest,
}

/// The bytes that Marque signs: the payload's canonical form.
pub fn signing_input(payload: &impl Content) -> Vec<u8> {
    canonical(&serde_json::to_value(payload).unwrap_or_default())
}

/// The file's bytes: canonical JSON, nothing before and nothing after.
pub fn write(payload: &impl Content, signer_jwk: &Map<String, Value>, signature: &[u8]) -> Vec<u8> {
    canonical(&json!({"payload": payload, "signer_jwk": public_members(signer_jwk), "signature": encode(signature)}))
}

/// Reads an evidence file: exactly the canonical bytes, no member more, and the signature of the key in the file holds.
///
/// # Errors
/// Where the file differs from the form, or that the signature does not match.
pub fn read(file: &[u8]) -> Result<Evidence, Refused> {
    read_as(file)
}

/// [`read`] for whatever an evidence file may be about.
///
/// # Errors
/// As [`read`].
pub fn read_as<P: Content>(file: &[u8]) -> Result<Evidence<P>, Refused> {
    let value = json::parse_plan(file, limits::EVIDENCE_BYTES)?;
    if canonical(&value) != file {
        return Err(Refused::at("$", "is not exactly its canonical form (RFC 8785)"));
    }
    let File { payload, signer_jwk, signature } = json::typed::<File<P>>(value)?;
    if payload.version() != 1 {
        return Err(Refused::at("$.payload.version", "is not 1, the only version that exists"));
    }
    if (signer_jwk.kty.as_str(), signer_jwk.crv.as_str()) != ("EC", "P-256") {
        return Err(Refused::at("$.signer_jwk", "is no P-256 key"));
    }
    let jwk = serde_json::to_value(&signer_jwk).unwrap_or_default();
    let signer = VerificationKey::from_jwk(&jwk).map_err(|message| Refused::at("$.signer_jwk", message))?;
    let signature = decode(&signature).ok_or_else(|| Refused::at("$.signature", "is not canonical base64url"))?;
    if !signer.verifies(&signing_input(&payload), &signature) {
        return Err(Refused::at("$.signature", "does not match payload and signer_jwk"));
    }
    Ok(Evidence { payload, signer, digest: Digest::of(file) })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound = "P: DeserializeOwned")]
struct File<P> {
    payload: P,
    signer_jwk: SignerJwk,
    signature: String,
}

/// A P-256 public key with no member more.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignerJwk {
    kty: String,
    crv: String,
    x: String,
    y: String,
}
