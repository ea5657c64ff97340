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
mod pooler;
mod processes;
mod realm;
mod rounds;

use bench::{Bench, Effort};
use bench_keys::Failure;
use clap::{Parser, ValueEnum};
use figures::{chain, decisions, exchange, grant, keycloak, mutual, pooled, reading, revocation, rows, start};
use rounds::{CONNECTIONS, entry, rounded};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

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
    /// Seconds of load that Keycloak is warmed up with.
    #[arg(long, default_value_t = 240)]
    warm_up: u64,
    /// Custody rows of the server with many.
    #[arg(long, default_value_t = 10_000_000)]
    rows: u64,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Figure {
    /// Octets of transaction tokens. Loads nothing.
    Sizes,
    /// From the start of the process to its readiness.
    Start,
    /// Exchanges with private_key_jwt and DPoP, and the memory that they leave the server with.
    Exchange,
    /// Exchanges and introspection with certificates.
    Mtls,
    /// Keycloak's exchange with private_key_jwt, warmed up for some minutes.
    Keycloak,
    /// Redemptions of approvals.
    Grant,
    /// The keys and the metadata.
    Documents,
    /// Introspection of transaction tokens.
    Introspection,
    /// Exchanges deep in a chain against its first one.
    Hops,
    /// Exchanges with many custody rows against few.
    Rows,
    /// Exchanges and introspection by PgBouncer against by sessions of the server's own.
    Pooled,
    /// Decisions, and decisions that the ledger counts.
    Decisions,
    /// From a revocation to a gate's refusal.
    Revocation,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let Options { figures, rounds, requests, warm_up, rows } = Options::parse();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let bench = Bench::start(&root, Effort { rounds, requests, warm_up: Duration::from_secs(warm_up), rows }).await?;
    let idle = rounded(processes::resident_mb(bench.marque.pid)?, 1);
    println!(
        "\nmedian [least - greatest] of {rounds} rounds, {CONNECTIONS} connections; processor time for each request\n"
    );
    println!("{:<30} {idle:>8.0} MB", "resident when idle");
    let mut entries = vec![entry("rss_idle_mb", idle, "MB")];
    for figure in Figure::value_variants() {
        if figures.is_empty() || figures.contains(figure) {
            let measured = measure(*figure, &bench, &entries).await?;
            entries.extend(measured);
        }
    }
    add(&root.join("target/bench/results.json"), entries)
}

async fn measure(figure: Figure, bench: &Bench, so_far: &[Value]) -> Result<Vec<Value>, Failure> {
    match figure {
        Figure::Sizes => chain::sizes(bench).await,
        Figure::Start => start::measure(bench).await,
        Figure::Exchange => exchange::measure(bench).await,
        Figure::Mtls => mutual::measure(bench).await,
        Figure::Keycloak => keycloak::measure(bench, value(so_far, "exchange_pkjwt_dpop_64_per_s")).await,
        Figure::Grant => grant::measure(bench).await,
        Figure::Documents => reading::documents(bench).await,
        Figure::Introspection => reading::introspection(bench).await,
        Figure::Hops => chain::cost(bench).await,
        Figure::Rows => rows::measure(bench).await,
        Figure::Pooled => pooled::measure(bench).await,
        Figure::Decisions => decisions::measure(bench).await,
        Figure::Revocation => revocation::measure(bench).await,
    }
}

/// What this run has measured under a name.
fn value(entries: &[Value], name: &str) -> Option<f64> {
    let named = |entry: &&Value| entry.get("name").and_then(Value::as_str) == Some(name);
    entries.iter().find(named).and_then(|entry| entry.get("value")).and_then(Value::as_f64)
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
