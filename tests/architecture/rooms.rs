//! Which room knows which, and which library belongs to which room.

use super::source::{Token, mentions, names_above, names_under, tokens};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each room may name of the others. `app` wires all and hands itself to those who answer requests.
const KNOWS: &[(&str, &[&str])] = &[
    ("main", &[]),
    ("cli", &["app", "clock", "config", "environment", "flows", "postgres"]),
    ("app", &["certificates", "clock", "config", "flows", "http", "keycloak", "keys", "marks", "random", "store"]),
    ("http", &["app", "certificates", "config", "flows", "random"]),
    ("flows", &["app", "batch", "certificates", "clock", "keycloak", "keys", "passkey", "random", "store"]),
    ("keycloak", &["clock", "config", "keys", "random"]),
    ("config", &["environment", "postgres"]),
    ("store", &[]),
    ("passkey", &[]),
    ("certificates", &[]),
    ("keys", &[]),
    ("marks", &[]),
    ("postgres", &["environment"]),
    ("environment", &[]),
    ("clock", &[]),
    ("random", &[]),
    ("batch", &[]),
];

/// What the design forbids, whatever [`KNOWS`] says.
const MUST_NOT: &[(&str, &[&str])] = &[
    ("http", &["store", "keycloak", "keys", "passkey"]),
    ("flows", &["http", "cli"]),
    ("store", &["flows", "http", "keycloak", "clock", "app"]),
    ("keycloak", &["store", "flows", "http", "app"]),
    ("passkey", &["store", "flows", "http", "app"]),
    ("keys", &["store", "flows", "http", "app"]),
    ("certificates", &["store", "flows", "http", "app"]),
    ("marks", &["store", "flows", "http", "app"]),
    ("config", &["store", "flows", "http", "keycloak", "app"]),
];

/// Libraries and the rooms that may name them.
const BELONGS: &[(&str, &[&str])] = &[
    ("axum", &["http", "app", "cli"]),
    ("tower", &["http"]),
    ("tower_http", &["http"]),
    ("http", &["http", "app", "keycloak"]),
    ("askama", &["http"]),
    ("sqlx", &["store", "app", "flows", "postgres"]),
    ("sqlx_core", &["store"]),
    ("openidconnect", &["keycloak"]),
    ("reqwest", &["keycloak", "cli"]),
    ("webauthn_rs_core", &["passkey"]),
    ("serde_cbor_2", &["passkey"]),
    ("jsonwebtoken", &["keys"]),
    ("x509_cert", &["certificates"]),
    ("rustls", &["certificates", "http"]),
    ("tokio_rustls", &["http"]),
    ("clap", &["cli", "config"]),
    ("nix", &["postgres"]),
];

/// Outside the store, connections and transactions are handed on; statements are not made.
const HANDLES: &[&str] = &["PgConnection", "Error"];
const STATEMENTS_ALLOWED: &[&str] = &["store", "postgres"];

struct File {
    path: PathBuf,
    room: String,
    depth: usize,
    tokens: Vec<Token>,
}

impl File {
    /// `path` is below `src`. A room is a file or folder directly in it.
    fn read(path: &Path, source: &str) -> Self {
        let mut parts: Vec<String> =
            path.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
        parts.pop_if(|last| last == "mod");
        let room = parts.first().cloned().unwrap_or_default();
        Self { path: path.into(), room, depth: parts.len(), tokens: tokens(source) }
    }

    fn offences(&self, rooms: &BTreeSet<&str>) -> Vec<String> {
        let mut found = Vec::new();
        let Some((_, known)) = KNOWS.iter().find(|(room, _)| *room == self.room) else {
            return vec![format!("{}: the room {} is not in the table", self.path.display(), self.room)];
        };
        let mut named = names_under(&self.tokens, "crate");
        named.extend(names_above(&self.tokens, self.depth));
        for name in named {
            let is_other_room = rooms.contains(name.as_str()) && name != self.room;
            if name == "*" || (is_other_room && !known.contains(&name.as_str())) {
                found.push(format!("{}: {} must not know {name}", self.path.display(), self.room));
            }
        }
        found.extend(self.misplaced_libraries());
        found.extend(self.misplaced_statements());
        found
    }

    fn misplaced_libraries(&self) -> Vec<String> {
        BELONGS
            .iter()
            .filter(|(library, rooms)| mentions(&self.tokens, library) && !rooms.contains(&self.room.as_str()))
            .map(|(library, _)| format!("{}: {library} does not belong in {}", self.path.display(), self.room))
            .collect()
    }

