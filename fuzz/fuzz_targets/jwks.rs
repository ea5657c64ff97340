//! Public keys: the realm's, a resource server's, and the one that a DPoP proof brings.
#![no_main]

use libfuzzer_sys::fuzz_target;
use marque_core::jws::{KeySet, VerificationKey, public_members};
use marque_core::{json, limits};
use serde_json::{Value, json};

fuzz_target!(|bytes: &[u8]| {
    let Ok(jwks) = json::parse_call(bytes, limits::JWS_BYTES) else { return };
    let Ok(set) = KeySet::from_jwks(&jwks) else { return };
    let listed = jwks.get("keys").and_then(Value::as_array).expect("what a set is read from");
    assert!(set.keys().len() <= listed.len());
    for jwk in listed {
        let Ok(key) = VerificationKey::from_jwk(jwk) else { continue };
        let members = jwk.as_object().expect("a key is an object");
        assert!(!members.contains_key("d") && !members.contains_key("k"), "no secret is taken");
        let public = Value::Object(public_members(members));
        let again = VerificationKey::from_jwk(&public).map(|key| key.thumbprint().to_owned());
        assert_eq!(again.as_deref(), Ok(key.thumbprint()), "the thumbprint is of the public members");
        let alone = KeySet::from_jwks(&json!({"keys": [jwk]})).expect("a set of one key");
        assert!(alone.keys().iter().all(|only| only.thumbprint() == key.thumbprint() && only.kid() == key.kid()));
        assert!(!key.verifies(b"", b""), "an empty signature is none");
    }
});
