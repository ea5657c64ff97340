//! `marque catalog lint`: where a catalog is probably milder than the service is.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use marque_core::catalog::lint::{CatalogFinding, lint};
use serde_json::json;

use super::super::Output;
use super::super::plan::{Failure, files, show};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The catalog: its JSON, or the compact JWS that holds it; - is standard input.
    file: PathBuf,
    /// Exit 1 if there is a finding.
    #[arg(long)]
    deny_warnings: bool,
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

pub(super) fn run(args: Args) -> Result<ExitCode, Failure> {
    let findings = lint(files::catalog(&args.file)?.document());
    let mut out = io::stdout().lock();
    match args.output {
        Output::Json => writeln!(out, "{}", json!({"findings": findings}))?,
        Output::Text => print(&mut out, &findings)?,
    }
    let is_denied = args.deny_warnings && !findings.is_empty();
    Ok(if is_denied { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print(out: &mut impl Write, findings: &[CatalogFinding]) -> io::Result<()> {
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