    fn misplaced_statements(&self) -> Vec<String> {
        if STATEMENTS_ALLOWED.contains(&self.room.as_str()) {
            return Vec::new();
        }
        let items = names_under(&self.tokens, "sqlx").into_iter().filter(|item| !HANDLES.contains(&item.as_str()));
        let texts = self.tokens.iter().filter_map(|token| match token {
            Token::Text(text) if is_statement(text) => Some(format!("the statement {text:?}")),
            _ => None,
        });
        items
            .map(|item| format!("sqlx::{item}"))
            .chain(texts)
            .map(|what| format!("{}: {what} belongs in the store", self.path.display()))
            .collect()
    }
}

fn is_statement(text: &str) -> bool {
    let words: Vec<String> = text.split_whitespace().take(40).map(str::to_ascii_lowercase).collect();
    let has = |word: &str| words.iter().any(|own| own == word);
    match words.first().map(String::as_str) {
        Some("select") => has("from"),
        Some("insert") => has("into"),
        Some("delete") => has("from"),
        Some("update") => has("set"),
        _ => false,
    }
}

pub fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.extend(sources(&entry));
        } else if entry.extension().is_some_and(|extension| extension == "rs") && !entry.ends_with("tests.rs") {
            found.push(entry);
        }
    }
    found
}

fn house() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let read = |path: PathBuf| File::read(path.strip_prefix(&root).unwrap(), &fs::read_to_string(&path).unwrap());
    sources(&root).into_iter().map(read).filter(|file| file.room != "lib").collect()
}

fn rooms() -> BTreeSet<&'static str> {
    KNOWS.iter().map(|(room, _)| *room).collect()
}

#[test]
fn every_room_knows_only_what_it_may() {
    let house = house();
    assert!(house.len() > 20, "the whole of src was read");
    let offences: Vec<_> = house.iter().flat_map(|file| file.offences(&rooms())).collect();
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}

/// A rule for a room that is gone, or for knowledge that nobody uses, is no rule.
#[test]
fn the_table_is_the_house() {
    let house = house();
    let built: BTreeSet<_> = house.iter().map(|file| file.room.as_str()).collect();
    assert_eq!(built, rooms(), "rooms of the table and of src");
    for (room, known) in KNOWS {
        let used: BTreeSet<_> = house
            .iter()
            .filter(|file| file.room == *room)
            .flat_map(|file| {
                names_under(&file.tokens, "crate").into_iter().chain(names_above(&file.tokens, file.depth))
            })
            .collect();
        let unused: Vec<_> = known.iter().filter(|known| !used.contains(**known)).collect();
        assert!(unused.is_empty(), "{room} no longer uses {unused:?}");
    }
}

#[test]
fn the_table_keeps_the_design_and_has_one_direction() {
    let known: BTreeMap<_, _> = KNOWS.iter().copied().collect();
    for (room, forbidden) in MUST_NOT {
        let broken: Vec<_> = forbidden.iter().filter(|name| known[room].contains(name)).collect();
        assert!(broken.is_empty(), "{room} must not know {broken:?}");
    }
    for room in known.keys().filter(|room| **room != "app") {
        assert!(!reaches(&known, room, room, &mut BTreeSet::new()), "{room} knows itself by way of others");
    }
}

/// Whether `to` is known, directly or not, leaving out `app`, which hands itself to those it wires.
fn reaches<'n>(known: &BTreeMap<&'n str, &'n [&'n str]>, from: &str, to: &str, seen: &mut BTreeSet<&'n str>) -> bool {
    known[from]
        .iter()
        .any(|next| *next == to || (*next != "app" && seen.insert(next) && reaches(known, next, to, seen)))
}

fn offences(path: &str, source: &str) -> usize {
    File::read(Path::new(path), source).offences(&rooms()).len()
}

