//! Law 8: which kinds must be comparable with which, each pair with cases that are accepted.
//!
//! A row is a parent's kind, a column a child's. The letters:
//! `=` comparable: the cases below show it, and none of them is by chance;
//! `t` of different types: no value of the child's, or nearly none, is of the parent's type;
//! `w` wider by nature: the child's kind always has more values than the parent's can allow;
//! `p` what a pattern describes beside its length, its characters and, where they are few, its values is not computed;
//! `h` depends on what only the ledger knows, in another way than the other does;
//! `r` depends on a record that only the resource server knows;
//! `o` optional stands only for an argument, and a child must not make an argument optional.

use crate::small::small;
use crate::support::{constraint, kind, object};
use marque_core::constraint::{Arguments, Comparison, Constraint, Work, arguments_compare};
use marque_core::limits;
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[rustfmt::skip]
const TABLE: [(&str, &str); 25] = [
    //               const one_of text pattern num amount time_window domain prefix items obj each all either optional ref ref_set same_as fmt compute rel attr extract quote any
    ("const",         "= = = = w w w w w w = w = = o h h h = w w r h h w"),
    ("one_of",        "= = = = w w w w w w = w = = o h h h = w w r h h w"),
    ("text",          "= = = = t t = = w t t t = = o h t h = t t r = h w"),
    ("pattern",       "= = p = p t p p p t t t = = o h t h = h h r h h w"),
    ("num",           "= = t = = t t t t t t t = = o = t h = = = r = h w"),
    ("amount",        "= = t t t = t t t t = t = = o h t h t h h r h h w"),
    ("time_window",   "= = t = t t = t t t t t = = o h t h = h h r h h w"),
    ("domain",        "= = t = t t t = t t t t = = o h t h = h h r h h w"),
    ("prefix",        "= = t = t t t t = t t t = = o h t h = h h r h h w"),
    ("items",         "= = t t t t t t t = t w = = o h h h t h h r h h w"),
    ("obj",           "= = t t t = t t t t = t = = o h t h t h h r h h w"),
    ("each",          "= = t t t t t t t = t = = = o h = h t h h r h h w"),
    ("all",           "= = = = = = = = = = = = = = o = = = = = = = = = ="),
    ("either",        "= = = = = = = = = = = = = = o = = = = = = = = = ="),
    ("optional",      "= = = = = = = = = = = = = = = = = = = = = = = = ="),
    ("ref",           "h h h h h h h h h h h h = = o = h h h h h r h h w"),
    ("ref_set",       "h h t t t t t t t h t h = = o h = h h h h r h h w"),
    ("same_as",       "h h h h h h h h h h h h = = o h h = h h h r h h w"),
    ("fmt",           "= = h = h h h h h h h h = = o h h h = h h r h h w"),
    ("compute",       "= = h = = h h h h h h h = = o h h h = = = r h h w"),
    ("rel",           "= = h = = h h h h h h h = = o = h h = = = r = h w"),
    ("attr",          "r r r r r r r r r r r r = = o r r r r r r = r r w"),
    ("extract",       "h h h h h h h h h h h h = = o h h h h h h r = h w"),
    ("quote",         "h h h h h h h h h h h h = = o h h h h h h r = = w"),
    ("any",           "= = = = = = = = = = = = = = o = = = = = = = = = ="),
];

