//! Values that are known only once earlier steps were done.

use super::test::row_test;
use super::{Compute, Constraint, Extract, Quote, Reduce, Ref, RefSet, Rel, SameAs, Truth, WordKind, Work, World};
use super::{shape, work};
use crate::limits;
use crate::value::decimal::{Decimal, Sum};
use crate::value::host;
use iban::IbanLike;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};

/// Where in a step's result: a JSON pointer (RFC 6901), in which one segment may be `*`, each element of a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Field {
    text: String,
    /// Where `/*` begins.
    star: Option<usize>,
}

impl TryFrom<String> for Field {
    type Error = String;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        check_pointer(&text)?;
        let stars = text.split('/').filter(|segment| *segment == "*").count();
        let starts = text.match_indices("/*").map(|(at, _)| at);
        let mut starts = starts.filter(|at| matches!(text.as_bytes().get(at + 2), None | Some(b'/')));
        let star = starts.next();
        if stars > 1 { Err("has more than one *".into()) } else { Ok(Self { text, star }) }
    }
}

impl From<Field> for String {
    fn from(field: Field) -> Self {
        field.text
    }
}

/// Refuses what is no JSON pointer.
pub(crate) fn check_pointer(text: &str) -> Result<(), String> {
    let escapes = text.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
    if text.len() > limits::IDENTIFIER_CHARS || !escapes || !(text.is_empty() || text.starts_with('/')) {
        return Err(format!("is not a JSON pointer (RFC 6901) of at most {} bytes", limits::IDENTIFIER_CHARS));
    }
    crate::text::check_plain(text)
}

impl Field {
    /// As written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it names a column: one value for each element of a list.
    pub const fn is_column(&self) -> bool {
        self.star.is_some()
    }

    /// The list that a column is of: what stands before its `*`.
    pub fn list(&self) -> &str {
        self.split().0
    }

    /// Another column of the same list, by a pointer within a row.
    pub fn beside(&self, pointer: &str) -> String {
        format!("{}/*{pointer}", self.list())
    }

    /// Whether something that it names may lie at a pointer or below it; `*` stands for any element in either.
    pub fn is_within(&self, pointer: &str) -> bool {
        let mut own = self.text.split('/');
        pointer.split('/').all(|outer| own.next().is_some_and(|own| own == outer || own == "*" || outer == "*"))
    }

    pub(crate) fn split(&self) -> (&str, &str) {
        let at = self.star.unwrap_or(self.text.len());
        (self.text.get(..at).unwrap_or_default(), self.text.get(at + 2..).unwrap_or_default())
    }
}

/// What a late-bound value may be.
struct Candidates<'w> {
    values: Vec<Candidate<'w>>,
    /// Whether no other value can be right.
    complete: bool,
}

#[derive(Clone, Copy)]
enum Candidate<'w> {
    /// Exactly this value.
    Json(&'w Value),
    /// This number, however it is written.
    Number(Decimal),
}

impl Candidate<'_> {
    fn is(&self, value: &Value) -> bool {
        match self {
            Self::Json(wanted) => *wanted == value,
            Self::Number(wanted) => Decimal::of_value(value) == Some(*wanted),
        }
    }

    fn is_text(&self, text: &str) -> bool {
        match self {
            Self::Json(wanted) => *wanted == text,
            Self::Number(wanted) => Decimal::of_text(text) == Some(*wanted),
        }
    }

    /// Whether a piece of text is how the value is written.
    fn is_written(&self, piece: &str) -> bool {
        match self {
            Self::Json(Value::String(text)) => text == piece,
            Self::Json(other) => shape::written(other).is_some_and(|text| text == piece),
            Self::Number(wanted) => Decimal::of_text(piece) == Some(*wanted),
        }
    }

    fn number(&self) -> Option<Decimal> {
        match self {
            Self::Json(value) => Decimal::of_value(value),
            Self::Number(number) => Some(*number),
        }
    }
}

