//! Reading in one pass accepts what the long way accepts, reads the same from it, and nothing else.

use crate::support::{at, resolved, submission};
use marque_core::canonical::canonical;
use marque_core::constraint::Constraint;
use marque_core::json::{parse_plan, read_once, typed};
use marque_core::limits::{JSON_DEPTH, JSON_VALUES, PLAN_BYTES};
use marque_core::plan::{ResolvedPlan, SubmittedPlan};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;

/// Texts of scalars: numbers at their bounds, and strings that are plain, escaped or refused.
const SCALARS: [&str; 22] = [
    "0",
    "-1",
    "-0",
    "1.5",
    "1e3",
    "9007199254740991",
    "9007199254740992",
    "-9007199254740992",
    "18446744073709551616",
    "null",
    "true",
    "false",
    r#""""#,
    r#""plain""#,
    r#""a\"b\\c\/""#,
    r#""\u0061""#,
    r#""\n""#,
    r#""\u202e""#,
    "\"\u{202e}\"",
    "\"e\u{301}\"",
    "\"\u{e9}\u{1f600}\"",
    "\"\u{7f}\"",
];

/// Texts of names. Some are the same name, and two are in another order in UTF-16 than in UTF-8.
const NAMES: [&str; 11] = [
    r#""a""#,
    r#""\u0061""#,
    r#""b""#,
    r#""aa""#,
    r#""""#,
    "\"\u{e9}\"",
    r#""\u00e9""#,
    "\"\u{ff5e}\"",
    "\"\u{1f600}\"",
    r#""q\"uote""#,
    "\"\u{200b}\"",
];

fn long_way<T: DeserializeOwned>(bytes: &[u8]) -> Option<(T, Vec<u8>)> {
    let value = parse_plan(bytes, PLAN_BYTES).ok()?;
    let canonical = canonical(&value);
    Some((typed(value).ok()?, canonical))
}

/// Whether the text is accepted, which both ways have to agree on.
#[track_caller]
fn is_read<T: DeserializeOwned + Debug + PartialEq>(text: &str) -> bool {
    let once = read_once::<T>(text.as_bytes(), PLAN_BYTES);
    assert_eq!(once, long_way::<T>(text.as_bytes()), "{text}");
    once.is_some()
}

fn separated(parts: &[String], open: char, close: char) -> String {
    format!("{open}{}{close}", parts.join(" ,\n\t"))
}

/// Documents, some of them refused.
fn documents() -> impl Strategy<Value = String> {
    let scalar = prop::sample::select(&SCALARS[..]).prop_map(str::to_owned);
    scalar.prop_recursive(4, 24, 4, |inner| {
        let member =
            (prop::sample::select(&NAMES[..]), inner.clone()).prop_map(|(name, value)| format!("{name}:{value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|items| separated(&items, '[', ']')),
            prop::collection::vec(member, 0..5).prop_map(|members| separated(&members, '{', '}')),
        ]
    })
}

/// Always the same cases: a failure today is a failure tomorrow.
fn fixed() -> ProptestConfig {
    let rng_seed = proptest::test_runner::RngSeed::Fixed(7);
    ProptestConfig { cases: 4096, rng_seed, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(fixed())]

    #[test]
    fn any_document_is_read_the_same(text in documents()) {
        is_read::<Value>(&text);
    }

    #[test]
    fn a_plan_that_was_changed_anywhere_is_read_the_same(
        at in any::<prop::sample::Index>(), length in 0..3_usize, new in prop::sample::select(&SCALARS[..]),
    ) {
        let plan: Vec<char> = submission().to_string().chars().collect();
        let (before, after) = plan.split_at(at.index(plan.len()));
        let after = after.iter().skip(length);
        for new in ["", new, ",", "[", "}"] {
            let text: String = before.iter().copied().chain(new.chars()).chain(after.clone().copied()).collect();
            is_read::<SubmittedPlan>(&text);
        }
    }
}

/// The pointers to all values of a document.
fn places(value: &Value, place: &str, found: &mut Vec<String>) {
    let inner = |name: &str| format!("{place}/{}", name.replace('~', "~0").replace('/', "~1"));
    if !place.is_empty() {
        found.push(place.to_owned());
    }
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| places(item, &inner(&index.to_string()), found));
        }
        Value::Object(members) => members.iter().for_each(|(name, member)| places(member, &inner(name), found)),
        _ => {}
    }
}

