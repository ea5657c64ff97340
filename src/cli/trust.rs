//! `marque trust export`: the issuers and the keys that anchor evidence, as they are published now.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use marque_core::canonical::canonical;

use crate::flows::export_evidence::export_trust;

/// Trust files.
#[derive(Debug, Parser)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the trust file of a realm. Compare its keys with what the operators tell you.
    Export(super::RealmExport),
}

pub(super) fn run(args: Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let Command::Export(export) = args.command;
    export.write(async |cx| Ok(canonical(&export_trust(cx).await?)))
}