#[test]
fn each_rule_can_fail() {
    let bad = [
        ("http/token.rs", "use crate::store::intents;"),
        ("http/token.rs", "fn f() { crate::keycloak::login() }"),
        ("http/token.rs", "use crate::{flows, keys::Keyring};"),
        ("http/token.rs", "use super::super::store;"),
        ("http/mod.rs", "use super::store;"),
        ("http/mod.rs", "use crate::*;"),
        ("flows/grant_intent.rs", "use crate::http::error;"),
        ("flows/grant_intent.rs", "use axum::Json;"),
        ("flows/grant_intent.rs", "use http::StatusCode;"),
        ("flows/grant_intent.rs", "sqlx::query(x).execute(tx)"),
        ("flows/grant_intent.rs", "use sqlx::{PgConnection, query};"),
        ("flows/grant_intent.rs", "use sqlx::PgPool;"),
        ("flows/grant_intent.rs", "let x = \"select id from intents\";"),
        ("flows/grant_intent.rs", "let x = r#\"UPDATE intents SET state = 1\"#;"),
        ("store/intents.rs", "use crate::clock::Clock;"),
        ("store/intents.rs", "use super::super::flows::x;"),
        ("keycloak/login.rs", "use crate::store;"),
        ("keycloak/login.rs", "use sqlx::PgConnection;"),
        ("passkey.rs", "use super::store;"),
        ("keys.rs", "use crate::flows;"),
        ("flows/approve_plan.rs", "use reqwest::Client;"),
        ("flows/approve_plan.rs", "use openidconnect as oidc;"),
        ("flows/approve_plan.rs", "use webauthn_rs_core::WebauthnCore;"),
        ("http/token.rs", "use sqlx::PgConnection;"),
        ("config.rs", "use crate::app;"),
        ("cellar.rs", ""),
    ];
    for (path, source) in bad {
        assert_eq!(offences(path, source), 1, "{path}: {source}");
    }
    let good = [
        ("http/token.rs", "use crate::flows::grant_intent; use super::error::HttpError; use axum::Json;"),
        ("flows/grant_intent.rs", "use crate::store; use sqlx::PgConnection; let x = \"select one of them\";"),
        ("store/intents.rs", "use super::StoreError; sqlx::query!(\"select 1 from intents\")"),
        ("passkey.rs", "use webauthn_rs_core::X; fn f() { crate::passkey::g() }"),
        ("keys.rs", "fn f() {}\n#[cfg(test)]\nmod tests { use super::*; use crate::store; }"),
    ];
    for (path, source) in good {
        assert_eq!(offences(path, source), 0, "{path}: {source}");
    }
}

// ---- the gate's own ledger

/// In the gate, sqlx belongs to one module, and statements to one file.
#[test]
fn the_gate_names_its_database_in_one_module_and_makes_statements_in_one_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/marque-gate/src");
    let mut statements = 0;
    for path in sources(&root) {
        let (name, tokens) = (path.strip_prefix(&root).unwrap(), tokens(&fs::read_to_string(&path).unwrap()));
        let texts = tokens.iter().filter(|token| matches!(token, Token::Text(text) if is_statement(text))).count();
        assert!(!mentions(&tokens, "sqlx") || name.starts_with("postgres"), "{}: sqlx", name.display());
        assert!(texts == 0 || name == Path::new("postgres/store.rs"), "{}: a statement", name.display());
        statements += texts;
    }
    assert!(statements > 10, "the statements were found");
}

// ---- the pure core

/// Modules of the standard library that reach outside the process or read the time.
const OUTSIDE: &[&str] = &["env", "fs", "net", "process", "thread", "io", "time", "os"];

fn impure(source: &str) -> Vec<String> {
    let tokens = tokens(source);
    let mut names = names_under(&tokens, "std");
    names.retain(|name| OUTSIDE.contains(&name.as_str()));
    names.extend(
        ["now_utc", "now_local", "SystemTime", "Instant", "println", "eprintln", "static"]
            .iter()
            .filter(|word| tokens.contains(&Token::Word((**word).into())))
            .map(|word| (*word).to_owned()),
    );
    names
}

#[test]
fn the_core_reads_no_clock_no_environment_and_no_file() {
    let core = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/marque-core/src");
    let files = sources(&core);
    assert!(files.len() > 15, "the whole of the core was read");
    for file in files {
        let found = impure(&fs::read_to_string(&file).unwrap());
        assert!(found.is_empty(), "{}: {found:?}", file.display());
    }
    for bad in [
        "use std::fs;",
        "std::env::var(\"A\")",
        "use std::{fmt, net::TcpStream};",
        "OffsetDateTime::now_utc()",
        "static X: u8 = 1;",
        "println!()",
    ] {
        assert_eq!(impure(bad).len(), 1, "{bad}");
    }
    assert!(impure("use std::fmt; use std::collections::BTreeMap; fn f() -> &'static str { \"\" }").is_empty());
}
