//! Catalogs: what a resource server may say about itself.

use crate::support::{at, catalog, files_catalog, mail_catalog, objects};
use marque_core::canonical::Digest;
use marque_core::catalog::{Catalog, Part, slots};
use marque_core::limits::CATALOG_BYTES;
use serde_json::{Value, json};

#[track_caller]
fn refuses(pointer: &str, value: Option<Value>, path: &str) {
    let document = at(&files_catalog(), pointer, value);
    let refused = Catalog::parse(document.to_string().as_bytes()).expect_err(pointer);
    assert_eq!(refused.path, path, "{refused}");
}

#[test]
fn its_digest_is_of_the_octets_as_signed() {
    let octets = serde_json::to_vec_pretty(&files_catalog()).unwrap();
    let read = Catalog::parse(&octets).unwrap();
    assert_eq!(read.reference().sha256, Digest::of(&octets));
    assert_ne!(read.reference().sha256, catalog(&files_catalog()).reference().sha256);
    assert_eq!((read.reference().location.as_str(), read.reference().version), ("http://localhost:7502", 4));
    assert!(read.action("file.read").is_some() && read.action("file").is_none());
}

#[test]
fn unknown_and_missing_members_are_refused() {
    for pointer in objects(&files_catalog()) {
        let spoilt = at(&files_catalog(), &format!("{pointer}/surprise"), Some(json!(1)));
        assert!(Catalog::parse(spoilt.to_string().as_bytes()).is_err(), "{pointer}");
    }
    for pointer in ["/iss", "/version", "/location", "/actions"] {
        refuses(pointer, None, "$");
    }
    for member in ["class", "reversible", "resource", "display"] {
        refuses(&format!("/actions/file.read/{member}"), None, "$.actions.file.read");
    }
    refuses("/actions/file.read/args/depth/type", None, "$.actions.file.read.args.depth");
}

#[test]
fn bad_values_are_refused_with_their_path() {
    refuses("/version", Some(json!(0)), "$.version");
    refuses("/version", Some(json!(-1)), "$.version");
    refuses("/iss", Some(json!("")), "$.iss");
    refuses("/location", Some(json!("http://localhost:7502/")), "$.location");
    refuses("/actions/file.read/class", Some(json!("peek")), "$.actions.file.read.class");
    refuses("/actions/file.read/reversible", Some(json!("yes")), "$.actions.file.read.reversible");
    refuses("/actions/file.read/resource", Some(json!("")), "$.actions.file.read.resource");
    refuses("/actions/file.read/args/depth/type", Some(json!("date")), "$.actions.file.read.args.depth.type");
    refuses("/actions/file.read/args", Some(json!({"": {"type": "string"}})), "$.actions.file.read.args");
    refuses("/actions/file.read/display", Some(json!({})), "$.actions.file.read.display");
    refuses("/actions/file.read/display", Some(json!({"de": "Liest"})), "$.actions.file.read.display");
}

#[test]
fn it_has_a_size() {
    let mut octets = files_catalog().to_string().into_bytes();
    octets.resize(CATALOG_BYTES, b' ');
    assert!(Catalog::parse(&octets).is_ok());
    octets.push(b' ');
    assert!(Catalog::parse(&octets).is_err());
}

/// An action's name becomes part of a space-separated `scope`, where a space would make two of it.
#[test]
fn the_name_of_an_action_holds_no_space() {
    let mut document = files_catalog();
    let action = document["actions"]["file.read"].clone();
    document["actions"]["file.read admin"] = action;
    let refused = Catalog::parse(document.to_string().as_bytes()).unwrap_err();
    assert_eq!(refused.path, "$.actions.file.read admin");
}

/// `*` stands for all further arguments; an argument of that name could never be constrained.
#[test]
fn no_argument_is_named_star() {
    refuses("/actions/file.read/args/*", Some(json!({"type": "string"})), "$.actions.file.read.args");
}

#[test]
fn bad_templates_are_refused_in_every_locale() {
    for bad in [
        "Reads {",
        "Reads }",
        "Reads {}",
        "Reads {resource",
        "Reads resource}",
        "Reads {Resource}",
        "Reads {resource }",
        "Reads {args}",
        "Reads {args.}",
        "Reads {args.missing}",
        "Reads {{resource}}",
        "Reads {args.depth}}",
        "Reads {id}",
        "Reads \u{202e}",
        "Reads\nmore",
        "e\u{301}",
    ] {
        for locale in ["en", "de"] {
            let document = at(&files_catalog(), &format!("/actions/file.read/display/{locale}"), Some(json!(bad)));
            let refused = Catalog::parse(document.to_string().as_bytes()).expect_err(bad);
            assert!(refused.path.starts_with("$.actions.file.read.display"), "{bad}: {refused}");
        }
    }
}

/// The other implementation takes a slot's name to end at any brace.
#[test]
fn a_slot_holds_no_further_brace() {
    let document = at(&files_catalog(), "/actions/file.read/args/a{b", Some(json!({"type": "string"})));
    let document = at(&document, "/actions/file.read/display/en", Some(json!("Reads {args.a{b}")));
    assert!(Catalog::parse(document.to_string().as_bytes()).is_err());
}

#[test]
fn a_template_splits_into_its_parts() {
    let parts = slots("A {resource}{args.x} and {args.a.b}").unwrap();
    let expected = [
        Part::Text("A "),
        Part::Resource,
        Part::Text(""),
        Part::Argument("x"),
        Part::Text(" and "),
        Part::Argument("a.b"),
        Part::Text(""),
    ];
    assert_eq!(parts, expected);
}

#[test]
fn a_lowered_severity_is_seen() {
    const CLASSES: [&str; 8] = ["read", "create", "change", "delete", "run", "send", "pay", "grant"];
    let with = |class: &str, reversible: bool| {
        let document = at(&mail_catalog(), "/actions/mail.send/class", Some(json!(class)));
        catalog(&at(&document, "/actions/mail.send/reversible", Some(json!(reversible))))
    };
    for (before_rank, before) in CLASSES.iter().enumerate() {
        for (now_rank, now) in CLASSES.iter().enumerate() {
            for (before_undo, now_undo) in [(false, false), (false, true), (true, false), (true, true)] {
                let expected = now_rank < before_rank || (now_undo && !before_undo);
                let lowered = with(now, now_undo);
                let earlier = with(before, before_undo);
                assert_eq!(lowered.lowered_since(&earlier), expected.then_some("mail.send"), "{before} to {now}");
            }
        }
    }
    let mut without = mail_catalog();
    without["actions"] = json!({});
    assert_eq!(catalog(&without).lowered_since(&with("send", false)), None, "nothing is milder than it was");
    assert_eq!(with("read", true).lowered_since(&catalog(&without)), None, "a new action was never graver");
}