impl<'w> Candidates<'w> {
    const UNKNOWN: Self = Self { values: Vec::new(), complete: false };

    fn only(value: Option<Candidate<'w>>) -> Self {
        Self { values: value.into_iter().collect(), complete: true }
    }

    /// Whether one of them is right; each is compared with as many bytes.
    fn any(&self, bytes: u64, world: &World<'_>, is: impl Fn(&Candidate<'w>) -> bool) -> Truth {
        let compared = (self.values.len() as u64).saturating_mul(work::bytes(&Value::Null) + bytes);
        if !world.work.spend(compared / limits::COMPARED_BYTES_PER_WORK) {
            return Truth::Unknown;
        }
        match (self.values.iter().any(is), self.complete) {
            (true, _) => Truth::Holds,
            (false, true) => Truth::Fails,
            (false, false) => Truth::Unknown,
        }
    }

    /// The one number that it can only be.
    fn number(&self, world: &World<'_>) -> Option<Decimal> {
        world.work.spend(work::of_entries(self.values.len())).then_some(())?;
        let mut numbers = self.values.iter().map(Candidate::number);
        let first = numbers.next()??;
        (self.complete && numbers.all(|other| other == Some(first))).then_some(first)
    }
}

/// The one number that a constraint comes to whatever was done before, if there is one.
pub(super) fn number(constraint: &Constraint, work: &Work) -> Option<Decimal> {
    let world = World { facts: None, records: None, work };
    candidates(constraint, &world).number(&world)
}

/// Tests the kinds that depend on earlier steps, for a value that is no text.
pub(super) fn test(constraint: &Constraint, value: &Value, world: &World<'_>) -> Truth {
    match constraint {
        Constraint::RefSet(rule) => set_test(rule, value, world),
        Constraint::Extract(_) | Constraint::Quote(_) => Truth::Fails,
        Constraint::Rel(rule) => Decimal::of_value(value).map_or(Truth::Fails, |number| rule.test(number, world)),
        _ => candidates(constraint, world).any(work::bytes(value), world, |candidate| candidate.is(value)),
    }
}

/// Tests the kinds that depend on earlier steps, for a text.
pub(super) fn test_text(constraint: &Constraint, text: &str, world: &World<'_>) -> Truth {
    match constraint {
        Constraint::RefSet(_) => Truth::Fails,
        Constraint::Extract(rule) => rule.test(text, world),
        Constraint::Quote(rule) => rule.test(text, world),
        Constraint::Rel(rule) => Decimal::of_text(text).map_or(Truth::Fails, |number| rule.test(number, world)),
        _ => candidates(constraint, world).any(text.len() as u64, world, |candidate| candidate.is_text(text)),
    }
}

/// Whether a piece of a text is how a value that satisfies the constraint is written.
pub(super) fn written_test(constraint: &Constraint, piece: &str, world: &World<'_>) -> Truth {
    match constraint {
        Constraint::Const(_)
        | Constraint::OneOf(_)
        | Constraint::Ref(_)
        | Constraint::SameAs(_)
        | Constraint::Compute(_) => {
            let is_written = |candidate: &Candidate<'_>| candidate.is_written(piece);
            candidates(constraint, world).any(piece.len() as u64, world, is_written)
        }
        other => other.test_text(piece, world),
    }
}

/// Whether nothing is known of a step that the value is taken from, so that no value is known to be right.
pub(super) fn is_unknowable(constraint: &Constraint, world: &World<'_>) -> bool {
    let is_unknown = |step: &str| {
        let past = world.facts.and_then(|facts| facts.past(step));
        past.is_none_or(|past| past.calls.is_empty())
    };
    match constraint {
        Constraint::Ref(Ref { step, .. })
        | Constraint::RefSet(RefSet { step, .. })
        | Constraint::SameAs(SameAs { step, .. })
        | Constraint::Extract(Extract { step, .. })
        | Constraint::Quote(Quote { step }) => is_unknown(step),
        Constraint::Compute(_) | Constraint::Rel(_) => {
            constraint.parts().into_iter().any(|part| is_unknowable(part, world))
        }
        _ => false,
    }
}