/// Of each kind one that is wider, and one that is narrower and not the same where there is one.
fn samples() -> Vec<(Value, Value)> {
    let f = json!({"ref": {"step": "s", "field": "/f"}});
    let g = json!({"ref": {"step": "s", "field": "/n"}});
    let same = |one: &Value| (one.clone(), one.clone());
    vec![
        same(&json!({"const": "a"})),
        (json!({"one_of": ["a", "b"]}), json!({"one_of": ["b"]})),
        (json!({"text": {"max": 320, "urls": true}}), json!({"text": {"max": 35}})),
        same(&json!({"pattern": "[a-c]+"})),
        (json!({"num": {"min": "0", "max": "9"}}), json!({"num": {"min": "1", "max": "5"}})),
        (
            json!({"amount": {"max": "9.50", "currency": "EUR"}}),
            json!({"amount": {"min": "1", "max": "5", "currency": "EUR"}}),
        ),
        (
            json!({"time_window": {"from": "2026-01-01T00:00:00Z"}}),
            json!({"time_window": {"from": "2026-01-01T00:00:00Z", "to": "2026-12-31T00:00:00Z"}}),
        ),
        (json!({"domain": {"any_of": ["x.com"], "subdomains": true}}), json!({"domain": {"any_of": ["mail.x.com"]}})),
        (json!({"prefix": "/a/"}), json!({"prefix": "/a/b/"})),
        (
            json!({"items": {"of": {"num": {"min": "0", "max": "9"}}, "max": 2}}),
            json!({"items": {"of": {"const": 1}, "max": 1}}),
        ),
        (
            json!({"obj": {"a": {"any": true}, "b": {"optional": {"text": {"max": 3}}}}}),
            json!({"obj": {"a": {"num": {"min": "1", "max": "5"}}}}),
        ),
        (json!({"each": {"num": {"min": "0", "max": "9"}}}), json!({"each": {"one_of": [1, 2]}})),
        (
            json!({"all": [{"num": {"min": "0"}}, {"num": {"max": "9"}}]}),
            json!({"all": [{"num": {"min": "1"}}, {"num": {"max": "5"}}]}),
        ),
        (
            json!({"either": [{"const": null}, {"num": {"min": "0", "max": "9"}}]}),
            json!({"either": [{"const": 5}, {"num": {"min": "1", "max": "5"}}]}),
        ),
        (json!({"optional": {"num": {"min": "0", "max": "9"}}}), json!({"optional": {"const": 5}})),
        same(&f),
        same(&json!({"ref_set": {"step": "s", "field": "/rows/*/k"}})),
        same(&json!({"same_as": {"step": "s", "arg": "x"}})),
        (
            json!({"fmt": {"template": "Hi {a}", "slots": {"a": {"text": {"max": 320, "urls": true}}}}}),
            json!({"fmt": {"template": "Hi {a}", "slots": {"a": {"one_of": ["a", "b"]}}}}),
        ),
        same(&json!({"compute": {"expr": "a * 2", "vars": {"a": f}}})),
        (json!({"rel": {"base": g, "min": "-2", "max": "2"}}), json!({"rel": {"base": g, "min": "0", "max": "1"}})),
        (
            json!({"attr": {"collection": "people", "where": {"/x": {"num": {"min": "0", "max": "9"}}}}}),
            json!({"attr": {"collection": "people", "where": {"/x": {"num": {"min": "1", "max": "5"}}, "/y": {"const": true}}}}),
        ),
        same(&json!({"extract": {"step": "s", "type": "email"}})),
        same(&json!({"quote": {"step": "s"}})),
        same(&json!({"any": true})),
    ]
}

