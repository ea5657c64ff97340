//! Does one constraint allow nothing that another does not?

use super::{
    AmountRange, Arguments, Attr, Constraint, DomainRule, Extract, Items, NumRange, Quote, Rel, TextRule, TimeWindow,
    True, Truth, Work, World, of_entries,
};
use crate::limits;
use crate::value::decimal::{Decimal, DecimalText};
use crate::value::host;
use serde_json::Value;

/// How a child's constraint stands to its parent's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Whatever the child allows, the parent allows.
    Narrower,
    /// The child allows something that the parent does not.
    Wider,
    /// It cannot be told, and so it is refused.
    Undecidable,
}

impl From<bool> for Comparison {
    fn from(narrower: bool) -> Self {
        if narrower { Self::Narrower } else { Self::Wider }
    }
}

impl Comparison {
    fn all(comparisons: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Self::Narrower;
        for comparison in comparisons {
            match comparison {
                Self::Wider => return Self::Wider,
                Self::Undecidable => all = Self::Undecidable,
                Self::Narrower => {}
            }
        }
        all
    }

    /// Narrower if one of several ways shows it. That none does proves nothing.
    fn any(comparisons: impl IntoIterator<Item = Self>) -> Self {
        let shown = comparisons.into_iter().any(|comparison| comparison == Self::Narrower);
        if shown { Self::Narrower } else { Self::Undecidable }
    }
}

impl Constraint {
    /// Whether every value that satisfies `child` satisfies this constraint too.
    pub fn covers(&self, child: &Self) -> bool {
        self.compare(child) == Comparison::Narrower
    }

    /// How `child` stands to this constraint as its parent.
    pub fn compare(&self, child: &Self) -> Comparison {
        self.compare_within(child, &Work::new(limits::COMPARISON_WORK))
    }

    /// [`Self::compare`] for some work: where it runs out, it cannot be told.
    pub fn compare_within(&self, child: &Self, work: &Work) -> Comparison {
        compare(self, child, work)
    }
}

/// How a child's arguments stand to its parent's. An argument that is named must be present, so a child names each of
/// its parent's, and others only where the parent opened them with `*`.
pub fn arguments_compare(parent: &Arguments, child: &Arguments, work: &Work) -> Comparison {
    let (parent_open, child_open) = (parent.contains_key("*"), child.contains_key("*"));
    if child_open && !parent_open {
        return Comparison::Wider;
    }
    let unnamed = parent.iter().filter(|(name, _)| *name != "*" && !child.contains_key(*name));
    let mut results = Vec::with_capacity(child.len() + 1);
    for (_, allowed) in unnamed {
        // Absent from the child's calls, unless the child is open: then it may have any value.
        let may_be_absent = matches!(allowed, Constraint::Optional(_));
        results.push(match (may_be_absent, child_open) {
            (false, _) => Comparison::Wider,
            (true, false) => Comparison::Narrower,
            (true, true) => compare(allowed.required(), &Constraint::Any(True), work),
        });
    }
    for (name, wanted) in child.iter().filter(|(name, _)| *name != "*") {
        results.push(match parent.get(name) {
            Some(allowed) => argument_compare(allowed, wanted, work),
            None => parent_open.into(),
        });
    }
    Comparison::all(results)
}

/// How a child's argument stands to its parent's: an optional one may be made to be there, and not the reverse.
pub fn argument_compare(parent: &Constraint, child: &Constraint, work: &Work) -> Comparison {
    match (parent, child) {
        (Constraint::Optional(_), _) => compare(parent.required(), child.required(), work),
        (_, Constraint::Optional(_)) => Comparison::Wider,
        _ => compare(parent, child, work),
    }
}

fn compare(parent: &Constraint, child: &Constraint, work: &Work) -> Comparison {
    use Constraint as C;
    // Both are walked through here, to see whether they are the same.
    if !work.spend(1 + (parent.size().min(child.size())) / limits::ENTRIES_PER_WORK) {
        return Comparison::Undecidable;
    }
    if matches!(parent, C::Any(True)) || parent == child {
        return Comparison::Narrower;
    }
    let by_values =
        child.values(work).map(|values| Comparison::all(values.iter().map(|value| allows(parent, child, value, work))));
    match (parent, child) {
        _ if matches!(by_values, Some(Comparison::Narrower | Comparison::Wider)) => {
            by_values.unwrap_or(Comparison::Undecidable)
        }
        (_, C::Const(_) | C::OneOf(_)) => Comparison::Undecidable,
        (_, C::Either(branches)) => Comparison::all(branches.iter().map(|branch| compare(parent, branch, work))),
        (C::All(parts), _) => Comparison::all(parts.iter().map(|part| compare(part, child, work))),
        (C::Either(branches), C::All(parts)) => {
            let by_branch = branches.iter().map(|branch| compare(branch, child, work));
            Comparison::any(by_branch.chain(parts.iter().map(|part| compare(parent, part, work))))
        }
        (C::Either(branches), _) if together_cover(branches, child, work) => Comparison::Narrower,
        (C::Either(branches), _) => Comparison::any(branches.iter().map(|branch| compare(branch, child, work))),
        (_, C::All(parts)) => all_of(parent, parts, work),
        _ if parent.is_late_bound() || child.is_late_bound() => late_bound(parent, child, work),
        _ => plain(parent, child, work),
    }
}

