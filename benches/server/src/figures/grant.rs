//! The intent grant: approvals that wait are redeemed. They are made in bulk beforehand, by a passkey in memory and a realm
//! whose key is known here; Marque checks them as everywhere.

use crate::agent::plan;
use crate::bench::Bench;
use crate::client::{make, nonce};
use crate::load::{Target, authority};
use crate::rounds::rounds;
use bench_keys::Failure;
use marque_core::names::GRANT_INTENT;
use serde_json::Value;

/// Redemptions of a round.
const GRANTS: usize = 2_000;

/// Measures redemptions.
///
/// # Errors
/// When one is refused.
pub async fn measure(bench: &Bench) -> Result<Vec<Value>, Failure> {
    let marque = &bench.marque;
    let expected = r#""token_type":"DPoP""#;
    let target = Target { authority: authority(&marque.issuer)?, tls: None, expected };
    let requests = || async {
        let approved = bench.approvals(marque, &plan(), bench.requests.unwrap_or(GRANTS)).await?;
        let nonce = nonce(&bench.agent.http, &marque.issuer).await?;
        make(approved.len(), |index| {
            let intent_id = approved.get(index).ok_or("no intent")?;
            let form = [("grant_type", GRANT_INTENT), ("intent_id", intent_id)];
            bench.agent.client.request(&marque.issuer, "/token", &form, &nonce)
        })
    };
    Ok(vec![rounds("intent_grant", marque, &target, bench.rounds, requests).await?.entry("intent_grant_per_s")?])
}
