//! `marque plan lint`: where a plan is wider than it needs to be.

use std::path::PathBuf;
use std::process::ExitCode;

use marque_core::lint::lint;

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
    show::findings(&findings, args.output, args.deny_warnings)
}
