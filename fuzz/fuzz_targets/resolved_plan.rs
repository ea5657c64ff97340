//! A resolved plan, read back from the bytes that were signed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use marque_core::canonical::{Digest, canonical};
use marque_core::plan::ResolvedPlan;
use marque_core::{json, limits};

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    // Most changes spoil the canonical form first: mended, they get further.
    if let Ok(value) = json::parse_plan(bytes, limits::EVIDENCE_BYTES) {
        check(&canonical(&value));
    }
});

fn check(bytes: &[u8]) {
    if let Ok(plan) = ResolvedPlan::from_canonical(bytes) {
        assert_eq!(plan.canonical(), bytes, "one plan has one spelling");
        assert_eq!(plan.digest(), Digest::of(bytes));
    }
}