/// One of the values that the child may allow.
fn allows(parent: &Constraint, child: &Constraint, value: &Value, work: &Work) -> Comparison {
    let nothing_else = World { facts: None, records: None, work };
    match (child.test(value, &nothing_else), parent.test(value, &nothing_else)) {
        (Truth::Fails, _) | (_, Truth::Holds) => Comparison::Narrower,
        (Truth::Holds, Truth::Fails) => Comparison::Wider,
        _ => Comparison::Undecidable,
    }
}

/// A conjunction is narrower as soon as one of its parts is, or what its parts come to together.
fn all_of(parent: &Constraint, parts: &[Constraint], work: &Work) -> Comparison {
    let by_one = Comparison::any(parts.iter().map(|part| compare(parent, part, work)));
    // What they come to together costs more, and is made only where it may still tell.
    if by_one == Comparison::Narrower || !work.spend(parts.iter().map(Constraint::copying).sum()) {
        return by_one;
    }
    let together = parts.iter().cloned().reduce(|met, part| met.meet_within(&part, work));
    let together = together.filter(|met| !matches!(met, Constraint::All(_)));
    Comparison::any(together.iter().map(|together| compare(parent, together, work)))
}

/// Whether ranges of numbers that touch each other have all that the child holds for.
fn together_cover(branches: &[Constraint], child: &Constraint, work: &Work) -> bool {
    let Some(wanted) = child.hull(work) else { return false };
    let mut ranges: Vec<NumRange> = branches.iter().filter_map(|branch| branch.range(work)).collect();
    ranges.sort_by_key(NumRange::least);
    let covered = ranges.iter().fold(None, |covered: Option<Decimal>, range| {
        let reached = covered.unwrap_or_else(|| wanted.least());
        let is_touched = range.least() <= reached && reached <= range.greatest();
        if is_touched { Some(range.greatest()) } else { covered }
    });
    covered.is_some_and(|covered| wanted.greatest() <= covered)
}

/// Two constraints that both can be told without knowing what was done before.
fn plain(parent: &Constraint, child: &Constraint, work: &Work) -> Comparison {
    use Constraint as C;
    match (parent, child) {
        (C::Text(parent), C::Text(child)) => parent.covers(child).into(),
        (C::Text(rule), C::Pattern(_) | C::Domain(_) | C::TimeWindow(_)) => rule.allows(child, work),
        (C::Num(parent), C::Num(child)) => parent.covers(child).into(),
        (C::Amount(parent), C::Amount(child)) => parent.covers(child).into(),
        (C::Amount(amount), C::Obj(_)) => compare(&amount.as_object(), child, work),
        (C::Obj(_), C::Amount(amount)) => compare(parent, &amount.as_object(), work),
        (C::TimeWindow(parent), C::TimeWindow(child)) => parent.covers(child).into(),
        (C::Domain(parent), C::Domain(child)) if !work.spend(parent.pairs(child)) => Comparison::Undecidable,
        (C::Domain(parent), C::Domain(child)) => parent.covers(child).into(),
        (C::Prefix(parent), C::Prefix(child)) => child.starts_with(parent.as_str()).into(),
        (C::Items(parent), C::Items(child)) if child.max <= parent.max => compare(&parent.of, &child.of, work),
        (C::Each(parent), C::Items(Items { of: child, .. }) | C::Each(child)) => compare(parent, child, work),
        (C::Obj(parent), C::Obj(child)) => arguments_compare(parent, child, work),
        (C::Attr(parent), C::Attr(child)) => parent.compare(child, work),
        (C::Pattern(_), _) | (_, C::Pattern(_)) => pattern(parent, child),
        (C::Attr(_), _) | (_, C::Attr(_)) => Comparison::Undecidable,
        _ => Comparison::Wider,
    }
}

/// A pattern beside another kind: texts can be told from what is no text, nothing else.
fn pattern(parent: &Constraint, child: &Constraint) -> Comparison {
    use Constraint as C;
    let other = if matches!(parent, C::Pattern(_)) { child } else { parent };
    let is_no_text = matches!(other, C::Amount(_) | C::Items(_) | C::Each(_) | C::Obj(_));
    if is_no_text || matches!(child, C::Any(_) | C::Num(_)) { Comparison::Wider } else { Comparison::Undecidable }
}

