//! Values that show what a constraint allows and where it ends: its bounds and what lies just beyond them, its
//! entries, its shapes. For a late-bound value also what must have been done before.

use super::scene::{self, Needed, Scene, Segment};
use crate::constraint::{
    AmountRange, Arguments, Attr, Compute, Constraint, DomainRule, Fmt, Items, NumRange, Reduce, Ref, RefSet, Rel,
    SameAs, TextRule, TimeWindow, WordKind, Work, of_entries, of_value,
};
use crate::envelope::Envelope;
use crate::limits;
use crate::timestamp;
use crate::value::decimal::Decimal;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A value to try; `None` is an argument that is absent.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) value: Option<Value>,
    pub(super) needed: Vec<Needed>,
}

impl Sample {
    pub(super) const ABSENT: Self = Self { value: None, needed: Vec::new() };

    fn plain(value: Value) -> Self {
        Self { value: Some(value), needed: Vec::new() }
    }

    fn late(value: Value, needed: Vec<Needed>) -> Self {
        Self { value: Some(value), needed }
    }

    /// Whether the value satisfies a constraint, once what it needs is there.
    pub(super) fn holds(&self, constraint: &Constraint, work: &Work) -> bool {
        match &self.value {
            None => matches!(constraint, Constraint::Optional(_)),
            Some(_) if !work.spend(1 + self.cost()) => false,
            Some(value) => Scene::of(&self.needed)
                .is_some_and(|scene| work.within(limits::DECISION_WORK, |work| scene.holds(constraint, value, work))),
        }
    }

    /// Units for copying it.
    pub(super) fn cost(&self) -> u64 {
        self.value.as_ref().map_or(0, of_value) + self.needed.len() as u64
    }
}

/// Where samples are taken for.
#[derive(Clone, Copy)]
pub(super) struct Source<'s> {
    /// Whose earlier steps values come from.
    pub(super) envelope: &'s Envelope,
    /// Values that what comes from results may have.
    pub(super) near: &'s [Value],
    /// What may be looked at: steps may take values from each other many times over.
    pub(super) work: &'s Work,
}

/// A number that is good for text too.
const COMMON: &str = "11";

fn plain(values: impl IntoIterator<Item = Value>) -> Vec<Sample> {
    values.into_iter().map(Sample::plain).collect()
}

