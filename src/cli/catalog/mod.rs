//! `marque catalog lint|draft`: a resource server's description of itself, before it is signed. No server, no key.

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
}

pub(super) fn run(args: Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    ended(match args.command {
        Command::Lint(args) => lint::run(args),
        Command::Draft(args) => draft::run(args),
    })
}
