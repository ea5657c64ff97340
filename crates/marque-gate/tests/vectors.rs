//! Runs the shared vectors of the revocation feed.

mod common;

use common::secs;
use marque_gate::revocations::{Applied, FeedMessage};
use marque_gate::{Reason, Revocations};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A case: messages with the gate's clock as they are heard, and what the gate knows then.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    what: String,
    heard: Vec<Heard>,
    then: Then,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Heard {
    now: i64,
    message: Value,
    applied: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Then {
    now: i64,
    limit_secs: u64,
    intents: BTreeMap<String, Option<Reason>>,
    withdrawn: Vec<String>,
    not_withdrawn: Vec<String>,
    #[serde(default)]
    revoked_tokens: Vec<String>,
    #[serde(default)]
    other_tokens: Vec<String>,
    #[serde(default)]
    suspended_if_issued_at: Vec<i64>,
    #[serde(default)]
    not_suspended_if_issued_at: Vec<i64>,
}

fn word(applied: Applied) -> &'static str {
    match applied {
        Applied::Current => "current",
        Applied::Page => "page",
        Applied::Old => "old",
        Applied::Gap => "gap",
        Applied::Anew => "anew",
    }
}

fn run(name: &str, case: &Case) {
    let name = format!("{name}: {}", case.what);
    let revocations = Revocations::new();
    for heard in &case.heard {
        let message = FeedMessage::parse(heard.message.to_string().as_bytes());
        let message = message.unwrap_or_else(|refused| panic!("{name}: {refused}"));
        assert_eq!(word(revocations.apply(message, heard.now)), heard.applied, "{name}: {}", heard.message);
    }
    let then = &case.then;
    for (intent, expected) in &then.intents {
        let known = revocations.check(intent, then.now, secs(then.limit_secs));
        assert_eq!(known.err(), *expected, "{name}: {intent}");
    }
    for token in &then.revoked_tokens {
        assert!(revocations.is_token_revoked(token), "{name}: {token}");
    }
    for token in &then.other_tokens {
        assert!(!revocations.is_token_revoked(token), "{name}: {token}");
    }
    for issued_at in &then.suspended_if_issued_at {
        assert!(revocations.is_suspended(*issued_at), "{name}: {issued_at}");
    }
    for issued_at in &then.not_suspended_if_issued_at {
        assert!(!revocations.is_suspended(*issued_at), "{name}: {issued_at}");
    }
    for key in &then.withdrawn {
        assert!(revocations.is_withdrawn(key), "{name}: {key}");
    }
    for key in &then.not_withdrawn {
        assert!(!revocations.is_withdrawn(key), "{name}: {key}");
    }
}

#[test]
fn feed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/feed");
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() > 10, "{files:?}");
    for file in files {
        let case = serde_json::from_slice(&fs::read(&file).unwrap());
        let name = file.file_name().unwrap().to_string_lossy();
        run(&name, &case.unwrap_or_else(|error| panic!("{name}: {error}")));
    }
}
