//! What a constraint comes to, whatever its kind: a few values, a range of numbers, a longest text.

use super::work::bytes;
use super::{
    Arguments, Comparison, Constraint, DomainRule, Extract, Fmt, NumRange, Reduce, Ref, TextRule, WordKind, Work, fmt,
    history, of_entries, of_value,
};
use crate::limits;
use crate::text::LINK_MARKS;
use crate::value::decimal::{Decimal, DecimalText};
use crate::value::host;
use serde_json::{Map, Value};
use std::cmp::Ordering;

/// Characters of the longest number in plain notation: its digits, a zero before the point, the point and a sign.
const NUMBER_CHARS: u64 = limits::DECIMAL_DIGITS as u64 + 3;
/// Characters of the longest account number (ISO 13616).
const IBAN_CHARS: u64 = 34;
/// Characters of a calendar date.
const DATE_CHARS: u64 = 10;

impl Constraint {
    /// How large it is: its parts and their entries, and the parts' names.
    pub(super) fn size(&self) -> u64 {
        let own = match self {
            Self::Const(value) => bytes(value) / limits::BYTES_PER_WORK,
            Self::OneOf(values) => values.iter().map(bytes).sum::<u64>() / limits::BYTES_PER_WORK,
            Self::Domain(rule) => rule.any_of.len() as u64,
            _ => 0,
        };
        self.parts().into_iter().map(Self::size).fold(1 + own, u64::saturating_add)
    }

    /// Units for copying it, or what it and another allow together.
    pub(super) fn copying(&self) -> u64 {
        1 + self.size() / limits::ENTRIES_PER_WORK
    }

    /// All values that satisfy the constraint, and perhaps some more; `None` where they are too many or not known, or too
    /// much work to write down.
    pub(super) fn values(&self, work: &Work) -> Option<Vec<Value>> {
        let values = match self {
            Self::Const(value) if work.spend(of_value(value)) => vec![value.clone()],
            Self::OneOf(values) if work.spend(of_copies(values, 1)) => values.clone(),
            Self::Text(TextRule { max: 0, .. }) => vec![Value::from("")],
            Self::Obj(members) => objects(members, work)?,
            Self::Either(parts) => parts.iter().map(|part| part.values(work)).collect::<Option<Vec<_>>>()?.concat(),
            Self::All(parts) => parts.iter().find_map(|part| part.values(work))?,
            Self::Fmt(rule) => rule.texts(work)?.into_iter().map(Value::from).collect(),
            Self::Pattern(pattern) => {
                let is_short = pattern.count() <= limits::ALTERNATIVES as u64 && work.spend(pattern.values_work());
                is_short.then(|| pattern.values().into_iter().map(Value::from).collect())?
            }
            _ => return None,
        };
        (values.len() <= limits::ALTERNATIVES).then_some(values)
    }

    /// The range, if the constraint holds for the numbers within it and nothing else.
    pub(super) fn range(&self, work: &Work) -> Option<NumRange> {
        match self {
            Self::Num(range) => Some(range.clone()),
            Self::Compute(_) => {
                let number = DecimalText::from(history::number(self, work)?);
                Some(NumRange { min: Some(number.clone()), max: Some(number) })
            }
            Self::Rel(rule) => {
                let base = history::number(&rule.base, work)?;
                // What is beyond every number bounds none.
                let bound = |change, beyond| match base.checked_add(change) {
                    Some(number) => Some(Some(DecimalText::from(number))),
                    None => (base.sum_beyond(change) == Some(beyond)).then_some(None),
                };
                let (min, max) = (rule.min.value(), rule.max.value());
                Some(NumRange { min: bound(min, Ordering::Less)?, max: bound(max, Ordering::Greater)? })
            }
            _ => None,
        }
    }

