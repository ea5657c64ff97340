//! Every limit is where the reader has it: what reaches it is taken by schema and reader, what is beyond by neither.

use crate::plans::{argument, changed, plan};
use crate::{expect_valid, read, validator};
use marque_core::limits;
use marque_core::schema::plan_schema;
use serde_json::{Value, json};

/// A place with a limit: what is limited, and a document that has so many of it.
type Limited = (&'static str, usize, fn(usize) -> Value);

fn named(count: usize, of: impl Fn(usize) -> Value) -> Value {
    (0..count).map(|n| (format!("a{n}"), of(n))).collect()
}

fn steps(count: usize) -> Value {
    let step = |n: usize| {
        let mut step = plan()["steps"][1].clone();
        step["id"] = format!("s{n}").into();
        step
    };
    changed("/steps", (0..count).map(step).collect())
}

fn rows(count: usize) -> Value {
    let rows = (0..count).map(|n| (format!("/a{n}"), json!({"const": n}))).collect::<Value>();
    argument(json!({"ref": {"step": "find", "field": "/*/a", "where": rows, "reduce": "first"}}))
}

fn slots(count: usize) -> Value {
    let template = (0..count).map(|n| format!("{{a{n}}} ")).collect::<String>();
    argument(json!({"fmt": {"template": template, "slots": named(count, |_| json!({"any": true}))}}))
}

const MOST: &[Limited] = &[
    ("steps", limits::STEPS, steps),
    ("delegates", limits::DELEGATES, |count| {
        changed("/delegates", (0..count).map(|n| json!({"client_id": format!("c{n}"), "steps": ["use"]})).collect())
    }),
    ("blocked", limits::BLOCKED, |count| changed("/blocked", vec![json!({"action": "a"}); count].into())),
    ("budgets", limits::BUDGETS, |count| {
        changed("/limits/budgets", vec![json!({"steps": ["use"], "max": "1"}); count].into())
    }),
    ("characters of the purpose", limits::PURPOSE_CHARS, |count| changed("/purpose", "ä".repeat(count).into())),
    ("characters of an id", limits::IDENTIFIER_CHARS, |count| changed("/steps/1/id", "ä".repeat(count).into())),
    ("characters of a location", limits::IDENTIFIER_CHARS, |count| {
        changed("/steps/1/location", format!("http://a/{}", "b".repeat(count - 9)).into())
    }),
    ("arguments", limits::ARGUMENTS, |count| changed("/steps/1/args", named(count, |_| json!({"any": true})))),
    ("members", limits::ARGUMENTS, |count| argument(json!({"obj": named(count, |_| json!({"any": true}))}))),
    ("hops", limits::HOPS as usize, |count| changed("/limits/max_hops", count.into())),
    ("turns", limits::TURNS as usize, |count| changed("/limits/turns", count.into())),
    ("step-ups", limits::STEP_UPS as usize, |count| changed("/limits/max_step_ups", count.into())),
    ("seconds", limits::LIFETIME_SECS as usize, |count| changed("/limits/lifetime_secs", count.into())),
    ("uses", limits::USES as usize, |count| changed("/steps/1/uses", count.into())),
    ("characters of a value", limits::VALUE_CHARS, |count| argument(json!({"const": "x".repeat(count - 2)}))),
    ("alternatives", limits::ALTERNATIVES, |count| argument(json!({"one_of": vec![1; count]}))),
    ("domains", limits::ALTERNATIVES, |count| argument(json!({"domain": {"any_of": vec!["x.com"; count]}}))),
    ("characters of a text", limits::TEXT_CHARS as usize, |count| argument(json!({"text": {"max": count}}))),
    ("characters of a pattern", limits::PATTERN_CHARS, |count| argument(json!({"pattern": "x".repeat(count)}))),
    ("characters of a prefix", limits::VALUE_CHARS, |count| {
        argument(json!({"prefix": format!("{}/", "x".repeat(count - 1))}))
    }),
    ("items", limits::ITEMS as usize, |count| argument(json!({"items": {"of": {"any": true}, "max": count}}))),
    ("parts of all", limits::BRANCHES, |count| argument(json!({"all": vec![json!({"any": true}); count]}))),
    ("parts of either", limits::BRANCHES, |count| argument(json!({"either": vec![json!({"any": true}); count]}))),
    ("rows' constraints", limits::BRANCHES, rows),
    ("slots", limits::BRANCHES, slots),
    ("characters of a template", limits::VALUE_CHARS, |count| {
        argument(json!({"fmt": {"template": "x".repeat(count), "slots": {}}}))
    }),
    ("characters of an expression", limits::EXPR_CHARS, |count| {
        argument(json!({"compute": {"expr": format!("1{}", " ".repeat(count - 1)), "vars": {}}}))
    }),
    ("bytes of a host", 253, |count| {
        let label = "a".repeat(63);
        let host = format!("{label}.{label}.{label}.{}", "a".repeat(count - 192));
        argument(json!({"domain": {"any_of": [host]}}))
    }),
    ("digits", limits::DECIMAL_DIGITS, |count| argument(json!({"num": {"max": "1".repeat(count)}}))),
    ("digits behind the point", limits::DECIMAL_DIGITS, |count| {
        argument(json!({"num": {"max": format!("-0.{}", "1".repeat(count))}}))
    }),
];

/// The same for what there must be at least.
const LEAST: &[Limited] = &[
    ("steps", 1, steps),
    ("steps of a delegate", 1, |count| changed("/delegates", json!([{"client_id": "c", "steps": vec!["use"; count]}]))),
    ("characters of the purpose", 1, |count| changed("/purpose", "x".repeat(count).into())),
    ("characters of an id", 1, |count| changed("/steps/1/resource/id", "x".repeat(count).into())),
    ("seconds", 1, |count| changed("/limits/lifetime_secs", count.into())),
    ("turns", 1, |count| changed("/limits/turns", count.into())),
    ("uses", 1, |count| changed("/steps/1/uses", count.into())),
    ("alternatives", 1, |count| argument(json!({"one_of": vec![1; count]}))),
    ("domains", 1, |count| argument(json!({"domain": {"any_of": vec!["x.com"; count]}}))),
    ("characters of a pattern", 1, |count| argument(json!({"pattern": "x".repeat(count)}))),
    ("characters of a prefix", 1, |count| argument(json!({"prefix": "/".repeat(count)}))),
    ("items", 1, |count| argument(json!({"items": {"of": {"any": true}, "max": count}}))),
    ("parts of all", 2, |count| argument(json!({"all": vec![json!({"any": true}); count]}))),
    ("parts of either", 2, |count| argument(json!({"either": vec![json!({"any": true}); count]}))),
    ("attributes", 1, |count| {
        let attributes = (0..count).map(|n| (format!("/a{n}"), json!({"const": n}))).collect::<Value>();
        argument(json!({"attr": {"collection": "c", "where": attributes}}))
    }),
    ("bounds of a number", 1, |count| {
        let bounds: Value = ["min", "max"].into_iter().take(count).map(|name| (name, json!("1"))).collect();
        argument(json!({"num": bounds}))
    }),
];

#[test]
fn limits_are_the_readers() {
    let validator = validator(&plan_schema());
    let taken = |what: &str, document: &Value| {
        expect_valid(&validator, document);
        read(&document.to_string()).unwrap_or_else(|refused| panic!("{what}: {refused}"));
    };
    let refused = |what: &str, document: &Value| {
        assert!(!validator.is_valid(document), "the schema takes {what}");
        assert!(read(&document.to_string()).is_err(), "the reader takes {what}");
    };
    for (what, most, document) in MOST {
        taken(what, &document(*most));
        refused(&format!("more than {most} {what}"), &document(most + 1));
    }
    for (what, least, document) in LEAST {
        taken(what, &document(*least));
        refused(&format!("less than {least} {what}"), &document(least - 1));
    }
}

/// A group's steps are counted: their uses are a number.
#[test]
fn a_step_of_a_group_is_counted() {
    let validator = validator(&plan_schema());
    for (uses, is_counted) in [(json!(1), true), (json!(limits::USES), true), (json!("any"), false)] {
        let mut document = changed("/steps/1/group", json!("g"));
        document["steps"][1]["uses"] = uses;
        assert_eq!(validator.is_valid(&document), is_counted);
        assert_eq!(read(&document.to_string()).is_ok(), is_counted);
    }
}
