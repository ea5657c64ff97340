//! The independent check of the WebAuthn assertion: the realm has verified it, Marque verifies it again.
//!
//! webauthn-rs-core makes its own challenges and keeps them in a state that it serializes. The state
//! is rebuilt here around the challenge that the approval commits to; a test pins the version's form.

use marque_core::canonical::{Digest, decode, encode};
use marque_core::evidence::{Assertion, Credential};
use marque_core::json;
use serde_json::{Value, json};
use std::time::Duration;
use webauthn_rs_core::WebauthnCore;
use webauthn_rs_core::proto::{
    AuthenticationState, COSEKey, Credential as CoreCredential, CredentialV3, PublicKeyCredential,
    UserVerificationPolicy,
};

const FLAG_BACKUP_ELIGIBLE: u8 = 0x08;
const FLAG_BACKED_UP: u8 = 0x10;
/// Offset of the flags in `authenticatorData` (WebAuthn Level 3 §6.1).
const FLAGS_AT: usize = 32;
const CLIENT_DATA_BYTES: usize = 4096;

/// What an assertion must be an answer to.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The challenge that was computed here.
    pub challenge: Digest,
    /// The relying party id.
    pub rp_id: &'a str,
    /// The page's origin.
    pub origin: &'a str,
    /// The user handle: the realm's `sub`.
    pub sub: &'a str,
}

/// An assertion that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The authenticator's counter after this assertion; 0 if it does not count.
    pub sign_count: u32,
    /// The passkey can be synced.
    pub backup_eligible: bool,
    /// The passkey is synced.
    pub backed_up: bool,
}

/// Why an assertion does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the passkey's assertion {0}")]
pub struct PasskeyError(String);

fn refused(message: impl Into<String>) -> PasskeyError {
    PasskeyError(message.into())
}

/// The backup flags of an assertion: eligible, backed up.
///
/// # Errors
/// When the authenticator data is too short to have any.
pub fn backup_flags(authenticator_data: &str) -> Result<(bool, bool), PasskeyError> {
    let flags = bytes(authenticator_data)?.get(FLAGS_AT).copied().ok_or_else(|| refused("has no flags"))?;
    Ok((flags & FLAG_BACKUP_ELIGIBLE != 0, flags & FLAG_BACKED_UP != 0))
}

/// Verifies an assertion (WebAuthn Level 3 §7.2) with user verification required.
///
/// # Errors
/// Says which check failed.
pub fn verify(
    assertion: &Assertion,
    credential: &Credential,
    expected: &Expected<'_>,
) -> Result<Verified, PasskeyError> {
    refuse_framed(&bytes(&assertion.client_data_json)?)?;
    // Not signed, and some authenticators leave it out when the credential was named.
    let handle = bytes(&assertion.user_handle)?;
    if !handle.is_empty() && handle != expected.sub.as_bytes() {
        return Err(refused("is by another user's passkey"));
    }
    let (backup_eligible, backed_up) = backup_flags(&assertion.authenticator_data)?;
    if (backup_eligible, backed_up) != (credential.backup_eligible, credential.backed_up) {
        return Err(refused("has other backup flags than recorded"));
    }
    let origin = expected.origin.parse().map_err(|_| refused("cannot be checked against a malformed origin"))?;
    let core = WebauthnCore::new_unsafe_experts_only(
        "Marque",
        expected.rp_id,
        vec![origin],
        Duration::from_secs(60),
        Some(false),
        Some(false),
    );
    let result = core
        .authenticate_credential(&response(assertion, credential)?, &state(credential, expected.challenge)?)
        .map_err(|error| refused(format!("does not verify: {error:?}")))?;
    if !result.user_verified() {
        return Err(refused("was made without verifying the user"));
    }
    Ok(Verified { sign_count: result.counter(), backup_eligible, backed_up: result.backup_state() })
}

fn response(assertion: &Assertion, credential: &Credential) -> Result<PublicKeyCredential, PasskeyError> {
    let response = json!({
        "id": credential.id, "rawId": credential.id, "type": "public-key",
        "response": {
            "clientDataJSON": assertion.client_data_json,
            "authenticatorData": assertion.authenticator_data,
            "signature": assertion.signature,
        },
    });
    serde_json::from_value(response).map_err(|error| refused(format!("is malformed: {error}")))
}

/// The library's own state, around our challenge. Counter: what the realm had stored before.
fn state(credential: &Credential, challenge: Digest) -> Result<AuthenticationState, PasskeyError> {
    let state = json!({
        "credentials": [core_credential(credential)?],
        "policy": "required",
        "challenge": encode(challenge.as_bytes()),
        "appid": null,
        "allow_backup_eligible_upgrade": true,
    });
    serde_json::from_value(state).map_err(|error| refused(format!("cannot be checked: {error}")))
}

fn core_credential(credential: &Credential) -> Result<CoreCredential, PasskeyError> {
    let cose: serde_cbor_2::Value = serde_cbor_2::from_slice(&bytes(&credential.public_key)?)
        .map_err(|error| refused(format!("has a public key that is no CBOR: {error}")))?;
    let mut core: CoreCredential = CredentialV3 {
        cred_id: bytes(&credential.id)?,
        cred: COSEKey::try_from(&cose).map_err(|error| refused(format!("has an unusable public key: {error:?}")))?,
        counter: credential.sign_count,
        verified: true,
        registration_policy: UserVerificationPolicy::Required,
    }
    .into();
    core.backup_eligible = credential.backup_eligible;
    Ok(core)
}

/// The library accepts an assertion that was made inside another site's frame; it is refused here.
fn refuse_framed(client_data: &[u8]) -> Result<(), PasskeyError> {
    let data = json::parse_call(client_data, CLIENT_DATA_BYTES)
        .map_err(|error| refused(format!("has malformed client data: {error}")))?;
    match (data.get("crossOrigin"), data.get("topOrigin")) {
        (None | Some(Value::Bool(false)), None) => Ok(()),
        _ => Err(refused("was made inside a frame")),
    }
}

fn bytes(text: &str) -> Result<Vec<u8>, PasskeyError> {
    decode(text).ok_or_else(|| refused("is not canonical base64url"))
}