    /// A range that has all numbers for which the constraint may hold, if it holds for nothing else.
    pub(super) fn hull(&self, work: &Work) -> Option<NumRange> {
        let least = |min: Decimal| NumRange { min: Some(DecimalText::from(min)), max: None };
        match self {
            Self::Ref(Ref { reduce: Some(Reduce::Count), .. }) => Some(least(Decimal::ZERO)),
            Self::Ref(Ref { reduce: Some(Reduce::Sum), .. })
            | Self::Extract(Extract { kind: WordKind::Number, .. }) => Some(least(Decimal::least())),
            Self::Compute(_) | Self::Rel(_) => self.range(work).or_else(|| Some(least(Decimal::least()))),
            other => other.range(work),
        }
    }

    /// Characters of the longest value, if only texts satisfy the constraint and one is longest.
    fn longest(&self, work: &Work) -> Option<u64> {
        match self {
            Self::Text(rule) => Some(rule.max),
            Self::Pattern(pattern) => pattern.max_bytes().map(|bytes| bytes as u64),
            Self::Domain(rule) => Some(rule.longest()),
            Self::TimeWindow(_) => Some(limits::TIMESTAMP_CHARS),
            Self::Extract(Extract { kind, .. }) => kind.longest(),
            Self::Fmt(rule) => rule.longest(work),
            Self::Const(Value::String(text)) => Some(text.chars().count() as u64),
            _ => None,
        }
    }

    /// Whether no value has anything that could be a link, which takes one of [`LINK_MARKS`].
    fn has_no_link(&self) -> bool {
        match self {
            Self::Pattern(pattern) => !pattern.may_contain(&LINK_MARKS),
            Self::Extract(Extract { kind: WordKind::Date | WordKind::Iban | WordKind::Number, .. }) => true,
            // Its colons and its point stand between digits.
            Self::TimeWindow(_) => true,
            _ => false,
        }
    }

    /// The same constraint on how a value is written, if that is known; see [`history::written_test`].
    fn written(&self, work: &Work) -> Option<Self> {
        match self {
            Self::Const(_) | Self::OneOf(_) => {
                Some(Self::OneOf(self.values(work)?.iter().filter_map(written).map(Value::from).collect()))
            }
            Self::Ref(_) | Self::SameAs(_) | Self::Compute(_) => None,
            other => Some(other.clone()),
        }
    }
}

/// How a value stands in a filled template; a list or an object cannot.
pub(super) fn written(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(_) | Value::Object(_) => None,
        other => Some(other.to_string()),
    }
}

/// Units for copying some values so many times.
fn of_copies(values: &[Value], times: usize) -> u64 {
    let once = values.iter().map(bytes).fold(0, u64::saturating_add);
    once.saturating_mul(times as u64) / limits::COMPARED_BYTES_PER_WORK
}

/// The objects of members that have few values each.
fn objects(members: &Arguments, work: &Work) -> Option<Vec<Value>> {
    let mut objects = vec![Map::new()];
    for (name, constraint) in members {
        let values = if name == "*" { None } else { constraint.required().values(work) }?;
        let is_optional = matches!(constraint, Constraint::Optional(_));
        let count = objects.len() * (values.len() + usize::from(is_optional));
        let copied = of_entries(count * (members.len() + 1)) + of_copies(&values, objects.len());
        if count > limits::ALTERNATIVES || !work.spend(copied) {
            return None;
        }
        let without = is_optional.then(|| objects.clone());
        let with = |object: &Map<String, Value>| {
            let object = object.clone();
            values.clone().into_iter().map(move |value| {
                let mut object = object.clone();
                object.insert(name.clone(), value);
                object
            })
        };
        objects = objects.iter().flat_map(with).chain(without.into_iter().flatten()).collect();
    }
    Some(objects.into_iter().map(Value::Object).collect())
}

impl TextRule {
    /// Whether the rule allows all that a constraint on texts allows.
    pub(super) fn allows(&self, child: &Constraint, work: &Work) -> Comparison {
        let fits = child.longest(work).is_some_and(|longest| longest <= self.max);
        match child {
            _ if fits && (self.urls || child.has_no_link()) => Comparison::Narrower,
            Constraint::Domain(_) | Constraint::TimeWindow(_) | Constraint::Prefix(_) => Comparison::Wider,
            _ => Comparison::Undecidable,
        }
    }
}

