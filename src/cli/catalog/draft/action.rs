//! One operation as a document tells it, and the action that is drafted from it.

use std::collections::BTreeMap;

use marque_core::catalog::lint::{reassuring, suggested_class, suggested_stake, words};
use marque_core::catalog::{
    ArgumentKind, CatalogAction, CatalogArgument, CatalogResult, ResultKind, Sensitive, Source,
};
use marque_core::constraint::Field;
use marque_core::plan::Class;
use serde_json::json;

/// What a document claims of an operation's effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// That it only reads. Believed where its name says so too.
    Reads,
    /// That it only reads, by the meaning of its HTTP method. Believed where its name says nothing graver.
    ReadsByMethod,
    /// That it is of this class at least.
    AtLeast(Class),
    /// Nothing that says what it is.
    Nothing,
}

/// One operation as a document tells it.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) name: String,
    /// Further words about what it does, such as its path.
    pub(super) about: String,
    pub(super) claim: Claim,
    /// What it is done to.
    pub(super) resource: String,
    pub(super) args: BTreeMap<String, ArgumentKind>,
    /// Leaves of its result by JSON pointer.
    pub(super) results: BTreeMap<String, ResultKind>,
    /// What is to be reviewed, each beginning with the member that it is about.
    pub(super) guesses: Vec<String>,
}

impl Operation {
    /// The action, and what is to be reviewed in it.
    pub(super) fn draft(self) -> (CatalogAction, Vec<String>) {
        let (class, why) = self.class();
        let mut guesses = vec![format!("class: {} ({why})", word(&json!(class)))];
        if class != Class::Read {
            guesses.push("reversible: false (unless the service itself takes it back completely)".into());
        }
        guesses.push(format!("resource: {:?}, whose id is up to the service", self.resource));
        let args: BTreeMap<String, CatalogArgument> =
            self.args.iter().map(|(name, kind)| (name.clone(), argument(class, name, *kind))).collect();
        for (name, argument) in &args {
            let CatalogArgument { sensitive, .. } = argument;
            guesses.push(match sensitive {
                Some(stake) => format!("args.{name}: sensitive, {} (its name says so)", word(&json!(stake))),
                None => format!("args.{name}: not sensitive (its name says nothing)"),
            });
        }
        if !self.results.is_empty() {
            guesses.push("results: all third_party (mark what are the service's own records)".into());
        }
        guesses.extend(self.guesses.iter().cloned());
        let action = CatalogAction {
            class,
            reversible: class == Class::Read,
            resource: self.resource.clone(),
            display: [("en".to_owned(), sentence(&self.name, &args))].into(),
            args,
            results: self.results.iter().filter_map(|(pointer, kind)| result(pointer, *kind)).collect(),
            requires: Vec::new(),
        };
        (action, guesses)
    }

    /// The gravest of what is said and what the names suggest; the gravest of all where nothing is known.
    fn class(&self) -> (Class, &'static str) {
        let by_name = suggested_class(&self.name);
        let effect = |class: Option<Class>| class.filter(|class| *class != Class::Read);
        match (self.claim, effect(by_name)) {
            (Claim::Reads | Claim::ReadsByMethod, Some(class)) => (class, "its name says so, against what is claimed"),
            (Claim::ReadsByMethod, None) => (Class::Read, "the claim of its method"),
            (Claim::Reads, None) if by_name.is_some() => (Class::Read, "claimed, and its name says so"),
            (Claim::Reads, None) => (Class::Grant, "claimed to read, and its name does not say so: the gravest"),
            (claim, named) => match (claim, named.max(effect(suggested_class(&self.about)))) {
                (Claim::AtLeast(class), Some(named)) => (named.max(class), "the gravest of name and claim"),
                (_, Some(named)) => (named, "its name says so"),
                (_, None) => (Class::Grant, "nothing says what it does: the gravest"),
            },
        }
    }
}

fn argument(class: Class, name: &str, kind: ArgumentKind) -> CatalogArgument {
    let sensitive = suggested_stake(class, name);
    CatalogArgument { kind, sensitive, late: sensitive != Some(Sensitive::Access) }
}

fn result(pointer: &str, kind: ResultKind) -> Option<(Field, CatalogResult)> {
    let field: Field = serde_json::from_value(json!(pointer)).ok()?;
    Some((field, CatalogResult { kind, source: Source::ThirdParty }))
}

/// A sentence of the names alone: it says everything that the action is given.
fn sentence(name: &str, args: &BTreeMap<String, CatalogArgument>) -> String {
    let mut sentence = label(name);
    if let Some(first) = sentence.get(..1).map(str::to_uppercase) {
        sentence.replace_range(..1, &first);
    }
    sentence += ": {resource}";
    for name in args.keys() {
        let (label, slot) = (label(name), format!("{{args.{name}}}"));
        sentence += &if label.is_empty() { format!(", {slot}") } else { format!(", {label} {slot}") };
    }
    sentence
}

/// The words of a name, without those that tell a reader not to worry.
fn label(name: &str) -> String {
    words(name).into_iter().filter(|word| reassuring(word).is_none()).collect::<Vec<_>>().join(" ")
}

fn word(value: &serde_json::Value) -> &str {
    value.as_str().unwrap_or_default()
}
