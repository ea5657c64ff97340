//! The claims of intent tokens and transaction tokens.
#![no_main]

use libfuzzer_sys::fuzz_target;
use marque_core::canonical::canonical;
use marque_core::claims::{Carried, IntentClaims, TxnClaims};
use marque_core::envelope::Envelope;
use marque_core::limits;
use serde::Serialize;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(claims) = IntentClaims::parse(bytes) {
        assert_eq!(IntentClaims::parse(&written(&claims)).as_ref(), Ok(&claims), "what is written reads back");
        assert!(TxnClaims::parse(bytes).is_err(), "no claims are those of both kinds of token");
        if let Ok(envelope) = claims.envelope() {
            let rewritten = IntentClaims { authorization_details: IntentClaims::details(&envelope), ..claims };
            assert_eq!(rewritten.envelope().as_ref(), Ok(&envelope), "the steps read back");
        }
    }
    if let Ok(claims) = TxnClaims::parse(bytes) {
        assert_eq!(TxnClaims::parse(&written(&claims)).as_ref(), Ok(&claims), "what is written reads back");
        assert_eq!(claims.act.chain().len(), claims.act.hops() as usize + 1);
        if let Carried::Inline(envelope) = claims.tctx.carried {
            let digest = envelope.digest();
            assert_eq!(
                Envelope::of_digest(&digest, &envelope.canonical()).as_ref(),
                Ok(&envelope),
                "what is kept reads back"
            );
            assert!(matches!(Carried::of(envelope), Carried::Inline(_)) || bytes.len() > limits::INLINE_STEPS_BYTES);
        }
    }
});

fn written(claims: &impl Serialize) -> Vec<u8> {
    canonical(&serde_json::to_value(claims).expect("a value"))
}
