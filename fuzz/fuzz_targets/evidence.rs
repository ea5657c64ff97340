//! Evidence files: as they come, and with a signature that holds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use marque_core::canonical::{Digest, canonical, encode};
use marque_core::evidence::{Evidence, read, write};
use marque_core::{json, limits};
use marque_fuzz::{KEY, public_key, signature};
use serde_json::{Value, json};

fuzz_target!(|bytes: &[u8]| {
    let evidence = read(bytes);
    let Ok(value) = json::parse_plan(bytes, limits::EVIDENCE_BYTES) else {
        return assert!(evidence.is_err(), "evidence is strict JSON");
    };
    if let Ok(evidence) = evidence {
        assert_eq!(canonical(&value), bytes, "evidence has one spelling");
        assert_eq!(evidence.digest, Digest::of(bytes));
    }
    let Value::Object(mut file) = value else { return };
    check(file.remove("payload").unwrap_or(Value::Object(file)));
});

fn check(payload: Value) {
    let signature = signature(&canonical(&payload));
    let key = public_key();
    let file = canonical(&json!({"payload": payload, "signer_jwk": key, "signature": encode(&signature)}));
    let Ok(Evidence { payload, signer, digest }) = read(&file) else { return };
    assert_eq!(signer.thumbprint(), KEY);
    assert_eq!(digest, Digest::of(&file));
    let members = key.as_object().cloned().unwrap_or_default();
    assert_eq!(write(&payload, &members, &signature), file, "what is read is written the same");
}
