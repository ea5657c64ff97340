//! `marque restore`: what is suspended since the database lost commits, and whether it goes on.

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use marque_core::timestamp;
use time::OffsetDateTime;

use crate::flows::confirm_restore::{Confirmed, confirm_restore, revoke_suspended, suspended};

/// What is suspended since the database lost commits.
#[derive(Debug, Parser)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show since when something is suspended, from when on commits may be missing, and the suspended intents.
    Show {
        #[command(flatten)]
        realm: super::OfRealm,
    },
    /// Revoke suspended intents: those that were revoked or used while what is missing was committed.
    Revoke {
        /// The intents.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        intents: Vec<String>,
        /// All of them.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        realm: super::OfRealm,
    },
    /// Let everything that is still suspended go on, as the database has it: five minutes after it was suspended, when tokens and
    /// ids that the database forgot are over.
    Confirm {
        /// Do not wait for that.
        #[arg(long)]
        now: bool,
        #[command(flatten)]
        realm: super::OfRealm,
    },
}

pub(super) fn run(args: Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    match args.command {
        Command::Show { realm } => show(&realm),
        Command::Revoke { intents, realm, .. } => revoke(&realm, &intents),
        Command::Confirm { realm, now } => confirm(&realm, now),
    }
}

fn shown(instant: OffsetDateTime) -> Result<String, Box<dyn std::error::Error>> {
    Ok(timestamp::format(instant.unix_timestamp())?)
}

fn show(realm: &super::OfRealm) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut out = std::io::stdout().lock();
    let Some((since, intents)) = realm.run(async |cx| Ok(suspended(cx).await?))? else {
        writeln!(out, "nothing is suspended")?;
        return Ok(ExitCode::SUCCESS);
    };
    let from = since.lost_from.map_or(Ok("an unknown instant".into()), shown)?;
    writeln!(out, "suspended since {}; commits may be missing from {from} on", shown(since.suspended_at)?)?;
    for one in intents {
        let (user, until) = (one.username.as_deref().unwrap_or("-"), shown(one.expires_at)?);
        writeln!(out, "{}  {:<8}  {}  for {user}  until {until}", one.intent_id, one.was, one.client_id)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn revoke(realm: &super::OfRealm, intents: &[String]) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let revoked = realm.run(async |cx| Ok(revoke_suspended(cx, intents).await?))?;
    writeln!(std::io::stdout(), "revoked: {revoked}")?;
    Ok(ExitCode::SUCCESS)
}

fn confirm(realm: &super::OfRealm, now: bool) -> Result<ExitCode, Box<dyn std::error::Error>> {
    match realm.run(async |cx| Ok(confirm_restore(cx, now).await?))? {
        Confirmed::Nothing => Err("nothing is suspended".into()),
        Confirmed::TooEarly(until) => {
            let until = shown(until)?;
            Err(format!("what the database forgot may be used until {until}: confirm then, or with --now").into())
        }
        Confirmed::Resumed(intents) => {
            writeln!(std::io::stdout(), "confirmed: {intents} intents go on")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
