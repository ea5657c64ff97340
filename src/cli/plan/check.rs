//! `marque plan check`: what a plan decides on one call, and why.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use marque_core::explain::{Check, Dependence, Explanation, Held, Origin, Outcome, StepExplanation, explain};
use marque_core::reason::Reason;
use serde_json::json;

use super::super::Output;
use super::Failure;
use super::files::{self, CatalogFiles, Now, Plan};
use super::show;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The plan, as it is submitted or as it was resolved; - is standard input.
    file: PathBuf,
    /// The call: {"location"?, "action", "resource": {"type", "id"}, "args", "environment"?, "records"?}.
    #[arg(long, value_name = "FILE")]
    call: PathBuf,
    /// What was done before: {"steps"?, "turns"?, "approvals"?, "step_ups"?, "blocked"?}. Default: nothing.
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,
    #[command(flatten)]
    catalogs: CatalogFiles,
    #[command(flatten)]
    now: Now,
    /// The environment that the resource server runs in.
    #[arg(long, value_name = "WORD")]
    environment: Option<String>,
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

pub(super) fn run(args: Args) -> Result<ExitCode, Failure> {
    let others = args.facts.iter().chain(args.catalogs.paths());
    files::one_standard_input([&args.file, &args.call].into_iter().chain(others))?;
    let now = args.now.secs();
    let permitted = Plan::read(&args.file)?.permits(&args.file, &args.catalogs.read()?, now)?;
    let mut call = files::call(&args.call, &permitted.envelope)?;
    call.environment = args.environment.or(call.environment);
    let facts = files::facts(args.facts.as_ref())?;
    let explanation = explain(&permitted.envelope, &call, &facts, now);
    let mut out = io::stdout().lock();
    match args.output {
        Output::Json => {
            let mut answer = json!(explanation);
            if let Some(members) = answer.as_object_mut() {
                members.insert("without_catalog".into(), json!(permitted.is_as_written));
            }
            writeln!(out, "{answer}")?;
        }
        Output::Text => print(&mut out, &explanation, permitted.is_as_written)?,
    }
    Ok(ExitCode::from(code(&explanation)))
}

/// The exit code of a decision, as every command of Marque has it.
fn code(explanation: &Explanation) -> u8 {
    match (explanation.outcome, explanation.reason) {
        (Outcome::Permit, _) => 0,
        (_, Some(Reason::IntentExpired)) => 5,
        (Outcome::Escalate, _) => 6,
        (Outcome::StepUp, _) => 7,
        (Outcome::Deny, _) => 1,
    }
}

/// What is assumed where no catalog is given.
pub(super) const AS_WRITTEN: &str = "No catalog was given: the plan is taken as if it were approved as it is written, each \
step as one of the gravest class, and each late-bound value as somebody else's, which needs a step-up.";

fn print(out: &mut impl Write, explanation: &Explanation, is_as_written: bool) -> io::Result<()> {
    let outcome = match explanation.outcome {
        Outcome::Permit => "PERMITTED",
        Outcome::StepUp => "STEP-UP NEEDED",
        Outcome::Escalate => "OUT OF PLAN",
        Outcome::Deny => "DENIED",
    };
    match (explanation.reason, &explanation.step) {
        (Some(reason), _) => writeln!(out, "{outcome} ({reason}). {}", reason.meaning())?,
        (None, Some(step)) => writeln!(out, "{outcome} by step {}.", show::quoted(step))?,
        (None, None) => writeln!(out, "{outcome}.")?,
    }
    match (explanation.outcome, &explanation.step) {
        (Outcome::StepUp, Some(step)) => writeln!(out, "Step {} asks for it.", show::quoted(step))?,
        (Outcome::Escalate | Outcome::Deny, Some(step)) => writeln!(out, "Step {} comes closest.", show::quoted(step))?,
        _ => {}
    }
    if is_as_written {
        writeln!(out, "{AS_WRITTEN}")?;
    }
    if !explanation.checks.is_empty() {
        writeln!(out, "\nwhole plan")?;
        explanation.checks.iter().try_for_each(|check| print_check(out, check))?;
    }
    explanation.steps.iter().try_for_each(|step| print_step(out, step))
}

fn print_step(out: &mut impl Write, step: &StepExplanation) -> io::Result<()> {
    writeln!(out, "\nstep {}", show::quoted(&step.step))?;
    step.checks.iter().try_for_each(|check| print_check(out, check))?;
    step.depends_on.iter().try_for_each(|dependence| print_dependence(out, dependence))
}

fn print_check(out: &mut impl Write, check: &Check) -> io::Result<()> {
    let held = match check.held {
        Held::Yes => "holds  ",
        Held::No => "FAILS  ",
        Held::Unknown => "UNKNOWN",
    };
    let subject = json!(check.subject);
    let subject = subject.as_str().unwrap_or_default();
    let argument = check.argument.as_ref().map_or_else(String::new, |name| format!(" {}", show::quoted(name)));
    write!(out, "  {held} {subject}{argument}: {}", show::value(&check.expected))?;
    if check.got != check.expected {
        write!(out, ", got {}", show::value(&check.got))?;
    }
    match check.reason {
        Some(reason) => writeln!(out, " ({reason})"),
        None => writeln!(out),
    }
}

fn print_dependence(out: &mut impl Write, dependence: &Dependence) -> io::Result<()> {
    let what = match &dependence.argument {
        Some(name) => format!("argument {}", show::quoted(name)),
        None => "the resource".into(),
    };
    let on = match &dependence.on {
        Origin::Result { step, field } => format!("{} in the result of {}", show::quoted(field), show::quoted(step)),
        Origin::Text { step } => format!("the text of the result of {}", show::quoted(step)),
        Origin::Argument { step, argument } => format!("argument {} of {}", show::quoted(argument), show::quoted(step)),
        Origin::Record { collection } => format!("a record of {}", show::quoted(collection)),
    };
    let values: Vec<String> = dependence.values.iter().map(show::value).collect();
    let known = match (dependence.known, values.is_empty()) {
        (true, true) => "known".into(),
        (true, false) => format!("known: {}", values.join(", ")),
        (false, true) => "not known".into(),
        (false, false) => format!("not all known: {}", values.join(", ")),
    };
    writeln!(out, "  depends on {on} ({what}): {known}")
}