impl Source<'_> {
    /// Samples within the constraint and just beyond it, the simplest first.
    pub(super) fn samples(&self, constraint: &Constraint) -> Vec<Sample> {
        use Constraint as C;
        if !self.work.spend(1 + of_entries(self.near.len())) {
            return Vec::new();
        }
        let mut samples = match constraint {
            C::Const(value) => plain([value.clone()]),
            C::OneOf(values) => plain(values.iter().cloned()),
            C::Text(rule) => plain(texts(rule)),
            C::Pattern(pattern) => plain([Value::from(pattern.example())]),
            C::Num(range) => plain(numbers(range)),
            C::Amount(range) => plain(amounts(range)),
            C::TimeWindow(window) => plain(instants(window)),
            C::Domain(rule) => plain(hosts(rule)),
            C::Prefix(prefix) => plain(["a", "a/b"].map(|name| Value::from(format!("{prefix}{name}")))),
            C::Items(rule) => self.lists(&rule.of, rule),
            C::Each(of) => self.lists(of, &Items { of: of.clone(), max: 2 }),
            C::Obj(members) => self.objects(members),
            C::All(parts) => self.of_all(parts),
            C::Either(parts) => parts.iter().flat_map(|part| self.samples(part)).collect(),
            C::Optional(inner) => self.samples(inner),
            C::Ref(rule) => self.references(rule),
            C::RefSet(rule) => self.columns(rule),
            C::SameAs(rule) => self.repeated(rule),
            C::Fmt(rule) => self.filled(rule),
            C::Compute(rule) => self.computed(rule),
            C::Rel(rule) => self.related(rule),
            C::Attr(rule) => self.records(rule),
            C::Extract(rule) => self.quoted(&rule.step, Some(rule.kind)),
            C::Quote(rule) => self.quoted(&rule.step, None),
            C::Any(_) => plain(anything()),
        };
        let made = samples.iter().map(Sample::cost).fold(0, u64::saturating_add);
        samples.truncate(limits::SAMPLES);
        if self.work.spend(made) { samples } else { Vec::new() }
    }

    /// The samples that satisfy the constraint.
    fn within(&self, constraint: &Constraint) -> Vec<Sample> {
        self.samples(constraint).into_iter().filter(|sample| sample.holds(constraint, self.work)).collect()
    }

    fn lists(&self, of: &Constraint, rule: &Items) -> Vec<Sample> {
        let items = self.within(of);
        let mut lists = plain([json!([])]);
        let of_one = |item: &Sample| item.value.clone().map(|value| Sample::late(json!([value]), item.needed.clone()));
        lists.extend(items.iter().filter_map(of_one));
        let first = items.first().and_then(|item| Some((item.value.clone()?, &item.needed)));
        for length in [rule.max, rule.max.saturating_add(1)] {
            let long = first.clone().zip(usize::try_from(length.min(limits::ITEMS + 1)).ok());
            lists.extend(long.map(|((value, needed), length)| {
                Sample::late(Value::Array(std::iter::repeat_n(value, length).collect()), needed.clone())
            }));
        }
        lists
    }

    fn objects(&self, members: &Arguments) -> Vec<Sample> {
        let named: Vec<(&String, Vec<Sample>)> = members
            .iter()
            .filter(|(name, _)| *name != "*")
            .map(|(name, constraint)| {
                let mut of_member = self.within(constraint.required());
                of_member.extend(matches!(constraint, Constraint::Optional(_)).then_some(Sample::ABSENT));
                (name, of_member)
            })
            .collect();
        let first: Option<BTreeMap<&String, &Sample>> =
            named.iter().map(|(name, of_member)| Some((*name, of_member.first()?))).collect();
        let Some(first) = first else { return Vec::new() };
        let mut objects = vec![object(&first)];
        for (name, of_member) in &named {
            objects.extend(of_member.iter().skip(1).map(|sample| {
                let mut varied = first.clone();
                varied.insert(name, sample);
                object(&varied)
            }));
        }
        if members.contains_key("*") {
            let (name, further) = ("another".to_owned(), Sample::plain(json!("anything")));
            let mut varied = first;
            varied.insert(&name, &further);
            objects.push(object(&varied));
        }
        objects
    }

    /// A value must satisfy all parts: those of some are tried for what the others take from results.
    fn of_all(&self, parts: &[Constraint]) -> Vec<Sample> {
        let firm = parts.iter().filter(|part| !part.needs_history()).flat_map(|part| self.samples(part));
        let firm: Vec<Value> = firm.filter_map(|sample| sample.value).collect();
        let near: Vec<Value> = firm.iter().chain(self.near).cloned().collect();
        let inner = Source { near: &near, ..*self };
        let of_parts: Vec<Vec<Sample>> = parts.iter().map(|part| inner.samples(part)).collect();
        let mut joined: Vec<Sample> = Vec::new();
        for value in of_parts.iter().flatten().filter_map(|sample| sample.value.as_ref()) {
            let same = of_parts.iter().filter_map(|of| of.iter().find(|sample| sample.value.as_ref() == Some(value)));
            let needed = same.flat_map(|sample| sample.needed.clone()).collect();
            let sample = Sample::late(value.clone(), needed);
            if !joined.contains(&sample) {
                joined.push(sample);
            }
        }
        joined
    }

    /// What a value from a result may be.
    fn pool(&self) -> Vec<Value> {
        std::iter::once(json!(COMMON)).chain(self.near.iter().cloned()).take(limits::SAMPLES).collect()
    }

    fn references(&self, rule: &Ref) -> Vec<Sample> {
        let at = |path: Vec<Segment>, value: Value| Needed::Result { step: rule.step.clone(), path, value };
        let mut chosen = Vec::new();
        for (pointer, constraint) in &rule.rows {
            let Some(value) = self.within(constraint).into_iter().find_map(|sample| sample.value) else {
                return Vec::new();
            };
            chosen.push(at(scene::row(&rule.field, pointer), value));
        }
        if let Some(Reduce::Argmax(key) | Reduce::Argmin(key)) = &rule.reduce
            && !rule.rows.contains_key(key)
            && key != rule.field.split().1
        {
            chosen.push(at(scene::row(&rule.field, key), json!(1)));
        }
        if rule.reduce == Some(Reduce::Count) {
            let row = [scene::path(rule.field.list()), vec![Segment::Row]].concat();
            let row = if chosen.is_empty() { vec![at(row, json!({}))] } else { chosen };
            return [json!(1), json!("1")].map(|value| Sample::late(value, row.clone())).to_vec();
        }
        let found = |value: Value| {
            let own = at(scene::field(&rule.field), value.clone());
            Sample::late(value, chosen.iter().cloned().chain([own]).collect())
        };
        self.pool().into_iter().map(found).collect()
    }

    fn columns(&self, rule: &RefSet) -> Vec<Sample> {
        let at = |path: Vec<Segment>, value: Value| Needed::Result { step: rule.step.clone(), path, value };
        let items = self.near.iter().filter_map(Value::as_array).filter_map(|list| list.first().cloned());
        let of_one = |value: Value| Sample::late(json!([value]), vec![at(scene::field(&rule.field), value.clone())]);
        let mut sets: Vec<Sample> = std::iter::once(json!(COMMON)).chain(items).map(of_one).collect();
        sets.push(Sample::late(json!([]), vec![at(scene::path(rule.field.list()), json!([]))]));
        sets
    }

    fn repeated(&self, rule: &SameAs) -> Vec<Sample> {
        let bound = self.envelope.step(&rule.step).and_then(|step| step.args.get(&rule.arg));
        let samples = bound.map_or_else(|| plain(self.pool()), |bound| self.within(bound.required()));
        let repeated = |sample: Sample| {
            let value = sample.value?;
            let own = Needed::Argument { step: rule.step.clone(), name: rule.arg.clone(), value: value.clone() };
            Some(Sample::late(value, sample.needed.into_iter().chain([own]).collect()))
        };
        samples.into_iter().filter_map(repeated).collect()
    }

    fn filled(&self, rule: &Fmt) -> Vec<Sample> {
        let fill = |picked: &BTreeMap<&String, &Sample>| {
            let mut text = rule.template.clone();
            for (name, sample) in picked {
                text = text.replace(&format!("{{{name}}}"), &written(sample.value.as_ref()?)?);
            }
            let needed = picked.values().flat_map(|sample| sample.needed.clone()).collect();
            Some(Sample::late(text.into(), needed))
        };
        let slots: Vec<_> = rule.slots.iter().map(|(name, slot)| (name, self.samples(slot))).collect();
        let first: Option<BTreeMap<&String, &Sample>> =
            slots.iter().map(|(name, of_slot)| Some((*name, of_slot.first()?))).collect();
        let Some(first) = first else { return Vec::new() };
        let varied = slots.iter().flat_map(|(name, of_slot)| of_slot.iter().skip(1).map(move |sample| (*name, sample)));
        let varied = varied.filter_map(|(name, sample)| {
            let mut picked = first.clone();
            picked.insert(name, sample);
            fill(&picked)
        });
        fill(&first).into_iter().chain(varied).collect()
    }

    /// A number that a constraint with one value may have, and what that needs.
    fn one_number(&self, constraint: &Constraint) -> Option<(Decimal, Vec<Needed>)> {
        self.within(constraint)
            .into_iter()
            .find_map(|sample| Some((Decimal::of_value(sample.value.as_ref()?)?, sample.needed)))
    }

    fn computed(&self, rule: &Compute) -> Vec<Sample> {
        let vars = rule.vars.iter().map(|(name, constraint)| Some((name.as_str(), self.one_number(constraint)?)));
        let Some(vars) = vars.collect::<Option<BTreeMap<_, _>>>() else { return Vec::new() };
        let number = rule.expr.value(&|name| vars.get(name).map(|(number, _)| *number));
        let needed: Vec<Needed> = vars.values().flat_map(|(_, needed)| needed.clone()).collect();
        number.into_iter().flat_map(forms).map(|value| Sample::late(value, needed.clone())).collect()
    }

    fn related(&self, rule: &Rel) -> Vec<Sample> {
        let Some((base, needed)) = self.one_number(&rule.base) else { return Vec::new() };
        let changes = [Decimal::ZERO, rule.min.value(), rule.max.value()];
        let near = self.near.iter().filter_map(Decimal::of_value);
        let numbers = changes.into_iter().filter_map(|change| base.checked_add(change)).chain(near);
        numbers.flat_map(forms).map(|value| Sample::late(value, needed.clone())).collect()
    }

    fn records(&self, rule: &Attr) -> Vec<Sample> {
        let ids = std::iter::once("record-1").chain(self.near.iter().filter_map(Value::as_str)).take(4);
        let of_id = |id: &str| {
            let at = |pointer: &String, value: Value| {
                let (collection, id) = (rule.collection.clone(), id.to_owned());
                Needed::Record { collection, id, path: scene::path(pointer), value }
            };
            let mut attributes = Vec::new();
            for (pointer, constraint) in &rule.attributes {
                let of_one = self.within(constraint).into_iter().filter_map(|sample| sample.value);
                attributes.push(of_one.map(|value| at(pointer, value)).collect::<Vec<_>>());
            }
            let first: Option<Vec<Needed>> = attributes.iter().map(|of_one| of_one.first().cloned()).collect();
            let Some(first) = first else { return Vec::new() };
            let mut records = vec![Sample::late(id.into(), first.clone())];
            for (place, of_one) in attributes.iter().enumerate() {
                records.extend(of_one.iter().skip(1).map(|other| {
                    let picked = first.iter().enumerate().map(|(at, need)| if at == place { other } else { need });
                    Sample::late(id.into(), picked.cloned().collect())
                }));
            }
            records
        };
        ids.flat_map(of_id).collect()
    }

    fn quoted(&self, step: &str, kind: Option<WordKind>) -> Vec<Sample> {
        let example = match kind {
            Some(WordKind::Email) => "someone@example.com",
            Some(WordKind::Host) => "example.com",
            Some(WordKind::Number) => "11",
            Some(WordKind::Date) => "2026-01-31",
            Some(WordKind::Iban) => "DE89370400440532013000",
            Some(WordKind::Word) => "anything",
            None => "a passage",
        };
        let found = |text: &str| Sample::late(text.into(), vec![Needed::Text { step: step.into(), text: text.into() }]);
        std::iter::once(example).chain(self.near.iter().filter_map(Value::as_str)).map(found).collect()
    }
}

