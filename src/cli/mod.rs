//! The command line: one file per command.

mod postgres;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

/// A plan-before-execute authorization server for AI agents, companion to Keycloak.
#[derive(Debug, Parser)]
#[command(name = "marque", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a private Postgres server for development.
    Postgres(postgres::Args),
}

/// How a command prints its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Parses the command line, runs the command and reports how it ended.
pub fn run() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Postgres(args) => postgres::run(args),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("marque: {error}");
            ExitCode::FAILURE
        }
    }
}
