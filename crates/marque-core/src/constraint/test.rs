//! Does a value satisfy a constraint?

use super::{
    AmountRange, Arguments, Attr, Constraint, DomainRule, Items, NumRange, TextRule, TimeWindow, True, Work, history,
    work,
};
use crate::facts::{Facts, Records};
use crate::limits;
use crate::text;
use crate::value::decimal::Decimal;
use crate::value::instant::Moment;
use crate::value::{host, path};
use serde_json::{Map, Value};

/// Whether something holds, as far as can be told from what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    Holds,
    /// It does not hold.
    Fails,
    /// It depends on something that is not known here.
    Unknown,
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::Holds } else { Self::Fails }
    }
}

impl Truth {
    /// Holds if all hold; fails as soon as one fails.
    pub fn all(truths: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Self::Holds;
        for truth in truths {
            match truth {
                Self::Fails => return Self::Fails,
                Self::Unknown => all = Self::Unknown,
                Self::Holds => {}
            }
        }
        all
    }

    /// Holds as soon as one holds; fails if all fail.
    pub fn any(truths: impl IntoIterator<Item = Self>) -> Self {
        let mut any = Self::Fails;
        for truth in truths {
            match truth {
                Self::Holds => return Self::Holds,
                Self::Unknown => any = Self::Unknown,
                Self::Fails => {}
            }
        }
        any
    }
}

/// What is known while a value is tested.
#[derive(Clone, Copy, Debug)]
pub struct World<'w> {
    /// What was done so far; `None` where somebody else keeps it.
    pub facts: Option<&'w Facts>,
    /// The resource server's records; `None` where it was not asked.
    pub records: Option<&'w Records>,
    /// How much may still be computed.
    pub work: &'w Work,
}

impl Constraint {
    /// Whether a value satisfies the constraint, nothing but the value being known.
    pub fn holds(&self, value: &Value) -> bool {
        let work = Work::new(limits::DECISION_WORK);
        self.test(value, &World { facts: None, records: None, work: &work }) == Truth::Holds
    }

    /// Whether a text could be read by somebody as one that satisfies the constraint. [`Self::test`] refuses a path or
    /// an address that is not in the one form everybody reads alike; where satisfying it forbids, that is no way out.
    pub fn may_hold(&self, text: &str) -> bool {
        self.may_hold_within(text, &Work::new(limits::DECISION_WORK))
    }

    /// [`Self::may_hold`] for some work: where it runs out, the text may be one.
    pub(crate) fn may_hold_within(&self, text: &str, work: &Work) -> bool {
        let is_charged_for = || work.spend(self.text_cost(text));
        match self {
            Self::Prefix(_) | Self::Domain(_) | Self::All(_) | Self::Either(_) if !is_charged_for() => true,
            Self::Prefix(prefix) => path::may_be_under(text, prefix),
            Self::Domain(rule) => host::host_of(text).is_none() || rule.holds(text),
            Self::All(parts) => parts.iter().all(|part| part.may_hold_within(text, work)),
            Self::Either(parts) => parts.iter().any(|part| part.may_hold_within(text, work)),
            other => other.test_text(text, &World { facts: None, records: None, work }) != Truth::Fails,
        }
    }

    /// What testing a text costs, its parts not counted.
    fn text_cost(&self, text: &str) -> u64 {
        1 + work::of_text(text)
            + match self {
                Self::Const(_) => work::of_comparing(1, text.len()),
                Self::OneOf(allowed) => work::of_comparing(allowed.len(), text.len()),
                Self::Pattern(pattern) => pattern.work(text),
                Self::Domain(rule) => work::of_comparing(rule.any_of.len(), text.len()),
                Self::Prefix(prefix) => work::of_text(prefix),
                Self::Text(rule) => rule.link_cost(text),
                _ => 0,
            }
    }

    /// What testing a value that is no text costs, its parts not counted.
    fn value_cost(&self, value: &Value) -> u64 {
        let bytes = if value.is_array() || value.is_object() { limits::VALUE_CHARS } else { 0 };
        1 + match self {
            Self::Const(_) => work::of_comparing(1, bytes),
            Self::OneOf(allowed) => work::of_comparing(allowed.len(), bytes),
            Self::Domain(rule) => work::of_comparing(rule.any_of.len(), bytes),
            Self::Amount(_) => value.get("value").and_then(Value::as_str).map_or(0, work::of_text),
            Self::Prefix(prefix) => work::of_text(prefix),
            _ => 0,
        }
    }

