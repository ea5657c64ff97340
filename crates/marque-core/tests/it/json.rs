//! Strict JSON: every refusal, with its path.

use marque_core::json::{parse_call, parse_plan, typed};
use marque_core::limits::{FRACTION_DIGITS, INTEGER_MAX, JSON_DEPTH, JSON_VALUES};
use serde_json::{Value, json};

fn refused_plan(text: &str) -> (String, String) {
    let refused = parse_plan(text.as_bytes(), 1 << 20).expect_err(text);
    (refused.path, refused.message)
}

fn refused_call(text: &str) -> (String, String) {
    let refused = parse_call(text.as_bytes(), 1 << 20).expect_err(text);
    (refused.path, refused.message)
}

fn call(text: &str) -> Value {
    parse_call(text.as_bytes(), 1 << 20).unwrap_or_else(|refused| panic!("{text}: {refused}"))
}

#[test]
fn both_profiles_refuse_what_is_not_json_with_the_path_of_the_place() {
    let cases = [
        (r#"{"a":[{"b":1,"b":2}]}"#, "$.a[0]"),
        (r#"{"a":{"x":1,"\u0078":2}}"#, "$.a"),
        (r#"{"a":[1,2"#, "$.a"),
        (r#"{"a":[1,2,]}"#, "$.a"),
        (r#"{"a":1,}"#, "$"),
        (r#"{"a":"\ud800"}"#, "$.a"),
        (r#"{"a":"\udc00\ud800"}"#, "$.a"),
        ("{\"a\":\"x\u{1}y\"}", "$.a"),
        (r#"{"a":01}"#, "$.a"),
        (r#"{"a":1.}"#, "$.a"),
        (r#"{"a":.5}"#, "$.a"),
        (r#"{"a":+1}"#, "$.a"),
        (r#"{"a":0x1}"#, "$"),
        (r#"{"a":NaN}"#, "$.a"),
        (r#"{"a":-Infinity}"#, "$.a"),
        (r#"{"a":1e400}"#, "$.a"),
        (r#"{"a":'x'}"#, "$.a"),
        (r#"{a:1}"#, "$"),
        ("{\"a\":1} {}", "$"),
        ("{\"a\":1}\u{0}", "$"),
        ("// note\n{}", "$"),
        ("\u{feff}{}", "$"),
        ("", "$"),
    ];
    for (text, path) in cases {
        for refused in [parse_plan(text.as_bytes(), 4096), parse_call(text.as_bytes(), 4096)] {
            let refused = refused.expect_err(text);
            assert!(refused.path.starts_with(path), "{text}: {refused}");
        }
    }
}

#[test]
fn bytes_that_are_not_utf8_are_refused_in_names_and_values() {
    for bytes in [&b"{\"a\":\"\xff\"}"[..], b"{\"\xc0\x80\":1}", b"{\"a\":\"\xed\xa0\x80\"}"] {
        assert!(parse_plan(bytes, 64).is_err() && parse_call(bytes, 64).is_err(), "{bytes:?}");
    }
}

#[test]
fn integers_beyond_what_every_reader_keeps_are_refused() {
    for bad in ["9007199254740992", "-9007199254740992", "18446744073709551616", "123456789012345678901234567890"] {
        assert_eq!(refused_plan(&format!("[{bad}]")).0, "$[0]");
        assert_eq!(refused_call(&format!("[{bad}]")).0, "$[0]");
    }
    for good in [INTEGER_MAX, -INTEGER_MAX, 0] {
        assert_eq!(parse_plan(good.to_string().as_bytes(), 64), Ok(json!(good)));
        assert_eq!(call(&good.to_string()), json!(good));
    }
}

#[test]
fn a_plan_holds_plain_integers_only() {
    for bad in ["1.0", "1.5", "1e0", "-0", "0.0", "1E2"] {
        let (path, message) = refused_plan(&format!("{{\"n\":[{bad}]}}"));
        assert_eq!(path, "$.n[0]", "{bad}");
        assert!(message.contains("decimal strings"), "{message}");
    }
}

#[test]
fn a_call_keeps_fractions_that_are_exact_and_turns_whole_ones_into_integers() {
    let cases = [
        ("1.5", json!(1.5)),
        ("-0.25", json!(-0.25)),
        ("1.0", json!(1)),
        ("1e3", json!(1000)),
        ("-0", json!(0)),
        ("-0.0", json!(0)),
        ("0e5", json!(0)),
        ("0.00", json!(0)),
        ("1.50", json!(1.5)),
        ("123456789.012345", json!(123_456_789.012_345)),
        ("100000000000000000000e-5", json!(1_000_000_000_000_000_i64)),
        ("9007199254740991.0", json!(INTEGER_MAX)),
    ];
    for (text, expected) in cases {
        assert_eq!(call(text), expected, "{text}");
    }
}

/// A number whose binary value is another one than was written would let a value pass that nobody wrote.
#[test]
fn a_call_refuses_numbers_that_rounding_would_change() {
    for bad in [
        "0.1234567890123456",
        "0.1000000000000000055511151231257827",
        "1.00000000000000000001",
        "0.99999999999999999999",
        "9007199254740990.6",
        "9007199254740991.4",
        "1e-400",
        "4e-324",
        "1e300",
        "1e16",
    ] {
        let (path, _) = refused_call(&format!("{{\"n\":[0.5,\"1.1\",{bad}]}}"));
        assert_eq!(path, "$.n[2]", "{bad}");
    }
    assert_eq!(FRACTION_DIGITS, 15);
}

#[test]
fn a_number_is_compared_with_its_own_digits_wherever_it_stands() {
    let text = r#"{"1.25":"\"2.5\\","a":[1,-2,3.5,{"b":0.1}],"c":[],"d":"9.99999999999999999999","e":0.25}"#;
    assert_eq!(call(text), serde_json::from_str::<Value>(text).unwrap());
    let spoilt = text.replace("0.25", "0.25000000000000000000000001");
    assert_eq!(refused_call(&spoilt).0, "$.e");
}

#[test]
fn limits_hold_exactly() {
    let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    let objects = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    for deep in [nested, objects] {
        assert!(parse_plan(deep(JSON_DEPTH).as_bytes(), 4096).is_ok());
        assert!(parse_call(deep(JSON_DEPTH).as_bytes(), 4096).is_ok());
        assert!(refused_plan(&deep(JSON_DEPTH + 1)).1.contains("nested deeper"));
        assert!(refused_call(&deep(JSON_DEPTH + 1)).1.contains("nested deeper"));
    }
    let many = |values: usize| format!("[{}1]", "1,".repeat(values - 2));
    assert!(parse_plan(many(JSON_VALUES).as_bytes(), 1 << 20).is_ok());
    assert!(refused_plan(&many(JSON_VALUES + 1)).1.contains("values"));
    assert!(parse_plan(b"[1]", 3).is_ok());
    let refused = parse_plan(b"[1] ", 3).unwrap_err();
    assert_eq!((refused.path.as_str(), refused.message.contains("at most 3")), ("$", true));
}

#[test]
fn a_plan_refuses_deceptive_text_in_names_and_values_and_a_call_keeps_it() {
    for bad in ["a\u{202e}", "\u{200b}", "e\u{301}", "\u{feff}x", "\\n", "\\u0000", "\u{2066}"] {
        assert_eq!(refused_plan(&format!("{{\"a\":[\"{bad}\"]}}")).0, "$.a[0]", "{bad:?}");
        assert_eq!(refused_plan(&format!("{{\"a\":{{\"{bad}\":1}}}}")).0, "$.a", "{bad:?}");
        let text = format!("[\"{bad}\"]");
        assert_eq!(call(&text), serde_json::from_str::<Value>(&text).unwrap());
    }
}

#[test]
fn typed_reading_names_the_place_in_lists_and_objects() {
    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Item {
        #[serde(rename = "n")]
        _n: u8,
    }
    let refused = |value| typed::<Vec<Item>>(value).unwrap_err().path;
    assert_eq!(refused(json!([{"n": 1}, {"n": 256}])), "$[1].n");
    assert_eq!(refused(json!([{"n": 1, "m": 1}])), "$[0].m");
    assert_eq!(refused(json!([{}])), "$[0]");
    assert_eq!(typed::<Item>(json!(1)).unwrap_err().path, "$");
}
