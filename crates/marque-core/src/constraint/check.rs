//! Is a constraint well formed?

use super::history::check_pointer;
use super::{
    AmountRange, Arguments, Attr, Compute, Constraint, DomainRule, Fmt, Items, NumRange, Reduce, Ref, RefSet, Rel,
    TimeWindow, fmt,
};
use crate::canonical::canonical_text;
use crate::json::{Path, Refused};
use crate::plan::identifier;
use crate::value::{host, path as value_path};
use crate::{limits, text};
use serde_json::Value;
use std::collections::BTreeSet;

impl Constraint {
    /// Refuses what parses but makes no sense, or what a person could not read.
    ///
    /// # Errors
    /// With the path of the offence.
    pub fn check<'p>(&self, path: impl Into<Path<'p>>) -> Result<(), Refused> {
        let path = path.into();
        self.check_size(path)?;
        if let Self::Optional(_) = self {
            return Err(Refused::at(path, "optional stands only for an argument or a member of an object"));
        }
        self.check_kind(path)
    }

    /// [`Self::check`] for an argument, which may be optional.
    ///
    /// # Errors
    /// With the path of the offence.
    pub fn check_argument<'p>(&self, path: impl Into<Path<'p>>) -> Result<(), Refused> {
        let path = path.into();
        match self {
            Self::Optional(inner) => inner.check(path.member("optional")),
            other => other.check(path),
        }
    }

    /// Walks the whole constraint once, so that what follows cannot be long.
    fn check_size(&self, path: Path<'_>) -> Result<(), Refused> {
        let mut level = self.parts();
        let mut parts = 1;
        for _ in 1..limits::CONSTRAINT_DEPTH {
            if level.is_empty() {
                break;
            }
            parts += level.len();
            level = level.into_iter().flat_map(Self::parts).collect();
        }
        let (depth, most) = (limits::CONSTRAINT_DEPTH, limits::CONSTRAINT_PARTS);
        if !level.is_empty() || parts > most {
            return Err(Refused::at(path, format!("has more than {depth} levels or {most} parts, which nobody reads")));
        }
        Ok(())
    }

    fn check_kind(&self, path: Path<'_>) -> Result<(), Refused> {
        match self {
            Self::Const(value) => value_is_short(path.member("const"), value),
            Self::OneOf(values) => {
                count(path.member("one_of"), values.len(), 1, limits::ALTERNATIVES)?;
                values.iter().try_for_each(|value| value_is_short(path.member("one_of"), value))
            }
            Self::Text(rule) if rule.max > limits::TEXT_CHARS => {
                Err(Refused::at(path.member("text.max"), format!("may be at most {}", limits::TEXT_CHARS)))
            }
            Self::Num(range) => range.check(path.member("num")),
            Self::Amount(range) => range.check(path.member("amount")),
            Self::TimeWindow(window) => window.check(path.member("time_window")),
            Self::Domain(rule) => rule.check(path.member("domain")),
            Self::Prefix(prefix) => check_prefix(path.member("prefix"), prefix),
            Self::Items(rule) => rule.check(path.member("items")),
            Self::Obj(members) => check_arguments(path.member("obj"), members),
            Self::Each(of) => of.check(path.member("each")),
            Self::All(parts) => check_parts(path.member("all"), parts),
            Self::Either(parts) => check_parts(path.member("either"), parts),
            Self::Optional(inner) => inner.check(path.member("optional")),
            Self::Ref(rule) => rule.check(path.member("ref")),
            Self::RefSet(rule) => rule.check(path.member("ref_set")),
            Self::SameAs(rule) => {
                identifier(path.member("same_as.step"), &rule.step)?;
                identifier(path.member("same_as.arg"), &rule.arg)
            }
            Self::Fmt(rule) => rule.check(path.member("fmt")),
            Self::Compute(rule) => rule.check(path.member("compute")),
            Self::Rel(rule) => rule.check(path.member("rel")),
            Self::Attr(rule) => rule.check(path.member("attr")),
            Self::Extract(rule) => identifier(path.member("extract.step"), &rule.step),
            Self::Quote(rule) => identifier(path.member("quote.step"), &rule.step),
            Self::Pattern(pattern) => pattern.check().map_err(|why| Refused::at(path.member("pattern"), why)),
            Self::Text(_) | Self::Any(_) => Ok(()),
        }
    }

    /// How many patterns it has.
    pub(crate) fn patterns(&self) -> usize {
        let own = usize::from(matches!(self, Self::Pattern(_)));
        self.parts().into_iter().map(Self::patterns).sum::<usize>() + own
    }

    /// Whether it gives one value to compute with.
    fn gives_one_value(&self) -> bool {
        matches!(self, Self::Const(_) | Self::Ref(_) | Self::SameAs(_) | Self::Compute(_))
    }
}

