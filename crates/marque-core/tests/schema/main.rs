//! The schema of the submitted plan and the reader of submitted plans say the same.

mod changes;
mod generator;
mod heights;
mod limits;
mod plans;
mod rules;
#[path = "../it/support.rs"]
#[expect(dead_code, reason = "the sample submission is used, the keys are not")]
mod support;
mod texts;

use generator::Generator;
use jsonschema::Validator;
use marque_core::constraint::Constraint;
use marque_core::json::{Refused, parse_plan};
use marque_core::limits as bounds;
use marque_core::plan::SubmittedPlan;
use marque_core::schema::plan_schema;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Plans that are made from the schema.
const PLANS: usize = 10_000;
/// Plans of them that must parse, at least; some hundred more do.
const MUST_PARSE: usize = 8_000;

/// Plans that are made from the schema and then changed in one place.
const CHANGED_PLANS: usize = 5_000;

fn read(text: &str) -> Result<SubmittedPlan, Refused> {
    SubmittedPlan::from_value(parse_plan(text.as_bytes(), bounds::PLAN_BYTES)?)
}

fn validator(schema: &Value) -> Validator {
    jsonschema::draft202012::new(schema).unwrap()
}

#[track_caller]
fn expect_valid(validator: &Validator, document: &Value) {
    let errors: Vec<_> =
        validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{document}\n{}", errors.join("\n"));
}

/// All members `name` of the schema, wherever they stand.
fn members<'s>(schema: &'s Value, name: &str) -> Vec<&'s Value> {
    let inner: Vec<&Value> = match schema {
        Value::Object(members) => members.values().collect(),
        Value::Array(items) => items.iter().collect(),
        _ => Vec::new(),
    };
    schema.get(name).into_iter().chain(inner.into_iter().flat_map(|inner| members(inner, name))).collect()
}

/// The kinds of a schema's definition, with their examples.
fn kinds<'s>(schema: &'s Value, definition: &str) -> BTreeMap<&'s str, &'s Value> {
    let kinds = schema["$defs"][definition]["oneOf"].as_array().unwrap().iter();
    let kinds = kinds.filter_map(|kind| Some((kind["required"][0].as_str()?, &kind["examples"])));
    kinds.collect()
}

#[test]
fn the_schema_is_one_and_needs_nothing_from_elsewhere() {
    let schema = plan_schema();
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    for reference in members(&schema, "$ref").into_iter().filter_map(Value::as_str) {
        let name = reference.strip_prefix("#/$defs/").expect(reference);
        assert!(schema["$defs"].get(name).is_some(), "{reference} leads nowhere");
    }
    for properties in members(&schema, "properties").into_iter().filter_map(Value::as_object) {
        let described = properties.iter().filter(|(_, property)| property.get("$ref").is_none());
        let bare: Vec<_> = described
            .filter(|(_, property)| property.get("description").is_none() && property.get("const").is_none())
            .collect();
        assert!(bare.is_empty(), "without a description: {bare:?}");
    }
}

#[test]
fn every_object_is_closed() {
    let schema = plan_schema();
    let mut seen = 0;
    let mut walk = vec![&schema];
    while let Some(part) = walk.pop() {
        if part["type"] == "object" {
            seen += 1;
            assert!(part.get("additionalProperties").is_some(), "{part}");
        }
        let inner: Vec<&Value> = match part {
            Value::Object(members) => {
                members.iter().filter(|(name, _)| *name != "examples").map(|(_, part)| part).collect()
            }
            Value::Array(items) => items.iter().collect(),
            _ => Vec::new(),
        };
        walk.extend(inner);
    }
    assert!(seen > 60, "{seen}");
}

/// A constraint is checked, in its place, by schema and reader alike.
#[test]
fn each_kind_has_examples_and_they_hold() {
    let schema = plan_schema();
    let validator = validator(&schema);
    let of_arguments: BTreeMap<_, _> =
        kinds(&schema, "Constraint").into_iter().chain(kinds(&schema, "Argument")).collect();
    assert_eq!(of_arguments.keys().copied().collect::<BTreeSet<_>>(), BTreeSet::from(Constraint::KINDS));
    for (kind, examples) in of_arguments {
        let examples = examples.as_array().filter(|examples| !examples.is_empty()).expect(kind);
        for example in examples {
            assert_eq!(example.as_object().unwrap().keys().collect::<Vec<_>>(), [kind]);
            let document = plans::argument(example.clone());
            expect_valid(&validator, &document);
            read(&document.to_string()).unwrap_or_else(|refused| panic!("{kind}: {refused}"));
        }
    }
    let plans = schema["examples"].as_array().unwrap();
    assert!(!plans.is_empty());
    for plan in plans.iter().chain([&support::submission()]) {
        expect_valid(&validator, plan);
        read(&plan.to_string()).unwrap();
    }
}

