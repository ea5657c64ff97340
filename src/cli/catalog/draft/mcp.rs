//! An MCP tool list: the answer to `tools/list`, with its annotations, which are the vendor's claims.

use std::collections::BTreeMap;

use marque_core::catalog::ResultKind;
use marque_core::plan::Class;
use serde_json::{Value, json};

use super::Offer;
use super::action::{Claim, Operation};
use super::schema::Root;

/// Reads a tool list: the whole answer, its result, or the list alone.
pub(super) fn read(document: &Value) -> Result<Offer, String> {
    let result = document.get("result").unwrap_or(document);
    let tools = result.get("tools").unwrap_or(result).as_array().ok_or("holds no list of tools")?;
    let mut offer = Offer::default();
    if result.get("nextCursor").is_some_and(|cursor| !cursor.is_null()) {
        offer.left_out.push("what follows this page of the list (nextCursor)".into());
    }
    for (index, tool) in tools.iter().enumerate() {
        match operation(tool) {
            Ok(operation) => offer.operations.push(operation),
            Err(message) => offer.left_out.push(format!("$.tools[{index}]: {message}")),
        }
    }
    Ok(offer)
}

fn operation(tool: &Value) -> Result<Operation, String> {
    let name = tool.get("name").and_then(Value::as_str).ok_or("has no name")?;
    let input = tool.get("inputSchema").unwrap_or(&Value::Null);
    let root = Root(input);
    let mut args = BTreeMap::new();
    for (argument, schema) in root.properties(input)? {
        args.insert(argument.to_owned(), root.argument(schema)?);
    }
    let mut guesses = Vec::new();
    let results = match tool.get("outputSchema") {
        Some(output) => Root(output).leaves(output)?,
        None => {
            guesses.push("results: the tool states none; its text is taken as free text".to_owned());
            [("/content/*/text".to_owned(), ResultKind::Text)].into()
        }
    };
    let claim = claim(tool.get("annotations").unwrap_or(&json!({})));
    Ok(Operation { name: name.into(), about: String::new(), claim, resource: "tool".into(), args, results, guesses })
}

/// A hint that is left out counts as the specification has it: a tool writes, destroys, and reaches outside. What a tool
/// says of being idempotent tells nothing about how grave it is.
fn claim(annotations: &Value) -> Claim {
    let hint = |name: &str| annotations.get(name).and_then(Value::as_bool);
    match (hint("readOnlyHint"), hint("openWorldHint"), hint("destructiveHint")) {
        (Some(true), _, _) => Claim::Reads,
        (_, None | Some(true), _) => Claim::AtLeast(Class::Send),
        (_, _, None | Some(true)) => Claim::AtLeast(Class::Delete),
        _ => Claim::AtLeast(Class::Create),
    }
}
