//! No place that takes a JWT is forgotten: each is attacked with the table of `tests/it/support/jose.rs`.

use super::rooms::sources;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What verifies a JWS, or reads one that is verified with it.
const CALLS: &[&str] = &[
    "jws::verify(",
    "jws::verify_self_keyed(",
    "dpop::verify(",
    "IdToken::verify(",
    "own_tokens::read_as(",
    "own_tokens::read(",
    "_tokens.read(",
];

/// Each file that takes one, and the tests in `tests/it` that attack it there: file and name.
const ATTACKED: &[(&str, &[(&str, &str)])] = &[
    ("crates/marque-core/src/dpop.rs", &[("jose", "a_proof_of_possession")]),
    ("crates/marque-gate/src/gate.rs", &[("jose", "a_token_and_its_proof_at_a_gate")]),
    ("crates/marque-gate/src/gate/workload.rs", &[("jose", "a_workloads_own_token_at_a_gate")]),
    ("crates/marque-gate/src/remote/feed.rs", &[("jose", "a_message_of_the_feed_at_a_gate")]),
    ("crates/marque-gate/src/token.rs", &[("jose", "a_token_and_its_proof_at_a_gate")]),
    ("src/flows/approve_plan.rs", &[("jose", "a_request_of_the_realms_extension")]),
    ("src/flows/authenticate_client/private_key.rs", &[("jose", "a_client_assertion")]),
    ("src/flows/authenticate_client/proof.rs", &[("jose", "a_proof_of_possession")]),
    ("src/flows/authenticate_client/realm_token.rs", &[("jose", "a_token_of_the_realm_as_client_assertion")]),
    (
        "src/flows/authenticate_resource_server.rs",
        &[("jose", "an_access_token_of_the_realm"), ("catalogs", "the_realm_says_who_is_an_administrator")],
    ),
    ("src/flows/catalog_admission.rs", &[("jose", "a_kept_catalog_and_its_admission")]),
    (
        "src/flows/evaluate_access.rs",
        &[
            ("jose", "a_transaction_token_and_its_proof_at_the_decision_point"),
            ("jose", "an_access_token_at_the_decision_point"),
        ],
    ),
    ("src/flows/exchange_token.rs", &[("jose", "a_subject_token")]),
    ("src/flows/id_token.rs", &[("jose", "an_id_token_of_a_sign_in")]),
    ("src/flows/identity_assertion.rs", &[("jose", "a_proof_of_the_user_at_submission")]),
    ("src/flows/introspect_token.rs", &[("jose", "a_token_that_is_asked_about_or_revoked")]),
    ("src/flows/pending_plan.rs", &[("jose", "a_kept_catalog_and_its_admission")]),
    ("src/flows/prove_call.rs", &[("jose", "a_transaction_token_and_its_proof_at_the_decision_point")]),
    ("src/flows/prove_user.rs", &[("jose", "a_proof_of_the_user_at_submission")]),
    (
        "src/flows/publish_catalog.rs",
        &[("bad_input_of_resource_servers", "a_bad_catalog_is_refused_with_its_path_and_leaves_nothing")],
    ),
    ("src/flows/realm_login.rs", &[("jose", "an_id_token_of_a_sign_in")]),
    (
        "src/flows/request_access.rs",
        &[("requested_access", "a_request_is_for_what_was_denied_and_by_whoever_was_told")],
    ),
    (
        "src/flows/request_step_up.rs",
        &[("step_up", "a_challenge_that_is_not_the_resource_servers_own_right_one_is_refused")],
    ),
    ("src/flows/revoke_token.rs", &[("jose", "a_token_that_is_asked_about_or_revoked")]),
    ("src/flows/settle_permit.rs", &[("results", "a_receipt_is_for_its_permit_and_by_its_resource_server")]),
    ("src/flows/start_workload.rs", &[("jose", "a_self_signed_subject_token")]),
    ("src/flows/verified_tokens.rs", &[("jose", "a_subject_token")]),
    ("src/flows/verify_evidence.rs", &[("jose", "the_id_token_within_evidence")]),
    ("src/flows/verify_step_up.rs", &[("step_up", "the_id_token_within_the_evidence_of_a_call")]),
];

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files that take a JWS outside of their unit tests.
fn takers() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["src", "crates/marque-core/src", "crates/marque-gate/src"];
    let files = folders.iter().flat_map(|folder| sources(&root.join(folder)));
    let files = files.map(|path| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
    files.filter(|path| takes(&read(path))).collect()
}

fn takes(source: &str) -> bool {
    let source = source.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    CALLS.iter().any(|call| source.contains(call)) || imports_a_reader(source)
}

/// Whether a reader of JWS comes under its bare name, by which its calls could not be told from others.
fn imports_a_reader(source: &str) -> bool {
    let lists = ["own_tokens::{", "jws::{"].iter().flat_map(|list| source.split(list).skip(1));
    let mut names = lists.flat_map(|rest| rest.split('}').next().unwrap_or_default().split(','));
    names.any(|name| ["read", "read_as", "verify", "verify_self_keyed"].contains(&first_word(name)))
}

fn first_word(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default()
}

#[test]
fn every_place_that_takes_a_jwt_is_attacked() {
    let listed: BTreeSet<String> = ATTACKED.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(listed, takers(), "a place without its attacks here, or attacks without their place");
    for (path, tests) in ATTACKED {
        for (file, name) in *tests {
            let source = read(&format!("tests/it/{file}.rs"));
            let body = source.split(&format!("async fn {name}()")).nth(1).and_then(|rest| rest.split("\n}\n").next());
            let body = body.unwrap_or_else(|| panic!("{path}: there is no test {name} in {file}.rs"));
            assert!(body.contains("attacks("), "{path}: {name} in {file}.rs attacks nothing");
        }
    }
}

#[test]
fn a_place_that_takes_a_jwt_is_recognized() {
    assert!(takes("let verified = jws::verify(token, typ, &keys)?;"));
    assert!(takes("let own = own_tokens::read(cx, token);"));
    assert!(takes("use super::own_tokens::{OwnToken,\n    read as read_own};"));
    assert!(takes("use marque_core::jws::{self, verify};"));
    assert!(!takes("use marque_core::jws::{self, KeySet};"));
    assert!(!takes("let kid = jws::unverified_kid(token);\n#[cfg(test)]\nmod tests { jws::verify( }"));
}