fn candidates<'w>(constraint: &'w Constraint, world: &World<'w>) -> Candidates<'w> {
    match constraint {
        Constraint::Const(value) => Candidates::only(Some(Candidate::Json(value))),
        Constraint::OneOf(values) => {
            Candidates { values: values.iter().map(Candidate::Json).collect(), complete: true }
        }
        Constraint::Ref(rule) => rule.candidates(world),
        Constraint::SameAs(rule) => rule.candidates(world),
        Constraint::Compute(rule) => {
            rule.number(world).map_or(Candidates::UNKNOWN, |number| Candidates::only(Some(Candidate::Number(number))))
        }
        _ => Candidates::UNKNOWN,
    }
}

/// The results of a step, oldest first, and whether they are all that there will be.
fn results<'w>(step: &str, world: &World<'w>) -> (Vec<&'w Value>, bool) {
    let Some(past) = world.facts.and_then(|facts| facts.past(step)) else { return (Vec::new(), false) };
    if !world.work.spend(work::of_entries(past.calls.len())) {
        return (Vec::new(), false);
    }
    let (calls, complete) = past.committed_calls();
    let found: Vec<Option<&Value>> = calls.map(|call| call.result.as_ref()).collect();
    let complete = complete && !found.is_empty() && found.iter().all(Option::is_some);
    (found.into_iter().flatten().collect(), complete)
}

/// What was disclosed of the results of a step that are not known whole.
fn disclosed<'w>(step: &str, world: &World<'w>) -> impl Iterator<Item = &'w BTreeMap<String, Value>> {
    let past = world.facts.and_then(|facts| facts.past(step));
    let committed = past.into_iter().flat_map(|past| past.committed_calls().0);
    committed.filter(|call| call.result.is_none()).map(|call| &call.disclosed)
}

/// The rows of a list in all results of a step; none where a result lacks the list: nothing is counted as zero.
fn rows<'w>(results: &[&'w Value], list: &str) -> Option<Vec<&'w Value>> {
    let lists = results.iter().map(|result| result.pointer(list).and_then(Value::as_array));
    Some(lists.collect::<Option<Vec<_>>>()?.into_iter().flatten().collect())
}

/// Units for following a pointer in some values.
fn of_pointers(values: usize, pointer: &str) -> u64 {
    (values as u64).saturating_mul(1 + work::of_text(pointer))
}

impl Ref {
    fn candidates<'w>(&'w self, world: &World<'w>) -> Candidates<'w> {
        let (results, complete) = results(&self.step, world);
        if !world.work.spend(of_pointers(results.len(), self.field.as_str())) {
            return Candidates::UNKNOWN;
        }
        let Some(reduce) = &self.reduce else {
            let values = results.iter().filter_map(|result| result.pointer(self.field.as_str()));
            let leaves = disclosed(&self.step, world).filter_map(|leaves| leaves.get(self.field.as_str()));
            return Candidates { values: values.chain(leaves).map(Candidate::Json).collect(), complete };
        };
        if !complete {
            return Candidates::UNKNOWN;
        }
        let (list, within) = self.field.split();
        let Some(rows) = rows(&results, list) else { return Candidates::only(None) };
        let key = if let Reduce::Argmax(key) | Reduce::Argmin(key) = reduce { key } else { "" };
        let of_row = of_pointers(1, within) + work::of_text(key);
        let mut counted = Vec::new();
        for row in rows {
            if !world.work.spend(of_row) {
                return Candidates::UNKNOWN;
            }
            match row_test(&self.rows, row, world) {
                Truth::Holds => counted.push(row),
                Truth::Fails => {}
                Truth::Unknown => return Candidates::UNKNOWN,
            }
        }
        Candidates::only(reduced(reduce, &counted, within))
    }
}

