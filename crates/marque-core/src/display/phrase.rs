//! The words for what a value is bound to.

use super::json;
use crate::constraint::{Arguments, Constraint, DomainRule, NumRange, Reduce, Ref, TextRule, TimeWindow, WordKind};
use crate::plan::{Blocked, Budget, ResourceId, Step};
use std::collections::BTreeSet;

/// How steps are named: by the number under which they are shown.
pub(super) struct Phrases<'p> {
    pub(super) steps: &'p [Step],
}

impl Phrases<'_> {
    pub(super) fn step(&self, id: &str) -> String {
        match self.steps.iter().position(|step| step.id == id) {
            Some(place) => format!("step {}", place + 1),
            None => format!("a step {} that is not in the plan", quoted(id)),
        }
    }

    pub(super) fn steps(&self, ids: &BTreeSet<String>) -> String {
        let mut places: Vec<_> = ids.iter().map(|id| (self.steps.iter().position(|step| step.id == *id), id)).collect();
        places.sort();
        places.iter().map(|(_, id)| self.step(id)).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn resource_id(&self, id: &ResourceId) -> String {
        match id {
            ResourceId::Exact(id) => quoted(id.as_str()),
            ResourceId::Bound(constraint) => self.constraint(constraint),
        }
    }

    pub(super) fn constraint(&self, constraint: &Constraint) -> String {
        use Constraint as C;
        match constraint {
            C::Const(value) => json(value),
            C::OneOf(values) => format!("one of {}", values.iter().map(json).collect::<Vec<_>>().join(", ")),
            C::Text(rule) => text(rule),
            C::Pattern(pattern) => format!("text that matches the pattern {}", quoted(pattern.as_str())),
            C::Num(range) => number(range),
            C::Amount(range) => {
                let min = range.min.as_ref().map_or("0", |min| min.as_str());
                format!("an amount from {min} to {} {}", range.max.as_str(), range.currency)
            }
            C::TimeWindow(window) => format!("a time {}", time(window)),
            C::Domain(rule) => domain(rule),
            C::Prefix(prefix) => format!("a path under {}", quoted(prefix.as_str())),
            C::Items(rule) => format!("a list of at most {}, each {}", rule.max, self.constraint(&rule.of)),
            C::Obj(members) => format!("an object with {}", self.members(members)),
            C::Each(of) => format!("a list of ANY LENGTH, each {}", self.constraint(of)),
            C::All(parts) => self.joined(parts, " and "),
            C::Either(parts) => self.joined(parts, " or "),
            C::Optional(inner) => format!("absent, or {}", self.constraint(inner)),
            C::Ref(rule) => self.reference(rule),
            C::RefSet(rule) => {
                format!(
                    "exactly the values of {} in the result of {}",
                    quoted(rule.field.as_str()),
                    self.step(&rule.step)
                )
            }
            C::SameAs(rule) => {
                format!("the same as argument {} of {}", quoted(rule.arg.as_str()), self.step(&rule.step))
            }
            C::Fmt(rule) => {
                let template = quoted(rule.template.as_str());
                format!("the text {template} where {}", self.members(&rule.slots))
            }
            C::Compute(rule) if rule.vars.is_empty() => format!("the result of {}", rule.expr.as_str()),
            C::Compute(rule) => format!("the result of {} where {}", rule.expr.as_str(), self.members(&rule.vars)),
            C::Rel(rule) => {
                let base = self.constraint(&rule.base);
                format!("a number that differs by {} to {} from {base}", rule.min.as_str(), rule.max.as_str())
            }
            C::Attr(rule) => {
                let collection = quoted(rule.collection.as_str());
                format!("the name of a record in {collection} where {}", self.members(&rule.attributes))
            }
            C::Extract(rule) => format!("{} found in the text of {}", word(rule.kind), self.step(&rule.step)),
            C::Quote(rule) => format!("a passage of the text of {}", self.step(&rule.step)),
            C::Any(_) => "ANYTHING (UNBOUNDED)".into(),
        }
    }

    fn joined(&self, parts: &[Constraint], joint: &str) -> String {
        parts.iter().map(|part| format!("({})", self.constraint(part))).collect::<Vec<_>>().join(joint)
    }

    /// Names and what binds them, in canonical order.
    fn members(&self, members: &Arguments) -> String {
        let phrase = |(name, constraint): (&String, &Constraint)| match name.as_str() {
            "*" => "ANY FURTHER MEMBERS (UNBOUNDED)".into(),
            name => format!("{}: {}", quoted(name), self.constraint(constraint)),
        };
        let listed: Vec<String> = super::in_order(members).into_iter().map(phrase).collect();
        format!("{{{}}}", listed.join("; "))
    }

    fn reference(&self, rule: &Ref) -> String {
        let (field, list) = (quoted(rule.field.as_str()), quoted(rule.field.list()));
        let value = format!("the value of {field}");
        let bound = match &rule.reduce {
            None => value,
            Some(Reduce::Lookup) => format!("{value} in the only row"),
            Some(Reduce::First) => format!("{value} in the first row"),
            Some(Reduce::Last) => format!("{value} in the last row"),
            Some(Reduce::Argmax(key)) => format!("{value} in the row with the greatest {}", quoted(key)),
            Some(Reduce::Argmin(key)) => format!("{value} in the row with the least {}", quoted(key)),
            Some(Reduce::Count) => format!("the number of rows of {list}"),
            Some(Reduce::Sum) => format!("the sum of {field}"),
        };
        let rows = if rule.rows.is_empty() { String::new() } else { format!(" where {}", self.members(&rule.rows)) };
        format!("{bound}{rows} in the result of {}", self.step(&rule.step))
    }

    pub(super) fn budget(&self, budget: &Budget) -> String {
        let (max, steps) = (budget.max.as_str(), self.steps(&budget.steps));
        let currency = budget.currency.as_ref().map_or_else(String::new, |currency| format!(" {currency}"));
        match &budget.arg {
            Some(arg) => format!("Budget: at most {max}{currency} in argument {} over {steps}.", quoted(arg.as_str())),
            None => format!("Budget: at most {max} uses of {steps}."),
        }
    }

    pub(super) fn blocked(&self, blocked: &Blocked) -> String {
        let action = blocked.action.as_ref().map(|action| format!("action {}", quoted(action)));
        let resource = blocked.resource.as_ref();
        let kind =
            resource.and_then(|resource| resource.kind.as_ref()).map(|kind| format!("resource type {}", quoted(kind)));
        let id = resource.and_then(|resource| resource.id.as_ref());
        let id = id.map(|id| format!("resource {}", self.resource_id(id)));
        let location = blocked.location.as_ref().map(|location| format!("at {}", quoted(location)));
        let parts: Vec<String> = [action, kind, id, location].into_iter().flatten().collect();
        format!("Blocked: {}.", parts.join(", "))
    }
}

