//! `marque catalog lint|draft|waiting|accept|refuse`: a resource server's description of itself, before it counts.

mod console;
mod decide;
mod draft;
mod lint;

use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};

use super::plan::ended;

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Find where a catalog is probably milder than the service is. Exits 0, 1 with --deny-warnings if there is
    /// something, 2 bad file or usage.
    Lint(lint::Args),
    /// Draft a catalog from an OpenAPI document or from an MCP tool list. The draft is on standard output, what was
    /// guessed is on standard error. Exits 0, 2 bad file or usage.
    Draft(draft::Args),
    /// List the catalogs that wait for an administrator, each with its digest and what it makes milder. Exits 0, 1 if the
    /// server refuses, 2 bad file or usage.
    Waiting(decide::WaitingArgs),
    /// Accept a catalog that waits, named by the digest of what was read: it counts from then on. Exits as waiting.
    Accept(decide::DecideArgs),
    /// Refuse a catalog that waits: it never counts. Exits as waiting.
    Refuse(decide::DecideArgs),
}

pub(super) fn run(args: Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    match args.command {
        Command::Lint(args) => ended(lint::run(args)),
        Command::Draft(args) => ended(draft::run(args)),
        Command::Waiting(args) => decide::waiting(args),
        Command::Accept(args) => decide::decide(args, "accept"),
        Command::Refuse(args) => decide::decide(args, "refuse"),
    }
}
