//! What the OpenAPI document says, held against every answer that the tests here see.

use axum::http::HeaderMap;
use jsonschema::Validator;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// The document, whose answers have no members but those that it names.
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let mut document = marque::http::openapi::document("https://marque.example").unwrap();
    document["components"]["schemas"].as_object_mut().unwrap().values_mut().for_each(close);
    document
});

fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if members.contains_key("properties") {
                members.entry("additionalProperties").or_insert(false.into());
            }
            members.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

/// The operation of a request, if it is one of the server's.
fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let (_, below) = path.strip_prefix("/realms/")?.split_once('/')?;
    let parts: Vec<&str> = below.split('/').collect();
    let fits = |template: &str| {
        let own: Vec<&str> = template.split('/').skip(1).collect();
        own.len() == parts.len() && own.iter().zip(&parts).all(|(own, part)| own.starts_with('{') || own == part)
    };
    let paths = DOCUMENT["paths"].as_object().unwrap();
    // A path without names in braces stands before one with them.
    let (_, item) =
        paths.iter().filter(|(template, _)| fits(template)).min_by_key(|(template, _)| template.contains('{'))?;
    item.get(method.to_lowercase())
}

fn validator(schema: &Value) -> Arc<Validator> {
    static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);
    let mut validators = VALIDATORS.lock().unwrap_or_else(PoisonError::into_inner);
    let compile = || {
        let mut whole = json!({"allOf": [schema], "components": DOCUMENT["components"]});
        whole["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
        Arc::new(jsonschema::validator_for(&whole).unwrap())
    };
    validators.entry(schema.to_string()).or_insert_with(compile).clone()
}

/// The answer is one that the document has: its status, its media type, and its body.
pub fn expect(what: &str, request: (&str, &str), (status, headers, text): (u16, &HeaderMap, &str)) {
    let (method, path) = request;
    let Some(operation) = operation(method, path) else { return };
    let said = format!("{what}: {method} {path} answers {status}");
    let answer = operation["responses"].get(status.to_string());
    let answer = answer.unwrap_or_else(|| panic!("{said}, which the OpenAPI document does not have: {text}"));
    let stated = headers.get("content-type").map_or("", |value| value.to_str().unwrap());
    let Some(content) = answer.get("content").and_then(Value::as_object) else {
        assert!(text.is_empty(), "{said} with a body: {text}");
        return;
    };
    let media = content
        .get(stated)
        .unwrap_or_else(|| panic!("{said} with {stated:?}, which the OpenAPI document does not have"));
    if stated.ends_with("json") {
        let body = serde_json::from_str(text).unwrap_or_else(|error| panic!("{said}: {error}"));
        let problem = validator(&media["schema"]).iter_errors(&body).next().map(|error| error.to_string());
        assert_eq!(problem, None, "{said}: {text}");
    }
}
