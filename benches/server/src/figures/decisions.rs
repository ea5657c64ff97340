//! Decisions of the server: on calls that nothing counts, and on calls that its ledger counts.

use crate::agent::{COUNTED, plan, reading, rotation};
use crate::bench::Bench;
use crate::load::{Target, authority, request};
use crate::rounds::rounds;
use bench_keys::Failure;
use marque_core::call::Call;
use serde_json::Value;

/// Intents whose tokens take turns.
const INTENTS: usize = 32;
/// Decisions of a round that nothing counts, and of one that the ledger counts.
const DECISIONS: [usize; 2] = [20_000, 8_000];

/// Measures both.
///
/// # Errors
/// When a decision is not the expected one.
pub async fn measure(bench: &Bench) -> Result<Vec<Value>, Failure> {
    let [free, counted] = DECISIONS;
    Ok(vec![
        rate(bench, "remote_decisions_per_s", free, |_| reading()).await?,
        rate(bench, "remote_ledger_per_s", counted, |index| rotation(index % COUNTED)).await?,
    ])
}

/// Decisions per second on these calls, tokens taking turns.
async fn rate(bench: &Bench, name: &str, count: usize, call: impl Fn(usize) -> Call) -> Result<Value, Failure> {
    let granted = bench.granted(&bench.marque, &plan(), INTENTS).await?;
    let url = format!("{}/access/v1/evaluation", bench.marque.issuer);
    let bearer = format!("Bearer {}", bench.access_token(&bench.marque)?);
    let fields = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let target = Target { authority: authority(&url)?, tls: None, expected: r#""decision":true"# };
    let requests = || async {
        let all = granted.iter().cycle().take(bench.requests.unwrap_or(count)).enumerate();
        all.map(|(index, granted)| {
            let question = bench.agent.question(granted, &call(index / INTENTS))?;
            Ok(request("POST", &url, &fields, question.as_bytes()))
        })
        .collect()
    };
    rounds(name, &bench.marque, &target, bench.rounds, requests).await?.entry(name)
}
