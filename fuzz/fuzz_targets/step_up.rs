//! What a step-up is made of: the resource server's challenge, and the document that a person approves.
#![no_main]

use libfuzzer_sys::fuzz_target;
use marque_core::canonical::{Digest, canonical};
use marque_core::claims::Confirmation;
use marque_core::step_up::challenge::{Challenge, Expected};
use marque_core::step_up::document::{Document, shown};
use marque_core::{json, limits, text};
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(challenge) = Challenge::parse(bytes) {
        read(&challenge);
    }
    if let Ok(document) = Document::from_canonical(bytes) {
        assert_eq!(document.canonical(), bytes, "a document has one spelling");
        assert_eq!(document.digest(), Digest::of(bytes));
        assert_eq!(document.call().map(|call| call.approval()), Ok(document.approval));
    }
    let Ok(value) = json::parse_call(bytes, limits::CALL_BYTES) else { return };
    let text = shown(&value);
    assert_eq!(text::check_plain(&text), Ok(()), "what is shown hides nothing");
    assert_eq!(json::parse_call(text.as_bytes(), usize::MAX).as_ref(), Ok(&value), "what is shown is the value");
    with_its_digest(value);
});

fn read(challenge: &Challenge) {
    assert_eq!(Challenge::parse(&challenge.payload()).as_ref(), Ok(challenge), "what is written reads back");
    let call = challenge.call();
    assert_eq!(call.digest(), challenge.call_digest);
    let right = Expected {
        issuer: &challenge.aud,
        signer: &challenge.iss,
        client_id: &challenge.act.sub,
        cnf: &challenge.cnf,
        now: challenge.iat,
    };
    assert!(challenge.check(&right).is_ok(), "it is good for whom it names, at once");
    assert!(challenge.check(&Expected { now: challenge.exp, ..right }).is_err(), "it ends");
    let other = Confirmation::Jkt(format!("{}x", challenge.cnf));
    assert!(challenge.check(&Expected { cnf: &other, ..right }).is_err(), "it is for one key");
}

/// The same claims with the digest that they must have, so that more of them are read.
fn with_its_digest(mut claims: Value) {
    let Some(detail) = claims.pointer("/authorization_details/0") else { return };
    let call = serde_json::json!({
        "action": detail.get("action"), "resource": detail.get("resource"), "args": detail.get("args"),
    });
    claims["call_digest"] = Digest::of_canonical(&call).to_base64().into();
    if let Ok(challenge) = Challenge::parse(&canonical(&claims)) {
        read(&challenge);
    }
}