/// Checks the arguments of a step, or the members of an object.
///
/// # Errors
/// With the path of the offence.
pub fn check_arguments<'p>(path: impl Into<Path<'p>>, arguments: &Arguments) -> Result<(), Refused> {
    let path = path.into();
    if arguments.len() > limits::ARGUMENTS {
        return Err(Refused::at(path, format!("may name at most {} arguments", limits::ARGUMENTS)));
    }
    for (name, constraint) in arguments {
        let path = path.member(name);
        identifier(path, name)?;
        constraint.check_argument(path)?;
        if name == "*" && !matches!(constraint, Constraint::Any(_)) {
            return Err(Refused::at(path, "opens the remaining arguments and takes only {\"any\":true}"));
        }
    }
    Ok(())
}

fn value_is_short(path: Path<'_>, value: &Value) -> Result<(), Refused> {
    // Written out, a character takes six at most, and two quotation marks stand around them.
    let is_surely_short = value.as_str().is_some_and(|text| text.len() * 6 + 2 <= limits::VALUE_CHARS);
    if is_surely_short || canonical_text(value).chars().count() <= limits::VALUE_CHARS {
        return Ok(());
    }
    Err(Refused::at(path, format!("has a value of more than {} characters, which nobody reads", limits::VALUE_CHARS)))
}

fn check_prefix(path: Path<'_>, prefix: &str) -> Result<(), Refused> {
    if prefix.chars().count() > limits::VALUE_CHARS {
        return Err(Refused::at(path, format!("may have at most {} characters", limits::VALUE_CHARS)));
    }
    if value_path::is_prefix(prefix) {
        return Ok(());
    }
    Err(Refused::at(path, "is not a path in normal form that ends in /"))
}

fn count(path: Path<'_>, count: usize, least: usize, most: usize) -> Result<(), Refused> {
    if (least..=most).contains(&count) {
        return Ok(());
    }
    Err(Refused::at(path, format!("needs {least} to {most} alternatives")))
}

fn check_parts(path: Path<'_>, parts: &[Constraint]) -> Result<(), Refused> {
    count(path, parts.len(), 2, limits::BRANCHES)?;
    parts.iter().enumerate().try_for_each(|(index, part)| part.check(path.item(index)))
}

/// Constraints on the parts of a row or a record: what is in them is known as a whole, so nothing earlier is asked.
fn check_row(path: Path<'_>, row: &Arguments) -> Result<(), Refused> {
    count(path, row.len(), 0, limits::BRANCHES)?;
    for (pointer, constraint) in row {
        let path = path.member(pointer);
        check_pointer(pointer).map_err(|message| Refused::at(path, message))?;
        constraint.check(path)?;
        if constraint.is_late_bound() || constraint.looks_up() {
            return Err(Refused::at(path, "depends on another step; here only the row itself counts"));
        }
    }
    Ok(())
}

impl Constraint {
    fn looks_up(&self) -> bool {
        matches!(self, Self::Attr(_)) || self.parts().into_iter().any(Self::looks_up)
    }
}

impl NumRange {
    fn check(&self, path: Path<'_>) -> Result<(), Refused> {
        match (&self.min, &self.max) {
            (None, None) => Err(Refused::at(path, "needs min or max")),
            (Some(min), Some(max)) if min.value() > max.value() => Err(Refused::at(path, "has a min above its max")),
            _ => Ok(()),
        }
    }
}

/// Refuses what does not look like an ISO 4217 code.
///
/// # Errors
/// With the path.
pub fn check_currency<'p>(path: impl Into<Path<'p>>, currency: &str) -> Result<(), Refused> {
    if currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Ok(());
    }
    Err(Refused::at(path.into(), "is not an ISO 4217 code of three capital letters"))
}

impl AmountRange {
    fn check(&self, path: Path<'_>) -> Result<(), Refused> {
        check_currency(path.member("currency"), &self.currency)?;
        if self.least() > self.max.value() {
            return Err(Refused::at(path, "has a min above its max"));
        }
        Ok(())
    }
}

impl TimeWindow {
    pub(crate) fn check(&self, path: Path<'_>) -> Result<(), Refused> {
        match (&self.from, &self.to) {
            (None, None) => Err(Refused::at(path, "needs from or to")),
            (Some(from), Some(to)) if from.secs() > to.secs() => Err(Refused::at(path, "ends before it begins")),
            _ => Ok(()),
        }
    }
}

