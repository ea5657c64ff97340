//! Compact JWS as they come: with no key, with one key, and with a key of their own.
#![no_main]

use libfuzzer_sys::fuzz_target;
use marque_core::canonical::encode;
use marque_core::jws::{KeySet, unverified_claims, unverified_kid, unverified_payload, verify, verify_self_keyed};
use marque_core::names::TYP_TXN;
use marque_fuzz::{KEY, public_key};
use serde_json::json;
use std::sync::LazyLock;

static KEYS: LazyLock<KeySet> =
    LazyLock::new(|| KeySet::from_jwks(&json!({"keys": [public_key()]})).expect("a set of one key"));

fuzz_target!(|bytes: &[u8]| {
    let Ok(compact) = std::str::from_utf8(bytes) else { return };
    assert!(verify(compact, TYP_TXN, &KeySet::default()).is_err(), "no key verifies nothing");
    let payload = unverified_payload(compact);
    if let Ok(payload) = &payload {
        assert_eq!(compact.split('.').nth(1), Some(encode(payload).as_str()), "one payload has one spelling");
    }
    if let Ok(verified) = verify(compact, TYP_TXN, &KEYS) {
        assert_eq!(verified.thumbprint, KEY);
        assert_eq!(payload.as_ref(), Ok(&verified.payload));
        assert_eq!(verified.claims(), unverified_claims(compact));
    }
    if let Ok(verified) = verify_self_keyed(compact, TYP_TXN) {
        assert_eq!(payload.as_ref(), Ok(&verified.payload));
    }
    if unverified_claims(compact).is_ok() || unverified_kid(compact).is_some() {
        assert!(payload.is_ok(), "what has claims or a key id has a payload");
    }
});
