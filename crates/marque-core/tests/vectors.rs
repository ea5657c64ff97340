//! Runs the shared vectors. The other implementations run the same files.

use marque_core::canonical::{self, Digest, canonical_text};
use marque_core::catalog::Catalog;
use marque_core::challenge::{Approval, StepUpApproval};
use marque_core::display::{DisplayRecord, lines, lines_digest};
use marque_core::dpop::{Expected, verify};
use marque_core::json::{parse_call, parse_plan};
use marque_core::jws::{self, KeySet};
use marque_core::names;
use marque_core::plan::ResolvedPlan;
use marque_core::step_up::{self, Document};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// The cases of a folder by name; an empty folder proves nothing and is refused.
fn cases<T: DeserializeOwned>(folder: &str) -> Vec<(String, T)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors").join(folder);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
        .iter()
        .map(|file| {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            assert!(name.ends_with(".json"), "{name} is no vector");
            let case = serde_json::from_slice(&fs::read(file).unwrap());
            (name.clone(), case.unwrap_or_else(|error| panic!("{name}: {error}")))
        })
        .collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Display {
    plan: Value,
    catalogs: Vec<Value>,
    locale: String,
    lines: Vec<String>,
}

#[test]
fn display() {
    for (name, case) in cases::<Display>("display") {
        let plan = ResolvedPlan::from_canonical(canonical_text(&case.plan).as_bytes());
        let plan = plan.unwrap_or_else(|refused| panic!("{name}: {refused}"));
        let payloads: Vec<_> = case.catalogs.iter().map(canonical_text).collect();
        let catalogs: Vec<_> = payloads
            .iter()
            .map(|payload| Catalog::parse(payload.as_bytes()).unwrap_or_else(|e| panic!("{name}: {e}")))
            .collect();
        assert_eq!(lines(&plan, &catalogs, &case.locale).as_ref(), Ok(&case.lines), "{name}");
        let listed: Vec<_> = catalogs.iter().map(Catalog::reference).collect();
        assert_eq!(listed, plan.catalogs, "{name}: the catalogs, each as its canonical bytes, are those of the plan");
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Challenge {
    issuer: String,
    intent_id: String,
    plan_digest: Digest,
    plan_words: Option<String>,
    display: DisplayRecord,
    display_digest: Digest,
    nonce: Digest,
    challenge: Digest,
}

#[test]
fn challenge() {
    for (name, case) in cases::<Challenge>("challenge") {
        assert_eq!(case.display.digest(), case.display_digest, "{name}");
        if let Some(words) = &case.plan_words {
            assert_eq!(case.plan_digest.words(), *words, "{name}");
        }
        let approval = Approval {
            realm_issuer: &case.issuer,
            intent_id: &case.intent_id,
            plan_digest: case.plan_digest,
            display_digest: case.display_digest,
            nonce: *case.nonce.as_bytes(),
        };
        assert_eq!(approval.challenge(), Some(case.challenge), "{name}");
    }
}

/// A step-up: its document, what a person reads, and what her passkey signs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepUp {
    realm_issuer: String,
    document: Value,
    catalog: Option<Value>,
    lines: Vec<String>,
    document_digest: Digest,
    document_words: String,
    display: DisplayRecord,
    display_digest: Digest,
    nonce: Digest,
    challenge: Digest,
}

#[test]
fn step_up() {
    for (name, case) in cases::<StepUp>("step-up") {
        let document =
            Document::from_canonical(&canonical::canonical(&case.document)).unwrap_or_else(|e| panic!("{name}: {e}"));
        let catalog = case.catalog.map(|catalog| Catalog::parse(&canonical::canonical(&catalog)).unwrap());
        let lines = step_up::lines::lines(&document, catalog.as_ref(), &case.display.locale);
        assert_eq!(lines.unwrap(), case.lines, "{name}");
        assert_eq!(document.digest(), case.document_digest, "{name}");
        assert_eq!(document.digest().words(), case.document_words, "{name}");
        let record = DisplayRecord {
            renderer: step_up::lines::RENDERER.into(),
            template_sha256: case.display.template_sha256,
            catalog_sha256: step_up::lines::catalog_digest(&document),
            locale: "en".into(),
            lines_sha256: lines_digest(&case.lines),
        };
        assert_eq!(record, case.display, "{name}");
        assert_eq!(record.digest(), case.display_digest, "{name}");
        let approval = StepUpApproval {
            realm_issuer: &case.realm_issuer,
            step_up_id: &document.step_up_id,
            document_digest: case.document_digest,
            display_digest: case.display_digest,
            nonce: *case.nonce.as_bytes(),
        };
        assert_eq!(approval.challenge(), Some(case.challenge), "{name}");
    }
}

/// A text and what strict reading makes of it: its canonical form and digest, or the path of the refusal.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Canonical {
    /// `plan` (signed things: no fractions, plain text) or `call` (a call's arguments).
    profile: String,
    input: String,
    canonical: Option<String>,
    sha256: Option<Digest>,
    refused_at: Option<String>,
}