fn object(picked: &BTreeMap<&String, &Sample>) -> Sample {
    let present = picked.iter().filter_map(|(name, sample)| Some(((*name).clone(), sample.value.clone()?)));
    let members: Map<String, Value> = present.collect();
    Sample::late(Value::Object(members), picked.values().flat_map(|sample| sample.needed.clone()).collect())
}

/// How a value stands in a text.
fn written(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(_) | Value::Object(_) => None,
        other => Some(other.to_string()),
    }
}

/// A number as JSON and as text.
fn forms(number: Decimal) -> Vec<Value> {
    let text = number.to_string();
    let integer =
        text.parse::<i64>().ok().filter(|integer| integer.unsigned_abs() <= limits::INTEGER_MAX.unsigned_abs());
    integer.map(Value::from).into_iter().chain([Value::from(text)]).collect()
}

fn beside(number: Decimal) -> impl Iterator<Item = Decimal> {
    let one = Decimal::from(1);
    [Some(number), number.checked_add(one), number.checked_sub(one)].into_iter().flatten()
}

fn numbers(range: &NumRange) -> Vec<Value> {
    let bounds = [&range.min, &range.max].into_iter().flatten();
    bounds.flat_map(|bound| beside(bound.value())).chain([Decimal::ZERO]).flat_map(forms).collect()
}

