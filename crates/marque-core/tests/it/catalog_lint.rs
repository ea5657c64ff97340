//! Findings about catalogs: what is too mild is found, at its path, and what is right is not.

use crate::support::{catalog, files_catalog, mail_catalog};
use marque_core::catalog::lint::{CatalogRule, lint};
use marque_core::lint::Finding;
use serde_json::{Value, json};

fn findings(name: &str, action: &Value) -> Vec<Finding<CatalogRule>> {
    let mut document = mail_catalog();
    document["actions"] = json!({name: action});
    lint(catalog(&document).document())
}

/// A payment that nothing is to be said about.
fn payment() -> Value {
    json!({
        "class": "pay", "reversible": false, "resource": "account",
        "args": {
            "amount": {"type": "object", "sensitive": "money"}, "iban": {"type": "string", "sensitive": "money"},
            "note": {"type": "string"},
        },
        "results": {
            "/id": {"type": "string", "source": "authoritative"}, "/note": {"type": "text", "source": "third_party"},
        },
        "display": {"en": "Pay {args.amount} from {resource} to {args.iban}"},
    })
}

#[track_caller]
fn finds(name: &str, change: &[(&str, Value)], expected: &[(&str, CatalogRule)]) {
    let mut action = payment();
    for (pointer, value) in change {
        let (parent, member) = pointer.rsplit_once('/').unwrap();
        action.pointer_mut(parent).unwrap()[member] = value.clone();
    }
    let found = findings(name, &action);
    let told: Vec<_> = found.iter().map(|finding| (finding.path.as_str(), finding.rule)).collect();
    let expected: Vec<_> = expected.iter().map(|(path, rule)| (format!("$.actions.{name}.{path}"), *rule)).collect();
    let expected: Vec<_> = expected.iter().map(|(path, rule)| (path.as_str(), *rule)).collect();
    assert_eq!(told, expected, "{found:?}");
}

#[test]
fn nothing_is_found_in_what_is_right() {
    finds("payment.make", &[], &[]);
    let read = json!({
        "class": "read", "reversible": true, "resource": "account", "args": {"iban": {"type": "string"}},
        "display": {"en": "Look at an account"},
    });
    assert_eq!(findings("account.list", &read), [], "a filter of a read is not at stake");
}

#[test]
fn each_rule_finds_what_it_is_for() {
    use CatalogRule as R;
    finds("payment.make", &[("/class", json!("create"))], &[("class", R::MildClass)]);
    finds("shareAccount", &[], &[("class", R::MildClass)]);
    finds("payment.make", &[("/reversible", json!(true))], &[("reversible", R::UndoableEffect)]);
    let read = [("/class", json!("read")), ("/reversible", json!(false))];
    finds(
        "payment.list",
        &read,
        &[
            ("reversible", R::IrreversibleRead),
            ("args.amount.sensitive", R::SensitiveRead),
            ("args.iban.sensitive", R::SensitiveRead),
        ],
    );
    finds(
        "payment.make",
        &[("/args/amount", json!({"type": "object"}))],
        &[("args.amount.sensitive", R::UnmarkedArgument)],
    );
    finds(
        "payment.make",
        &[("/args/note/sensitive", json!("access"))],
        &[("args.note.late", R::LateAccess), ("display.en", R::SilentArgument)],
    );
    finds(
        "payment.make",
        &[("/results/~1note/source", json!("authoritative"))],
        &[("results./note.source", R::TrustedText)],
    );
    finds("payment.make", &[("/results/~1note/type", json!("string"))], &[("results./note.type", R::FreeTextAsString)]);
    finds(
        "payment.make",
        &[("/display/de", json!("{resource} zahlt {args.amount}"))],
        &[("display.de", R::SilentArgument)],
    );
    finds(
        "payment.make",
        &[("/display/en", json!("Pay {args.amount} to {args.iban}"))],
        &[("display.en", R::SilentResource)],
    );
    let safe = json!("A safe payment of {args.amount} from {resource} to {args.iban}");
    finds("payment.make", &[("/display/en", safe)], &[("display.en", R::Reassuring)]);
}

/// What a finding proposes to write mends it.
#[test]
fn what_is_proposed_is_no_longer_found() {
    let mut document = mail_catalog();
    document["actions"] = json!({"payment.make": {
        "class": "create", "reversible": false, "resource": "account", "args": {"iban": {"type": "string"}},
        "results": {"/body": {"type": "string", "source": "authoritative"}},
        "display": {"en": "From {resource} to {args.iban}"},
    }});
    let found = lint(catalog(&document).document());
    assert_eq!(found.len(), 4, "{found:?}");
    for finding in &found {
        let place = finding.path.strip_prefix("$.actions.payment.make.").unwrap();
        let place = place.replace("results./body.", "results.~1body.").replace('.', "/");
        let (parent, member) = place.rsplit_once('/').unwrap_or(("", &place));
        let parent = format!("/actions/payment.make/{parent}");
        document.pointer_mut(parent.trim_end_matches('/')).unwrap()[member] = finding.write.clone().unwrap();
    }
    assert_eq!(lint(catalog(&document).document()), []);
}

#[test]
fn a_catalog_is_linted_action_by_action() {
    for document in [mail_catalog(), files_catalog()] {
        let found = lint(catalog(&document).document());
        assert!(found.is_sorted_by_key(|finding| finding.path.split('.').nth(2).map(str::to_owned)), "{found:?}");
    }
}

#[test]
fn a_collection_that_others_fill_is_not_the_servers_own() {
    let with = |name: &str, source: &str| {
        let mut document = mail_catalog();
        document["actions"] = json!({"payment.make": payment()});
        document["collections"] = json!({name: {"source": source}});
        lint(catalog(&document).document())
    };
    let found = with("supplier_contacts", "authoritative");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (found[0].rule, found[0].path.as_str()),
        (CatalogRule::TrustedCollection, "$.collections.supplier_contacts.source")
    );
    assert_eq!(found[0].write, Some(json!("third_party")));
    assert_eq!(with("supplier_contacts", "third_party"), []);
    assert_eq!(with("payees", "authoritative"), []);
}