#[test]
fn every_value_of_a_plan_may_be_another_one() {
    let others = [
        json!(null),
        json!(true),
        json!(-1),
        json!(5_000_000_000_u64),
        json!("any"),
        json!("x"),
        json!([]),
        json!(["x"]),
        json!({}),
        json!({"any": true}),
        json!({"const": null}),
        json!({"type": "x", "id": "y"}),
    ];
    let mut pointers = Vec::new();
    places(&submission(), "", &mut pointers);
    let texts = pointers.iter().flat_map(|pointer| {
        others.iter().map(|other| at(&submission(), pointer, Some(other.clone())).to_string()).collect::<Vec<_>>()
    });
    let read = texts.map(|text| is_read::<SubmittedPlan>(&text)).filter(|is_read| *is_read).count();
    assert!(read > 50, "only {read} of them are plans: the test shows too little");
}

#[test]
fn no_second_form_is_read() {
    for right in [
        r#"{"text":{"max":5,"urls":true}}"#,
        r#"{"either":[{"all":[{"const":{"b":1,"a":[null,2]}}]},{"optional":{"any":true}}]}"#,
        r#"{"ref":{"step":"a","field":"/*/n","reduce":"sum"}}"#,
        r#"{"ref":{"step":"a","field":"/*/n","reduce":{"argmax":"/n"}}}"#,
        r#"{"extract":{"step":"a","type":"iban"}}"#,
        r#"{"\u0061ny":true}"#,
    ] {
        assert!(is_read::<Constraint>(right), "{right}");
    }
    for wrong in [
        r#"{"text":[5]}"#,
        r#"{"text":{"max":5,"urls":null}}"#,
        r#"{"text":{"max":5,"max":5}}"#,
        r#"{"text":{"max":5},"any":true}"#,
        r#"{"any":true,"any":true}"#,
        r#"{"any":true,"\u0061ny":true}"#,
        r#"{"obj":{"a":{"any":true},"a":{"any":true}}}"#,
        r#"{"any":null}"#,
        r#"{"num":{"min":null}}"#,
        r#"{"ref":{"step":"a","field":"/*/n","reduce":null}}"#,
        r#"{"ref":{"step":"a","field":"/*/n","reduce":{"sum":null}}}"#,
        r#"{"ref":{"step":"a","field":"/*/n","reduce":"argmax"}}"#,
        r#"{"extract":{"step":"a","type":{"iban":null}}}"#,
        r#"{"unknown":1}"#,
        r#""any""#,
        "{}",
        "[]",
        "null",
        r#"{"any":true} x"#,
    ] {
        assert!(!is_read::<Constraint>(wrong), "{wrong}");
    }
}

#[test]
fn bounds_are_the_same() {
    let deep = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    assert!(is_read::<Value>(&deep(JSON_DEPTH)));
    assert!(!is_read::<Value>(&deep(JSON_DEPTH + 1)));
    let nested = |levels: usize| format!("{}{{\"any\":true}}{}", "{\"each\":".repeat(levels), "}".repeat(levels));
    assert!(is_read::<Constraint>(&nested(JSON_DEPTH - 1)));
    assert!(!is_read::<Constraint>(&nested(JSON_DEPTH)));
    let many = |count: usize| format!("[{}1]", "1,".repeat(count - 2));
    assert!(is_read::<Value>(&many(JSON_VALUES)));
    assert!(!is_read::<Value>(&many(JSON_VALUES + 1)));
    let long = |bytes: usize| format!("{}1", " ".repeat(bytes - 1));
    assert!(is_read::<Value>(&long(PLAN_BYTES)));
    assert!(!is_read::<Value>(&long(PLAN_BYTES + 1)));
    assert_eq!(read_once::<Value>(b"\"\xff\"", PLAN_BYTES), None, "not UTF-8");
}

#[test]
fn a_resolved_plan_is_read_the_same() {
    assert!(is_read::<ResolvedPlan>(&String::from_utf8(resolved().canonical()).unwrap()));
}

#[test]
fn the_digest_does_not_depend_on_how_a_plan_is_written() {
    let written = submission().to_string();
    let spaced = serde_json::to_string_pretty(&submission()).unwrap();
    let turned =
        written.replacen(r#""agent":"demo-agent","#, "", 1).replacen('{', r#"{ "\u0061gent":"demo\u002dagent","#, 1);
    let digest = |text: &str| SubmittedPlan::parse_with_digest(text.as_bytes()).unwrap().1;
    assert_ne!(written, turned);
    assert_eq!([digest(&spaced), digest(&turned)], [digest(&written), digest(&written)]);
    assert_ne!(digest(&written.replacen("Clean", "Clear", 1)), digest(&written));
}
