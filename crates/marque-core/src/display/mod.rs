//! The lines that a person reads: `marque-lines/1`.
//!
//! The Keycloak extension renders the same lines from the same signed bytes, so neither side takes
//! the other's word for what was shown. `vectors/display` specifies both.

mod phrase;

use crate::canonical::{Digest, canonical_text};
use crate::catalog::{Catalog, CatalogAction, Part, slots};
use crate::constraint::{Arguments, Constraint};
use crate::plan::{Approve, Class, Mode, ResolvedPlan, StartedBy, Step, Uses};
use phrase::{Phrases, quoted};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;

/// Name of this rendering; another wording gets another name.
pub const RENDERER: &str = "marque-lines/1";

/// What was shown, as digests; its own digest is part of the challenge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisplayRecord {
    /// [`RENDERER`].
    pub renderer: String,
    /// SHA-256 of the page template's bytes, as the extension reports it.
    pub template_sha256: Digest,
    /// SHA-256 over the catalogs' digests, in the plan's order.
    pub catalog_sha256: Digest,
    /// BCP 47 language tag.
    pub locale: String,
    /// SHA-256 over the lines, each followed by a line feed.
    pub lines_sha256: Digest,
}

impl DisplayRecord {
    /// The display digest: SHA-256 over the record's canonical form.
    pub fn digest(&self) -> Digest {
        Digest::of_canonical(&serde_json::to_value(self).unwrap_or_default())
    }
}

/// `catalog_sha256` of a plan.
pub fn catalogs_digest(plan: &ResolvedPlan) -> Digest {
    let bytes: Vec<u8> = plan.catalogs.iter().flat_map(|catalog| *catalog.sha256.as_bytes()).collect();
    Digest::of(&bytes)
}

/// `lines_sha256` of rendered lines.
pub fn lines_digest(lines: &[String]) -> Digest {
    Digest::of(lines.iter().map(|line| format!("{line}\n")).collect::<String>().as_bytes())
}

/// Renders a plan with the catalogs it names.
///
/// # Errors
/// When a step's action is in no catalog and the step is not of the gravest kind, the locale is unknown, or a line would hold a control character.
pub fn lines(plan: &ResolvedPlan, catalogs: &[Catalog], locale: &str) -> Result<Vec<String>, String> {
    if locale != "en" {
        return Err(format!("there is no wording for the locale {locale:?}"));
    }
    let described: Vec<_> = plan
        .steps
        .iter()
        .map(|step| describe(step, catalogs).map(|action| (step, action)))
        .collect::<Result<_, _>>()?;
    let mut lines = heading(plan, &described, &Phrases { steps: &plan.steps });
    for (index, (step, action)) in described.iter().enumerate() {
        push_step(&mut lines, index + 1, step, action, plan, locale)?;
    }
    match lines.iter().find(|line| line.chars().any(char::is_control)) {
        Some(_) => Err("a line holds a control character".into()),
        None => Ok(lines),
    }
}

/// What the catalog says; of a step of the gravest kind that none describes, that nothing is known.
fn describe<'c>(step: &Step, catalogs: &'c [Catalog]) -> Result<Cow<'c, CatalogAction>, String> {
    let catalog = catalogs.iter().find(|catalog| catalog.document().location == step.location);
    match catalog.and_then(|catalog| catalog.action(&step.action)) {
        Some(action) => Ok(Cow::Borrowed(action)),
        None if step.may_be_unexplained() => Ok(Cow::Owned(CatalogAction::unexplained(&step.resource.kind))),
        None => Err(format!("no catalog describes {:?} at {}", step.action, step.location)),
    }
}