fn late_bound(parent: &Constraint, child: &Constraint, work: &Work) -> Comparison {
    use Constraint as C;
    if let (Some(parent), Some(child)) = (parent.range(work), child.range(work)) {
        return parent.covers(&child).into();
    }
    if parent.range(work).zip(child.hull(work)).is_some_and(|(parent, child)| parent.covers(&child)) {
        return Comparison::Narrower;
    }
    match (parent, child) {
        (_, C::Any(True)) => Comparison::Wider,
        (C::Text(rule), C::Fmt(_) | C::Extract(_)) => rule.allows(child, work),
        (C::Fmt(parent), C::Fmt(child)) => parent.compare(child, work, |parent, child| compare(parent, child, work)),
        (C::Quote(Quote { step: parent }), C::Extract(Extract { step: child, .. })) if parent == child => {
            Comparison::Narrower
        }
        (C::Rel(parent), C::Rel(child)) if parent.base == child.base => parent.covers(child).into(),
        (C::Items(Items { of, .. }) | C::Each(of), C::Items(Items { of: child_of, .. }) | C::Each(child_of))
            if !matches!((parent, child), (C::Items(_), C::Each(_))) && longest(child) <= longest(parent) =>
        {
            compare(of, child_of, work)
        }
        (C::Each(of), C::RefSet(_)) if compare(of, &C::Any(True), work) == Comparison::Narrower => Comparison::Narrower,
        (C::Amount(amount), C::Obj(_)) => compare(&amount.as_object(), child, work),
        (C::Obj(_), C::Amount(amount)) => compare(parent, &amount.as_object(), work),
        (C::Obj(parent), C::Obj(child)) => arguments_compare(parent, child, work),
        _ => Comparison::Undecidable,
    }
}

fn longest(list: &Constraint) -> u64 {
    if let Constraint::Items(Items { max, .. }) = list { *max } else { u64::MAX }
}

impl Constraint {
    /// Whether the value is bound to something that is known only after earlier steps.
    pub(super) fn is_late_bound(&self) -> bool {
        matches!(self, Self::Fmt(_) | Self::Compute(_) | Self::Rel(_)) || self.needs_history()
    }
}

impl TextRule {
    fn covers(&self, child: &Self) -> bool {
        child.max <= self.max && (self.urls || !child.urls)
    }
}

/// Whether a child's bound is at least as tight; `tighter` compares two stated ones.
fn bound<T>(parent: Option<T>, child: Option<T>, tighter: impl Fn(&T, &T) -> bool) -> bool {
    match (parent, child) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(parent), Some(child)) => tighter(&parent, &child),
    }
}

impl NumRange {
    /// The least number of it.
    fn least(&self) -> Decimal {
        self.min.as_ref().map_or_else(Decimal::least, DecimalText::value)
    }

    /// The greatest number of it.
    fn greatest(&self) -> Decimal {
        self.max.as_ref().map_or_else(Decimal::greatest, DecimalText::value)
    }

    fn covers(&self, child: &Self) -> bool {
        self.least() <= child.least() && child.greatest() <= self.greatest()
    }
}

impl AmountRange {
    fn covers(&self, child: &Self) -> bool {
        self.currency == child.currency && self.least() <= child.least() && child.max.value() <= self.max.value()
    }

    /// The same rule, said of an object's members.
    fn as_object(&self) -> Constraint {
        let least = self.min.clone().unwrap_or_else(|| DecimalText::from(Decimal::ZERO));
        let value = Constraint::Num(NumRange { min: Some(least), max: Some(self.max.clone()) });
        let currency = Constraint::Const(self.currency.as_str().into());
        Constraint::Obj(Arguments::from([("currency".into(), currency), ("value".into(), value)]))
    }
}

impl TimeWindow {
    /// Whether every instant of `child` lies in this window.
    pub fn covers(&self, child: &Self) -> bool {
        let secs = |bound: &Option<crate::timestamp::Timestamp>| bound.as_ref().map(|at| at.secs());
        bound(secs(&self.from), secs(&child.from), |parent, child| parent <= child)
            && bound(secs(&self.to), secs(&child.to), |parent, child| child <= parent)
    }
}

impl DomainRule {
    /// Units for comparing each entry with each of another rule.
    pub(super) fn pairs(&self, other: &Self) -> u64 {
        of_entries(self.any_of.len().saturating_mul(other.any_of.len()))
    }

    fn covers(&self, child: &Self) -> bool {
        let below_too =
            |domain: &str| self.any_of.iter().any(|allowed| host::is_within(domain, allowed, self.subdomains));
        (self.subdomains || !child.subdomains) && child.any_of.iter().all(|domain| below_too(domain))
    }
}

impl Rel {
    fn covers(&self, child: &Self) -> bool {
        self.min.value() <= child.min.value() && child.max.value() <= self.max.value()
    }
}

impl Attr {
    fn compare(&self, child: &Self, work: &Work) -> Comparison {
        if self.collection != child.collection {
            return Comparison::Undecidable;
        }
        Comparison::all(self.attributes.iter().map(|(pointer, allowed)| {
            let wanted = child.attributes.get(pointer);
            wanted.map_or(Comparison::Undecidable, |wanted| compare(allowed, wanted, work))
        }))
    }
}
