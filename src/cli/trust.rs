//! `marque trust export`: the issuers and the keys that anchor evidence, as they are published now.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use marque_core::canonical::canonical;

use crate::app::App;
use crate::config::Config;
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
    Export {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
        /// The realm, where there are several.
        #[arg(long)]
        realm: Option<String>,
        /// Where to write it.
        #[arg(short, long)]
        output: PathBuf,
    },
}

pub(super) fn run(args: Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let Command::Export { config, realm, output } = args.command;
    super::block_on(async {
        let app = App::start(&Config::load(&config)?).await?;
        let trust = export_trust(super::context(&app, realm.as_deref())?).await?;
        std::fs::write(output, canonical(&trust))?;
        Ok(ExitCode::SUCCESS)
    })
}
