//! The circumstances of an example: what was done before, so that late-bound values are known.

use crate::call::Call;
use crate::constraint::{Constraint, Field, Truth, Work, World};
use crate::facts::{Facts, Past, PastCall, Records};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// One value that a late-bound value needs to stand somewhere.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Needed {
    /// In a step's result.
    Result { step: String, path: Vec<Segment>, value: Value },
    /// In the free text of a step's result.
    Text { step: String, text: String },
    /// As an argument of a step.
    Argument { step: String, name: String, value: Value },
    /// In a record of the resource server.
    Record { collection: String, id: String, path: Vec<Segment>, value: Value },
}

/// One step of the way into a result.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Segment {
    Member(String),
    /// The only row of a list.
    Row,
}

/// The way that a JSON pointer goes.
pub(super) fn path(pointer: &str) -> Vec<Segment> {
    let unescaped = |token: &str| Segment::Member(token.replace("~1", "/").replace("~0", "~"));
    pointer.split('/').skip(1).map(unescaped).collect()
}

/// The way to a field; a column has one row.
pub(super) fn field(field: &Field) -> Vec<Segment> {
    let (list, within) = field.split();
    if field.is_column() { row(field, within) } else { path(list) }
}

/// The way to another place of the row of a column.
pub(super) fn row(field: &Field, within: &str) -> Vec<Segment> {
    [path(field.list()), vec![Segment::Row], path(within)].concat()
}

/// What was done before a call, put together from what its values need.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Scene {
    pub(super) facts: Facts,
    pub(super) records: Records,
}

impl Scene {
    /// The scene in which all of it stands; `None` where two of them contradict each other.
    pub(super) fn of<'n>(needed: impl IntoIterator<Item = &'n Needed>) -> Option<Self> {
        let mut sketches: BTreeMap<&str, Sketch> = BTreeMap::new();
        let mut records = Records::new();
        for need in needed {
            match need {
                Needed::Result { step, path, value } => {
                    let fits = put(&mut sketches.entry(step).or_default().result, path, value);
                    fits.then_some(())?;
                }
                Needed::Text { step, text } => sketches.entry(step).or_default().texts.push(text),
                Needed::Argument { step, name, value } => {
                    let args = &mut sketches.entry(step).or_default().args;
                    let before = args.insert(name.clone(), value.clone());
                    before.is_none_or(|before| before == *value).then_some(())?;
                }
                Needed::Record { collection, id, path, value } => {
                    let record = records.entry(collection.clone()).or_default().entry(id.clone()).or_default();
                    put(record, path, value).then_some(())?;
                }
            }
        }
        let pasts = sketches.into_iter().map(|(step, sketch)| Some((step.to_owned(), sketch.past()?)));
        Some(Self { facts: Facts { steps: pasts.collect::<Option<_>>()?, ..Facts::default() }, records })
    }

    /// The scene, with a step committed if it was not yet.
    pub(super) fn commit(&mut self, step: &str) {
        self.facts.steps.entry(step.to_owned()).or_insert_with(|| Sketch::default().past().unwrap_or_default());
    }

    /// Whether a value satisfies a constraint here.
    pub(super) fn holds(&self, constraint: &Constraint, value: &Value, work: &Work) -> bool {
        let world = World { facts: Some(&self.facts), records: Some(&self.records), work };
        constraint.test(value, &world) == Truth::Holds
    }

    /// A call is made with the records that the resource server has.
    pub(super) fn furnish(&self, call: &mut Call) {
        call.records = self.records.clone();
    }
}

/// One committed use of a step, while it is put together.
#[derive(Default)]
struct Sketch<'n> {
    args: Map<String, Value>,
    result: Value,
    texts: Vec<&'n str>,
}

impl Sketch<'_> {
    /// `None` where there is text and the result is no object that could hold it.
    fn past(mut self) -> Option<Past> {
        if !self.texts.is_empty() {
            let text = Value::from(self.texts.join(" "));
            put(&mut self.result, &path("/text"), &text).then_some(())?;
        }
        let result = (!self.result.is_null()).then_some(self.result);
        let call = PastCall { args: self.args, committed: true, result, ..PastCall::default() };
        Some(Past { uses: 1, committed: 1, calls: vec![call] })
    }
}

/// Puts a value at its place; false where something else stands there.
fn put(target: &mut Value, path: &[Segment], value: &Value) -> bool {
    let Some((first, rest)) = path.split_first() else {
        let is_free = target.is_null() || target == value;
        if is_free {
            *target = value.clone();
        }
        return is_free;
    };
    match first {
        Segment::Member(name) => {
            if target.is_null() {
                *target = Value::Object(Map::new());
            }
            let members = target.as_object_mut();
            members.is_some_and(|members| put(members.entry(name.clone()).or_insert(Value::Null), rest, value))
        }
        Segment::Row => {
            if target.is_null() {
                *target = Value::Array(vec![Value::Null]);
            }
            target.as_array_mut().and_then(|rows| rows.first_mut()).is_some_and(|row| put(row, rest, value))
        }
    }
}
