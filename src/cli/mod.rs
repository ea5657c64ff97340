//! The command line: one file per command.

mod catalog;
mod evidence;
mod keys;
mod plan;
mod postgres;
mod restore;
mod serve;
mod trust;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::app::{App, StartError};
use crate::config::Config;
use crate::flows::Context;
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
    /// Run the server.
    Serve(serve::Args),
    /// Check a call against a plan, find what is wide in it, compare two plans. Offline, from files alone.
    Plan(plan::Args),
    /// Check or draft a catalog, offline, from files alone; decide on those that wait at a running server.
    Catalog(catalog::Args),
    /// Export and verify evidence of approvals.
    Evidence(evidence::Args),
    /// Export the keys that anchor evidence.
    Trust(trust::Args),
    /// List, rotate and withdraw Marque's own signing keys.
    Keys(keys::Args),
    /// After the database lost commits: what is suspended, and whether it goes on or ends.
    Restore(restore::Args),
    /// Run a private Postgres server for development.
    Postgres(postgres::Args),
}

/// Which realm a command is for that works on a server's own data.
#[derive(Debug, clap::Args)]
struct OfRealm {
    /// The configuration file.
    #[arg(long)]
    config: PathBuf,
    /// The realm, where there are several.
    #[arg(long)]
    realm: Option<String>,
}

impl OfRealm {
    /// What `command` answers for the realm.
    fn run<T>(
        &self,
        command: impl AsyncFnOnce(Context<'_>) -> Result<T, StartError>,
    ) -> Result<T, Box<dyn std::error::Error>> {
        block_on(async {
            let app = App::start(&Config::load(&self.config)?).await?;
            command(context(&app, self.realm.as_deref())?).await
        })
    }
}

/// What a command needs that writes a file from a server's own data.
#[derive(Debug, clap::Args)]
struct RealmExport {
    #[command(flatten)]
    realm: OfRealm,
    /// Where to write it.
    #[arg(short, long)]
    output: PathBuf,
}

impl RealmExport {
    /// Writes what `make` answers for the realm.
    fn write(
        &self,
        make: impl AsyncFnOnce(Context<'_>) -> Result<Vec<u8>, StartError>,
    ) -> Result<ExitCode, Box<dyn std::error::Error>> {
        std::fs::write(&self.output, self.realm.run(make)?)?;
        Ok(ExitCode::SUCCESS)
    }
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
        Command::Serve(args) => serve::run(&args),
        Command::Plan(args) => plan::run(args),
        Command::Catalog(args) => catalog::run(args),
        Command::Evidence(args) => evidence::run(args),
        Command::Trust(args) => trust::run(args),
        Command::Keys(args) => keys::run(args),
        Command::Restore(args) => restore::run(args),
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

/// Runs an asynchronous command to its end.
fn block_on<T>(command: impl Future<Output = Result<T, StartError>>) -> Result<T, Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(command).map_err(|error| -> Box<dyn std::error::Error> { error })
}

/// The realm that a command is for: the named one, or the only one.
fn context<'a>(app: &'a App, realm: Option<&str>) -> Result<Context<'a>, StartError> {
    let realm = match (realm, app.realms.len()) {
        (Some(name), _) => app.realms.get(name),
        (None, 1) => app.realms.values().next(),
        (None, _) => None,
    };
    let realm = realm.ok_or("name one of the configured realms with --realm")?;
    Ok(Context { app, realm })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn every_command_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
