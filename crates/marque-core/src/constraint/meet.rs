//! What two constraints allow together.

use super::{
    AmountRange, Arguments, Comparison, Constraint, DomainRule, Items, NumRange, TextRule, TimeWindow, Truth, Work,
    World,
};
use crate::limits;
use crate::value::host;
use serde_json::Value;
use std::cmp::{max_by_key, min_by_key};

impl Constraint {
    /// A constraint that a value satisfies exactly if it satisfies both. Where it can be said in one
    /// kind it is; else it is the conjunction.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        self.meet_within(other, &Work::new(limits::COMPARISON_WORK))
    }

    /// [`Self::meet`] for some work: where it runs out, it is the conjunction.
    #[must_use]
    pub fn meet_within(&self, other: &Self, work: &Work) -> Self {
        if self.compare_within(other, work) == Comparison::Narrower {
            return other.clone();
        }
        if other.compare_within(self, work) == Comparison::Narrower {
            return self.clone();
        }
        let is_charged = work.spend(self.copying() + other.copying());
        let in_one_kind = if is_charged { self.in_one_kind(other, work) } else { None };
        in_one_kind.unwrap_or_else(|| self.and(other))
    }

    fn and(&self, other: &Self) -> Self {
        let parts = |constraint: &Self| match constraint {
            Self::All(parts) => parts.clone(),
            other => vec![other.clone()],
        };
        Self::All([parts(self), parts(other)].concat())
    }

    fn in_one_kind(&self, other: &Self, work: &Work) -> Option<Self> {
        match (self, other) {
            (Self::OneOf(values), rule) | (rule, Self::OneOf(values)) => rule.chosen(values, work).map(Self::OneOf),
            (Self::Text(a), Self::Text(b)) => {
                Some(Self::Text(TextRule { max: a.max.min(b.max), urls: a.urls && b.urls }))
            }
            (Self::Num(a), Self::Num(b)) => a.meet(b).map(Self::Num),
            (Self::Amount(a), Self::Amount(b)) if a.currency == b.currency => a.meet(b).map(Self::Amount),
            (Self::TimeWindow(a), Self::TimeWindow(b)) => a.meet(b).map(Self::TimeWindow),
            (Self::Domain(a), Self::Domain(b)) if work.spend(a.pairs(b)) => a.meet(b).map(Self::Domain),
            (Self::Items(a), Self::Items(b)) => {
                Some(Self::Items(Items { of: Box::new(a.of.meet_within(&b.of, work)), max: a.max.min(b.max) }))
            }
            (Self::Items(list), Self::Each(of)) | (Self::Each(of), Self::Items(list)) => {
                Some(Self::Items(Items { of: Box::new(list.of.meet_within(of, work)), max: list.max }))
            }
            (Self::Each(a), Self::Each(b)) => Some(Self::Each(Box::new(a.meet_within(b, work)))),
            (Self::Obj(a), Self::Obj(b)) => meet_arguments(a, b, work).map(Self::Obj),
            _ => None,
        }
    }

    /// The values that satisfy the constraint; `None` if there are none, or if it depends on what is not known here.
    fn chosen(&self, values: &[Value], work: &Work) -> Option<Vec<Value>> {
        let mut chosen = Vec::new();
        for value in values {
            match self.test(value, &World { facts: None, records: None, work }) {
                Truth::Holds => chosen.push(value.clone()),
                Truth::Fails => {}
                Truth::Unknown => return None,
            }
        }
        (!chosen.is_empty()).then_some(chosen)
    }
}

/// The arguments that both allow; `None` if no call has them: one demands what the other forbids.
pub fn meet_arguments(a: &Arguments, b: &Arguments, work: &Work) -> Option<Arguments> {
    let mut met = Arguments::new();
    for name in a.keys().chain(b.keys().filter(|name| !a.contains_key(*name))) {
        let (ours, theirs) = (a.get(name), b.get(name));
        let both = match (ours, theirs) {
            (Some(x), Some(y)) => Some(meet_argument(x, y, work)),
            (Some(only), None) if b.contains_key("*") => Some(only.clone()),
            (None, Some(only)) if a.contains_key("*") => Some(only.clone()),
            (Some(Constraint::Optional(_)), None) | (None, Some(Constraint::Optional(_))) => None,
            _ if name == "*" => None,
            _ => return None,
        };
        if let Some(both) = both {
            met.insert(name.clone(), both);
        }
    }
    Some(met)
}

fn meet_argument(x: &Constraint, y: &Constraint, work: &Work) -> Constraint {
    let met = x.required().meet_within(y.required(), work);
    match (x, y) {
        (Constraint::Optional(_), Constraint::Optional(_)) => Constraint::Optional(Box::new(met)),
        _ => met,
    }
}

/// The greater of two lower bounds, the lesser of two upper ones: a stated bound is tighter than none.
fn tighter<T: Clone>(a: &Option<T>, b: &Option<T>, pick: impl Fn(T, T) -> T) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(pick(a.clone(), b.clone())),
        (one, other) => one.clone().or_else(|| other.clone()),
    }
}

impl NumRange {
    fn meet(&self, other: &Self) -> Option<Self> {
        let min = tighter(&self.min, &other.min, |a, b| max_by_key(a, b, |bound| bound.value()));
        let max = tighter(&self.max, &other.max, |a, b| min_by_key(a, b, |bound| bound.value()));
        let is_empty = matches!((&min, &max), (Some(min), Some(max)) if min.value() > max.value());
        (!is_empty).then_some(Self { min, max })
    }
}

impl AmountRange {
    fn meet(&self, other: &Self) -> Option<Self> {
        let min = tighter(&self.min, &other.min, |a, b| max_by_key(a, b, |bound| bound.value()));
        let min = min.filter(|min| min.value() >= self.least() && min.value() >= other.least());
        let max = min_by_key(self.max.clone(), other.max.clone(), |bound| bound.value());
        let met = Self { min, max, currency: self.currency.clone() };
        (met.least() <= met.max.value()).then_some(met)
    }
}

impl TimeWindow {
    /// The instants that lie in both windows; `None` if there are none.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Option<Self> {
        let from = tighter(&self.from, &other.from, |a, b| max_by_key(a, b, |at| at.secs()));
        let to = tighter(&self.to, &other.to, |a, b| min_by_key(a, b, |at| at.secs()));
        let is_empty = matches!((&from, &to), (Some(from), Some(to)) if from.secs() > to.secs());
        (!is_empty).then_some(Self { from, to })
    }
}

impl DomainRule {
    /// The entries of each that lie within the other; `None` if there are none or one rule cannot say it.
    fn meet(&self, other: &Self) -> Option<Self> {
        let within = |domain: &&String, rule: &Self| {
            rule.any_of.iter().any(|allowed| host::is_within(domain, allowed, rule.subdomains))
        };
        let mut any_of: Vec<_> = self.any_of.iter().filter(|domain| within(domain, other)).cloned().collect();
        let theirs = other.any_of.iter().filter(|domain| within(domain, self));
        any_of.extend(theirs.filter(|domain| !self.any_of.contains(domain)).cloned());
        let met = Self { any_of, subdomains: self.subdomains && other.subdomains };
        (!met.any_of.is_empty()).then_some(met)
    }
}
