//! `marque keys`: Marque's own signing keys, and what holds no longer.

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use marque_core::timestamp;

use crate::flows::list_keys::list_keys;
use crate::flows::withdraw_key::withdraw_key;

/// Marque's own signing keys.
#[derive(Debug, Parser)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the keys that ever were a realm's: id, the kind of JWS it signs, since when, whether it was withdrawn.
    List {
        #[command(flatten)]
        realm: super::OfRealm,
    },
    /// Withdraw a key for good: whatever it signed holds no longer, at gates and at every running server.
    Withdraw {
        /// Its id, as the list has it.
        #[arg(allow_hyphen_values = true)]
        kid: String,
        /// Why, for the record.
        #[arg(long, default_value = "by an operator")]
        cause: String,
        #[command(flatten)]
        realm: super::OfRealm,
    },
}

pub(super) fn run(args: Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    match args.command {
        Command::List { realm } => list(&realm),
        Command::Withdraw { kid, cause, realm } => withdraw(&realm, &kid, &cause),
    }
}

fn list(realm: &super::OfRealm) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let keys = realm.run(async |cx| Ok(list_keys(cx).await?))?;
    let mut out = std::io::stdout().lock();
    for key in keys {
        let since = timestamp::format(key.created_at.unix_timestamp())?;
        let state = match key.withdrawn_at {
            Some(at) => format!("withdrawn {}", timestamp::format(at.unix_timestamp())?),
            None => "in use".into(),
        };
        writeln!(out, "{}  {:<28}  since {since}  {state}", key.kid, key.typ)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn withdraw(realm: &super::OfRealm, kid: &str, cause: &str) -> Result<ExitCode, Box<dyn std::error::Error>> {
    if !realm.run(async |cx| Ok(withdraw_key(cx, kid, cause).await?))? {
        return Err(format!("the realm never had a key {kid}").into());
    }
    writeln!(std::io::stdout(), "withdrawn: {kid}")?;
    Ok(ExitCode::SUCCESS)
}
