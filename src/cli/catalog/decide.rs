//! `marque catalog waiting|accept|refuse`: an administrator reads the catalogs that wait, and decides on them.
//!
//! What she is told of a catalog comes out of the signed catalog itself: its digest is taken here, from the octets that the
//! resource server signed, and it is that digest which a decision names.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use marque_core::canonical::Digest;
use marque_core::catalog::{Catalog, Lowered};
use marque_core::jws;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::plan::show;
use super::super::{Output, block_on};
use super::console::{self, Console};

#[derive(Debug, clap::Args)]
pub(super) struct WaitingArgs {
    #[command(flatten)]
    console: console::Args,
    /// A folder into which each catalog that waits is written whole, as `DIGEST.json`.
    #[arg(long)]
    save: Option<PathBuf>,
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Debug, clap::Args)]
pub(super) struct DecideArgs {
    /// URI of the resource server.
    location: String,
    /// The version that waits.
    #[arg(long)]
    version: u64,
    /// Digest of the catalog that was read, as `waiting` prints it.
    #[arg(long)]
    sha256: String,
    #[command(flatten)]
    console: console::Args,
}

/// A catalog that waits, as the server lists it.
#[derive(Debug, Deserialize)]
struct Entry {
    location: String,
    version: u64,
    sha256: Digest,
    client_id: String,
    uploaded_at: String,
    milder: Vec<Lowered>,
    jws: String,
}

pub(super) fn waiting(args: WaitingArgs) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let console = match Console::of(&args.console) {
        Ok(console) => console,
        Err(failure) => return super::super::plan::ended(Err(failure)),
    };
    let answer = block_on(async { Ok(console.get("/catalogs?state=waiting").await?) })?;
    let listed = answer.get("catalogs").cloned().unwrap_or_default();
    let entries: Vec<Entry> =
        serde_json::from_value(listed.clone()).map_err(|error| format!("the server's list: {error}"))?;
    for entry in &entries {
        let octets = octets(entry)?;
        if let Some(folder) = &args.save {
            std::fs::create_dir_all(folder)?;
            std::fs::write(folder.join(format!("{}.json", entry.sha256)), octets)?;
        }
    }
    let mut out = std::io::stdout().lock();
    match args.output {
        Output::Json => writeln!(out, "{}", json!({"catalogs": listed}))?,
        Output::Text => print(&mut out, &entries)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The octets that the resource server signed: they are what the entry says they are.
fn octets(entry: &Entry) -> Result<Vec<u8>, String> {
    let wrong = |what: &str| format!("{}: {what}", show::plain(&entry.location));
    let octets = jws::unverified_payload(&entry.jws).map_err(|error| wrong(&error.to_string()))?;
    let catalog = Catalog::parse(&octets).map_err(|refused| wrong(&refused.to_string()))?;
    let reference = catalog.reference();
    if (&reference.location, reference.version, reference.sha256) != (&entry.location, entry.version, entry.sha256) {
        return Err(wrong("the server's list says other things than the catalog itself"));
    }
    Ok(octets)
}

fn print(out: &mut impl Write, entries: &[Entry]) -> std::io::Result<()> {
    for entry in entries {
        writeln!(out, "{}", show::plain(&entry.location))?;
        writeln!(out, "  version   {}", entry.version)?;
        writeln!(out, "  sha256    {}", entry.sha256)?;
        writeln!(out, "  uploaded  {} by {}", show::plain(&entry.uploaded_at), show::plain(&entry.client_id))?;
        for milder in &entry.milder {
            let path = show::plain(&milder.path);
            writeln!(
                out,
                "  milder    {path}: {} becomes {}",
                show::value(&milder.before),
                show::value(&milder.after)
            )?;
        }
    }
    match entries.len() {
        0 => writeln!(out, "nothing waits"),
        1 => writeln!(out, "1 catalog waits"),
        count => writeln!(out, "{count} catalogs wait"),
    }
}

/// Decides: `accept` or `refuse`.
pub(super) fn decide(args: DecideArgs, decision: &str) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let console = match Console::of(&args.console) {
        Ok(console) => console,
        Err(failure) => return super::super::plan::ended(Err(failure)),
    };
    let body = json!({
        "location": args.location, "version": args.version, "sha256": args.sha256, "decision": decision,
    });
    let answer = block_on(async { Ok(console.post("/catalogs/decision", &body).await?) })?;
    let text = |pointer: &str| show::plain(answer.pointer(pointer).and_then(Value::as_str).unwrap_or_default());
    let (state, by, at) = (text("/state"), text("/decided_by/username"), text("/decided_at"));
    let mut out = std::io::stdout().lock();
    writeln!(out, "version {} of {} is {state}, by {by} at {at}", args.version, show::plain(&args.location))?;
    Ok(ExitCode::SUCCESS)
}
