//! A small universe: constraints of every kind, values at and around each of their bounds, and worlds in which the
//! results of earlier steps take every value.

use crate::support::{Bits, Known, constraint, object};
use marque_core::constraint::Constraint;
use marque_core::facts::{Facts, Past, PastCall, Records};
use serde_json::{Value, json};

/// An account number with a right check sum.
pub const IBAN: &str = "DE89370400440532013000";

/// Values of every type: each bound that a constraint here states, and something on either side of it.
pub fn values() -> Vec<Value> {
    let long = [40, 330, 20_001].map(|length| Value::from("y".repeat(length)));
    let long_paths = [40, 330, 20_001].map(|length| Value::from(format!("/a/b/{}", "y".repeat(length))));
    let address = format!("{}@{}.{}.{}.x.com", "l".repeat(64), "h".repeat(63), "h".repeat(63), "h".repeat(55));
    let greeted = [330, 20_001].map(|length| Value::from(format!("Hi {}", "y".repeat(length))));
    let long = long.into_iter().chain(long_paths).chain(greeted);
    let values: Vec<_> = lines(include_str!("values.jsonl")).chain(long).chain([Value::from(address)]).collect();
    // The worlds step through the values by different widths, and reach them all only if no width divides their number.
    let is_prime = (2..values.len()).all(|width| !values.len().is_multiple_of(width));
    assert!(is_prime, "{} values: add some until their number is prime", values.len());
    values
}

/// All constraints; each is well formed.
pub fn constraints() -> Vec<Constraint> {
    let all: Vec<_> = lines(include_str!("constraints.jsonl")).map(|line| constraint(&line)).collect();
    for one in &all {
        one.check("$").unwrap_or_else(|refused| panic!("{one:?}: {refused}"));
    }
    all
}

fn lines(text: &'static str) -> impl Iterator<Item = Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap())
}

fn committed(args: Value, result: Option<Value>) -> PastCall {
    PastCall { args: object(args), committed: true, result, ..PastCall::default() }
}

fn past(calls: Vec<PastCall>) -> Past {
    let count = calls.len() as u64;
    Past { uses: count, committed: count, calls }
}

/// What one call of a step gave: each part of it is about another value, so that only chance makes them equal.
fn result(values: &[Value], at: usize) -> Value {
    let value = |part: usize| &values[(at * (2 * part + 1) + 41 * part) % values.len()];
    let row = |row: usize| {
        let key = [json!("a"), json!("b"), value(1).clone(), value(2).clone()][(at / 3 + row) % 4].clone();
        let number = if at.is_multiple_of(11) {
            value(3).clone()
        } else {
            json!(((at * 5 + row * row * 3) % 13) as i64 - (at % 5) as i64)
        };
        json!({"k": key, "v": value(4 + row), "n": number})
    };
    let rows: Vec<_> = (0..at % 7).map(row).collect();
    json!({"f": value(0), "n": value(13), "rows": rows, "text": format!("to (b{at}@z{at}.org), {IBAN}: {at}, 2026-01-0{}.", 1 + at % 9)})
}

/// A world for each value, in which the earlier steps gave it; worlds where something is missing; one without facts.
pub fn worlds(values: &[Value]) -> Vec<Known> {
    let mut worlds =
        vec![Known::default(), Known { facts: Some(Facts::default()), ..Known::default() }, of_many_rows()];
    for (at, value) in values.iter().enumerate() {
        let other = |step: usize| &values[(at * step + 3 * step) % values.len()];
        let s = past(vec![committed(json!({"x": other(7)}), Some(result(values, at)))]);
        let t = past(vec![committed(json!({"x": other(13)}), Some(result(values, at * 11 + 5)))]);
        worlds.push(Known { facts: Some(facts(s, t)), records: records(value, other(17)) });
    }
    let (one, two) = (json!("a"), json!(5));
    let both =
        [committed(json!({"x": one}), Some(result(values, 1))), committed(json!({"x": two}), Some(result(values, 15)))];
    let missing = Past { uses: 3, committed: 2, calls: both[..1].to_vec() };
    let unsaid = past(vec![committed(json!({"x": two}), None), both[0].clone()]);
    for s in [past(both.to_vec()), missing, unsaid, Past::default(), Past::counted(1, 0)] {
        worlds.push(Known { facts: Some(facts(s, past(both[1..].to_vec()))), records: Records::new() });
    }
    worlds
}

/// A world in which a result has a dozen rows with values of every type.
fn of_many_rows() -> Known {
    let (keys, given) = (["k1", "k2", "k3", "k4"], [json!("a"), json!(1), json!(null), json!({"a": 1}), json!(["x"])]);
    let rows: Value = (0..12).map(|row| json!({"k": keys[row % 4], "v": given[row % 5], "n": row})).collect();
    let result = json!({"f": "k", "n": 12, "rows": rows, "text": "k"});
    let s = past(vec![committed(json!({"x": "k"}), Some(result.clone()))]);
    Known { facts: Some(facts(s.clone(), s)), records: Records::new() }
}

fn facts(s: Past, t: Past) -> Facts {
    Facts { steps: [("s".to_owned(), s), ("t".to_owned(), t)].into(), ..Facts::default() }
}

fn records(value: &Value, other: &Value) -> Records {
    let of = |records: Value| serde_json::from_value(records).unwrap();
    let mut people = json!({"a": {"x": value, "y": true}, "b": {"x": other}, "5": {"x": 5, "y": other}, "/a/b": null});
    if let (Some(id), false) = (other.as_str(), other == "5") {
        people[id] = json!({"x": 5, "y": true});
    }
    [
        ("people".to_owned(), of(people)),
        ("hosts".to_owned(), of(json!({"x.com": {"x": value}, "a": {}, other.as_str().unwrap_or("b"): {"x": 1}}))),
    ]
    .into()
}

/// In which worlds which values satisfy a constraint.
pub fn truths(constraint: &Constraint, values: &[Value], worlds: &[Known]) -> Bits {
    if depends_on_the_world(constraint) {
        return Bits::of(worlds.iter().flat_map(|known| values.iter().map(|value| known.holds(constraint, value))));
    }
    let once: Vec<bool> = values.iter().map(|value| worlds[0].holds(constraint, value)).collect();
    Bits::of(worlds.iter().flat_map(|_| once.iter().copied()))
}

pub fn depends_on_the_world(constraint: &Constraint) -> bool {
    let parts = constraint.parts();
    constraint.needs_history()
        || matches!(constraint, Constraint::Attr(_))
        || parts.into_iter().any(depends_on_the_world)
}