/// Pairs of a parent and a child, of kinds that differ.
const CASES: [(&str, &str); 72] = [
    (r#"{"const": "a"}"#, r#"{"one_of": ["a"]}"#),
    (r#"{"const": ""}"#, r#"{"text": {"max": 0}}"#),
    (r#"{"const": {"a": 1}}"#, r#"{"obj": {"a": {"const": 1}}}"#),
    (r#"{"const": "Hi a"}"#, r#"{"fmt": {"template": "Hi {x}", "slots": {"x": {"const": "a"}}}}"#),
    (r#"{"one_of": ["a", "b"]}"#, r#"{"const": "a"}"#),
    (r#"{"one_of": ["a", ""]}"#, r#"{"text": {"max": 0}}"#),
    (r#"{"one_of": [{"a": 1}, {"a": 2}, {}]}"#, r#"{"obj": {"a": {"optional": {"one_of": [1, 2]}}}}"#),
    (r#"{"one_of": ["Hi a", "Hi b"]}"#, r#"{"fmt": {"template": "Hi {x}", "slots": {"x": {"one_of": ["b", "a"]}}}}"#),
    (r#"{"text": {"max": 3}}"#, r#"{"const": "abc"}"#),
    (r#"{"text": {"max": 3}}"#, r#"{"one_of": ["abc", ""]}"#),
    (r#"{"text": {"max": 3}}"#, r#"{"pattern": "[a-z]{1,3}"}"#),
    (r#"{"text": {"max": 35}}"#, r#"{"time_window": {"from": "2026-01-01T00:00:00Z"}}"#),
    (r#"{"text": {"max": 70, "urls": true}}"#, r#"{"domain": {"any_of": ["x.com"]}}"#),
    (r#"{"text": {"max": 318, "urls": true}}"#, r#"{"domain": {"any_of": ["x.com"], "subdomains": true}}"#),
    (
        r#"{"text": {"max": 8, "urls": true}}"#,
        r#"{"fmt": {"template": "Hi {x}", "slots": {"x": {"text": {"max": 5}}}}}"#,
    ),
    (r#"{"text": {"max": 34}}"#, r#"{"extract": {"step": "s", "type": "iban"}}"#),
    (r#"{"text": {"max": 318, "urls": true}}"#, r#"{"extract": {"step": "s", "type": "email"}}"#),
    (r#"{"pattern": "[a-z]+"}"#, r#"{"const": "abc"}"#),
    (r#"{"pattern": "[a-z]+"}"#, r#"{"one_of": ["abc", "z"]}"#),
    (r#"{"num": {"max": "5"}}"#, r#"{"const": 5}"#),
    (r#"{"num": {"max": "5"}}"#, r#"{"one_of": [5, "5.00", -1]}"#),
    (r#"{"num": {"min": "0"}}"#, r#"{"ref": {"step": "s", "field": "/rows/*", "reduce": "count"}}"#),
    (r#"{"num": {"max": "5"}}"#, r#"{"compute": {"expr": "a + 1", "vars": {"a": {"const": 4}}}}"#),
    (r#"{"num": {"min": "4", "max": "6"}}"#, r#"{"rel": {"base": {"const": 5}, "min": "-1", "max": "1"}}"#),
    (r#"{"amount": {"max": "5", "currency": "EUR"}}"#, r#"{"const": {"currency": "EUR", "value": "5.00"}}"#),
    (r#"{"amount": {"max": "5", "currency": "EUR"}}"#, r#"{"one_of": [{"currency": "EUR", "value": 5}]}"#),
    (
        r#"{"amount": {"max": "5", "currency": "EUR"}}"#,
        r#"{"obj": {"currency": {"const": "EUR"}, "value": {"num": {"min": "0", "max": "5"}}}}"#,
    ),
    (r#"{"pattern": "Hi .*"}"#, r#"{"fmt": {"template": "Hi {x}", "slots": {"x": {"one_of": ["b", "a"]}}}}"#),
    (r#"{"num": {"max": "55"}}"#, r#"{"fmt": {"template": "5{x}", "slots": {"x": {"const": 5}}}}"#),
    (
        r#"{"time_window": {"from": "2026-01-01T00:00:00Z"}}"#,
        r#"{"fmt": {"template": "{d}T00:00:00Z", "slots": {"d": {"const": "2026-06-01"}}}}"#,
    ),
    (
        r#"{"domain": {"any_of": ["x.com"]}}"#,
        r#"{"fmt": {"template": "{who}@x.com", "slots": {"who": {"one_of": ["a", "b"]}}}}"#,
    ),
    (r#"{"prefix": "/a/"}"#, r#"{"fmt": {"template": "/a/{x}", "slots": {"x": {"one_of": ["b", "c"]}}}}"#),
    (
        r#"{"compute": {"expr": "a + 1", "vars": {"a": {"const": 54}}}}"#,
        r#"{"fmt": {"template": "5{x}", "slots": {"x": {"const": 5}}}}"#,
    ),
    (
        r#"{"rel": {"base": {"const": 54}, "min": "-1", "max": "1"}}"#,
        r#"{"fmt": {"template": "5{x}", "slots": {"x": {"const": 5}}}}"#,
    ),
    (r#"{"time_window": {"from": "2026-01-01T00:00:00Z"}}"#, r#"{"const": "2026-01-01T01:00:00+01:00"}"#),
    (r#"{"time_window": {"from": "2026-01-01T00:00:00Z"}}"#, r#"{"one_of": ["2026-01-01T00:00:00Z"]}"#),
    (r#"{"domain": {"any_of": ["x.com"]}}"#, r#"{"const": "a@x.com"}"#),
    (r#"{"domain": {"any_of": ["x.com"]}}"#, r#"{"one_of": ["a@x.com", "x.com"]}"#),
    (r#"{"prefix": "/a/"}"#, r#"{"const": "/a/b"}"#),
    (r#"{"prefix": "/a/"}"#, r#"{"one_of": ["/a/b", "/a/c"]}"#),
    (r#"{"items": {"of": {"num": {"max": "5"}}, "max": 2}}"#, r#"{"const": [1, 5]}"#),
    (r#"{"items": {"of": {"num": {"max": "5"}}, "max": 2}}"#, r#"{"one_of": [[], [5]]}"#),
    (r#"{"obj": {"a": {"num": {"max": "5"}}}}"#, r#"{"const": {"a": 5}}"#),
    (r#"{"obj": {"a": {"num": {"max": "5"}}}}"#, r#"{"one_of": [{"a": 5}, {"a": 1}]}"#),
    (r#"{"obj": {"currency": {"any": true}, "*": {"any": true}}}"#, r#"{"amount": {"max": "5", "currency": "EUR"}}"#),
    (r#"{"each": {"num": {"max": "5"}}}"#, r#"{"const": [1, 5]}"#),
    (r#"{"each": {"num": {"max": "5"}}}"#, r#"{"one_of": [[], [5, 5, 5]]}"#),
    (r#"{"each": {"num": {"max": "5"}}}"#, r#"{"items": {"of": {"const": 5}, "max": 9}}"#),
    (r#"{"each": {"any": true}}"#, r#"{"ref_set": {"step": "s", "field": "/rows/*/k"}}"#),
    (r#"{"fmt": {"template": "Hi {x}", "slots": {"x": {"text": {"max": 5}}}}}"#, r#"{"const": "Hi a"}"#),
    (r#"{"fmt": {"template": "Hi {x}", "slots": {"x": {"text": {"max": 5}}}}}"#, r#"{"one_of": ["Hi a", "Hi b"]}"#),
    (r#"{"compute": {"expr": "a + 1", "vars": {"a": {"const": 4}}}}"#, r#"{"const": "5.00"}"#),
    (r#"{"compute": {"expr": "a + 1", "vars": {"a": {"const": 4}}}}"#, r#"{"one_of": [5, "5"]}"#),
    (r#"{"compute": {"expr": "a + 1", "vars": {"a": {"const": 4}}}}"#, r#"{"num": {"min": "5", "max": "5"}}"#),
    (
        r#"{"compute": {"expr": "a + 1", "vars": {"a": {"const": 4}}}}"#,
        r#"{"rel": {"base": {"const": 5}, "min": "0", "max": "0"}}"#,
    ),
    (r#"{"rel": {"base": {"const": 5}, "min": "-1", "max": "1"}}"#, r#"{"const": 6}"#),
    (r#"{"rel": {"base": {"const": 5}, "min": "-1", "max": "1"}}"#, r#"{"one_of": [4, "5.5"]}"#),
    (r#"{"rel": {"base": {"const": 5}, "min": "-1", "max": "1"}}"#, r#"{"num": {"min": "5", "max": "6"}}"#),
    (
        r#"{"rel": {"base": {"const": 5}, "min": "-1", "max": "1"}}"#,
        r#"{"compute": {"expr": "a + 1", "vars": {"a": {"const": 4}}}}"#,
    ),
    (r#"{"const": "a"}"#, r#"{"pattern": "a"}"#),
    (r#"{"one_of": ["a", "b"]}"#, r#"{"pattern": "[ab]"}"#),
    (r#"{"num": {"max": "55"}}"#, r#"{"pattern": "5?5"}"#),
    (r#"{"num": {"min": "-9999999999999999999999999999"}}"#, r#"{"extract": {"step": "s", "type": "number"}}"#),
    (r#"{"time_window": {"from": "2026-01-01T00:00:00Z"}}"#, r#"{"pattern": "2026-0[1-9]-01T00:00:00Z"}"#),
    (r#"{"domain": {"any_of": ["x.com"]}}"#, r#"{"pattern": "(a@)?x[.]com"}"#),
    (r#"{"prefix": "/a/"}"#, r#"{"pattern": "/a/[a-z]"}"#),
    (r#"{"fmt": {"template": "Hi {x}", "slots": {"x": {"text": {"max": 5}}}}}"#, r#"{"pattern": "Hi [a-f]"}"#),
    (r#"{"compute": {"expr": "a + 1", "vars": {"a": {"const": 4}}}}"#, r#"{"pattern": "5([.]00?)?"}"#),
    (r#"{"rel": {"base": {"const": 5}, "min": "-1", "max": "1"}}"#, r#"{"pattern": "[4-6]"}"#),
    (
        r#"{"rel": {"base": {"const": 0}, "min": "0", "max": "9999999999999999999999999999"}}"#,
        r#"{"ref": {"step": "s", "field": "/rows/*", "reduce": "count"}}"#,
    ),
    (
        r#"{"rel": {"base": {"const": 0}, "min": "-9999999999999999999999999999", "max": "9999999999999999999999999999"}}"#,
        r#"{"extract": {"step": "s", "type": "number"}}"#,
    ),
    (r#"{"quote": {"step": "s"}}"#, r#"{"extract": {"step": "s", "type": "word"}}"#),
];

/// The cases that hold for every kind: a kind beside itself, and beside those that are made of others.
fn general_cases() -> Vec<(Value, Value)> {
    let any = json!({"any": true});
    let mut cases = Vec::new();
    for (wide, narrow) in samples() {
        cases.push((wide.clone(), narrow.clone()));
        cases.push((json!({"optional": wide.get("optional").unwrap_or(&wide)}), narrow.clone()));
        if kind(&constraint(&wide)) == "optional" {
            continue;
        }
        cases.push((any.clone(), wide.clone()));
        cases.push((wide.clone(), json!({"all": [narrow, any]})));
        cases.push((wide.clone(), json!({"either": [narrow, wide]})));
        cases.push((json!({"all": [wide, any]}), narrow.clone()));
        cases.push((json!({"either": [{"const": 77}, wide]}), narrow.clone()));
    }
    cases
}

fn compared(parent: &Value, child: &Value) -> Comparison {
    let named = |one: &Value| -> Arguments { [("a".to_owned(), constraint(one))].into() };
    arguments_compare(&named(parent), &named(child), &Work::new(limits::COMPARISON_WORK))
}

fn cell(parent: &str, child: &str) -> &'static str {
    let column = Constraint::KINDS.iter().position(|kind| *kind == child).unwrap();
    let (_, row) = TABLE.iter().find(|(kind, _)| *kind == parent).unwrap();
    row.split(' ').nth(column).unwrap()
}

#[test]
fn the_table_has_every_kind_once() {
    let rows: Vec<&str> = TABLE.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(rows, Constraint::KINDS);
    for (kind, row) in TABLE {
        assert_eq!(row.split(' ').count(), Constraint::KINDS.len(), "{kind}");
        assert!(row.split(' ').all(|cell| ["=", "t", "w", "p", "h", "r", "o"].contains(&cell)), "{kind}");
    }
    let used: BTreeSet<String> =
        crate::universe::constraints().iter().map(kind).chain(["optional".to_owned()]).collect();
    assert_eq!(used, Constraint::KINDS.map(str::to_owned).into(), "the small universe has every kind");
}

/// Each comparable pair of kinds has an accepted case, each accepted case is of a comparable pair, and the child of
/// each allows something.
#[test]
fn comparable_kinds_are_compared() {
    let listed = CASES
        .iter()
        .map(|(parent, child)| (serde_json::from_str(parent).unwrap(), serde_json::from_str(child).unwrap()));
    let mut shown = BTreeSet::new();
    for (parent, child) in listed.chain(general_cases()) {
        let kinds = (kind(&constraint(&parent)), kind(&constraint(&child)));
        assert_eq!(cell(&kinds.0, &kinds.1), "=", "{parent} {child}");
        assert_eq!(compared(&parent, &child), Comparison::Narrower, "{parent} {child}");
        let (parent, child) = (constraint(&parent), constraint(&child));
        let given = |value: &Value| object(json!({ "a": value }));
        let named = |one: &Constraint| -> Arguments { [("a".to_owned(), one.clone())].into() };
        let more = [
            json!([1, 5]),
            json!([5]),
            json!({"a": 5}),
            json!("55"),
            json!("2026-06-01T00:00:00Z"),
            json!({"currency": "EUR", "value": 5}),
        ];
        let values: Vec<_> = small().values.iter().chain(&more).map(given).collect();
        let mut allowed = small().worlds.iter().flat_map(|known| values.iter().map(move |value| (known, value)));
        let (known, value) = allowed
            .find(|(known, given)| known.all_hold(&named(&child), given))
            .unwrap_or_else(|| panic!("{child:?} allows nothing"));
        assert!(known.all_hold(&named(&parent), value), "{parent:?} {child:?} {value:?}");
        shown.insert(kinds);
    }
    for (parent, child) in Constraint::KINDS.iter().flat_map(|parent| Constraint::KINDS.map(|child| (*parent, child))) {
        let is_shown = shown.contains(&(parent.to_owned(), child.to_owned()));
        assert_eq!(is_shown, cell(parent, child) == "=", "{parent} {child}");
    }
    println!("{} of {} pairs of kinds are comparable", shown.len(), Constraint::KINDS.len() * Constraint::KINDS.len());
}

/// The other pairs of kinds are refused for all constraints of the small universe.
#[test]
fn the_other_kinds_are_refused() {
    let all = &small().constraints;
    let optional = all.iter().map(|inner| Constraint::Optional(Box::new(inner.clone())));
    let all: Vec<(String, Arguments)> =
        all.iter().cloned().chain(optional).map(|one| (kind(&one), [("a".to_owned(), one)].into())).collect();
    let mut refused = 0;
    for (parent_kind, parent) in &all {
        for (child_kind, child) in all.iter().filter(|(child_kind, _)| cell(parent_kind, child_kind) != "=") {
            let comparison = arguments_compare(parent, child, &Work::new(limits::COMPARISON_WORK));
            assert_ne!(comparison, Comparison::Narrower, "{parent_kind} {child_kind}: {parent:?} {child:?}");
            refused += 1;
        }
    }
    println!("{refused} pairs of kinds that are not comparable refused");
}