impl DomainRule {
    /// Characters of the longest address.
    fn longest(&self) -> u64 {
        let longest = self.any_of.iter().map(String::len).max().unwrap_or(0);
        let host = if self.subdomains { host::HOST_BYTES } else { longest };
        (host::LOCAL_PART_BYTES + 1 + host) as u64
    }
}

impl WordKind {
    /// Characters of the longest word, if there is a longest.
    const fn longest(self) -> Option<u64> {
        match self {
            Self::Email => Some((host::LOCAL_PART_BYTES + 1 + host::HOST_BYTES) as u64),
            Self::Host => Some(host::HOST_BYTES as u64),
            Self::Number => Some(NUMBER_CHARS),
            Self::Date => Some(DATE_CHARS),
            Self::Iban => Some(IBAN_CHARS),
            Self::Word => None,
        }
    }
}

impl Fmt {
    /// Whether the same template is filled with nothing that this one does not take.
    pub(super) fn compare(
        &self,
        child: &Self,
        work: &Work,
        compare: impl Fn(&Constraint, &Constraint) -> Comparison,
    ) -> Comparison {
        if self.template != child.template {
            return Comparison::Undecidable;
        }
        let slot = |(name, wanted): (&String, &Constraint)| match self.slots.get(name) {
            Some(allowed) if allowed == wanted => Comparison::Narrower,
            Some(allowed) => match (allowed.written(work), wanted.written(work)) {
                (Some(allowed), Some(wanted)) => compare(&allowed, &wanted),
                _ => Comparison::Undecidable,
            },
            None => Comparison::Undecidable,
        };
        // That one slot is wider says nothing: its text may be another slot's, or of the template.
        let is_narrower = child.slots.iter().all(|named| slot(named) == Comparison::Narrower);
        if is_narrower { Comparison::Narrower } else { Comparison::Undecidable }
    }

    /// The texts, where each slot has few values.
    fn texts(&self, work: &Work) -> Option<Vec<String>> {
        let mut texts = vec![String::new()];
        let mut rest = self.template.as_str();
        while let Some((literal, name, after)) = fmt::first_slot(rest) {
            let values: Vec<_> =
                self.slots.get(name)?.written(work)?.values(work)?.iter().filter_map(written).collect();
            let count = texts.len().saturating_mul(values.len());
            // In characters, none of them is longer than the template and a value of each slot.
            let longest = self.template.len() + (self.slots.len() + 1) * limits::VALUE_CHARS;
            if count > limits::ALTERNATIVES || !work.spend((count * longest) as u64 / limits::COMPARED_BYTES_PER_WORK) {
                return None;
            }
            texts = texts
                .iter()
                .flat_map(|text| values.iter().map(move |value| format!("{text}{literal}{value}")))
                .collect();
            rest = after;
        }
        Some(texts.into_iter().map(|text| text + rest).collect())
    }

    /// Characters of the longest text.
    fn longest(&self, work: &Work) -> Option<u64> {
        let mut longest = 0;
        let mut rest = self.template.as_str();
        while let Some((literal, name, after)) = fmt::first_slot(rest) {
            longest += literal.chars().count() as u64 + self.slots.get(name)?.longest_piece(work)?;
            rest = after;
        }
        Some(longest + rest.chars().count() as u64)
    }
}

impl Constraint {
    /// Characters of the longest piece of text that fills a slot.
    fn longest_piece(&self, work: &Work) -> Option<u64> {
        match self {
            Self::Const(_) | Self::OneOf(_) => {
                let pieces = self.values(work)?;
                Some(pieces.iter().filter_map(written).map(|piece| piece.chars().count() as u64).max().unwrap_or(0))
            }
            Self::Num(_) | Self::Rel(_) | Self::Compute(_) => Some(NUMBER_CHARS),
            Self::Either(parts) => {
                parts.iter().map(|part| part.longest_piece(work)).try_fold(0, |longest, part| Some(longest.max(part?)))
            }
            Self::All(parts) => parts.iter().filter_map(|part| part.longest_piece(work)).min(),
            other => other.longest(work),
        }
    }
}
