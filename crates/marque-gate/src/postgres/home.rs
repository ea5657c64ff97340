//! Which steps are counted here, and which at Marque.
//!
//! A step's decision needs facts about the steps that it is tied to: those it comes after, those it excludes, those it
//! takes values from, and those that it shares a budget with. It is made here only if all of these are counted here. Steps
//! that one call may fit are kept together, too, so that whoever is asked about the call may choose among them. Where
//! a step is counted is decided once for an intent and written down before the first use; see
//! `docs/decisions/0006-the-ledger-of-a-resource-server.md` for why nothing is then counted twice.

use marque_core::envelope::{Envelope, EnvelopeStep};
use marque_core::plan::{Approve, ResourceId};
use std::collections::{BTreeMap, BTreeSet};

/// Where a step is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    Here,
    Marque,
}

/// What was written down of an intent's steps so far.
pub(super) type Homes = BTreeMap<String, Home>;

/// The steps of one location, as one token shows them.
#[derive(Debug)]
pub(super) struct Division<'e> {
    /// Decided here.
    pub(super) here: Vec<&'e EnvelopeStep>,
    /// Decided at Marque.
    pub(super) at_marque: Vec<&'e EnvelopeStep>,
    /// Decided nowhere: counted here, or tied to a step that is, and this token does not show enough of the plan, or asks
    /// for something that only Marque knows.
    pub(super) nowhere: Vec<&'e EnvelopeStep>,
    ties: Ties<'e>,
    shown: Shown<'e>,
}

impl<'e> Division<'e> {
    pub(super) fn of(envelope: &'e Envelope, location: &'e str, homes: &'e Homes) -> Self {
        let (here, at_marque, nowhere) = Default::default();
        let shown = Shown { envelope, location, homes };
        let mut division = Self { here, at_marque, nowhere, ties: Ties::of(envelope), shown };
        for step in envelope.steps.iter().filter(|step| step.location == location) {
            match division.shown.home(step, &division.ties) {
                Some(Home::Here) => division.here.push(step),
                Some(Home::Marque) => division.at_marque.push(step),
                None => division.nowhere.push(step),
            }
        }
        division
    }

    /// The steps whose home is to be written down with that of a step: those of which its decision needs facts, and, so
    /// that the plan is not torn apart, all that are tied to these, as far as they have none yet.
    pub(super) fn unwritten(&self, step: &EnvelopeStep, home: Home) -> Vec<String> {
        let tied = match home {
            Home::Here if !self.shown.is_alone(step, &self.ties) => self.ties.needs(&step.id),
            _ => self.ties.component(&step.id),
        };
        tied.into_iter().filter(|id| !self.shown.homes.contains_key(*id)).map(str::to_owned).collect()
    }
}

/// What a token shows at one location.
#[derive(Debug)]
struct Shown<'s> {
    envelope: &'s Envelope,
    location: &'s str,
    homes: &'s Homes,
}

impl Shown<'_> {
    /// Where a step is to be decided; nothing if nowhere.
    fn home(&self, step: &EnvelopeStep, ties: &Ties<'_>) -> Option<Home> {
        let needs = ties.needs(&step.id);
        let is_decidable = self.is_plain(&step.id)
            && self.envelope.bounds.turns.is_none()
            && needs.iter().all(|id| self.may_be_here(id));
        if is_decidable && (self.is(&step.id, Home::Here) || self.is_alone(step, ties)) {
            return Some(Home::Here);
        }
        let is_counted_here = needs.iter().any(|id| self.is(id, Home::Here));
        (!is_counted_here).then_some(Home::Marque)
    }

    /// Whether all that is tied to a step may be counted here.
    fn is_alone(&self, step: &EnvelopeStep, ties: &Ties<'_>) -> bool {
        ties.component(&step.id).iter().all(|id| self.may_be_here(id))
    }

    fn is(&self, id: &str, home: Home) -> bool {
        self.homes.get(id) == Some(&home)
    }

    /// Whether a step is, or may become, one that is counted here.
    fn may_be_here(&self, id: &str) -> bool {
        match self.homes.get(id) {
            Some(home) => *home == Home::Here,
            None => self.is_plain(id),
        }
    }

    /// Whether a step is known to be at this location, and approved with the plan.
    fn is_plain(&self, id: &str) -> bool {
        self.envelope.step(id).is_some_and(|step| step.location == self.location && step.approve == Approve::Plan)
    }
}

/// Whether there may be a call that both steps describe. Marque, asked about one, may answer with the other.
fn may_fit_one_call(step: &EnvelopeStep, other: &EnvelopeStep) -> bool {
    let are_two = match (&step.resource.id, &other.resource.id) {
        (ResourceId::Exact(id), ResourceId::Exact(other)) => id != other,
        _ => false,
    };
    let is_alike = step.location == other.location && step.action == other.action;
    is_alike && step.resource.kind == other.resource.kind && !are_two
}

/// What each step of a token is tied to.
#[derive(Debug)]
struct Ties<'e> {
    needs: BTreeMap<&'e str, BTreeSet<&'e str>>,
    both_ways: BTreeMap<&'e str, BTreeSet<&'e str>>,
}

impl<'e> Ties<'e> {
    fn of(envelope: &'e Envelope) -> Self {
        let mut needs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for step in &envelope.steps {
            let named = step.after.iter().chain(&step.excludes).map(String::as_str).chain(step.sources());
            needs.insert(&step.id, named.chain([step.id.as_str()]).collect());
        }
        for budget in &envelope.bounds.budgets {
            for id in &budget.steps {
                needs.entry(id).or_default().extend(budget.steps.iter().map(String::as_str));
            }
        }
        let mut both_ways = needs.clone();
        for (id, tied) in &needs {
            for other in tied {
                both_ways.entry(other).or_default().insert(id);
            }
        }
        for (index, step) in envelope.steps.iter().enumerate() {
            for other in envelope.steps.iter().skip(index + 1).filter(|other| may_fit_one_call(step, other)) {
                both_ways.entry(&step.id).or_default().insert(&other.id);
                both_ways.entry(&other.id).or_default().insert(&step.id);
            }
        }
        Self { needs, both_ways }
    }

    /// The steps that a decision about one needs facts of, itself included.
    fn needs(&self, id: &str) -> BTreeSet<&'e str> {
        self.needs.get(id).cloned().unwrap_or_default()
    }

    /// All steps that are tied to one, directly or not, itself included.
    fn component(&self, id: &str) -> BTreeSet<&'e str> {
        let mut found: BTreeSet<&str> = BTreeSet::new();
        let mut open: Vec<&str> = self.needs(id).into_iter().collect();
        while let Some(next) = open.pop() {
            if found.insert(next) {
                open.extend(self.both_ways.get(next).into_iter().flatten());
            }
        }
        found
    }
}

#[cfg(test)]
mod tests;
