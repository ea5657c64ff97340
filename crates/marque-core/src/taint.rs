//! Taint: which late-bound values somebody else could have written.
//!
//! A value is as strong as its weakest source, through `ref`, `same_as`, `compute`, `fmt` and the
//! arguments of the step that it came from. What the plan lists, and numbers and instants within
//! bounds that it states, were signed. Free choice of text counts as somebody else's: an agent that
//! was taken over chooses what its attacker wants. A list or an object is as strong as the weakest thing in it.

use crate::catalog::{Catalog, CatalogAction, Collections, ResultKind, Source};
use crate::constraint::{Constraint, Field, Reduce, Ref};
use crate::json::Refused;
use crate::plan::SubmittedStep;
use std::collections::BTreeMap;

/// What a catalog that nobody has says of collections.
const NO_COLLECTIONS: &Collections = &Collections::new();

/// What the catalog of a location says of the collections that `attr` looks up there.
pub fn collections<'c>(catalogs: &'c [Catalog], location: &str) -> &'c Collections {
    let catalog = catalogs.iter().find(|catalog| catalog.document().location == location);
    catalog.map_or(NO_COLLECTIONS, |catalog| &catalog.document().collections)
}

/// Where a constraint stands: in which document, and what the catalog of its step says of collections.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// For a refusal.
    pub path: &'a str,
    /// Of the step's resource server.
    pub collections: &'a Collections,
}

impl Place<'_> {
    fn of_collection(&self, name: &str) -> Source {
        self.collections.get(name).map_or(Source::Authoritative, |collection| collection.source)
    }

    /// Whether somebody else may decide on the value after the plan was signed: what an earlier step gives, or a record
    /// that somebody else writes.
    pub fn is_late(&self, constraint: &Constraint) -> bool {
        match constraint {
            Constraint::Attr(rule) => self.of_collection(&rule.collection) == Source::ThirdParty,
            other => other.needs_history() || other.parts().into_iter().any(|part| self.is_late(part)),
        }
    }
}

/// The steps that were looked at so far: their catalog entries, and the sources of what they are bound by.
#[derive(Default)]
pub struct Earlier<'p> {
    steps: BTreeMap<&'p str, Known<'p>>,
}

/// What is known of a step.
struct Known<'p> {
    action: &'p CatalogAction,
    /// The weakest source of anything that the step is bound by.
    weakest: Source,
    /// The source of each argument: looked up, since steps may take values from each other many times over.
    args: BTreeMap<&'p str, Source>,
}

impl<'p> Earlier<'p> {
    /// Adds the next step of the plan.
    ///
    /// # Errors
    /// When it takes a value from a result that the catalog does not describe, or not as what it is taken for.
    pub fn push(&mut self, step: &'p SubmittedStep, action: &'p CatalogAction, at: Place<'_>) -> Result<(), Refused> {
        let within = |path: &str, constraint: &Constraint| self.source(constraint, Place { path, ..at });
        let mut weakest = within(&format!("{}.resource.id", at.path), &step.resource.id.as_constraint())?;
        let mut args = BTreeMap::new();
        for (name, constraint) in &step.args {
            let source = within(&format!("{}.args.{name}", at.path), constraint)?;
            weakest = weakest.max(source);
            args.insert(name.as_str(), source);
        }
        self.steps.insert(&step.id, Known { action, weakest, args });
        Ok(())
    }

