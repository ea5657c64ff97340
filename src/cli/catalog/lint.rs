//! `marque catalog lint`: where a catalog is probably milder than the service is.

use std::path::PathBuf;
use std::process::ExitCode;

use marque_core::catalog::lint::lint;

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
    show::findings(&findings, args.output, args.deny_warnings)
}
