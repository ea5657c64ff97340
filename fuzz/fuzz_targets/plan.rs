//! A plan as an agent submits it, on its way to what a person signs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use marque_core::attenuate::covers;
use marque_core::canonical::Digest;
use marque_core::catalog::{Catalog, UnknownActions};
use marque_core::claims::Confirmation;
use marque_core::display::lines;
use marque_core::envelope::Envelope;
use marque_core::plan::{ResolvedPlan, SubmittedPlan};
use marque_core::resolve::{Completion, resolve};
use marque_core::{canonical::canonical, json, limits};
use std::sync::LazyLock;

const FILES: &[u8] = br#"{"iss":"files","version":4,"location":"http://localhost:7502","actions":{
    "file.read":{"class":"read","reversible":true,"resource":"file","args":{"depth":{"type":"integer"}},
        "display":{"en":"Reads {resource} to depth {args.depth}"}},
    "file.delete":{"class":"delete","reversible":false,"resource":"file","args":{"force":{"type":"boolean"}},
        "display":{"en":"Deletes {resource}"}}}}"#;
const MAIL: &[u8] = br#"{"iss":"mail","version":2,"location":"http://localhost:7504/mail","actions":{
    "mail.send":{"class":"send","reversible":false,"resource":"mailbox",
        "args":{"to":{"type":"string"},"body":{"type":"string"},"copies":{"type":"array"},"options":{"type":"object"}},
        "display":{"en":"Sends {args.body} to {args.to}, copies to {args.copies}"}}}}"#;

static CATALOGS: LazyLock<Vec<Catalog>> =
    LazyLock::new(|| [FILES, MAIL].map(|payload| Catalog::parse(payload).expect("a catalog")).into());

fuzz_target!(|bytes: &[u8]| {
    let parsed = SubmittedPlan::parse(bytes);
    assert_eq!(parsed, SubmittedPlan::parse(bytes), "the same bytes give the same plan");
    let Ok(plan) = parsed else { return };
    let value = json::parse_plan(bytes, limits::PLAN_BYTES).expect("a plan is strict JSON");
    let (_, digest) = SubmittedPlan::parse_with_digest(bytes).expect("a plan has a digest");
    assert_eq!(digest, Digest::of_canonical(&value), "the digest is over the canonical form");
    assert_eq!(SubmittedPlan::parse(&canonical(&value)).as_ref(), Ok(&plan), "the canonical form is the same plan");
    check_resolved(plan);
});

/// What is resolved reads back from its bytes, covers itself and can be shown.
fn check_resolved(plan: SubmittedPlan) {
    let completion = Completion {
        issuer: "http://localhost:7500/realms/demo",
        realm_issuer: "http://localhost:7510/realms/demo",
        intent_id: "018f0000-0000-7000-8000-000000000001",
        client_id: "demo-agent",
        cnf: Confirmation::Jkt("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I".into()),
        catalogs: &CATALOGS,
        blocked: &[],
        unknown_actions: UnknownActions::Refuse,
        now: 1_795_316_400,
        started_by: None,
    };
    let Ok(resolved) = resolve(plan, &completion) else { return };
    assert_eq!(ResolvedPlan::from_canonical(&resolved.canonical()).as_ref(), Ok(&resolved));
    let envelope = Envelope::of(&resolved).expect("a resolved plan ends at an instant");
    assert!(covers(&envelope, &envelope), "a plan covers itself");
    let shown = lines(&resolved, &CATALOGS, "en").expect("what is resolved can be shown");
    assert!(shown.iter().all(|line| !line.contains(char::is_control)));
}