    /// Whether a value satisfies the constraint in a world.
    pub fn test(&self, value: &Value, world: &World<'_>) -> Truth {
        if let Value::String(text) = value {
            return self.test_text(text, world);
        }
        if !world.work.spend(self.value_cost(value)) {
            return Truth::Unknown;
        }
        match self {
            Self::Const(allowed) => (value == allowed).into(),
            Self::OneOf(allowed) => allowed.contains(value).into(),
            Self::Num(range) => Decimal::of_value(value).is_some_and(|number| range.holds(number)).into(),
            Self::Amount(range) => range.holds(value).into(),
            Self::Items(rule) => rule.test(value, world),
            Self::Each(of) => each(of, value, world),
            Self::Obj(members) => value.as_object().map_or(Truth::Fails, |given| object(members, given, world)),
            Self::All(parts) => Truth::all(parts.iter().map(|part| part.test(value, world))),
            Self::Either(parts) => Truth::any(parts.iter().map(|part| part.test(value, world))),
            Self::Optional(inner) => inner.test(value, world),
            Self::Text(_)
            | Self::Pattern(_)
            | Self::TimeWindow(_)
            | Self::Domain(_)
            | Self::Prefix(_)
            | Self::Fmt(_)
            | Self::Attr(_) => Truth::Fails,
            Self::Ref(_)
            | Self::RefSet(_)
            | Self::SameAs(_)
            | Self::Extract(_)
            | Self::Quote(_)
            | Self::Compute(_)
            | Self::Rel(_) => history::test(self, value, world),
            Self::Any(True) => Truth::Holds,
        }
    }

    /// [`Self::test`] for a text, without making a value of it.
    pub fn test_text(&self, text: &str, world: &World<'_>) -> Truth {
        if !world.work.spend(self.text_cost(text)) {
            return Truth::Unknown;
        }
        match self {
            Self::Const(allowed) => (allowed == text).into(),
            Self::OneOf(allowed) => allowed.iter().any(|allowed| allowed == text).into(),
            Self::Text(rule) => rule.holds(text).into(),
            Self::Pattern(pattern) => pattern.holds(text).into(),
            Self::Num(range) => Decimal::of_text(text).is_some_and(|number| range.holds(number)).into(),
            Self::TimeWindow(window) => window.holds_text(text).into(),
            Self::Domain(rule) => rule.holds(text).into(),
            Self::Prefix(prefix) => path::is_under(text, prefix).into(),
            Self::All(parts) => Truth::all(parts.iter().map(|part| part.test_text(text, world))),
            Self::Either(parts) => Truth::any(parts.iter().map(|part| part.test_text(text, world))),
            Self::Optional(inner) => inner.test_text(text, world),
            Self::Fmt(rule) => rule.test(text, world),
            Self::Attr(rule) => rule.test(text, world),
            Self::Amount(_) | Self::Items(_) | Self::Each(_) | Self::Obj(_) => Truth::Fails,
            Self::Ref(_)
            | Self::RefSet(_)
            | Self::SameAs(_)
            | Self::Extract(_)
            | Self::Quote(_)
            | Self::Compute(_)
            | Self::Rel(_) => history::test_text(self, text, world),
            Self::Any(True) => Truth::Holds,
        }
    }
}

impl TextRule {
    /// What looking for links costs. A text that is too long is not looked at.
    fn link_cost(&self, value: &str) -> u64 {
        let is_looked_at = !self.urls && value.len() as u64 / 4 <= self.max;
        if is_looked_at { work::of_links(value) } else { 0 }
    }

    fn holds(&self, value: &str) -> bool {
        value.chars().count() as u64 <= self.max
            && text::check_free(value).is_ok()
            && (self.urls || !text::has_link(value))
    }
}

impl NumRange {
    pub(super) fn holds(&self, number: Decimal) -> bool {
        self.min.as_ref().is_none_or(|min| min.value() <= number)
            && self.max.as_ref().is_none_or(|max| number <= max.value())
    }
}

impl AmountRange {
    fn holds(&self, value: &Value) -> bool {
        let Some(members) = value.as_object().filter(|members| members.len() == 2) else { return false };
        members.get("currency").and_then(Value::as_str) == Some(self.currency.as_str())
            && members
                .get("value")
                .and_then(Decimal::of_value)
                .is_some_and(|amount| self.least() <= amount && amount <= self.max.value())
    }

