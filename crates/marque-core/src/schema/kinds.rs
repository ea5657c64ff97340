//! The kinds of constraints, by where they may stand.

use super::examples;
use crate::limits;
use serde_json::{Map, Value, json};

/// Kinds that give one value to compute with.
const ONE_VALUE: [&str; 4] = ["const", "ref", "same_as", "compute"];
/// Kinds that ask for more than the value itself: what earlier steps did, or what the resource server knows.
const ASK_ELSEWHERE: [&str; 9] = ["ref", "ref_set", "same_as", "fmt", "compute", "rel", "attr", "extract", "quote"];
/// What there is a second time, as `Row…`, of the kinds alone that ask nowhere else.
const ALSO_IN_ROWS: [&str; 5] = ["Constraint", "Argument", "Arguments", "Items", "Parts"];

/// Divides the one list of kinds: `optional` stands only where something may be absent, a base or a variable has one
/// value, and the predicate of a row asks for nothing but the row. Each kind gets its examples.
pub(super) fn refine(definitions: &mut Map<String, Value>) {
    let kinds = definitions.get_mut("Constraint").and_then(|constraint| constraint.get_mut("oneOf"));
    let Some(Value::Array(mut kinds)) = kinds.map(Value::take) else { return };
    for kind in &mut kinds {
        let examples = examples::of_kind(name(kind));
        kind.as_object_mut().map(|kind| kind.insert("examples".into(), examples));
    }
    let optional = kinds.iter().position(|kind| name(kind) == "optional").map(|at| kinds.remove(at));
    let argument = [Some(json!({"$ref": "#/$defs/Constraint"})), optional].into_iter().flatten().collect();
    let chosen = |choose: &dyn Fn(&str) -> bool| kinds.iter().filter(|kind| choose(name(kind))).cloned().collect();
    let of_rows = chosen(&|kind| !ASK_ELSEWHERE.contains(&kind));
    let one_value = chosen(&|kind| ONE_VALUE.contains(&kind));

    let mut set = |name: &str, description: &str, kinds: Vec<Value>| {
        definitions.insert(name.into(), json!({"description": description, "oneOf": kinds}))
    };
    set("OneValue", "A constraint that gives one value to compute with.", one_value);
    set("Argument", "What an argument or a member of an object must satisfy.", argument);
    // For a moment, so that it is among what is there again for rows.
    set("Constraint", "What a value in a row or record must satisfy, by itself.", of_rows);
    for name in ALSO_IN_ROWS {
        let Some(mut definition) = definitions.get(name).cloned() else { continue };
        move_to_rows(&mut definition);
        definitions.insert(format!("Row{name}"), definition);
    }
    definitions.insert("Constraint".into(), json!({"description": every_constraint(), "oneOf": kinds}));
}

fn every_constraint() -> String {
    format!(
        "What a value must satisfy: an object with exactly one member, its kind. The constraint of one argument has at \
         most {} levels of constraints and {} of them in all. A kind that names a step takes the value from what that \
         step did, so the step stands earlier in the plan.",
        limits::CONSTRAINT_DEPTH,
        limits::CONSTRAINT_PARTS
    )
}

/// The one member that a constraint of this kind has.
fn name(kind: &Value) -> &str {
    kind.pointer("/required/0").and_then(Value::as_str).unwrap_or_default()
}

/// Lets a definition refer to what is there for rows. The examples stand in the other place.
fn move_to_rows(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.remove("examples");
            let target = members.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix("#/$defs/"));
            if let Some(target) = target.filter(|target| ALSO_IN_ROWS.contains(target)) {
                let target = format!("#/$defs/Row{target}");
                members.insert("$ref".into(), target.into());
            }
            members.values_mut().for_each(move_to_rows);
        }
        Value::Array(items) => items.iter_mut().for_each(move_to_rows),
        _ => {}
    }
}
