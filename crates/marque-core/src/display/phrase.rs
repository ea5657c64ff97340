//! The words for what a value is bound to.

use super::{counted, in_order, json};
use crate::constraint::{Arguments, Constraint, DomainRule, NumRange, Reduce, Ref, TextRule, TimeWindow, WordKind};
use crate::plan::{Blocked, Budget, ResourceId, Step, Uses};
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

    pub(super) fn steps(&self, ids: &BTreeSet<String>, joint: &str) -> String {
        let mut places: Vec<_> = ids.iter().map(|id| (self.steps.iter().position(|step| step.id == *id), id)).collect();
        places.sort();
        places.iter().map(|(_, id)| self.step(id)).collect::<Vec<_>>().join(joint)
    }

    /// The steps of a group, each of which excludes the others.
    pub(super) fn group(&self, group: &str) -> String {
        let members = self.steps.iter().filter(|step| step.group.as_deref() == Some(group));
        self.steps(&members.map(|step| step.id.clone()).collect(), ", ")
    }

    fn is_done_once(&self, id: &str) -> bool {
        self.steps.iter().any(|step| step.id == id && step.uses == Uses::Count(1))
    }

    /// A step's result; where there may be several, any of them is meant.
    fn a_result(&self, id: &str) -> String {
        let which = if self.is_done_once(id) { "the result" } else { "one of the results" };
        format!("{which} of {}", self.step(id))
    }

    /// A step's result; where there may be several, they count together.
    fn all_results(&self, id: &str) -> String {
        let which = if self.is_done_once(id) { "the result" } else { "all results" };
        format!("{which} of {}", self.step(id))
    }

    pub(super) fn resource_id(&self, id: &ResourceId) -> String {
        match id {
            ResourceId::Exact(id) => quoted(id.as_str()),
            ResourceId::Bound(constraint) => self.within(constraint),
        }
    }

    /// A constraint within a sentence: in parentheses, unless it is one value, so that it is clear where it ends.
    pub(super) fn within(&self, constraint: &Constraint) -> String {
        match constraint {
            Constraint::Const(_) | Constraint::Any(_) => self.constraint(constraint),
            other => format!("({})", self.constraint(other)),
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
            C::Items(rule) => {
                format!("a list of at most {}, each {}", counted(rule.max, "item"), self.constraint(&rule.of))
            }
            C::Obj(members) => format!("an object with {}", self.members(members)),
            C::Each(of) => format!("a list of ANY LENGTH, each {}", self.constraint(of)),
            C::All(parts) => self.joined(parts, " and "),
            C::Either(parts) => self.joined(parts, " or "),
            C::Optional(inner) => format!("absent, or {}", self.constraint(inner)),
            C::Fmt(rule) => {
                format!("the text {}{}", quoted(rule.template.as_str()), self.given(&rule.slots))
            }
            C::Compute(rule) => {
                format!("the number that {} gives{}", quoted(rule.expr.as_str()), self.given(&rule.vars))
            }
            C::Rel(rule) => {
                format!("({}) changed by {} to {}", self.constraint(&rule.base), rule.min.as_str(), rule.max.as_str())
            }
            C::Attr(rule) => {
                let collection = quoted(rule.collection.as_str());
                format!("the id of a record of {collection}{}", self.given(&rule.attributes))
            }
            C::Ref(_) | C::RefSet(_) | C::SameAs(_) | C::Extract(_) | C::Quote(_) => self.late(constraint),
            C::Any(_) => "ANYTHING (UNBOUNDED)".into(),
        }
    }

    /// What is taken from an earlier step.
    fn late(&self, constraint: &Constraint) -> String {
        match constraint {
            Constraint::Ref(rule) => self.reference(rule),
            Constraint::RefSet(rule) => {
                let field = quoted(rule.field.as_str());
                format!("a list of exactly the values of {field} in {}", self.all_results(&rule.step))
            }
            Constraint::SameAs(rule) => {
                let which = if self.is_done_once(&rule.step) { "" } else { "one of the uses of " };
                format!("the same as argument {} of {which}{}", quoted(rule.arg.as_str()), self.step(&rule.step))
            }
            Constraint::Extract(rule) => {
                format!("{} found in the text of {}", word(rule.kind), self.a_result(&rule.step))
            }
            Constraint::Quote(rule) => format!("a passage of the text of {}", self.a_result(&rule.step)),
            other => self.constraint(other),
        }
    }

    fn joined(&self, parts: &[Constraint], joint: &str) -> String {
        parts.iter().map(|part| format!("({})", self.constraint(part))).collect::<Vec<_>>().join(joint)
    }

    /// The members of an object, in canonical order.
    fn members(&self, members: &Arguments) -> String {
        let phrase = |(name, constraint): (&String, &Constraint)| match name.as_str() {
            "*" => "ANY FURTHER MEMBERS (UNBOUNDED)".into(),
            name => format!("{}: {}", quoted(name), self.constraint(constraint)),
        };
        let listed: Vec<String> = in_order(members).into_iter().map(phrase).collect();
        format!("{{{}}}", listed.join("; "))
    }

    /// Names and what binds them, in canonical order; here `*` is a name like any other. Empty if there are none.
    fn given(&self, named: &Arguments) -> String {
        if named.is_empty() {
            return String::new();
        }
        let phrase = |(name, bound): (&String, &Constraint)| format!("{}: {}", quoted(name), self.constraint(bound));
        let listed: Vec<String> = in_order(named).into_iter().map(phrase).collect();
        format!(" where {{{}}}", listed.join("; "))
    }

    fn reference(&self, rule: &Ref) -> String {
        let field = quoted(rule.field.as_str());
        let Some(reduce) = &rule.reduce else {
            let result = self.a_result(&rule.step);
            let is_whole = rule.field.as_str().is_empty();
            return if is_whole {
                format!("the whole of {result}")
            } else {
                format!("the value of {field} in {result}")
            };
        };
        let rows = self.given(&rule.rows);
        let among = if rows.is_empty() { String::new() } else { format!(" among those{rows}") };
        let of_row = |which: &str| format!("the value of {field} in the {which} row{rows}");
        let extreme =
            |which: &str, key: &str| format!("the value of {field} in the row with the {which} {}{among}", quoted(key));
        let value = match reduce {
            Reduce::Lookup => of_row("only"),
            Reduce::First => of_row("first"),
            Reduce::Last => of_row("last"),
            Reduce::Argmax(key) => extreme("greatest", key),
            Reduce::Argmin(key) => extreme("least", key),
            Reduce::Count => format!("the number of rows of {}{}", quoted(rule.field.list()), rows),
            Reduce::Sum => format!("the sum of {field} over all rows{rows}"),
        };
        format!("{value} in {}", self.all_results(&rule.step))
    }

    pub(super) fn budget(&self, budget: &Budget) -> String {
        let (max, steps) = (budget.max.as_str(), self.steps(&budget.steps, ", "));
        let currency = budget.currency.as_ref().map_or_else(String::new, |currency| format!(" {currency}"));
        let of = match &budget.arg {
            Some(arg) => format!("{max}{currency} in argument {} of", quoted(arg.as_str())),
            None if max == "1" => "1 use of".into(),
            None => format!("{max} uses of"),
        };
        let together = if budget.steps.len() > 1 { " together" } else { "" };
        format!("Budget: at most {of} {steps}{together}.")
    }

    /// One sentence, so that it does not read as a list of several things that are blocked.
    pub(super) fn blocked(&self, blocked: &Blocked) -> String {
        let action =
            blocked.action.as_ref().map_or("every action".into(), |action| format!("action {}", quoted(action)));
        let parts = blocked.resource.as_ref().map(|resource| (resource.kind.as_ref(), resource.id.as_ref()));
        let resource = match parts {
            Some((Some(kind), Some(id))) => {
                format!(" on resource type {} with id {}", quoted(kind), self.resource_id(id))
            }
            Some((Some(kind), None)) => format!(" on resource type {}", quoted(kind)),
            Some((None, Some(id))) => format!(" on every resource with id {}", self.resource_id(id)),
            _ => String::new(),
        };
        let location = blocked.location.as_ref().map_or_else(String::new, |place| format!(" at {}", quoted(place)));
        format!("Blocked: {action}{resource}{location}.")
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
        (Some(from), None) => format!("from {} on", from.as_str()),
        (None, Some(to)) => format!("up to {}", to.as_str()),
        (None, None) => "at any time".into(),
    }
}

fn domain(rule: &DomainRule) -> String {
    let below = if rule.subdomains { "with subdomains" } else { "without subdomains" };
    format!("an e-mail address or host name in {}, {below}", rule.any_of.join(", "))
}

const fn word(kind: WordKind) -> &'static str {
    match kind {
        WordKind::Email => "an e-mail address",
        WordKind::Host => "a host name",
        WordKind::Number => "a number",
        WordKind::Date => "a date",
        WordKind::Iban => "an account number (IBAN)",
        WordKind::Word => "a word",
    }
}