#[test]
fn canonical() {
    let mut refusals = 0;
    for (name, case) in cases::<Canonical>("canonical") {
        let parse = match case.profile.as_str() {
            "plan" => parse_plan,
            "call" => parse_call,
            other => panic!("{name}: no profile {other}"),
        };
        match (parse(case.input.as_bytes(), 1 << 20), case.refused_at) {
            (Ok(value), None) => {
                let text = canonical_text(&value);
                assert_eq!(Some(&text), case.canonical.as_ref(), "{name}");
                assert_eq!(Some(Digest::of(text.as_bytes())), case.sha256, "{name}");
            }
            (Err(refused), Some(path)) => {
                refusals += 1;
                assert_eq!(refused.path, path, "{name}: {refused}");
                assert!(case.canonical.is_none() && case.sha256.is_none(), "{name} is refused and not");
            }
            (result, expected) => panic!("{name}: {result:?}, to be refused at {expected:?}"),
        }
    }
    assert!(refusals > 0, "no vector shows a refusal");
}

/// A proof for one request; `jkt` if it holds, `refused` with a word of the refusal otherwise.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Dpop {
    proof: String,
    method: String,
    uri: String,
    token: Option<String>,
    now: i64,
    jkt: Option<String>,
    refused: Option<String>,
}

#[test]
fn dpop() {
    let mut refusals = 0;
    for (name, case) in cases::<Dpop>("dpop") {
        let expected = Expected { method: &case.method, uri: &case.uri, token: case.token.as_deref() };
        match (verify(&case.proof, &expected, case.now), case.jkt, case.refused) {
            (Ok(proof), Some(jkt), None) => assert_eq!(proof.jkt, jkt, "{name}"),
            (Err(error), None, Some(word)) => {
                refusals += 1;
                assert!(error.to_string().contains(&word), "{name}: {error}");
            }
            (result, ..) => panic!("{name}: {result:?}"),
        }
    }
    assert!(refusals > 0, "no vector shows a refusal");
}

/// The answer to an exchange for a grant, and what the grant says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Chained {
    #[serde(rename = "what")]
    _what: String,
    resource: String,
    token_type: String,
    issued_token_type: String,
    expires_in: i64,
    grant: String,
    claims: Value,
}

/// The published grant is read as it was written, is of the form that Marque's grants have, and is none of Marque's.
#[test]
fn identity_chaining() {
    for (name, case) in cases::<Chained>("identity-chaining") {
        let claims = Value::Object(jws::unverified_claims(&case.grant).unwrap());
        assert_eq!(claims, case.claims, "{name}");
        assert_eq!(claims["aud"], case.resource, "{name}: a grant is for the one server that was named");
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), case.expires_in, "{name}");
        assert_eq!(
            (case.token_type.as_str(), case.issued_token_type.as_str()),
            ("N_A", names::TOKEN_TYPE_JWT),
            "{name}"
        );
        assert!(jws::verify(&case.grant, names::TYP_JWT, &KeySet::default()).is_err(), "{name}");
    }
}
