//! Catalogs: what a resource server may say about itself.

use crate::support::{at, catalog, files_catalog, mail_catalog, objects};
use marque_core::canonical::Digest;
use marque_core::catalog::{Catalog, Lowered, LoweredPart, Part, Source, slots};
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
                let found = lowered.lowered_since(&earlier);
                assert_eq!(!found.is_empty(), expected, "{before} to {now}");
                assert!(found.iter().all(|one| one.action == "mail.send"));
                let class = found.iter().find(|one| one.what == LoweredPart::Class);
                assert_eq!(class.is_some(), now_rank < before_rank);
                assert!(class.is_none_or(|class| (&class.before, &class.after) == (&json!(before), &json!(now))));
            }
        }
    }
    let mut without = mail_catalog();
    without["actions"] = json!({});
    assert_eq!(catalog(&without).lowered_since(&with("send", false)), [], "nothing is milder than it was");
    assert_eq!(with("read", true).lowered_since(&catalog(&without)), [], "a new action was never graver");
}

#[test]
fn everything_that_got_milder_is_told_with_its_path() {
    let document = |args: Value, results: Value| {
        let document = at(&mail_catalog(), "/actions/mail.send/args", Some(args));
        let document = at(&document, "/actions/mail.send/display/en", Some(json!("Sends {resource}")));
        catalog(&at(&document, "/actions/mail.send/results", Some(results)))
    };
    let earlier = document(
        json!({
            "to": {"type": "string", "sensitive": "egress", "late": false}, "from": {"type": "string", "sensitive": "identity"},
            "cc": {"type": "string", "sensitive": "egress"}, "body": {"type": "string"},
        }),
        json!({"/id": {"type": "string", "source": "third_party"}, "/text": {"type": "text", "source": "third_party"}}),
    );
    let later = document(
        json!({
            "to": {"type": "string", "sensitive": "egress"}, "from": {"type": "string"},
            "body": {"type": "string", "sensitive": "egress"},
        }),
        json!({"/id": {"type": "string", "source": "authoritative"}, "/text": {"type": "string", "source": "third_party"}}),
    );
    let found = later.lowered_since(&earlier);
    let told: Vec<_> = found.iter().map(|one| (one.path.as_str(), one.before.clone(), one.after.clone())).collect();
    let expected = [
        ("$.actions.mail.send.args.cc.sensitive", json!("egress"), Value::Null),
        ("$.actions.mail.send.args.from.sensitive", json!("identity"), Value::Null),
        ("$.actions.mail.send.args.to.late", json!(false), json!(true)),
        ("$.actions.mail.send.results./id.source", json!("third_party"), json!("authoritative")),
        ("$.actions.mail.send.results./text.type", json!("text"), json!("string")),
    ];
    assert_eq!(told, expected);
    let back: Vec<_> = earlier.lowered_since(&later).iter().map(|one| one.path.clone()).collect();
    assert_eq!(back, ["$.actions.mail.send.args.body.sensitive"], "only the mark of the body is lost on the way back");
    assert_eq!(later.lowered_since_any(&[earlier.clone(), earlier.clone()]).len(), 5, "each place once");
    assert_eq!(later.lowered_since_any(&[later.clone(), earlier]).len(), 5, "compared with every earlier one");
}

#[test]
fn a_catalog_says_who_fills_its_collections() {
    let with = |collections: Value| {
        Catalog::parse(at(&mail_catalog(), "/collections", Some(collections)).to_string().as_bytes())
    };
    let catalog = with(json!({"people": {"source": "third_party"}, "rooms": {"source": "authoritative"}})).unwrap();
    assert_eq!(catalog.document().collections["people"].source, Source::ThirdParty);
    assert_eq!(catalog.document().collections["rooms"].source, Source::Authoritative);
    for (bad, path) in [
        (json!({"people": {}}), "$.collections.people"),
        (json!({"people": {"source": "me"}}), "$.collections.people.source"),
        (json!({"people": {"source": "third_party", "x": 1}}), "$.collections.people.x"),
        (json!({"people": "third_party"}), "$.collections.people"),
        (json!({"": {"source": "third_party"}}), "$.collections"),
        (json!([]), "$.collections"),
    ] {
        assert_eq!(with(bad.clone()).unwrap_err().path, path, "{bad}");
    }
}

#[test]
fn records_that_are_trusted_more_are_a_lowered_severity() {
    let with = |collections: Value| catalog(&at(&mail_catalog(), "/collections", Some(collections)));
    let others = || with(json!({"people": {"source": "third_party"}}));
    for (later, after) in
        [(with(json!({"people": {"source": "authoritative"}})), json!("authoritative")), (with(json!({})), Value::Null)]
    {
        let [found] = <[_; 1]>::try_from(later.lowered_since(&others())).unwrap();
        assert_eq!((found.path.as_str(), found.what), ("$.collections.people.source", LoweredPart::Source));
        assert_eq!((found.before.clone(), found.after.clone()), (json!("third_party"), after));
        let text = json!(found).to_string();
        assert_eq!(serde_json::from_str::<Lowered>(&text).unwrap(), found, "{text}");
        assert_eq!(others().lowered_since(&later), [], "what is trusted less is not milder");
    }
    assert_eq!(others().lowered_since(&others()), []);
}
