//! Challenges and documents of step-ups.

use marque_core::call::{Call, CallResource};
use marque_core::canonical::Digest;
use marque_core::catalog::Catalog;
use marque_core::challenge::{Approval, StepUpApproval};
use marque_core::claims::{Actor, Confirmation, IntentRef};
use marque_core::decide::{Decision, LateValue, decide};
use marque_core::envelope::Envelope;
use marque_core::facts::Facts;
use marque_core::json::parse_call;
use marque_core::limits;
use marque_core::plan::{Class, ResolvedPlan, ResourceId};
use marque_core::step_up::challenge::{CallDetail, Challenge, Expected};
use marque_core::step_up::document::{Document, ShownArgument, ShownRecord, ShownResource, Source, shown};
use marque_core::step_up::lines::lines;
use serde_json::{Value, json};
use std::sync::LazyLock;

const NOW: i64 = 1_800_000_000;

fn call() -> Call {
    let resource = CallResource { kind: "account".into(), id: "main".into() };
    let args = json!({"to": "AT611904300234573201", "amount": {"currency": "EUR", "value": "80"}});
    Call::new("https://bank.example", "payment.create", resource, args.as_object().unwrap().clone())
}

fn challenge() -> Challenge {
    Challenge {
        iss: "bank".into(),
        aud: "https://marque.example/realms/demo".into(),
        iat: NOW,
        exp: NOW + 120,
        jti: "c-1".into(),
        txn: "t-1".into(),
        authorization_details: [CallDetail::from(&call())],
        reason: "The amount is above what passes without asking.".into(),
        intent: IntentRef { id: "i-1".into(), digest: Digest::of(b"plan"), version: 1 },
        step: "pay".into(),
        call_digest: call().digest(),
        cnf: Confirmation::Jkt("key-1".into()),
        act: Actor::first("bookkeeper"),
    }
}

static PRESENTER: LazyLock<Confirmation> = LazyLock::new(|| Confirmation::Jkt("key-1".into()));

fn expected() -> Expected<'static> {
    Expected {
        issuer: "https://marque.example/realms/demo",
        signer: "bank",
        client_id: "bookkeeper",
        cnf: &PRESENTER,
        now: NOW + 1,
    }
}

fn refused(change: impl FnOnce(&mut Value)) -> String {
    let mut value = serde_json::to_value(challenge()).unwrap();
    change(&mut value);
    Challenge::parse(value.to_string().as_bytes()).unwrap_err().to_string()
}

#[test]
fn a_challenge_comes_back_as_it_was_signed() {
    let read = Challenge::parse(&challenge().payload()).unwrap();
    assert_eq!(read, challenge());
    assert_eq!(read.call(), call());
    assert_eq!(read.check(&expected()), Ok(()));
}

#[test]
fn a_challenge_is_for_exactly_one_call() {
    assert!(refused(|value| value["authorization_details"] = json!([])).contains("authorization_details"));
    let twice = |value: &mut Value| {
        let detail = value["authorization_details"][0].clone();
        value["authorization_details"] = json!([detail, detail]);
    };
    assert!(refused(twice).starts_with("$"));
    let other = |value: &mut Value| value["authorization_details"][0]["type"] = "agent_intent_step".into();
    assert!(refused(other).contains("agent_intent_call"));
    let another = |value: &mut Value| value["authorization_details"][0]["args"]["to"] = "somebody else".into();
    assert!(refused(another).contains("$.call_digest"), "the digest is over the call that is there");
}

#[test]
fn a_challenge_with_more_or_less_or_other_than_it_must_hold_is_refused() {
    for (path, member, value) in [
        ("", "surprise", json!(1)),
        ("/authorization_details/0", "surprise", json!(1)),
        ("/authorization_details/0/resource", "surprise", json!(1)),
        ("/authorization_details/0", "environment", Value::Null),
        ("/cnf", "x5t#S256", json!("x")),
        ("/act", "surprise", json!(1)),
        ("/intent", "surprise", json!(1)),
        ("", "reason", json!("")),
        ("", "reason", json!("a\u{202e}b")),
        ("", "reason", json!("a\nb")),
        ("", "reason", json!("x".repeat(limits::CHALLENGE_REASON_CHARS + 1))),
        ("", "jti", json!("")),
        ("", "jti", json!("a b")),
        ("", "step", json!("")),
        ("", "txn", json!("\u{200b}")),
        ("", "exp", json!(NOW)),
        ("", "exp", json!(NOW + limits::CHALLENGE_SECS + 1)),
        ("", "exp", json!(i64::MIN / 4096)),
        ("", "call_digest", json!(Digest::of(b"other").to_base64())),
        ("", "aud", json!(["https://marque.example/realms/demo"])),
    ] {
        let message = refused(|claims| {
            claims.pointer_mut(path).unwrap()[member] = value.clone();
        });
        assert!(message.starts_with('$'), "{path}/{member} {value}: {message}");
    }
    for member in challenge_members() {
        refused(|value| drop(value.as_object_mut().unwrap().remove(&member)));
    }
}

