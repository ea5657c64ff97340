//! `marque evidence export|verify`: what an auditor takes away, and how she checks it, offline.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use marque_core::timestamp;

use crate::flows::export_evidence::export_evidence;
use crate::flows::verify_evidence::{Report, Trust, verify_file};

/// Evidence of approvals.
#[derive(Debug, Parser)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the evidence file of an approved intent.
    Export {
        /// The intent.
        intent_id: String,
        #[command(flatten)]
        export: super::RealmExport,
    },
    /// Verify an evidence file, offline. Exits 0 only if all of it holds.
    Verify {
        /// The evidence file.
        file: PathBuf,
        /// The trust file that says whose keys are believed.
        #[arg(long)]
        trust: Option<PathBuf>,
    },
}

pub(super) fn run(args: Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    match args.command {
        Command::Export { intent_id, export } => export.write(async |cx| Ok(export_evidence(cx, &intent_id).await?)),
        Command::Verify { file, trust } => verify(&std::fs::read(file)?, trust),
    }
}

fn verify(file: &[u8], trust: Option<PathBuf>) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let trust = trust
        .map(|path| Trust::parse(&std::fs::read(path)?).map_err(|error| format!("the trust file: {error}").into()));
    let trust: Option<Trust> = trust.transpose().map_err(|error: Box<dyn std::error::Error>| error)?;
    match verify_file(file, trust.as_ref()) {
        Ok(report) => {
            print(&report)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => Err(format!("the evidence does not hold: {error}").into()),
    }
}

fn print(report: &Report) -> Result<(), Box<dyn std::error::Error>> {
    let proven = &report.proven;
    let kind =
        if report.backup_eligible { "can be synced to other devices" } else { "bound to one device, as it says" };
    let anchor = if report.is_anchored {
        "anchored: both keys are ones that the trust file names"
    } else {
        "unanchored: from the file alone nobody can prove whose keys these are; give --trust FILE"
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "intent       {}", proven.plan.intent_id)?;
    writeln!(out, "plan digest  {}  {}", report.plan_digest, report.plan_digest.words())?;
    writeln!(out, "approved by  {} ({}) at {}", proven.username, proven.sub, proven.plan.user.iss)?;
    writeln!(out, "approved at  {}", timestamp::format(report.approved_at)?)?;
    writeln!(out, "passkey      {kind}; used at {}", report.origin)?;
    writeln!(out, "Marque key   {} of {}", report.signer_thumbprint, report.issuer)?;
    writeln!(out, "realm key    {} of {}", proven.realm_thumbprint, proven.plan.user.iss)?;
    writeln!(out, "{anchor}")?;
    Ok(())
}
