//! `marque plan check|lint|diff`: what a plan allows, read from files alone. No server, no configuration, no key.

mod check;
mod diff;
pub(super) mod files;
mod lint;
pub(super) mod show;

use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Explain what a plan decides on a call. Exits 0 permitted, 1 denied, 2 bad file or usage, 5 expired, 6 out of
    /// plan, 7 step-up needed.
    Check(check::Args),
    /// Find where a plan is wider than it needs to be. Exits 0, 1 with --deny-warnings if there is something, 2 bad
    /// file or usage.
    Lint(lint::Args),
    /// Show by examples what one plan permits and another does not. Exits 0 if they permit the same, 1 if they
    /// differ, 2 bad file or usage.
    Diff(diff::Args),
}

/// Exit code of a command whose files or arguments make no sense.
const USAGE: u8 = 2;

pub(super) fn run(args: Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    ended(match args.command {
        Command::Check(args) => check::run(args),
        Command::Lint(args) => lint::run(args),
        Command::Diff(args) => diff::run(args),
    })
}

/// How a command ended that reads files: what it was given and makes no sense is its own exit code.
pub(super) fn ended(done: Result<ExitCode, Failure>) -> Result<ExitCode, Box<dyn std::error::Error>> {
    done.or_else(|error| match error {
        Failure::Input(message) => {
            eprintln!("marque: {message}");
            Ok(ExitCode::from(USAGE))
        }
        Failure::Output(error) => Err(error.into()),
    })
}

/// Why a command ended early.
#[derive(Debug)]
pub(super) enum Failure {
    /// What was given cannot be read; the message names the file.
    Input(String),
    /// The answer cannot be written.
    Output(std::io::Error),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Output(error)
    }
}
