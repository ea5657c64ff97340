//! Where a catalog is probably milder than the resource server is. Nothing here refuses a catalog: names are all that
//! it goes by, and the resource server's authors know better. Who decides on a catalog reads the same findings.

mod rule;
mod words;

pub use rule::CatalogRule;
pub use words::{
    looks_filled_by_others, looks_like_free_text, looks_third_party, reads, reassuring, suggested_class,
    suggested_stake, words,
};

use super::{CatalogAction, CatalogDocument, Part, ResultKind, Sensitive, Source, slots};
use crate::lint::Finding;
use crate::plan::Class;
use serde_json::{Value, json};

/// Finds where a catalog is probably too mild. Collections first, then action by action, in the order of their names.
pub fn lint(catalog: &CatalogDocument) -> Vec<Finding<CatalogRule>> {
    let mut findings = Vec::new();
    check_collections(catalog, &mut findings);
    for (name, action) in &catalog.actions {
        let mut report = Report { path: format!("$.actions.{name}"), findings: &mut findings };
        check_class(name, action, &mut report);
        check_arguments(action, &mut report);
        check_results(action, &mut report);
        check_sentences(action, &mut report);
    }
    findings
}

/// Findings about one action, while they are collected.
struct Report<'f> {
    path: String,
    findings: &'f mut Vec<Finding<CatalogRule>>,
}

impl Report<'_> {
    fn add(&mut self, rule: CatalogRule, member: &str, message: String, mend: &str, write: Option<Value>) {
        let path = format!("{}.{member}", self.path);
        self.findings.push(Finding { path, rule, message, mend: mend.to_owned(), write });
    }
}

fn check_collections(catalog: &CatalogDocument, findings: &mut Vec<Finding<CatalogRule>>) {
    let trusted = catalog.collections.iter().filter(|(_, collection)| collection.source == Source::Authoritative);
    for (name, _) in trusted.filter(|(name, _)| looks_filled_by_others(name)) {
        findings.push(Finding {
            path: format!("$.collections.{name}.source"),
            rule: CatalogRule::TrustedCollection,
            message: format!("{name:?} sounds like records that somebody else fills"),
            mend: "third_party, unless nobody but the resource server writes what predicates ask for".to_owned(),
            write: Some(json!(Source::ThirdParty)),
        });
    }
}

/// The class in plain words, as JSON has it.
fn word(class: Class) -> String {
    json!(class).as_str().unwrap_or_default().to_owned()
}

fn check_class(name: &str, action: &CatalogAction, report: &mut Report<'_>) {
    if let Some(class) = suggested_class(name).filter(|suggested| *suggested > action.class) {
        let message = format!("{name:?} sounds like {}, and is called {}", word(class), word(action.class));
        let mend = "give it the gravest class of all that it does, or a name that says what it does";
        report.add(CatalogRule::MildClass, "class", message, mend, Some(json!(class)));
    }
    if action.class == Class::Read && !action.reversible {
        let message = "a read changes nothing, so there is nothing that cannot be undone".to_owned();
        let mend = "if it changes something, it is no read; if it does not, it is reversible";
        report.add(CatalogRule::IrreversibleRead, "reversible", message, mend, None);
    }
    if action.reversible && matches!(action.class, Class::Delete | Class::Run | Class::Send | Class::Pay) {
        let message = format!("{} is rarely undone: what has left or is gone does not come back", word(action.class));
        let mend = "false, unless the resource server itself takes it back completely";
        report.add(CatalogRule::UndoableEffect, "reversible", message, mend, Some(json!(false)));
    }
}

fn check_arguments(action: &CatalogAction, report: &mut Report<'_>) {
    for (name, argument) in &action.args {
        let member = format!("args.{name}");
        match (argument.sensitive, suggested_stake(action.class, name)) {
            (None, Some(stake)) => {
                let message = format!("{name:?} sounds like something that is at stake, and is not marked");
                let mend = "mark it: a value that somebody else wrote then needs a step-up";
                report.add(
                    CatalogRule::UnmarkedArgument,
                    &format!("{member}.sensitive"),
                    message,
                    mend,
                    Some(json!(stake)),
                );
            }
            (Some(Sensitive::Money | Sensitive::Access), _) if action.class == Class::Read => {
                let message = format!("{name:?} moves money or gives access, and the action is called a read");
                let mend = "give the action the class of what it does, or the argument no mark";
                report.add(CatalogRule::SensitiveRead, &format!("{member}.sensitive"), message, mend, None);
            }
            _ => {}
        }
        if argument.sensitive == Some(Sensitive::Access) && argument.late {
            let message = format!("{name:?} decides on access, and may be bound after the plan was signed");
            let mend = "false: then who signs the plan sees the value itself";
            report.add(CatalogRule::LateAccess, &format!("{member}.late"), message, mend, Some(json!(false)));
        }
    }
}

fn check_results(action: &CatalogAction, report: &mut Report<'_>) {
    for (field, result) in &action.results {
        let field = field.as_str();
        if result.source == Source::Authoritative && (looks_third_party(field) || result.kind == ResultKind::Text) {
            let message = format!("{field:?} sounds like something that somebody else wrote");
            let mend = "third_party, unless the resource server itself made the value up";
            let write = Some(json!(Source::ThirdParty));
            report.add(CatalogRule::TrustedText, &format!("results.{field}.source"), message, mend, write);
        }
        if result.kind == ResultKind::String && looks_like_free_text(field) {
            let message = format!("{field:?} sounds like free text, and could be bound to an argument as it is");
            let mend = "text: then a person sees what is taken out of it";
            let write = Some(json!(ResultKind::Text));
            report.add(CatalogRule::FreeTextAsString, &format!("results.{field}.type"), message, mend, write);
        }
    }
}

fn check_sentences(action: &CatalogAction, report: &mut Report<'_>) {
    for (locale, sentence) in &action.display {
        let member = format!("display.{locale}");
        let parts = slots(sentence).unwrap_or_default();
        let says = |wanted: Part<'_>| parts.contains(&wanted);
        let sensitive = action.args.iter().filter(|(_, argument)| argument.sensitive.is_some());
        for (name, _) in sensitive.filter(|(name, _)| !says(Part::Argument(name))) {
            let message = format!("the sentence does not say {name:?}, which is at stake");
            let mend = format!("put {{args.{name}}} into it");
            report.add(CatalogRule::SilentArgument, &member, message, &mend, None);
        }
        if action.class != Class::Read && !says(Part::Resource) {
            let message = "the sentence does not say what the action is done to".to_owned();
            report.add(CatalogRule::SilentResource, &member, message, "put {resource} into it", None);
        }
        let texts = parts.iter().filter_map(|part| if let Part::Text(text) = part { Some(*text) } else { None });
        if let Some(word) = texts.filter_map(reassuring).next() {
            let message = format!("{word:?} is an opinion of the resource server on itself");
            report.add(
                CatalogRule::Reassuring,
                &member,
                message,
                "say what is done, and nothing about how good it is",
                None,
            );
        }
    }
}
