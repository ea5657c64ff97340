//! `marque serve`: runs the server.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

/// Run the server until it is told to stop.
#[derive(Debug, Parser)]
pub(super) struct Args {
    /// The configuration file (TOML).
    #[arg(long)]
    config: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let filter = crate::environment::variable("RUST_LOG").unwrap_or_else(|| "info,sqlx=warn".into());
    tracing_subscriber::fmt().with_env_filter(EnvFilter::new(filter)).with_writer(std::io::stderr).init();
    super::block_on(crate::app::serve(&args.config))?;
    Ok(ExitCode::SUCCESS)
}
