//! What a newer catalog makes milder than an earlier one had it: an administrator decides on that, not the vendor.

use super::{Catalog, CatalogAction, CatalogArgument, CatalogResult, ResultKind, Source};
use crate::constraint::Field;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What of an action got milder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoweredPart {
    /// Its class is a milder one.
    Class,
    /// It counts as reversible now.
    Reversible,
    /// An argument is marked as something else, or no longer, or is gone: another one could do its work unmarked.
    Sensitive,
    /// An argument may be bound late now.
    Late,
    /// A field of its result is trusted more, or the records of a collection are.
    Source,
    /// A field of its result was free text, and is something that a step may refer to now.
    FreeText,
}

/// One thing that got milder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lowered {
    /// Where, as a path of the newer catalog such as `$.actions.mail.send.class`.
    pub path: String,
    /// The action's name; empty for a collection, which belongs to all of them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub action: String,
    /// What of it.
    pub what: LoweredPart,
    /// What the earlier catalog said.
    pub before: Value,
    /// What the newer one says; `null` where it says nothing.
    pub after: Value,
}

impl Catalog {
    /// Everything that got milder compared with an earlier version, action by action: a milder class, reversible now,
    /// an argument that lost its mark or may be bound late, a result that is trusted more. Empty if nothing did.
    pub fn lowered_since(&self, earlier: &Self) -> Vec<Lowered> {
        let mut found = Vec::new();
        for (name, before) in &earlier.document().actions {
            if let Some(now) = self.action(name) {
                compare(name, now, before, &mut found);
            }
        }
        found.extend(self.trusted_since(earlier));
        found
    }

    /// The collections that somebody else wrote, as an earlier version said, and no longer does.
    fn trusted_since<'c>(&'c self, earlier: &'c Self) -> impl Iterator<Item = Lowered> + 'c {
        let others = earlier.document().collections.iter().filter(|(_, was)| was.source == Source::ThirdParty);
        let now = |name: &String| self.document().collections.get(name).map(|is| is.source);
        others.filter(move |(name, was)| now(name) != Some(was.source)).map(move |(name, was)| Lowered {
            path: format!("$.collections.{name}.source"),
            action: String::new(),
            what: LoweredPart::Source,
            before: json!(was.source),
            after: json!(now(name)),
        })
    }

    /// Everything that got milder compared with any of some earlier versions, so that an action that was left out for
    /// a while does not come back milder. Each place once, as the first of the given versions had it.
    pub fn lowered_since_any(&self, earlier: &[Self]) -> Vec<Lowered> {
        let mut seen = BTreeSet::new();
        let all = earlier.iter().flat_map(|before| self.lowered_since(before));
        all.filter(|lowered| seen.insert((lowered.path.clone(), lowered.what))).collect()
    }
}

fn compare(name: &str, now: &CatalogAction, before: &CatalogAction, found: &mut Vec<Lowered>) {
    let mut add = |member: &str, what: LoweredPart, before: Value, after: Value| {
        found.push(Lowered {
            path: format!("$.actions.{name}.{member}"),
            action: name.to_owned(),
            what,
            before,
            after,
        });
    };
    if now.class < before.class {
        add("class", LoweredPart::Class, json!(before.class), json!(now.class));
    }
    if now.reversible && !before.reversible {
        add("reversible", LoweredPart::Reversible, json!(false), json!(true));
    }
    for (argument, was) in &before.args {
        let is = now.args.get(argument);
        let marked = is.and_then(|is| is.sensitive);
        if was.sensitive.is_some() && marked != was.sensitive {
            let member = format!("args.{argument}.sensitive");
            add(&member, LoweredPart::Sensitive, json!(was.sensitive), json!(marked));
        }
        if is.is_some_and(|is| may_be_late_now(is, was)) {
            add(&format!("args.{argument}.late"), LoweredPart::Late, json!(false), json!(true));
        }
    }
    for (field, was) in &before.results {
        if let Some(is) = now.results.get(field) {
            compare_result(field, is, was, &mut add);
        }
    }
}

const fn may_be_late_now(is: &CatalogArgument, was: &CatalogArgument) -> bool {
    is.late && !was.late
}

fn compare_result(
    field: &Field,
    is: &CatalogResult,
    was: &CatalogResult,
    add: &mut impl FnMut(&str, LoweredPart, Value, Value),
) {
    let field = field.as_str();
    if is.source < was.source {
        add(&format!("results.{field}.source"), LoweredPart::Source, json!(was.source), json!(is.source));
    }
    if was.kind == ResultKind::Text && is.kind != ResultKind::Text {
        add(&format!("results.{field}.type"), LoweredPart::FreeText, json!(was.kind), json!(is.kind));
    }
}
