//! `marque keys`: Marque's own signing keys, and what holds no longer.

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use marque_core::timestamp;
use time::{Duration, OffsetDateTime};

use crate::flows::list_keys::{KnownKey, Role, list_keys};
use crate::flows::rotate_keys::rotate_keys;
use crate::flows::withdraw_key::withdraw_key;

/// Marque's own signing keys.
#[derive(Debug, Parser)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the keys that ever were a realm's: id, the kind of JWS it signs, since when it is there, what it is for now.
    List {
        #[command(flatten)]
        realm: super::OfRealm,
    },
    /// Make the next key of each kind: published at once, it signs later; the former one is believed while what it signed lives.
    Rotate {
        /// Only the keys that sign such a JWS, as the list names it.
        typ: Vec<String>,
        /// Seconds until the next key signs. Others may keep the published keys for ten minutes.
        #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..=604_800))]
        after: u32,
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
        Command::Rotate { typ, after, realm } => rotate(&realm, &typ, after),
        Command::Withdraw { kid, cause, realm } => withdraw(&realm, &kid, &cause),
    }
}

fn list(realm: &super::OfRealm) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let keys = realm.run(async |cx| Ok(list_keys(cx).await?))?;
    let mut out = std::io::stdout().lock();
    for (key, role) in keys {
        let since = shown(key.created_at)?;
        writeln!(out, "{}  {:<28}  since {since}  {}", key.kid, key.typ, state(&key, role)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn shown(instant: OffsetDateTime) -> Result<String, Box<dyn std::error::Error>> {
    Ok(timestamp::format(instant.unix_timestamp())?)
}

fn state(key: &KnownKey, role: Role) -> Result<String, Box<dyn std::error::Error>> {
    Ok(match (role, key.withdrawn_at) {
        (Role::Withdrawn, Some(at)) => format!("withdrawn {}", shown(at)?),
        (Role::Withdrawn, None) => "withdrawn".into(),
        (Role::Signing, _) => "in use".into(),
        (Role::Next, _) => format!("next, signs from {}", shown(key.signs_from)?),
        (Role::Former(Some(until)), _) => format!("believed until {}", shown(until)?),
        (Role::Former(None), _) => "believed".into(),
        (Role::Retired, _) => "retired".into(),
    })
}

fn rotate(realm: &super::OfRealm, typs: &[String], after: u32) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let keys = realm.run(async |cx| Ok(rotate_keys(cx, typs, Duration::seconds(after.into())).await?))?;
    let mut out = std::io::stdout().lock();
    for key in keys {
        writeln!(out, "{}  {:<28}  next, signs from {}", key.kid, key.typ, shown(key.signs_from)?)?;
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
