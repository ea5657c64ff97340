//! What the packages pull in: counted, and checked against the walls and against `deny.toml`.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

fn cargo(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).current_dir(env!("CARGO_MANIFEST_DIR")).args(args).output().unwrap();
    assert!(output.status.success(), "cargo {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The names of the crates that a package builds with, itself included.
fn tree(package: &str, more: &[&str]) -> BTreeSet<String> {
    let args = [&["tree", "--offline", "--edges", "normal", "--prefix", "none", "--package", package], more].concat();
    let names: BTreeSet<String> =
        cargo(&args).lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    assert!(names.contains(package), "{package} is in its own tree");
    println!("{package} {}: {} crates", more.join(" "), names.len());
    names
}

fn unwanted<'n>(tree: &BTreeSet<String>, names: &[&'n str]) -> Vec<&'n str> {
    names.iter().copied().filter(|name| tree.contains(*name)).collect()
}

#[test]
fn the_core_knows_no_input_and_no_output() {
    const WALL: &[&str] =
        &["tokio", "axum", "axum-core", "sqlx", "sqlx-core", "reqwest", "hyper", "tower", "tracing", "mio", "uuid"];
    let core = tree("marque-core", &["--all-features"]);
    assert_eq!(unwanted(&core, WALL), [""; 0]);
    let server = tree("marque", &[]);
    assert!(unwanted(&server, WALL).len() > 5, "the same names are found where they are");
    assert_eq!(
        unwanted(&server, &["sqlx-mysql", "sqlx-sqlite", "openssl-sys"]),
        [""; 0],
        "one store, one crypto library"
    );
}

#[test]
fn the_gate_brings_neither_the_server_nor_its_store() {
    const SERVER: &[&str] = &["marque", "sqlx", "sqlx-core", "axum", "webauthn-rs-core", "openidconnect", "askama"];
    const TRANSPORT: &[&str] = &["tokio", "reqwest", "hyper", "tower"];
    const STORE: &[&str] = &["sqlx", "sqlx-core"];
    let all = tree("marque-gate", &["--all-features"]);
    let beside: Vec<_> = unwanted(&all, SERVER).into_iter().filter(|name| !STORE.contains(name)).collect();
    assert_eq!(beside, [""; 0]);
    assert_eq!(unwanted(&all, &["sqlx-mysql", "sqlx-sqlite", "openssl-sys"]), [""; 0], "one store, one crypto library");
    let connected = tree("marque-gate", &["--no-default-features", "--features", "http,tower"]);
    assert_eq!(unwanted(&connected, SERVER), [""; 0], "a store is brought by the feature postgres alone");
    assert_eq!(unwanted(&tree("marque-gate", &["--no-default-features", "--features", "postgres"]), STORE), STORE);
    let plain = tree("marque-gate", &[]);
    assert_eq!(unwanted(&plain, &[SERVER, TRANSPORT].concat()), [""; 0]);
    assert!(plain.contains("marque-core"));
    let schema = ["schemars", "schemars_derive"];
    assert_eq!(
        unwanted(&tree("marque-gate", &["--all-features"]), &schema),
        [""; 0],
        "who checks calls writes no plans"
    );
    assert_eq!(unwanted(&tree("marque", &[]), &schema), schema, "the same names are found where they are");
}

struct Policy {
    licences: BTreeSet<String>,
    banned: BTreeSet<String>,
}

fn policy() -> Policy {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deny.toml")).unwrap();
    let file: toml::Table = toml::from_str(&text).unwrap();
    let text = |value: &toml::Value| value.as_str().unwrap().to_owned();
    assert_eq!(file["sources"]["unknown-registry"].as_str(), Some("deny"));
    assert_eq!(file["sources"]["unknown-git"].as_str(), Some("deny"));
    Policy {
        licences: file["licenses"]["allow"].as_array().unwrap().iter().map(text).collect(),
        banned: file["bans"]["deny"].as_array().unwrap().iter().map(|ban| text(&ban["crate"])).collect(),
    }
}

