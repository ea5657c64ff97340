//! What a plan leaves open as a whole.

use super::step::DAY_SECS;
use super::{Described, Report, Rule};
use crate::attenuate::compare_within;
use crate::catalog::Source;
use crate::constraint::{AmountRange, Constraint, Work};
use crate::envelope::{Bounds, Envelope, EnvelopeStep};
use crate::plan::{Class, Mode, SubmittedPlan, Uses};
use crate::taint::{Earlier, Place};
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub(super) fn check(plan: &SubmittedPlan, steps: &[Described<'_>], report: &mut Report) {
    if plan.mode == Mode::Permissive {
        let message = "the catalogs may add reads that the plan does not name";
        report.add(Rule::PermissiveMode, "$.mode", message, "name the reads that are needed");
        report.write(json!("strict"));
    }
    if plan.limits.lifetime_secs.is_some_and(|secs| secs > DAY_SECS) {
        let message = "the plan lives for more than a day";
        report.add(Rule::LongLifetime, "$.limits.lifetime_secs", message, "as long as the task takes");
        report.write(json!(DAY_SECS));
    }
    if plan.limits.max_hops > 0 && plan.delegates.is_empty() {
        let message = format!("max_hops is {}, and there is no delegate to hand a step to", plan.limits.max_hops);
        report.add(Rule::IdleHops, "$.limits.max_hops", message, "no hop, or name the delegates");
        report.write(json!(0));
    }
    for (index, delegate) in plan.delegates.iter().enumerate() {
        if steps.len() > 1 && delegate.steps.len() == steps.len() {
            let message = format!("{:?} may carry out every step", delegate.client_id);
            let path = format!("$.delegates[{index}].steps");
            report.add(Rule::DelegateOfEverything, &path, message, "only the steps that it is there for");
        }
    }
    no_budget(plan, steps, report);
}

/// Payments that can be made more than once together, and that no budget adds up.
fn no_budget(plan: &SubmittedPlan, steps: &[Described<'_>], report: &mut Report) {
    let is_pay = |step: &&Described<'_>| match step.action {
        Some(action) => action.class == Class::Pay,
        None => step.step.args.values().any(|constraint| amount(constraint).is_some()),
    };
    let is_bounded = |id: &String| plan.limits.budgets.iter().any(|budget| budget.steps.contains(id));
    let open: Vec<&Described<'_>> = steps.iter().filter(is_pay).filter(|step| !is_bounded(&step.step.id)).collect();
    let uses = open.iter().fold(0_u64, |sum, step| match step.step.uses {
        Uses::Count(count) => sum.saturating_add(count),
        Uses::Any => u64::MAX,
    });
    if uses < 2 {
        return;
    }
    let ids: BTreeSet<&String> = open.iter().map(|step| &step.step.id).collect();
    let message = format!("up to {uses} payments, and nothing bounds what they come to together");
    report.add(Rule::NoBudget, "$.limits.budgets", message, "add a budget over them");
    if let Some(budget) = budget(&open) {
        let budgets = plan.limits.budgets.iter().map(|budget| json!(budget));
        let proposed =
            json!({"steps": ids, "arg": budget.0, "max": budget.1.max.as_str(), "currency": budget.1.currency});
        report.write(Value::Array(budgets.chain([proposed]).collect()));
    }
}

/// The largest of the amounts, if all of them are of one argument and in one currency.
fn budget<'s>(steps: &[&Described<'s>]) -> Option<(&'s String, &'s AmountRange)> {
    let amounts: Option<Vec<_>> = steps.iter().map(|step| of_step(step)).collect();
    let amounts = amounts?;
    let (name, first) = amounts.first()?;
    let is_alike = amounts.iter().all(|(other, range)| other == name && range.currency == first.currency);
    amounts.iter().max_by_key(|(_, range)| range.max.value()).filter(|_| is_alike).copied()
}

