//! An OpenAPI 3 document. Of its prose nothing is read; its methods are claims.

use std::collections::BTreeMap;

use marque_core::catalog::{ArgumentKind, ResultKind};
use marque_core::plan::Class;
use serde_json::{Map, Value};

use super::Offer;
use super::action::{Claim, Operation};
use super::schema::Root;

/// Methods that are operations.
const METHODS: [&str; 8] = ["delete", "get", "head", "options", "patch", "post", "put", "trace"];
/// Header parameters that describe no argument (OpenAPI 3.1 §4.8.12.1).
const NO_ARGUMENTS: [&str; 3] = ["accept", "authorization", "content-type"];

/// Reads the operations of a document.
pub(super) fn read(document: &Value) -> Result<Offer, String> {
    let version = document.get("openapi").and_then(Value::as_str).unwrap_or_default();
    if !version.starts_with("3.") {
        return Err("is no OpenAPI 3 document (member openapi)".into());
    }
    let root = Root(document);
    let mut offer = Offer::default();
    for (path, item) in document.get("paths").and_then(Value::as_object).into_iter().flatten() {
        let item = match root.resolve(item) {
            Ok(item) => item,
            Err(message) => {
                offer.left_out.push(format!("{path}: {message}"));
                continue;
            }
        };
        for (method, described) in METHODS.iter().filter_map(|method| Some((*method, item.get(*method)?))) {
            match operation(root, path, item, method, described) {
                Ok(operation) => offer.operations.push(operation),
                Err(message) => offer.left_out.push(format!("{} {path}: {message}", method.to_uppercase())),
            }
        }
    }
    Ok(offer)
}

fn operation<'d>(
    root: Root<'d>,
    path: &str,
    item: &'d Value,
    method: &str,
    described: &'d Value,
) -> Result<Operation, String> {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let statics: Vec<&str> = segments.iter().copied().filter(|segment| !segment.contains('{')).collect();
    let mut guesses = Vec::new();
    let name = match described.get("operationId").and_then(Value::as_str) {
        Some(id) => id.split_whitespace().collect::<Vec<_>>().join("_"),
        None => {
            guesses.push("name: made of method and path, for want of an operationId".to_owned());
            [&[method], &statics[..]].concat().join("_")
        }
    };
    let target = segments.iter().rposition(|segment| segment.contains('{'));
    let id = target.and_then(|at| segments.get(at)).map(|segment| segment.trim_matches(['{', '}']));
    let mut args = parameters(root, item, described, id)?;
    for (name, kind) in body(root, described)? {
        if args.insert(name.clone(), kind).is_some() {
            guesses.push(format!("args.{name}: two parameters are called so"));
        }
    }
    Ok(Operation {
        name,
        about: statics.join(" "),
        claim: claim(method),
        resource: resource(&segments, target),
        args,
        results: results(root, described)?,
        guesses,
    })
}

/// What a method claims (RFC 9110 §9.2).
fn claim(method: &str) -> Claim {
    match method {
        "get" | "head" | "options" | "trace" => Claim::ReadsByMethod,
        "delete" => Claim::AtLeast(Class::Delete),
        "put" | "patch" => Claim::AtLeast(Class::Change),
        _ => Claim::Nothing,
    }
}

/// The kind of thing that the last parameter of the path names; without one what the path ends with.
fn resource(segments: &[&str], target: Option<usize>) -> String {
    let until = segments.get(..target.unwrap_or(segments.len())).unwrap_or_default();
    let last = until.iter().rev().find(|segment| !segment.contains('{')).copied().unwrap_or("service");
    let singular = last.strip_suffix('s').filter(|word| word.len() > 2 && !word.ends_with('s'));
    singular.filter(|_| target.is_some()).unwrap_or(last).to_owned()
}

/// Parameters of path, query, header and cookie, but for the one that names the resource.
fn parameters<'d>(
    root: Root<'d>,
    item: &'d Value,
    described: &'d Value,
    id: Option<&str>,
) -> Result<BTreeMap<String, ArgumentKind>, String> {
    let mut args = BTreeMap::new();
    let list = |of: &'d Value| of.get("parameters").and_then(Value::as_array).into_iter().flatten();
    for parameter in list(item).chain(list(described)) {
        let parameter = root.resolve(parameter)?;
        let text = |name: &str| parameter.get(name).and_then(Value::as_str);
        let (name, place) = (text("name").ok_or("has a parameter without a name")?, text("in").unwrap_or_default());
        let names_resource = place == "path" && id == Some(name);
        let is_no_argument = place == "header" && NO_ARGUMENTS.contains(&name.to_ascii_lowercase().as_str());
        if names_resource || is_no_argument {
            continue;
        }
        let content = parameter.get("content").and_then(Value::as_object).and_then(json_schema);
        let schema = parameter.get("schema").or(content).unwrap_or(&Value::Null);
        args.insert(name.to_owned(), root.argument(schema)?);
    }
    Ok(args)
}

/// The members of the body; one argument `body` where it is no object.
fn body<'d>(root: Root<'d>, described: &'d Value) -> Result<BTreeMap<String, ArgumentKind>, String> {
    let Some(body) = described.get("requestBody") else { return Ok(BTreeMap::new()) };
    let content = root.resolve(body)?.get("content").and_then(Value::as_object);
    let schema = content.and_then(json_schema).unwrap_or(&Value::Null);
    let mut args = BTreeMap::new();
    for (name, member) in root.properties(schema)? {
        args.insert(name.to_owned(), root.argument(member)?);
    }
    if args.is_empty() {
        args.insert("body".to_owned(), root.argument(schema)?);
    }
    Ok(args)
}

/// The fields of the first success.
fn results<'d>(root: Root<'d>, described: &'d Value) -> Result<BTreeMap<String, ResultKind>, String> {
    let answers = described.get("responses").and_then(Value::as_object).into_iter().flatten();
    let Some((_, success)) = answers.into_iter().find(|(status, _)| status.starts_with('2')) else {
        return Ok(BTreeMap::new());
    };
    let content = root.resolve(success)?.get("content").and_then(Value::as_object);
    content.and_then(json_schema).map_or_else(|| Ok(BTreeMap::new()), |schema| root.leaves(schema))
}

/// The schema of a JSON content, else of the first one.
fn json_schema(content: &Map<String, Value>) -> Option<&Value> {
    let is_json = |kind: &&String| kind.contains("json");
    let kind = content.keys().find(is_json).or_else(|| content.keys().next())?;
    content.get(kind)?.get("schema")
}