/// One value of a column; none where there is no such value or it is not clear which.
fn reduced<'w>(reduce: &Reduce, rows: &[&'w Value], within: &str) -> Option<Candidate<'w>> {
    let value = |row: &&'w Value| row.pointer(within).map(Candidate::Json);
    match reduce {
        Reduce::Lookup => rows.first().filter(|_| rows.len() == 1).and_then(value),
        Reduce::First => rows.first().and_then(value),
        Reduce::Last => rows.last().and_then(value),
        Reduce::Argmax(key) => extreme(rows, key, |a, b| a > b).and_then(value),
        Reduce::Argmin(key) => extreme(rows, key, |a, b| a < b).and_then(value),
        Reduce::Count => i64::try_from(rows.len()).ok().map(|count| Candidate::Number(Decimal::from(count))),
        Reduce::Sum => {
            let mut numbers = rows.iter().map(|row| row.pointer(within).and_then(Decimal::of_value));
            let sum = numbers.try_fold(Sum::default(), |sum, number| Some(sum.plus(number?)))?;
            sum.number().map(Candidate::Number)
        }
    }
}

/// The row that is beyond all others by its number at a pointer.
fn extreme<'r, 'v>(rows: &'r [&'v Value], key: &str, beyond: fn(&Decimal, &Decimal) -> bool) -> Option<&'r &'v Value> {
    let keyed: Option<Vec<_>> = rows.iter().map(|row| Some((Decimal::of_value(row.pointer(key)?)?, row))).collect();
    let keyed = keyed?;
    let (best, _) = keyed.iter().reduce(|best, row| if beyond(&row.0, &best.0) { row } else { best })?;
    let mut found = keyed.iter().filter(|(number, _)| number == best);
    found.next().filter(|_| found.next().is_none()).map(|(_, row)| *row)
}

impl SameAs {
    fn candidates<'w>(&self, world: &World<'w>) -> Candidates<'w> {
        let Some(past) = world.facts.and_then(|facts| facts.past(&self.step)) else { return Candidates::UNKNOWN };
        if !world.work.spend(work::of_entries(past.calls.len())) {
            return Candidates::UNKNOWN;
        }
        let (calls, complete) = past.committed_calls();
        let values: Vec<_> = calls.filter_map(|call| call.args.get(&self.arg)).map(Candidate::Json).collect();
        Candidates { values, complete: complete && past.committed > 0 }
    }
}

fn set_test(rule: &RefSet, value: &Value, world: &World<'_>) -> Truth {
    let Some(given) = value.as_array() else { return Truth::Fails };
    let (results, complete) = results(&rule.step, world);
    if !complete {
        return Truth::Unknown;
    }
    let (list, within) = rule.field.split();
    let pointers = of_pointers(results.len(), list);
    let Some(rows) = rows(&results, list) else { return Truth::Fails };
    if !world.work.spend(pointers.saturating_add(of_pointers(rows.len(), within))) {
        return Truth::Unknown;
    }
    let column: Option<Vec<&Value>> = rows.into_iter().map(|row| row.pointer(within)).collect();
    let Some(column) = column else { return Truth::Fails };
    // Each value is hashed once and compared once.
    let bytes: u64 = given.iter().chain(column.iter().copied()).map(work::bytes).sum();
    if !world.work.spend(given.len() as u64 + bytes / limits::BYTES_PER_WORK) {
        return Truth::Unknown;
    }
    let (distinct, wanted): (HashSet<&Value>, HashSet<&Value>) = (given.iter().collect(), column.into_iter().collect());
    (distinct.len() == given.len() && distinct == wanted).into()
}

impl Compute {
    fn number<'w>(&'w self, world: &World<'w>) -> Option<Decimal> {
        // Each variable once, however often the expression names it.
        let of_var = |(name, constraint): (&'w String, &'w Constraint)| {
            world.work.spend(1).then_some(())?;
            Some((name.as_str(), candidates(constraint, world).number(world)))
        };
        let vars: BTreeMap<&str, Option<Decimal>> = self.vars.iter().map(of_var).collect::<Option<_>>()?;
        world.work.spend(limits::EXPR_NODES as u64 / limits::ENTRIES_PER_WORK).then_some(())?;
        self.expr.value(&|name| *vars.get(name)?)
    }
}