    /// The weakest source of a value that satisfies a constraint.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn source(&self, constraint: &Constraint, at: Place<'_>) -> Result<Source, Refused> {
        use Constraint as C;
        match constraint {
            C::Const(_) | C::OneOf(_) | C::Num(_) | C::Amount(_) | C::TimeWindow(_) => Ok(Source::Authoritative),
            C::Attr(rule) => Ok(at.of_collection(&rule.collection)),
            C::Text(_) | C::Pattern(_) | C::Domain(_) | C::Prefix(_) | C::Any(_) => Ok(Source::ThirdParty),
            C::All(parts) => self.of_all(parts, at),
            C::Items(_)
            | C::Obj(_)
            | C::Each(_)
            | C::Either(_)
            | C::Optional(_)
            | C::Fmt(_)
            | C::Compute(_)
            | C::Rel(_) => self.of_parts(constraint.parts().into_iter(), at, |one, other| one.max(other)),
            C::Ref(rule) => self.of_ref(rule, at),
            C::RefSet(rule) => {
                let column = self.field(&rule.step, &rule.field, at)?;
                Ok(column.max(self.list(&rule.step, &rule.field, at)?))
            }
            C::SameAs(rule) => {
                let step = self.steps.get(rule.step.as_str());
                Ok(step.and_then(|step| step.args.get(rule.arg.as_str())).copied().unwrap_or(Source::ThirdParty))
            }
            C::Extract(_) | C::Quote(_) => {
                let step = constraint.sources().into_iter().find_map(|step| self.steps.get(step));
                let is_text =
                    |step: &&Known<'_>| step.action.results.values().any(|result| result.kind == ResultKind::Text);
                match step.filter(is_text) {
                    Some(_) => Ok(Source::ThirdParty),
                    None => Err(Refused::at(at.path, "takes words from free text, and that step's result has none")),
                }
            }
        }
    }

    /// A value that the plan itself lists, or that is authoritative, is no weaker for being somebody else's too. A
    /// range or a record that it satisfies does not make it the signer's own, and nothing does for words of free text.
    fn of_all(&self, parts: &[Constraint], at: Place<'_>) -> Result<Source, Refused> {
        let (mut weakest_late, mut strongest, mut is_named) = (Source::Authoritative, Source::ThirdParty, false);
        for part in parts {
            let source = self.source(part, at)?;
            strongest = strongest.min(source);
            is_named |= source == Source::Authoritative && names_values(part);
            if at.is_late(part) {
                weakest_late = weakest_late.max(source);
            }
        }
        Ok(match (parts.iter().any(takes_words), is_named) {
            (true, _) => Source::ThirdParty,
            (false, true) => Source::Authoritative,
            (false, false) => strongest.max(weakest_late),
        })
    }

    fn of_parts<'c>(
        &self,
        parts: impl Iterator<Item = &'c Constraint>,
        at: Place<'_>,
        join: fn(Source, Source) -> Source,
    ) -> Result<Source, Refused> {
        let mut joined: Option<Source> = None;
        for part in parts {
            let source = self.source(part, at)?;
            joined = Some(joined.map_or(source, |one| join(one, source)));
        }
        Ok(joined.unwrap_or(Source::Authoritative))
    }

    /// A reduction is as strong as the column, the list itself (who could add a row?), and what its rows are chosen by.
    fn of_ref(&self, rule: &Ref, at: Place<'_>) -> Result<Source, Refused> {
        let Some(reduce) = &rule.reduce else { return self.field(&rule.step, &rule.field, at) };
        let mut weakest = self.list(&rule.step, &rule.field, at)?;
        if *reduce != Reduce::Count {
            weakest = weakest.max(self.field(&rule.step, &rule.field, at)?);
        }
        let key = if let Reduce::Argmax(key) | Reduce::Argmin(key) = reduce { Some(key) } else { None };
        for pointer in rule.rows.keys().chain(key) {
            weakest = weakest.max(self.value(&rule.step, &rule.field.beside(pointer), at)?);
        }
        Ok(weakest)
    }

    fn field(&self, step: &str, field: &Field, at: Place<'_>) -> Result<Source, Refused> {
        self.value(step, field.as_str(), at)
    }

    /// A field that is read as a value brings along all that lies within it.
    fn value(&self, step: &str, field: &str, at: Place<'_>) -> Result<Source, Refused> {
        let mut weakest = self.described(step, field, at)?;
        let action = self.steps.get(step).map(|known| known.action);
        for (within, result) in action.into_iter().flat_map(|action| action.results_within(field)) {
            if result.kind == ResultKind::Text {
                let why =
                    format!("the result of step {step:?} has within {field:?} free text, in {:?}", within.as_str());
                return Err(Refused::at(at.path, format!("{why}, which only extract and quote may use")));
            }
            weakest = weakest.max(result.source);
        }
        Ok(weakest)
    }

    /// The list that a column is of, for who could have added a row to it: what its rows hold is not read.
    fn list(&self, step: &str, column: &Field, at: Place<'_>) -> Result<Source, Refused> {
        self.described(step, column.list(), at)
    }

    fn described(&self, step: &str, field: &str, at: Place<'_>) -> Result<Source, Refused> {
        let refused = |why: &str| Err(Refused::at(at.path, format!("the result of step {step:?} {why} {field:?}")));
        let Some(Known { action, weakest, .. }) = self.steps.get(step) else {
            return refused("is not known, so neither is");
        };
        match action.result(field) {
            None => refused("has, as its catalog says, no field"),
            Some(result) if result.kind == ResultKind::Text => {
                refused("has free text, which only extract and quote may use, in")
            }
            Some(result) => Ok(result.source.max(*weakest)),
        }
    }
}

/// Whether some part takes words from free text.
fn takes_words(constraint: &Constraint) -> bool {
    matches!(constraint, Constraint::Extract(_) | Constraint::Quote(_))
        || constraint.parts().into_iter().any(takes_words)
}

/// Whether it holds for listed values, or for what an earlier step had, and not for a range.
fn names_values(constraint: &Constraint) -> bool {
    use Constraint as C;
    match constraint {
        C::Const(_) | C::OneOf(_) | C::Ref(_) | C::RefSet(_) | C::SameAs(_) | C::Compute(_) => true,
        C::All(parts) => parts.iter().any(names_values),
        C::Items(_) | C::Obj(_) | C::Each(_) | C::Either(_) | C::Optional(_) | C::Fmt(_) => {
            constraint.parts().into_iter().all(names_values)
        }
        C::Text(_)
        | C::Pattern(_)
        | C::Num(_)
        | C::Amount(_)
        | C::TimeWindow(_)
        | C::Domain(_)
        | C::Prefix(_)
        | C::Attr(_)
        | C::Rel(_)
        | C::Extract(_)
        | C::Quote(_)
        | C::Any(_) => false,
    }
}