fn challenge_members() -> Vec<String> {
    serde_json::to_value(challenge()).unwrap().as_object().unwrap().keys().cloned().collect()
}

#[test]
fn a_challenge_is_good_for_its_signer_server_time_and_presenter_alone() {
    let because = |expected: Expected<'_>| challenge().check(&expected).unwrap_err().to_string();
    assert!(because(Expected { signer: "other", ..expected() }).contains("(iss)"));
    assert!(because(Expected { issuer: "https://other.example", ..expected() }).contains("(aud)"));
    assert!(because(Expected { client_id: "clerk", ..expected() }).contains("(act)"));
    assert!(because(Expected { cnf: &Confirmation::Jkt("key-2".into()), ..expected() }).contains("(cnf)"));
    assert!(because(Expected { now: NOW + 120, ..expected() }).contains("is over"));
    assert!(because(Expected { now: NOW - limits::CLOCK_LEEWAY_SECS - 1, ..expected() }).contains("not valid yet"));
    assert_eq!(challenge().check(&Expected { now: NOW - limits::CLOCK_LEEWAY_SECS, ..expected() }), Ok(()));
    let hop = Challenge { act: Actor::first("bookkeeper").followed_by("clerk"), ..challenge() };
    assert_eq!(hop.check(&Expected { client_id: "clerk", ..expected() }), Ok(()));
    assert!(hop.check(&expected()).is_err(), "the current actor presents, not an earlier one");
}

#[test]
fn a_value_is_shown_exactly_and_hides_nothing() {
    assert_eq!(shown(&json!({"b": 1.5, "a": "Grüße"})), "{\"a\":\"Grüße\",\"b\":1.5}");
    assert_eq!(shown(&json!("two\nlines")), "\"two\\nlines\"");
    assert_eq!(shown(&json!("ü\u{202e}")), "\"\\u00fc\\u202e\"");
    assert_eq!(shown(&json!("\u{e0041}")), "\"\\udb40\\udc41\"");
    for text in ["plain", "ü", "u\u{308}", "a\u{0}\u{7f}b", "\u{202e}", "\u{1f600}\u{200d}", "\\u202e", "\""] {
        let value = json!({"text": text});
        let back = parse_call(shown(&value).as_bytes(), 4096).unwrap();
        assert_eq!(back, value, "{text:?}");
    }
}

fn vector() -> Value {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/step-up/payment.json");
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

fn document() -> Document {
    serde_json::from_value(vector()["document"].clone()).unwrap()
}

#[test]
fn a_document_is_its_canonical_bytes_and_of_its_very_call() {
    let document = document();
    assert_eq!(Document::from_canonical(&document.canonical()).unwrap(), document);
    let spaced = serde_json::to_vec_pretty(&document).unwrap();
    assert!(Document::from_canonical(&spaced).is_err());
    let changes: [fn(&mut Document); 7] = [
        |document| document.args[0].value = "{\"currency\":\"EUR\",\"value\":\"8000\"}".into(),
        |document| document.args[0].value.push(' '),
        |document| document.resource.id = "\"savings\"".into(),
        |document| document.location = "https://otherbank.example".into(),
        |document| document.args.push(document.args[0].clone()),
        |document| document.version = 2,
        |document| document.reason = "\u{202e}".into(),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut changed = document.clone();
        change(&mut changed);
        assert!(Document::from_canonical(&changed.canonical()).is_err(), "change {index}");
    }
}

#[test]
fn a_late_value_is_shown_with_the_steps_that_it_comes_from() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/display/late-kinds.json");
    let vector: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let plan = ResolvedPlan::from_canonical(&marque_core::canonical::canonical(&vector["plan"])).unwrap();
    let [first, second, ..] = plan.steps.as_slice() else { panic!("two steps") };
    let sources = [first.id.clone(), second.id.clone(), "none".to_owned()].into();
    let late = [LateValue { argument: Some("to".into()), value: json!("AT611904300234573201"), sources }];
    let shown = ShownArgument::of(&call(), &late, &plan);
    let names: Vec<&str> = shown.iter().map(|argument| argument.name.as_str()).collect();
    assert_eq!((names, shown[0].sources.len()), (vec!["amount", "to"], 0));
    let place = |step: &marque_core::plan::Step| Source {
        step: step.id.clone(),
        action: step.action.clone(),
        location: step.location.clone(),
    };
    let mut places = vec![place(first), place(second)];
    places.sort_by(|a, b| a.step.cmp(&b.step));
    assert_eq!(shown[1].sources, places, "a source that is no step of the plan is none");
    let found = json!({"ref": {"step": first.id, "field": "/id"}});
    let bound: ResourceId = serde_json::from_value(json!({"all": [found, found]})).unwrap();
    let resource = ShownResource::of(&call().resource, &bound, &plan);
    assert_eq!((resource.id.as_str(), resource.sources), ("\"main\"", vec![place(first)]));
    let exact: ResourceId = serde_json::from_value(json!("main")).unwrap();
    assert_eq!(ShownResource::of(&call().resource, &exact, &plan).sources, []);
}