/// Texts that the schema gives as examples of a form are of that form.
#[test]
fn examples_of_texts_are_of_their_form() {
    let schema = plan_schema();
    let mut seen = 0;
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        let mut form = definition.clone();
        form["$defs"] = schema["$defs"].clone();
        let validator = validator(&form);
        for example in definition["examples"].as_array().into_iter().flatten() {
            seen += 1;
            assert!(validator.is_valid(example), "{name}: {example}");
        }
    }
    assert!(seen > 20, "{seen}");
}

/// A rule is named by the schema, not expressed by it, and the reader keeps it.
#[test]
fn each_rule_that_the_schema_names_is_kept_by_the_reader_alone() {
    let schema = plan_schema();
    let validator = validator(&schema);
    let said: Vec<_> = members(&schema, "description").into_iter().filter_map(Value::as_str).collect();
    expect_valid(&validator, &plans::plan());
    read(&plans::plan().to_string()).unwrap();
    for rule in rules::rules() {
        assert!(said.iter().any(|text| text.contains(rule.said)), "no description says: {}", rule.said);
        expect_valid(&validator, &serde_json::from_str(&rule.broken_by).unwrap());
        let refused = read(&rule.broken_by).expect_err(rule.said).to_string();
        assert!(refused.contains(rule.refused), "{}: {refused}", rule.said);
    }
}

fn count_kinds(constraint: &Constraint, counts: &mut BTreeMap<String, usize>) {
    let kind = constraint.expected().as_object().unwrap().keys().next().unwrap().clone();
    *counts.entry(kind).or_default() += 1;
    constraint.parts().into_iter().for_each(|part| count_kinds(part, counts));
}

#[test]
fn what_the_schema_allows_parses_or_breaks_a_rule_that_it_names() {
    let schema = plan_schema();
    let validator = validator(&schema);
    let rules: BTreeSet<_> = rules::rules().iter().map(|rule| rule.refused).collect();
    let mut generator = Generator::new(&schema);
    let (mut parsed, mut refusals, mut counts) = (0, BTreeMap::<&str, usize>::new(), BTreeMap::new());
    for _ in 0..PLANS {
        let document = generator.document();
        expect_valid(&validator, &document);
        match read(&document.to_string()) {
            Ok(plan) => {
                parsed += 1;
                let arguments = plan.steps.iter().flat_map(|step| step.args.values());
                arguments.for_each(|constraint| count_kinds(constraint, &mut counts));
            }
            Err(refused) => {
                let text = refused.to_string();
                let rule = rules.iter().find(|rule| text.contains(**rule));
                let rule = rule.unwrap_or_else(|| panic!("no description names why: {refused}\n{document}"));
                *refusals.entry(rule).or_default() += 1;
            }
        }
    }
    println!("{parsed} of {PLANS} plans parse; refused: {refusals:#?}\nconstraints of the parsed ones: {counts:#?}");
    assert!(parsed >= MUST_PARSE, "{parsed}");
    assert_eq!(counts.keys().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(Constraint::KINDS));
}

/// The schema is not narrower than the reader either, where it matters: what parses although one place of a plan was
/// changed, the schema allows.
#[test]
fn what_parses_the_schema_allows() {
    let schema = plan_schema();
    let validator = validator(&schema);
    let mut generator = Generator::new(&schema);
    let (mut parsed, mut refused, mut refused_by_both) = (0, 0, 0);
    for _ in 0..CHANGED_PLANS {
        let document = generator.changed_document();
        match read(&document.to_string()) {
            Ok(_) => {
                parsed += 1;
                expect_valid(&validator, &document);
            }
            Err(_) => {
                refused += 1;
                refused_by_both += usize::from(!validator.is_valid(&document));
            }
        }
    }
    println!("{parsed} changed plans parse; of {refused} others the schema refuses {refused_by_both}");
    assert!(parsed > CHANGED_PLANS / 5 && refused_by_both * 10 > refused * 8, "{parsed} {refused} {refused_by_both}");
}