impl Rel {
    fn test<'w>(&'w self, number: Decimal, world: &World<'w>) -> Truth {
        // The bounds are not added up: a sum that does not fit bounds nothing, and must not refuse what a tighter one permits.
        candidates(&self.base, world).number(world).map_or(Truth::Unknown, |base| {
            let is_above = base.sum_cmp(self.min.value(), number) != Ordering::Greater;
            (is_above && base.sum_cmp(self.max.value(), number) != Ordering::Less).into()
        })
    }
}

/// Whether some text in the results of a step has a word in it, by a test; unknown where none has and results are
/// missing.
fn in_texts(step: &str, word: &str, world: &World<'_>, is_found: impl Fn(&str) -> bool) -> Truth {
    let (results, complete) = results(step, world);
    let mut texts: Vec<&Value> = results;
    for leaves in disclosed(step, world) {
        if !world.work.spend(work::of_entries(leaves.len())) {
            return Truth::Unknown;
        }
        texts.extend(leaves.values());
    }
    while let Some(value) = texts.pop() {
        match value {
            Value::String(text) if !world.work.spend(1 + work::of_text(text)) => return Truth::Unknown,
            Value::String(text) if text.len() >= word.len() && is_found(text) => return Truth::Holds,
            Value::Array(items) if !world.work.spend(work::of_entries(items.len())) => return Truth::Unknown,
            Value::Object(members) if !world.work.spend(work::of_entries(members.len())) => return Truth::Unknown,
            Value::Array(items) => texts.extend(items),
            Value::Object(members) => texts.extend(members.values()),
            _ => {}
        }
    }
    if complete { Truth::Fails } else { Truth::Unknown }
}

impl Quote {
    fn test(&self, passage: &str, world: &World<'_>) -> Truth {
        if passage.trim().is_empty() || crate::text::check_free(passage).is_err() {
            return Truth::Fails;
        }
        in_texts(&self.step, passage, world, |text| text.contains(passage))
    }
}

impl Extract {
    fn test(&self, word: &str, world: &World<'_>) -> Truth {
        if !self.kind.is(word) {
            return Truth::Fails;
        }
        in_texts(&self.step, word, world, |text| {
            text.match_indices(word).any(|(at, _)| self.kind.stands_alone(text, at, word))
        })
    }
}

impl WordKind {
    /// Whether a word is of this kind.
    fn is(self, word: &str) -> bool {
        if word.is_empty() || crate::text::check_plain(word).is_err() {
            return false;
        }
        match self {
            Self::Email => word.contains('@') && host::host_of(word).is_some(),
            Self::Host => host::is_host(word),
            Self::Number => Decimal::of_text(word).is_some(),
            Self::Date => {
                let form = time::macros::format_description!(version = 2, "[year]-[month]-[day]");
                word.len() == 10 && time::Date::parse(word, form).is_ok()
            }
            Self::Iban => word.parse::<iban::Iban>().is_ok_and(|iban| iban.electronic_str() == word),
            Self::Word => !word.contains(char::is_whitespace),
        }
    }

    /// Whether the word at a place of a text is not a part of a longer one.
    fn stands_alone(self, text: &str, at: usize, word: &str) -> bool {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let mut after = text.get(at + word.len()..).unwrap_or_default().chars();
        let (next, following) = (after.next(), after.next());
        if self == Self::Word {
            return [before, next].iter().flatten().all(|c| c.is_whitespace());
        }
        let joins = |c: char| c.is_alphanumeric() || "@.-_+%,/:'`!#$&*=?^{|}~".contains(c);
        let ends = |c: char| !joins(c) || (".,:".contains(c) && following.is_none_or(|c| !joins(c)));
        before.is_none_or(|c| !joins(c) || c == ':') && next.is_none_or(ends)
    }
}