fn of_step<'s>(step: &Described<'s>) -> Option<(&'s String, &'s AmountRange)> {
    let mut amounts = step.step.args.iter().filter_map(|(name, constraint)| Some((name, amount(constraint)?)));
    amounts.next().filter(|_| amounts.next().is_none())
}

fn amount(constraint: &Constraint) -> Option<&AmountRange> {
    match constraint.required() {
        Constraint::Amount(range) => Some(range),
        Constraint::All(parts) => parts.iter().find_map(amount),
        _ => None,
    }
}

pub(super) fn check_together(plan: &SubmittedPlan, steps: &[Described<'_>], report: &mut Report, work: &Work) {
    redundant(plan, report, work);
    asks_again(steps, report);
}

/// Steps of one action where another allows at least as much in one call.
fn redundant(plan: &SubmittedPlan, report: &mut Report, work: &Work) {
    let written = Envelope::as_written(plan, 0);
    let one = |step: &EnvelopeStep| {
        let step = EnvelopeStep { id: String::new(), uses: Uses::Count(1), ..step.clone() };
        Envelope { steps: vec![step], bounds: Bounds::default() }
    };
    let covers = |wide: &Envelope, narrow: &Envelope| compare_within(wide, narrow, work).is_ok();
    let singles: Vec<Envelope> = written.steps.iter().map(one).collect();
    for (index, (step, narrow)) in written.steps.iter().zip(&singles).enumerate() {
        let covering = written.steps.iter().zip(&singles).enumerate().find(|(other, (_, wide))| {
            // Of two that are the same the later one is found.
            *other != index && covers(wide, narrow) && (*other < index || !covers(narrow, wide))
        });
        if let Some((_, (other, _))) = covering {
            let message = format!("whatever step {:?} allows, step {:?} allows too", step.id, other.id);
            let mend =
                format!("leave one out; what matters is how often: narrow step {:?}, or raise its uses", other.id);
            report.add(Rule::RedundantStep, &format!("$.steps[{index}]"), message, mend);
        }
    }
}

/// Values that somebody else could have written, where something is at stake.
fn asks_again(steps: &[Described<'_>], report: &mut Report) {
    let mut earlier = Earlier::default();
    for (index, described) in steps.iter().enumerate() {
        let (step, path) = (described.step, format!("$.steps[{index}]"));
        let collections = described.collections;
        let whole = Place { path: &path, collections };
        let id = step.resource.id.as_constraint();
        let arguments = step.args.iter().map(|(name, constraint)| (Some(name), constraint));
        for (name, constraint) in arguments.chain([(None, id.as_ref())]).filter(|(_, one)| whole.is_late(one)) {
            let path = name.map_or_else(|| format!("{path}.resource.id"), |name| format!("{path}.args.{name}"));
            // Where no catalog says who wrote a value, it counts as somebody else's.
            let source = earlier.source(constraint, Place { path: &path, collections }).unwrap_or(Source::ThirdParty);
            if source == Source::ThirdParty && is_at_stake(described, name) {
                let maybe = if described.action.is_some() { "" } else { ", as far as can be told without its catalog" };
                let message =
                    format!("a value that somebody else could have written: each call needs a step-up{maybe}");
                let mend = "bind it to a field of the resource server's own records, or list the values; or expect to be asked";
                report.add(Rule::AsksAgain, &path, message, mend);
            }
        }
        if let Some(action) = described.action {
            // A step that is not as its catalog says is refused at submission; here it is unknown like the others.
            let _ = earlier.push(step, action, whole);
        }
    }
}

fn is_at_stake(described: &Described<'_>, name: Option<&String>) -> bool {
    let Some(action) = described.action else { return true };
    match name {
        None => action.class != Class::Read,
        Some(name) => {
            matches!(action.class, Class::Send | Class::Pay | Class::Grant)
                || action.args.get(name).is_some_and(|argument| argument.sensitive.is_some())
        }
    }
}