impl DomainRule {
    fn check(&self, path: Path<'_>) -> Result<(), Refused> {
        let path = path.member("any_of");
        count(path, self.any_of.len(), 1, limits::ALTERNATIVES)?;
        match self.any_of.iter().position(|domain| !host::is_host(domain)) {
            Some(index) => Err(Refused::at(path.item(index), "is not a host name in lower-case ASCII")),
            None => Ok(()),
        }
    }
}

impl Items {
    fn check(&self, path: Path<'_>) -> Result<(), Refused> {
        if !(1..=limits::ITEMS).contains(&self.max) {
            return Err(Refused::at(path.member("max"), format!("is 1 to {}", limits::ITEMS)));
        }
        self.of.check(path.member("of"))
    }
}

impl Ref {
    fn check(&self, path: Path<'_>) -> Result<(), Refused> {
        identifier(path.member("step"), &self.step)?;
        if self.field.is_column() != self.reduce.is_some() {
            let message = "a field with * needs reduce, and reduce needs a field with *: which row's value is meant?";
            return Err(Refused::at(path.member("field"), message));
        }
        if self.reduce.is_none() && !self.rows.is_empty() {
            return Err(Refused::at(path.member("where"), "chooses rows, so it needs reduce"));
        }
        if let Some(Reduce::Argmax(key) | Reduce::Argmin(key)) = &self.reduce {
            check_pointer(key).map_err(|message| Refused::at(path.member("reduce"), message))?;
        }
        check_row(path.member("where"), &self.rows)
    }
}

impl RefSet {
    fn check(&self, path: Path<'_>) -> Result<(), Refused> {
        identifier(path.member("step"), &self.step)?;
        if self.field.is_column() { Ok(()) } else { Err(Refused::at(path.member("field"), "needs a *: a column")) }
    }
}

impl Fmt {
    fn check(&self, path: Path<'_>) -> Result<(), Refused> {
        let at = |message: String| Refused::at(path.member("template"), message);
        text::check_free(&self.template).map_err(at)?;
        if self.template.chars().count() > limits::VALUE_CHARS || self.slots.len() > limits::BRANCHES {
            return Err(at(format!("has more than {} characters or {} slots", limits::VALUE_CHARS, limits::BRANCHES)));
        }
        let mut named = BTreeSet::new();
        let mut rest = self.template.as_str();
        while let Some((literal, name, after)) = fmt::first_slot(rest) {
            if literal.is_empty() && !named.is_empty() {
                return Err(at("has two slots that touch: where one ends is not clear".into()));
            }
            if literal.contains('}') || !is_slot(name) || !named.insert(name) || !self.slots.contains_key(name) {
                return Err(at(format!("names slot {name:?} twice or without a constraint, or has a stray brace")));
            }
            rest = after;
        }
        if rest.contains(['{', '}']) || named.len() != self.slots.len() {
            return Err(at("has a stray brace, or lacks one of the slots".into()));
        }
        let slots = path.member("slots");
        for (name, slot) in &self.slots {
            slot.check(slots.member(name))?;
        }
        Ok(())
    }
}

/// A name without a brace: in `{a{b}` nobody sees which brace opens the slot.
fn is_slot(name: &str) -> bool {
    !name.is_empty() && !name.contains('{')
}

impl Compute {
    fn check(&self, path: Path<'_>) -> Result<(), Refused> {
        let used = self.expr.variables();
        if used != self.vars.keys().map(String::as_str).collect() {
            return Err(Refused::at(path.member("vars"), "are not exactly the variables of the expression"));
        }
        let vars = path.member("vars");
        for (name, constraint) in &self.vars {
            one_value(vars.member(name), constraint)?;
        }
        Ok(())
    }
}

fn one_value(path: Path<'_>, constraint: &Constraint) -> Result<(), Refused> {
    if !constraint.gives_one_value() {
        return Err(Refused::at(path, "gives no single value; use const, ref, same_as or compute"));
    }
    constraint.check(path)
}

impl Rel {
    fn check(&self, path: Path<'_>) -> Result<(), Refused> {
        one_value(path.member("base"), &self.base)?;
        if self.min.value() > self.max.value() { Err(Refused::at(path, "has a min above its max")) } else { Ok(()) }
    }
}

impl Attr {
    fn check(&self, path: Path<'_>) -> Result<(), Refused> {
        identifier(path.member("collection"), &self.collection)?;
        if self.attributes.is_empty() {
            return Err(Refused::at(path.member("where"), "names no attribute"));
        }
        check_row(path.member("where"), &self.attributes)
    }
}
