//! Measures a running server as its clients and resource servers see it. `make bench` runs it; see docs/performance.md.
//!
//! Everything that is measured is prepared beforehand: plans are approved, tokens exchanged, assertions and proofs signed.

mod agent;
mod bench;
mod client;
mod figures;
mod load;
mod marque;
mod person;
mod processes;
mod realm;
mod rounds;

use bench::Bench;
use bench_keys::Failure;
use clap::{Parser, ValueEnum};
use figures::{decisions, exchange, revocation};
use rounds::{CONNECTIONS, entry, rounded};
use serde_json::Value;
use std::path::Path;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures a running server.
#[derive(Debug, Parser)]
struct Options {
    /// What to measure; everything, unless named.
    figures: Vec<Figure>,
    /// How often each rate is measured; the median counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Requests of a round, instead of each figure's own number.
    #[arg(long)]
    requests: Option<usize>,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Figure {
    /// Exchanges with private_key_jwt and DPoP.
    Exchange,
    /// Decisions, and decisions that the ledger counts.
    Decisions,
    /// From a revocation to a gate's refusal.
    Revocation,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let bench = Bench::start(&root, options.rounds, options.requests).await?;
    let idle = rounded(processes::resident_mb(bench.marque.pid)?, 1);
    println!(
        "\nmedian [least - greatest] of {} rounds, {CONNECTIONS} connections; processor time for each request\n",
        options.rounds
    );
    println!("{:<30} {idle:>8.0} MB", "resident when idle");
    let mut entries = vec![entry("rss_idle_mb", idle, "MB")];
    for figure in Figure::value_variants() {
        if options.figures.is_empty() || options.figures.contains(figure) {
            entries.extend(measure(*figure, &bench).await?);
        }
    }
    add(&root.join("target/bench/results.json"), entries)
}

async fn measure(figure: Figure, bench: &Bench) -> Result<Vec<Value>, Failure> {
    match figure {
        Figure::Exchange => exchange::measure(bench).await,
        Figure::Decisions => decisions::measure(bench).await,
        Figure::Revocation => revocation::measure(bench).await,
    }
}

/// Adds entries to those that are there.
fn add(file: &Path, entries: Vec<Value>) -> Result<(), Failure> {
    let mut all: Vec<Value> = match std::fs::read(file) {
        Ok(text) => serde_json::from_slice(&text)?,
        Err(_) => Vec::new(),
    };
    all.retain(|old| entries.iter().all(|new| old.get("name") != new.get("name")));
    all.extend(entries);
    Ok(std::fs::write(file, serde_json::to_string_pretty(&all)? + "\n")?)
}
