//! A DPoP proof: header and payload, a line each, with a signature that holds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use marque_core::dpop::{Expected, verify};
use marque_core::jws::{JwsError, verify_self_keyed};
use marque_core::limits;
use marque_core::names::{TYP_DPOP, TYP_JWT};
use marque_fuzz::{KEY, sign};

const NOW: i64 = 1_795_316_400;

fuzz_target!(|bytes: &[u8]| {
    let Some(at) = bytes.iter().position(|byte| *byte == b'\n') else { return };
    let (header, payload) = bytes.split_at(at);
    let proof = sign(header, &payload[1..]);
    let signed = verify_self_keyed(&proof, TYP_DPOP);
    if let Ok(verified) = &signed {
        assert_eq!(verified.thumbprint, KEY, "the key that signed");
        assert_eq!(verified.payload, &payload[1..]);
        assert!(verify_self_keyed(&proof, TYP_JWT).is_err(), "a token is of one type");
    }
    for token in [None, Some("token")] {
        let expected = Expected { method: "POST", uri: "https://server.example.com/token", token };
        let Ok(proof) = verify(&proof, &expected, NOW) else { continue };
        assert!(signed.is_ok(), "a proof is signed");
        assert!((NOW - limits::PROOF_SECS..=NOW + limits::CLOCK_LEEWAY_SECS).contains(&proof.iat));
        assert!(limits::is_single_use_id(&proof.jti) && proof.over_at() >= NOW);
    }
    let unsigned = verify_self_keyed(&without_signature(&proof), TYP_DPOP).map(drop);
    match signed {
        Ok(_) => assert_eq!(unsigned, Err(JwsError::BadSignature)),
        Err(_) => assert!(unsigned.is_err()),
    }
});

fn without_signature(proof: &str) -> String {
    let (message, _) = proof.rsplit_once('.').expect("three parts");
    format!("{message}.")
}