fn amounts(range: &AmountRange) -> Vec<Value> {
    let bounds = [range.max.value(), range.least(), Decimal::ZERO].into_iter().flat_map(beside);
    let values = bounds.flat_map(|number| forms(number).into_iter().rev());
    values.map(|value| json!({"currency": range.currency, "value": value})).collect()
}

fn texts(rule: &TextRule) -> Vec<Value> {
    let long = |length: u64| usize::try_from(length).ok().map(|length| "a".repeat(length));
    let lengths = [rule.max, rule.max.saturating_add(1)].into_iter().filter_map(long);
    let shown = ["example.com", "see https://example.com/a", "two\nlines"].map(str::to_owned);
    ["text".to_owned(), String::new()].into_iter().chain(lengths).chain(shown).map(Value::from).collect()
}

fn instants(window: &TimeWindow) -> Vec<Value> {
    let bounds = [&window.from, &window.to].into_iter().flatten();
    let at = bounds.flat_map(|bound| [0, 1, -1].map(|change| bound.secs().saturating_add(change)));
    let near = at.filter_map(|secs| timestamp::format(secs).ok());
    let ends = ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"].map(str::to_owned);
    near.chain(ends).map(Value::from).collect()
}

fn hosts(rule: &DomainRule) -> Vec<Value> {
    let of_domain = |domain: &String| {
        let forms =
            [domain.clone(), format!("someone@{domain}"), format!("sub.{domain}"), format!("someone@sub.{domain}")];
        forms.map(Value::from)
    };
    rule.any_of.iter().flat_map(of_domain).collect()
}

fn anything() -> Vec<Value> {
    vec![
        json!("anything"),
        json!("someone@example.com"),
        json!("see https://example.com/a"),
        json!("/anything"),
        json!(0),
        json!(1_000_000),
        json!(-1),
        json!(true),
        json!(null),
        json!([]),
        json!(["anything"]),
        json!({"anything": true}),
        json!({"currency": "XXX", "value": "1000000"}),
    ]
}