/// What is wrong with one package of `cargo metadata`.
fn complaints(package: &Value, policy: &Policy) -> Vec<String> {
    let name = package["name"].as_str().unwrap();
    let mut found = Vec::new();
    if policy.banned.contains(name) {
        found.push(format!("{name} is banned"));
    }
    let licence = package["license"].as_str().unwrap_or_default();
    if !is_allowed(licence, &policy.licences) {
        found.push(format!("{name} has the licence {licence:?}"));
    }
    let from_registry = package["source"].as_str().is_none_or(|source| source.starts_with("registry+"));
    if !from_registry {
        found.push(format!("{name} comes from {}", package["source"]));
    }
    found
}

#[test]
fn licences_sources_and_bans_are_those_of_deny_toml() {
    let host = Command::new("rustc").arg("-vV").output().unwrap().stdout;
    let host = String::from_utf8(host).unwrap();
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let metadata =
        cargo(&["metadata", "--offline", "--format-version", "1", "--all-features", "--filter-platform", host]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let registries: BTreeSet<_> = packages.iter().filter_map(|package| package["source"].as_str()).collect();
    println!("workspace: {} packages of {} registry", packages.len(), registries.len());
    assert_eq!(registries.len(), 1, "one registry: {registries:?}");
    let policy = policy();
    let complaints: Vec<_> = packages.iter().flat_map(|package| complaints(package, &policy)).collect();
    assert!(packages.len() > 100 && complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn each_complaint_can_be_made() {
    let package = |name: &str, licence: Value, source: &str| serde_json::json!({"name": name, "license": licence, "source": source});
    let count = |package: Value| complaints(&package, &policy()).len();
    assert_eq!(count(package("serde", "MIT OR Apache-2.0".into(), "registry+x")), 0);
    assert_eq!(count(package("openssl-sys", "MIT".into(), "registry+x")), 1);
    assert_eq!(count(package("serde", "GPL-3.0-only".into(), "registry+x")), 1);
    assert_eq!(count(package("serde", Value::Null, "registry+x")), 1);
    assert_eq!(count(package("serde", "MIT".into(), "git+x")), 1);
}

// ---- SPDX expressions

/// Whether an SPDX expression can be met with the allowed licences. `a/b` is an old way to write `a OR b`.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let met = any_of(&words, &mut at, allowed);
    met && at == words.len()
}

fn any_of(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut met = all_of(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        met |= all_of(words, at, allowed);
    }
    met
}

fn all_of(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut met = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one(words, at, allowed);
    }
    met
}

fn one(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let Some(word) = words.get(*at) else {
        *at = words.len() + 1; // something is missing: the whole is not read to its end
        return false;
    };
    *at += 1;
    if *word == "(" {
        let met = any_of(words, at, allowed);
        let closed = words.get(*at) == Some(&")");
        *at += 1;
        return met && closed;
    }
    if words.get(*at) == Some(&"WITH") {
        *at += 2;
        let with = words.get(*at - 1).map(|exception| format!("{word} WITH {exception}"));
        return with.is_some_and(|with| allowed.contains(&with));
    }
    allowed.contains(*word)
}

#[test]
fn licence_expressions_are_read_as_spdx_says() {
    let allowed: BTreeSet<String> = ["MIT", "ISC"].map(str::to_owned).into();
    for good in ["MIT", "GPL-3.0 OR MIT", "MIT/Apache-2.0", "MIT AND ISC", "(X OR ISC) AND MIT", "X AND Y OR MIT"] {
        assert!(is_allowed(good, &allowed), "{good}");
    }
    for bad in [
        "",
        "X",
        "MIT AND X",
        "MIT AND (X OR Y)",
        "X OR Y",
        "MIT WITH some-exception",
        "MIT )",
        "(MIT",
        "MIT ISC",
        "MIT OR",
    ] {
        assert!(!is_allowed(bad, &allowed), "{bad}");
    }
}