/// Text that somebody else chose is always told from the words around it.
pub(super) fn quoted(text: &str) -> String {
    json(&text.into())
}

fn text(rule: &TextRule) -> String {
    let links = if rule.urls { "links allowed" } else { "without links" };
    format!("any text up to {} characters, {links}", rule.max)
}

fn number(range: &NumRange) -> String {
    match (&range.min, &range.max) {
        (Some(min), Some(max)) => format!("a number from {} to {}", min.as_str(), max.as_str()),
        (Some(min), None) => format!("a number of at least {}", min.as_str()),
        (None, Some(max)) => format!("a number of at most {}", max.as_str()),
        (None, None) => "a number".into(),
    }
}

pub(super) fn time(window: &TimeWindow) -> String {
    match (&window.from, &window.to) {
        (Some(from), Some(to)) => format!("from {} to {}", from.as_str(), to.as_str()),
        (Some(from), None) => format!("not before {}", from.as_str()),
        (None, Some(to)) => format!("not after {}", to.as_str()),
        (None, None) => "at any time".into(),
    }
}

fn domain(rule: &DomainRule) -> String {
    let below = if rule.subdomains { " or below" } else { "" };
    format!("an address or host in {}{below}", rule.any_of.join(", "))
}

const fn word(kind: WordKind) -> &'static str {
    match kind {
        WordKind::Email => "an e-mail address",
        WordKind::Host => "a host name",
        WordKind::Number => "a number",
        WordKind::Date => "a date",
        WordKind::Iban => "an account number",
        WordKind::Word => "a word",
    }
}