fn heading(plan: &ResolvedPlan, described: &[(&Step, Cow<'_, CatalogAction>)], phrases: &Phrases<'_>) -> Vec<String> {
    let limits = &plan.limits;
    let mut ends = format!("Ends {}. At most {}.", limits.expires_at, counted(u64::from(limits.max_hops), "hop"));
    if let Some(turns) = limits.turns {
        ends += &format!(" At most {}.", counted(turns, "turn"));
    }
    if let Some(step_ups) = limits.max_step_ups {
        ends += &format!(" At most {}.", counted(step_ups, "step-up"));
    }
    let mut lines = vec![format!("{} asks to act for {}.", plan.agent.client_id, plan.user.name())];
    if plan.started_by == Some(StartedBy::Agent) {
        lines.push(format!("YOU DID NOT START THIS: {} asks on its own.", plan.agent.client_id));
    }
    lines.extend([format!("The agent says (not checked): {}", quoted(&plan.purpose)), ends, summary(described)]);
    if plan.mode == Mode::Permissive {
        lines.push("Reads that the steps need may have been added; each of those is marked ADDED.".into());
    }
    lines.extend(limits.budgets.iter().map(|budget| phrases.budget(budget)));
    lines.extend(plan.blocked.iter().map(|blocked| phrases.blocked(blocked)));
    lines
}

fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn summary(described: &[(&Step, Cow<'_, CatalogAction>)]) -> String {
    const WORDS: [(Class, &str); 8] = [
        (Class::Read, "read"),
        (Class::Create, "create"),
        (Class::Change, "change"),
        (Class::Delete, "delete"),
        (Class::Run, "run"),
        (Class::Send, "send out"),
        (Class::Pay, "pay"),
        (Class::Grant, "grant access"),
    ];
    let of = |class| described.iter().filter(|(step, _)| step.class == class).count();
    let counts: Vec<_> = WORDS
        .iter()
        .filter(|(class, _)| of(*class) > 0)
        .map(|(class, word)| format!("{} {word}", of(*class)))
        .collect();
    let irreversible = described.iter().filter(|(step, action)| is_irreversible(step, action)).count();
    let actions = if described.len() == 1 { "action" } else { "actions" };
    let end = if irreversible > 0 { format!(" {irreversible} cannot be undone.") } else { String::new() };
    format!("{} {actions}: {}.{end}", described.len(), counts.join(", "))
}

fn is_irreversible(step: &Step, action: &CatalogAction) -> bool {
    !action.reversible && step.class != Class::Read
}

fn push_step(
    lines: &mut Vec<String>,
    number: usize,
    step: &Step,
    action: &CatalogAction,
    plan: &ResolvedPlan,
    locale: &str,
) -> Result<(), String> {
    let phrases = Phrases { steps: &plan.steps };
    let irreversible = if is_irreversible(step, action) { " (IRREVERSIBLE)" } else { "" };
    let template = action.display.get(locale).ok_or("the catalog has no sentence in this locale")?;
    lines.push(format!("{number}. {}{irreversible}: {}", badge(step.class), sentence(template, step, &phrases)?));
    let id = phrases.resource_id(&step.resource.id);
    lines.push(format!("   {} on {} {id} at {}", step.action, step.resource.kind, step.location));
    for (name, constraint) in in_order(&step.args) {
        lines.push(match name.as_str() {
            "*" => "   ANY FURTHER ARGUMENTS (UNBOUNDED)".into(),
            name => format!("   {name}: {}", phrases.constraint(constraint)),
        });
    }
    lines.push(format!("   {}{}", uses_phrase(step.uses), delegates_phrase(plan, &step.id)));
    push_conditions(lines, step, &phrases);
    Ok(())
}

fn push_conditions(lines: &mut Vec<String>, step: &Step, phrases: &Phrases<'_>) {
    if !step.after.is_empty() {
        lines.push(format!("   only after {}", phrases.steps(&step.after, " and ")));
    }
    if let Some(group) = &step.group {
        lines.push(format!("   at most one of the group {}: {}", quoted(group), phrases.group(group)));
    }
    if let Some(window) = &step.window {
        lines.push(format!("   only {}", phrase::time(window)));
    }
    if let Some(environment) = &step.environment {
        lines.push(format!("   only in the environment {}", quoted(environment)));
    }
    if step.approve == Approve::StepUp {
        lines.push("   STEP-UP: you are asked again for each call and shown its values".into());
    }
    if step.added {
        lines.push("   ADDED: the agent did not ask for it; the catalog says that it is needed".into());
    }
}

/// Arguments in canonical order.
fn in_order(arguments: &Arguments) -> Vec<(&String, &Constraint)> {
    let mut ordered: Vec<_> = arguments.iter().collect();
    ordered.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
    ordered
}

/// The word for a kind of effect.
pub(crate) const fn badge(class: Class) -> &'static str {
    match class {
        Class::Read => "READ",
        Class::Create => "CREATE",
        Class::Change => "CHANGE",
        Class::Delete => "DELETE",
        Class::Run => "RUN",
        Class::Send => "SEND OUT",
        Class::Pay => "PAY",
        Class::Grant => "GRANT ACCESS",
    }
}

fn sentence(template: &str, step: &Step, phrases: &Phrases<'_>) -> Result<String, String> {
    let fill = |part: &Part<'_>| match part {
        Part::Text(text) => (*text).to_owned(),
        Part::Resource => phrases.resource_id(&step.resource.id),
        Part::Argument(name) => {
            step.args.get(*name).map_or_else(|| "nothing".into(), |constraint| phrases.within(constraint))
        }
    };
    Ok(slots(template)?.iter().map(fill).collect())
}

fn uses_phrase(uses: Uses) -> String {
    match uses {
        Uses::Count(1) => "once".into(),
        Uses::Count(count) => format!("up to {count} times"),
        Uses::Any => "any number of times (UNBOUNDED)".into(),
    }
}

fn delegates_phrase(plan: &ResolvedPlan, step: &str) -> String {
    let holders: Vec<_> = plan
        .delegates
        .iter()
        .filter(|delegate| delegate.steps.contains(step))
        .map(|delegate| delegate.client_id.as_str())
        .collect();
    if holders.is_empty() { String::new() } else { format!("; also by {}", holders.join(", ")) }
}

fn json(value: &Value) -> String {
    canonical_text(value)
}
