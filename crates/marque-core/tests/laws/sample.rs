//! Values that satisfy a constraint, in most cases.

use crate::generate::pool;
use crate::support::{Known, Rng};
use marque_core::constraint::{Arguments, Constraint};
use serde_json::{Map, Value, json};

pub fn a_value(rng: &mut Rng) -> Value {
    rng.pick(&pool().values).clone()
}

/// A value that the constraint allows in this world, if one is easily found.
pub fn sample(rng: &mut Rng, constraint: &Constraint, known: &Known) -> Value {
    let mut value = guess(rng, constraint, known);
    for _ in 0..6 {
        if known.holds(constraint.required(), &value) {
            break;
        }
        value = if rng.chance(70) { guess(rng, constraint, known) } else { a_value(rng) };
    }
    value
}

fn guess(rng: &mut Rng, constraint: &Constraint, known: &Known) -> Value {
    use Constraint as C;
    match constraint {
        C::Const(value) => value.clone(),
        C::OneOf(values) => rng.pick(values).clone(),
        C::Text(rule) => Value::from("ab c d"[..6.min(usize::try_from(rule.max).unwrap())].to_owned()),
        C::Pattern(pattern) => pattern.example().into(),
        C::Num(range) => {
            let bound = if rng.chance(50) {
                range.min.as_ref().or(range.max.as_ref())
            } else {
                range.max.as_ref().or(range.min.as_ref())
            };
            bound.map_or(Value::Null, |bound| number(rng, bound.as_str()))
        }
        C::Amount(range) => {
            let bound = range.min.as_ref().filter(|_| rng.chance(50)).unwrap_or(&range.max).as_str();
            json!({"currency": range.currency, "value": number(rng, bound)})
        }
        C::TimeWindow(window) => {
            let bound = window.from.as_ref().filter(|_| rng.chance(50)).or(window.to.as_ref()).or(window.from.as_ref());
            bound.map_or(Value::Null, |bound| bound.as_str().into())
        }
        C::Domain(rule) => {
            let sub = if rule.subdomains && rng.chance(50) { "mail." } else { "" };
            format!("{}{sub}{}", rng.pick(&["", "a@"]), rng.pick(&rule.any_of)).into()
        }
        C::Prefix(prefix) => format!("{prefix}{}", rng.pick(&["x", "b/x"])).into(),
        C::Items(rule) => list(rng, &rule.of, known),
        C::Each(of) => list(rng, of, known),
        C::Obj(members) => Value::Object(members_of(rng, members, known)),
        C::All(parts) | C::Either(parts) => {
            let part = rng.pick(parts);
            sample(rng, part, known)
        }
        C::Optional(inner) => sample(rng, inner, known),
        C::Fmt(rule) => {
            let mut text = rule.template.clone();
            for (name, slot) in &rule.slots {
                let value = sample(rng, slot, known);
                text = text
                    .replace(&format!("{{{name}}}"), &value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            }
            text.into()
        }
        C::Attr(_) => rng.pick(&["a", "b", "5", "x.com"]).to_owned().into(),
        C::Any(_) => a_value(rng),
        _ => of_history(rng, constraint, known),
    }
}

fn number(rng: &mut Rng, text: &str) -> Value {
    if rng.chance(50) { text.into() } else { serde_json::from_str(text).unwrap() }
}

fn list(rng: &mut Rng, of: &Constraint, known: &Known) -> Value {
    (0..rng.below(3)).map(|_| sample(rng, of, known)).collect()
}

fn members_of(rng: &mut Rng, members: &Arguments, known: &Known) -> Map<String, Value> {
    let named = members.iter().filter(|(name, _)| *name != "*");
    named.map(|(name, member)| (name.clone(), sample(rng, member, known))).collect()
}

/// Something that an earlier step gave or was given, or near it.
fn of_history(rng: &mut Rng, constraint: &Constraint, known: &Known) -> Value {
    let Some(facts) = &known.facts else { return a_value(rng) };
    let mut given = Vec::new();
    for call in ["s", "t"].iter().filter_map(|step| facts.past(step)).flat_map(|past| &past.calls) {
        given.extend(call.args.values().cloned());
        let Some(result) = &call.result else { continue };
        let rows = result["rows"].as_array().unwrap();
        given.extend([result["f"].clone(), result["n"].clone(), json!(rows.len())]);
        given.extend(rows.iter().flat_map(|row| [row["v"].clone(), row["k"].clone()]));
        given.extend(
            result["text"].as_str().unwrap().split(' ').map(|word| word.trim_matches(['(', ')', ',', ':', '.']).into()),
        );
        given.push(rows.iter().map(|row| row["k"].clone()).collect());
        given.push(rows.iter().filter_map(|row| row["n"].as_i64()).sum::<i64>().into());
        given.extend(result["f"].as_i64().into_iter().flat_map(|f| [json!(f * 2), json!(f + 1)]));
    }
    given.iter().find(|value| known.holds(constraint, value)).cloned().unwrap_or_else(|| a_value(rng))
}
