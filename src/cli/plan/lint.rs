//! `marque plan lint`: where a plan is wider than it needs to be.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use marque_core::lint::{Finding, lint};
use serde_json::json;

use super::super::Output;
use super::Failure;
use super::files::{self, CatalogFiles, Plan};
use super::show;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The plan as it is submitted; - is standard input.
    file: PathBuf,
    #[command(flatten)]
    catalogs: CatalogFiles,
    /// Exit 1 if there is a finding.
    #[arg(long)]
    deny_warnings: bool,
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

pub(super) fn run(args: Args) -> Result<ExitCode, Failure> {
    files::one_standard_input(std::iter::once(&args.file).chain(args.catalogs.paths()))?;
    let Plan::Submitted(plan) = Plan::read(&args.file)? else {
        let name = files::name(&args.file);
        return Err(Failure::Input(format!("{name}: is resolved; give the plan as it is submitted")));
    };
    let findings = lint(&plan, &args.catalogs.read()?);
    let mut out = io::stdout().lock();
    match args.output {
        Output::Json => writeln!(out, "{}", json!({"findings": findings}))?,
        Output::Text => print(&mut out, &findings)?,
    }
    let is_denied = args.deny_warnings && !findings.is_empty();
    Ok(if is_denied { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print(out: &mut impl Write, findings: &[Finding]) -> io::Result<()> {
    for finding in findings {
        writeln!(out, "{} ({})", show::plain(&finding.path), finding.rule)?;
        writeln!(out, "  {}", show::plain(&finding.message))?;
        writeln!(out, "  mend: {}", show::plain(&finding.mend))?;
        if let Some(write) = &finding.write {
            writeln!(out, "  write: {}", show::value(write))?;
        }
    }
    match findings.len() {
        0 => writeln!(out, "nothing found"),
        1 => writeln!(out, "1 finding"),
        count => writeln!(out, "{count} findings"),
    }
}
