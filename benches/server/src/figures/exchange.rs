//! Token exchange: an intent token for a transaction token, with an assertion and a proof of its own in each request.

use crate::agent::{Granted, exchange, plan};
use crate::bench::Bench;
use crate::client::{make, nonce};
use crate::load::{Target, authority};
use crate::marque::Marque;
use crate::processes::resident_mb;
use crate::rounds::{entry, milliseconds, rounded, rounds};
use bench_keys::Failure;
use bytes::Bytes;
use marque_core::names::TOKEN_TYPE_INTENT;
use serde_json::Value;

/// Intents whose tokens take turns.
pub const INTENTS: usize = 32;
/// Exchanges of a round: all are signed and sent within the minute for which their nonce and proofs are taken.
pub const EXCHANGES: usize = 10_000;
/// What every right answer holds.
pub const EXPECTED: &str = r#""token_type":"N_A""#;

/// Measures exchanges at [`crate::rounds::CONNECTIONS`] connections, and the memory that they leave the server with.
///
/// # Errors
/// When an exchange is refused.
pub async fn measure(bench: &Bench) -> Result<Vec<Value>, Failure> {
    let marque = &bench.marque;
    let intents = bench.intents(marque, &plan(), INTENTS).await?;
    let count = bench.requests.unwrap_or(EXCHANGES);
    let requests = || requests(bench, marque, &intents, count);
    let rounds = rounds("exchange_pkjwt_dpop_64", marque, &target(marque)?, bench.rounds, requests).await?;
    let resident = resident_mb(marque.pid)?;
    println!("{:<30} {resident:>8.0} MB", "resident afterwards");
    Ok(vec![
        rounds.entry("exchange_pkjwt_dpop_64_per_s")?,
        entry("exchange_p99_ms", rounded(milliseconds(rounds.median()?.seen.p99), 1), "ms"),
        entry("rss_bench_mb", rounded(resident, 1), "MB"),
    ])
}

/// Exchanges at a server.
///
/// # Errors
/// When its issuer has no host.
pub fn target(marque: &Marque) -> Result<Target, Failure> {
    Ok(Target { authority: authority(&marque.issuer)?, tls: None, expected: EXPECTED })
}

/// So many requests, intents taking turns.
///
/// # Errors
/// When a key cannot sign.
pub async fn requests(
    bench: &Bench,
    marque: &Marque,
    intents: &[Granted],
    count: usize,
) -> Result<Vec<Bytes>, Failure> {
    let (issuer, client) = (&marque.issuer, &bench.agent.client);
    let nonce = nonce(&bench.agent.http, issuer).await?;
    make(count, |index| {
        let intent = intents.get(index % intents.len()).ok_or("no intent")?;
        client.request(issuer, "/token", &exchange(&intent.token, TOKEN_TYPE_INTENT), &nonce)
    })
}
