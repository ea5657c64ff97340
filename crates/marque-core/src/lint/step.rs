//! What single steps leave open.

use super::constraint::{Place, open};
use super::{Described, Report, Rule};
use crate::constraint::{Constraint, TimeWindow};
use crate::plan::{Class, ResourceId, Uses};
use serde_json::json;

/// Seconds of a day: what is longer is seldom needed for one task.
pub(super) const DAY_SECS: i64 = 24 * 3600;

pub(super) fn check(described: &Described<'_>, path: &str, report: &mut Report) {
    let step = described.step;
    if let ResourceId::Bound(constraint) = &step.resource.id {
        let place = Place { step: described, argument: None };
        place.check(&format!("{path}.resource.id"), constraint, report);
    }
    for (name, constraint) in &step.args {
        let path = format!("{path}.args.{name}");
        if name == "*" {
            open(&path, "arguments", report);
            continue;
        }
        optional(described, &path, constraint, report);
        Place { step: described, argument: Some(name) }.check(&path, constraint, report);
    }
    no_arguments(described, path, report);
    uses(described, path, report);
    if let Some(window) = &step.window {
        long_window(&format!("{path}.window"), window, report);
    }
}

fn optional(described: &Described<'_>, path: &str, constraint: &Constraint, report: &mut Report) {
    let Constraint::Optional(inner) = constraint else { return };
    if !described.may_be(Class::Send) {
        return;
    }
    let maybe = described.unless_known("sent out");
    let message = format!("the argument may be there or not, as the agent chooses{maybe}");
    report.add(Rule::OptionalInSend, path, message, "require it, or leave it out");
    report.write(inner.expected());
}

fn no_arguments(described: &Described<'_>, path: &str, report: &mut Report) {
    let Some(action) = described.action else { return };
    if action.class == Class::Read || action.args.is_empty() || !described.step.args.is_empty() {
        return;
    }
    let names: Vec<&str> = action.args.keys().map(String::as_str).collect();
    let message = format!("no argument is named, so a call with any of {} is refused", names.join(", "));
    report.add(Rule::NoArguments, &format!("{path}.args"), message, "bind the arguments that the call will have");
}

fn uses(described: &Described<'_>, path: &str, report: &mut Report) {
    let path = format!("{path}.uses");
    match (described.step.uses, described.action) {
        (Uses::Any, _) => {
            let message = "any number of times; nobody counts them";
            report.add(Rule::UnboundedUses, &path, message, "say how often at most");
            report.write(json!(10));
        }
        (Uses::Count(count), Some(action)) if count > 1 && !action.reversible && action.class != Class::Read => {
            let message = format!("up to {count} times, and none of them can be undone");
            let mend = "one step for each time, with its own values; or once";
            report.add(Rule::RepeatedIrreversible, &path, message, mend);
            report.write(json!(1));
        }
        _ => {}
    }
}

fn long_window(path: &str, window: &TimeWindow, report: &mut Report) {
    let (Some(from), Some(to)) = (&window.from, &window.to) else { return };
    if to.secs() - from.secs() > DAY_SECS {
        report.add(Rule::LongWindow, path, "a window of more than a day", "narrow it to when the step is needed");
    }
}
