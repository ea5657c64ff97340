//! How long after a person revokes until a connected gate refuses.

use crate::agent::{LOCATION, plan};
use crate::bench::Bench;
use crate::marque::TRUST_DOMAIN;
use crate::realm::now;
use crate::rounds::{entry, rounded};
use bench_keys::Failure;
use marque_core::reason::Reason;
use marque_gate::GateConfig;
use marque_gate::keys::Pending;
use marque_gate::remote::{AccessTokens, Marque as Server};
use serde_json::Value;
use std::time::{Duration, Instant};

/// Revocations whose way to a gate is timed.
const REVOCATIONS: usize = 100;
/// How stale the gate's view may be.
const STALENESS: Duration = Duration::from_secs(10);
/// How long a revocation may take to arrive before the run is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks.
const LOOK: Duration = Duration::from_micros(200);

/// One token for the whole run.
struct Token(String);

impl AccessTokens for Token {
    fn access_token<'a>(&'a self, _refused: Option<&'a str>) -> Pending<'a, Result<String, String>> {
        Box::pin(async { Ok(self.0.clone()) })
    }
}

/// Revokes one intent after the other, by the button on its receipt: from the click until the gate's own view of
/// revocations refuses the intent.
///
/// # Errors
/// When a revocation does not arrive.
pub async fn measure(bench: &Bench) -> Result<Vec<Value>, Failure> {
    let Bench { marque, person, .. } = bench;
    let mut receipts = Vec::new();
    for _ in 0..REVOCATIONS {
        let (granted, receipt) = bench.redeemed(marque, &plan()).await?;
        receipts.push((granted.intent_id, receipt));
    }
    let config = GateConfig::new(LOCATION, &marque.issuer, TRUST_DOMAIN)?;
    let (gate, _following) = Server::new(&config, Token(bench.access_token(marque)?))?.gate(config);
    let mut took = Vec::new();
    for (intent_id, receipt) in receipts {
        let refuses = || gate.revocations().check(&intent_id, now(), STALENESS) == Err(Reason::IntentRevoked);
        let permits = || gate.revocations().check(&intent_id, now(), STALENESS).is_ok();
        until(permits).await.map_err(|()| "the gate does not hear of anything")?;
        let click = person.revocation(&receipt).await?;
        let begun = Instant::now();
        let clicked = tokio::spawn(click.send());
        until(refuses).await.map_err(|()| "a revocation does not arrive")?;
        took.push(begun.elapsed());
        clicked.await??;
    }
    took.sort_unstable();
    let at = |part: usize| {
        took.get((took.len() * part).div_ceil(100).saturating_sub(1)).map_or(0.0, |took| took.as_secs_f64() * 1e3)
    };
    let [least, p50, p90, p99, greatest] = [0, 50, 90, 99, 100].map(at);
    println!(
        "revoke to refusal, {} revocations: {least:.1} ms least, p50 {p50:.1}, p90 {p90:.1}, p99 {p99:.1}, greatest {greatest:.1}",
        took.len()
    );
    Ok(vec![
        entry("revoke_to_refusal_p50_ms", rounded(p50, 2), "ms"),
        entry("revoke_to_refusal_p99_ms", rounded(p99, 2), "ms"),
    ])
}

async fn until(mut holds: impl FnMut() -> bool) -> Result<(), ()> {
    let begun = Instant::now();
    while !holds() {
        if begun.elapsed() > PATIENCE {
            return Err(());
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
