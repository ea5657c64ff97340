//! `marque plan diff`: what one plan permits and another does not, by examples.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use marque_core::constraint::Comparison;
use marque_core::diff::{Answer, Diff, Difference, Witness, diff};
use marque_core::explain::Outcome;
use marque_core::facts::Facts;
use marque_core::timestamp;
use serde_json::{Value, json};

use super::super::Output;
use super::check::AS_WRITTEN;
use super::files::{self, CatalogFiles, Now, Plan};
use super::{Failure, show};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// One plan, as it is submitted or as it was resolved; - is standard input.
    first: PathBuf,
    /// The other plan.
    second: PathBuf,
    #[command(flatten)]
    catalogs: CatalogFiles,
    #[command(flatten)]
    now: Now,
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

pub(super) fn run(args: Args) -> Result<ExitCode, Failure> {
    files::one_standard_input([&args.first, &args.second].into_iter().chain(args.catalogs.paths()))?;
    let (now, catalogs) = (args.now.secs(), args.catalogs.read()?);
    let read = |path: &PathBuf| Plan::read(path)?.permits(path, &catalogs, now);
    let (first, second) = (read(&args.first)?, read(&args.second)?);
    let found = diff(&first.envelope, &second.envelope);
    let is_as_written = first.is_as_written || second.is_as_written;
    let mut out = io::stdout().lock();
    match args.output {
        Output::Json => writeln!(out, "{}", document(&found, is_as_written))?,
        Output::Text => {
            if is_as_written {
                writeln!(out, "{AS_WRITTEN}\n")?;
            }
            print(&mut out, &found, &args.first, &args.second)?;
        }
    }
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn document(found: &Diff, is_as_written: bool) -> Value {
    let list = |differences: &[Difference]| differences.iter().map(Difference::document).collect::<Vec<_>>();
    json!({
        "same": found.is_empty(), "first": list(&found.first), "second": list(&found.second),
        "renamed": found.renamed, "without_catalog": is_as_written,
    })
}

fn print(out: &mut impl Write, found: &Diff, first: &Path, second: &Path) -> io::Result<()> {
    let (first, second) = (files::name(first), files::name(second));
    print_side(out, &found.first, &first, &second)?;
    print_side(out, &found.second, &second, &first)?;
    for (one, other) in &found.renamed {
        let (one, other) = (show::quoted(one), show::quoted(other));
        writeln!(out, "Step {one} of {first} is step {other} of {second}; uses are counted by these ids.")?;
    }
    Ok(())
}

fn print_side(out: &mut impl Write, differences: &[Difference], here: &str, there: &str) -> io::Result<()> {
    if differences.is_empty() {
        return writeln!(out, "{here} permits nothing that {there} does not.");
    }
    writeln!(out, "{here} permits what {there} does not:")?;
    for difference in differences {
        let step = difference.step.as_ref().map_or_else(String::new, |step| format!("step {}, ", show::quoted(step)));
        writeln!(out, "  {step}{}", show::plain(&difference.member))?;
        writeln!(out, "    {here}: {}", show::value(&difference.here))?;
        writeln!(out, "    {there}: {}", show::value(&difference.there))?;
        match (&difference.witness, difference.comparison) {
            (Some(witness), _) => print_example(out, witness, here, there)?,
            (None, Comparison::Undecidable) => {
                writeln!(out, "    these two cannot be compared, and no example was found")?;
            }
            (None, _) => writeln!(out, "    no example shows it by itself")?,
        }
    }
    Ok(())
}

fn print_example(out: &mut impl Write, witness: &Witness, here: &str, there: &str) -> io::Result<()> {
    let call = &witness.call;
    let at = timestamp::format(witness.now).unwrap_or_default();
    let resource = format!("{} {}", show::plain(&call.resource.kind), show::quoted(&call.resource.id));
    let action = show::plain(&call.action);
    writeln!(out, "    example: {action} on {resource} at {}", show::plain(&call.location))?;
    writeln!(out, "      with {} at {at}", show::value(&json!(call.args)))?;
    if let Some(environment) = &call.environment {
        writeln!(out, "      in the environment {}", show::quoted(environment))?;
    }
    if !call.records.is_empty() {
        writeln!(out, "      where the records are {}", show::value(&json!(call.records)))?;
    }
    if witness.facts != Facts::default() {
        writeln!(out, "      after {}", show::value(&stated(&witness.facts)))?;
    }
    writeln!(out, "      {here}: {}; {there}: {}", answer(&witness.here), answer(&witness.there))
}

/// Facts without what is nothing.
fn stated(facts: &Facts) -> Value {
    let mut stated = json!(facts);
    let is_nothing = |value: &Value| matches!(value.as_array(), Some(items) if items.is_empty()) || *value == json!(0);
    if let Some(members) = stated.as_object_mut() {
        members.retain(|name, value| name == "steps" || !is_nothing(value));
    }
    let pasts = stated.get_mut("steps").and_then(Value::as_object_mut).into_iter().flat_map(|steps| steps.values_mut());
    for call in pasts.filter_map(|past| past.get_mut("calls")?.as_array_mut()).flatten() {
        if let Some(members) = call.as_object_mut() {
            members.retain(|name, value| name != "args" || *value != json!({}));
        }
    }
    stated
}

fn answer(answer: &Answer) -> String {
    let outcome = match answer.outcome {
        Outcome::Permit => "permitted",
        Outcome::StepUp => "step-up needed",
        Outcome::Escalate => "out of plan",
        Outcome::Deny => "denied",
    };
    let reason = answer.reason.map_or_else(String::new, |reason| format!(" ({reason})"));
    let argument = answer.argument.as_ref().map_or_else(String::new, |name| format!(" in {}", show::quoted(name)));
    format!("{outcome}{reason}{argument}")
}