#[test]
fn a_document_is_shown_only_with_its_own_catalog() {
    let vector = vector();
    let catalog = marque_core::canonical::canonical(&vector["catalog"]);
    let right = Catalog::parse(&catalog).unwrap();
    assert!(lines(&document(), Some(&right), "en").is_ok());
    assert!(lines(&document(), Some(&right), "tlh").is_err());
    let mut other = vector["catalog"].clone();
    other["version"] = json!(9);
    let other = Catalog::parse(&marque_core::canonical::canonical(&other)).unwrap();
    assert!(lines(&document(), Some(&other), "en").is_err());
    let milder = Document { class: marque_core::plan::Class::Read, ..document() };
    assert!(lines(&milder, Some(&right), "en").is_err());
}

#[test]
fn records_come_from_the_challenge_into_the_document_and_back() {
    let records = json!({"payees": {"AT611904300234573201": {"status": "active"}, "\u{200b}": null}});
    let with_records = Call { records: serde_json::from_value(records.clone()).unwrap(), ..call() };
    let challenge = Challenge { authorization_details: [CallDetail::from(&with_records)], ..challenge() };
    let read = Challenge::parse(&challenge.payload()).unwrap();
    assert_eq!((read.call(), read.call_digest), (with_records.clone(), call().digest()));
    let document = Document { records: ShownRecord::of(&with_records), ..document() };
    assert_eq!(document.records[1].id, "\"\\u200b\"", "nothing hides");
    assert_eq!(document.call().unwrap().records, with_records.records);
    assert_eq!(Document::from_canonical(&document.canonical()).unwrap(), document);
    assert_ne!(document.digest(), self::document().digest(), "they are under the digest");
    let changes: [fn(&mut Document); 4] = [
        |document| document.records.push(document.records[0].clone()),
        |document| document.records[0].value.push(' '),
        |document| document.records[0].id = "1".into(),
        |document| document.records[0].collection.clear(),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut changed = document.clone();
        change(&mut changed);
        assert!(Document::from_canonical(&changed.canonical()).is_err(), "change {index}");
    }
    for records in [json!({}), json!({"": {}}), json!({"a\u{202e}": {}}), json!([]), Value::Null] {
        refused(|value| value["authorization_details"][0]["records"] = records);
    }
}

#[test]
fn a_document_without_a_catalog_is_of_the_gravest_class() {
    let document = Document { catalog: None, class: Class::Grant, ..document() };
    assert_eq!(Document::from_canonical(&document.canonical()).unwrap(), document);
    let shown = lines(&document, None, "en").unwrap();
    assert!(shown.iter().any(|line| line.contains("CANNOT BE EXPLAINED")), "{shown:?}");
    let milder = Document { class: Class::Pay, ..document.clone() };
    assert!(lines(&milder, None, "en").is_err());
    let right = Catalog::parse(&marque_core::canonical::canonical(&vector()["catalog"])).unwrap();
    assert!(lines(&document, Some(&right), "en").is_err(), "a catalog that the document does not name");
    assert!(lines(&self::document(), None, "en").is_err(), "none where it names one");
}

#[test]
fn an_approval_is_for_one_step() {
    let step = |id: &str| {
        json!({
            "id": id, "location": "https://bank.example", "action": "payment.create",
            "resource": {"type": "account", "id": "main"}, "args": {"*": {"any": true}}, "uses": 2, "class": "pay",
            "approve": "step_up",
        })
    };
    let plan = json!({"steps": [step("first"), step("second")], "bounds": {"max_step_ups": 9}});
    let envelope: Envelope = serde_json::from_value(plan).unwrap();
    let decided = |approvals: &[Digest]| {
        let facts = Facts { approvals: approvals.iter().copied().collect(), ..Facts::default() };
        match decide(&envelope, &call(), &facts, NOW) {
            Decision::Permit(step) => format!("permit {}", step.id),
            Decision::StepUp(needed) => format!("step-up {}", needed.step.id),
            other => panic!("{other:?}"),
        }
    };
    let (first, second) = (call().approval_for("first"), call().approval_for("second"));
    assert_eq!(decided(&[]), "step-up first");
    assert_eq!(decided(&[first]), "permit first");
    assert_eq!(decided(&[second]), "permit second", "not taken for the first, and not lost");
    assert_eq!(decided(&[call().approval()]), "step-up first", "an approval of no step is none");
    assert_eq!(decided(&[call().approval_for("third")]), "step-up first");
}

#[test]
fn a_gesture_for_a_plan_is_none_for_a_call() {
    let (digest, display, nonce) = (Digest::of(b"a"), Digest::of(b"b"), [7; 32]);
    let (realm_issuer, id) = ("https://id.example/realms/demo", "0199f3a2-0000-7000-8000-000000000001");
    let plan = Approval { realm_issuer, intent_id: id, plan_digest: digest, display_digest: display, nonce };
    let call = StepUpApproval { realm_issuer, step_up_id: id, document_digest: digest, display_digest: display, nonce };
    assert_ne!(plan.challenge(), call.challenge());
    assert!(call.challenge().is_some());
    assert_eq!(StepUpApproval { step_up_id: "a\0b", ..call }.challenge(), None);
}