    /// The least amount: zero where none is stated.
    pub(crate) fn least(&self) -> Decimal {
        self.min.as_ref().map_or(Decimal::ZERO, |min| min.value())
    }
}

impl TimeWindow {
    fn holds_text(&self, text: &str) -> bool {
        Moment::parse(text).is_some_and(|at| self.holds(at))
    }

    /// Whether an instant lies in the window.
    pub fn holds(&self, at: Moment) -> bool {
        self.from.as_ref().is_none_or(|from| Moment::from_secs(from.secs()) <= at)
            && self.to.as_ref().is_none_or(|to| at <= Moment::from_secs(to.secs()))
    }
}

impl DomainRule {
    fn holds(&self, text: &str) -> bool {
        let within = |host: &str| self.any_of.iter().any(|domain| host::is_within(host, domain, self.subdomains));
        host::host_of(text).is_some_and(within)
    }
}

impl Items {
    fn test(&self, value: &Value, world: &World<'_>) -> Truth {
        let is_short = value.as_array().is_some_and(|items| items.len() as u64 <= self.max);
        if is_short { each(&self.of, value, world) } else { Truth::Fails }
    }
}

fn each(of: &Constraint, value: &Value, world: &World<'_>) -> Truth {
    let items = value.as_array();
    items.map_or(Truth::Fails, |items| Truth::all(items.iter().map(|item| of.test(item, world))))
}

impl Attr {
    /// The resource server looked the record up, or it did not; a record that it says is not there is `null`.
    fn test(&self, id: &str, world: &World<'_>) -> Truth {
        let record = world.records.and_then(|records| records.get(&self.collection)?.get(id));
        record.map_or(Truth::Unknown, |record| row_test(&self.attributes, record, world))
    }
}

/// Whether the values at some JSON pointers of a row satisfy their constraints; one that is not there does not.
pub(super) fn row_test(wanted: &Arguments, row: &Value, world: &World<'_>) -> Truth {
    let at = |pointer: &String, constraint: &Constraint| {
        if !world.work.spend(1 + work::of_text(pointer)) {
            return Truth::Unknown;
        }
        row.pointer(pointer).map_or(Truth::Fails, |value| constraint.test(value, world))
    };
    Truth::all(wanted.iter().map(|(pointer, constraint)| at(pointer, constraint)))
}

fn object(members: &Arguments, given: &Map<String, Value>, world: &World<'_>) -> Truth {
    match arguments_test(members, given, world) {
        Ok(()) => Truth::Holds,
        Err(ArgumentFault::Unknown(_)) => Truth::Unknown,
        Err(_) => Truth::Fails,
    }
}

/// What is wrong with the arguments of a call, in the order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgumentFault<'a> {
    /// An argument that no constraint names.
    NotNamed,
    /// An argument that has to be there and is not.
    Missing(&'a str),
    /// A value that its constraint refuses.
    Mismatch(&'a str),
    /// A value whose constraint depends on what is not known.
    Unknown(&'a str),
}

/// Whether a call's arguments, or an object's members, are what the constraints say.
///
/// # Errors
/// The fault that comes first.
pub fn arguments_test<'a>(
    wanted: &'a Arguments,
    given: &Map<String, Value>,
    world: &World<'_>,
) -> Result<(), ArgumentFault<'a>> {
    // Where that is too much, whatever is tested next is unknown; what is absent was not tested.
    world.work.spend(work::of_entries(wanted.len()));
    let named = || wanted.iter().filter(|(name, _)| *name != "*");
    // The names first: they cost nothing beside the values.
    let (mut present, mut missing) = (0, None);
    for (name, constraint) in named() {
        if given.contains_key(name) {
            present += 1;
        } else if !matches!(constraint, Constraint::Optional(_)) {
            missing = missing.or(Some(name));
        }
    }
    if present < given.len() && !wanted.contains_key("*") {
        return Err(ArgumentFault::NotNamed);
    }
    if let Some(name) = missing {
        return Err(ArgumentFault::Missing(name));
    }
    let mut unknown = None;
    for (name, constraint) in named() {
        match given.get(name).map(|value| constraint.test(value, world)) {
            Some(Truth::Fails) => return Err(ArgumentFault::Mismatch(name)),
            Some(Truth::Unknown) => unknown = unknown.or(Some(ArgumentFault::Unknown(name))),
            Some(Truth::Holds) | None => {}
        }
    }
    unknown.map_or(Ok(()), Err)
}
