//! The lines that a person reads in a step-up: `marque-step-up-lines/1`.
//!
//! The Keycloak extension renders the same lines from the same bytes. `vectors/step-up` specifies both.

use super::document::{Document, ShownArgument, ShownRecord, Source};
use crate::canonical::{Digest, canonical_text};
use crate::catalog::{Catalog, CatalogAction, Part, slots};
use crate::display::badge;
use crate::plan::Class;
use std::borrow::Cow;

/// Name of this rendering; another wording gets another name.
pub const RENDERER: &str = "marque-step-up-lines/1";

/// Renders a document with the catalog that it names, if it names one.
///
/// # Errors
/// When the catalog is another one or does not describe the action so, or the locale is unknown.
pub fn lines(document: &Document, catalog: Option<&Catalog>, locale: &str) -> Result<Vec<String>, String> {
    if locale != "en" {
        return Err(format!("there is no wording for the locale {locale:?}"));
    }
    let action =
        described(document, catalog).ok_or("the catalog is not the document's, or does not describe the call so")?;
    let irreversible = if action.reversible || action.class == Class::Read { "" } else { " (IRREVERSIBLE)" };
    let template = action.display.get(locale).ok_or("the catalog has no sentence in this locale")?;
    let mut lines = heading(document);
    lines.push(format!("{}{irreversible}: {}", badge(document.class), sentence(template, document)?));
    let resource = &document.resource;
    lines.push(format!("   {} on {} {} at {}", document.action, resource.kind, resource.id, document.location));
    push_sources(&mut lines, &resource.sources);
    document.args.iter().for_each(|argument| push_argument(&mut lines, argument));
    document.records.iter().for_each(|record| push_record(&mut lines, record));
    match lines.iter().find(|line| line.chars().any(char::is_control)) {
        Some(_) => Err("a line holds a control character".into()),
        None => Ok(lines),
    }
}

/// What `catalog_sha256` of the display record says: the digest of the catalog's digest, or of nothing where there is none.
pub fn catalog_digest(document: &Document) -> Digest {
    Digest::of(document.catalog.as_ref().map_or(&[][..], |catalog| catalog.sha256.as_bytes()))
}

/// How the catalog describes the call; a call of the gravest class that no catalog describes is shown as one that cannot
/// be explained.
fn described<'c>(document: &Document, catalog: Option<&'c Catalog>) -> Option<Cow<'c, CatalogAction>> {
    let named = document.catalog.as_ref();
    if catalog.map(Catalog::reference).as_ref() != named
        || named.is_some_and(|named| named.location != document.location)
    {
        return None;
    }
    let action = match catalog.and_then(|catalog| catalog.action(&document.action)) {
        Some(action) => Cow::Borrowed(action),
        None => Cow::Owned(CatalogAction::unexplained(&document.resource.kind)),
    };
    (action.class == document.class && action.resource == document.resource.kind).then_some(action)
}

fn heading(document: &Document) -> Vec<String> {
    vec![
        format!("{} asks {} to approve one call.", document.presenter.client_id, document.user.username),
        format!("It is a use of step {} of the plan {}.", quoted(&document.step), document.plan_digest.words()),
        format!("The resource server says (not checked): {}", quoted(&document.reason)),
        format!("Good for this one call, once, until {}.", document.expires_at.as_str()),
    ]
}

fn sentence(template: &str, document: &Document) -> Result<String, String> {
    let value = |name: &str| document.args.iter().find(|argument| argument.name == name);
    let fill = |part: &Part<'_>| match part {
        Part::Text(text) => (*text).to_owned(),
        Part::Resource => document.resource.id.clone(),
        Part::Argument(name) => value(name).map_or("nothing", |argument| argument.value.as_str()).to_owned(),
    };
    Ok(slots(template)?.iter().map(fill).collect())
}

fn push_argument(lines: &mut Vec<String>, argument: &ShownArgument) {
    lines.push(format!("   {}: {}", argument.name, argument.value));
    if argument.sources.is_empty() {
        lines.push("      chosen by the agent, within the plan".into());
    }
    push_sources(lines, &argument.sources);
}

fn push_record(lines: &mut Vec<String>, record: &ShownRecord) {
    lines.push(format!("   record {} of {}: {}", record.id, record.collection, record.value));
    lines.push("      stated by the resource server".into());
}

fn push_sources(lines: &mut Vec<String>, sources: &[Source]) {
    let place = |source: &Source| format!("step {} ({} at {})", quoted(&source.step), source.action, source.location);
    lines.extend(sources.iter().map(|source| format!("      FROM {}", place(source))));
}

/// Text that somebody else chose is always told from the words around it.
fn quoted(text: &str) -> String {
    canonical_text(&text.into())
}
