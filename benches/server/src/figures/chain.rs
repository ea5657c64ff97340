//! What a chain costs: exchanges deep in it against its first one, and how its tokens grow.
//!
//! A plan allows so many hops. The rest of a deep chain are exchanges of the last holder's for itself, which are no hops;
//! each has the one before as its parent.

use crate::agent::{Granted, exchange, handed_on};
use crate::bench::Bench;
use crate::client::{Client, make, nonce, text};
use crate::figures::exchange::{EXCHANGES, target};
use crate::rounds::{Round, entry, round, rounded};
use bench_keys::Failure;
use bytes::Bytes;
use marque_core::limits::HOPS;
use marque_core::names::{TOKEN_TYPE_INTENT, TOKEN_TYPE_TXN};
use serde_json::{Value, json};

/// Exchanges of the deep chain.
const DEEP: usize = 32;
/// Chains whose tokens take turns.
const CHAINS: usize = 8;
/// Steps of the plans whose tokens are weighed.
const STEPS: [usize; 2] = [1, 10];

/// A client for each hop that a plan may allow.
fn delegates(bench: &Bench) -> Result<Vec<Client>, Failure> {
    let attributes = json!({"marque.kind": "agent"});
    (1..=HOPS).map(|hop| Client::new(&bench.realm, &format!("bench-hop-{hop}"), attributes.clone())).collect()
}

/// The client that makes an exchange of a chain: the agent, each delegate in turn, then the last one again and again.
fn actor<'a>(bench: &'a Bench, delegates: &'a [Client], depth: usize) -> &'a Client {
    match depth {
        0 => &bench.agent.client,
        _ => delegates.get(depth - 1).or(delegates.last()).unwrap_or(&bench.agent.client),
    }
}

/// The transaction tokens of a chain, from the agent's own, which is no hop, to one of a depth.
async fn chain(bench: &Bench, delegates: &[Client], intent: &Granted, depth: usize) -> Result<Vec<String>, Failure> {
    let mut tokens: Vec<String> = Vec::new();
    for at in 0..=depth {
        let form = match tokens.last() {
            None => exchange(&intent.token, TOKEN_TYPE_INTENT),
            Some(parent) => exchange(parent, TOKEN_TYPE_TXN),
        };
        let client = actor(bench, delegates, at);
        let answer = client.post(&bench.agent.http, &bench.marque.issuer, "/token", &form).await?;
        tokens.push(text(&answer, "access_token")?.to_owned());
    }
    Ok(tokens)
}

/// Measures the first hop's exchanges against the last hop's, and against those at the end of a deep chain.
///
/// # Errors
/// When an exchange is refused.
pub async fn cost(bench: &Bench) -> Result<Vec<Value>, Failure> {
    let delegates = delegates(bench)?;
    let intents = bench.intents(&bench.marque, &handed_on(1, &delegates), CHAINS).await?;
    let last = usize::try_from(HOPS)?;
    let mut ratios = [Vec::new(), Vec::new()];
    for _ in 0..bench.rounds {
        let mut chains = Vec::new();
        for intent in &intents {
            chains.push(chain(bench, &delegates, intent, DEEP).await?);
        }
        let first = exchanges(bench, &delegates, &chains, 1).await?;
        for (depth, ratios) in [last, DEEP].into_iter().zip(&mut ratios) {
            let deep = exchanges(bench, &delegates, &chains, depth).await?;
            ratios.push((deep.cost_us() / first.cost_us(), first.seen.per_second / deep.seen.per_second));
        }
    }
    let [hops, deep] = ratios;
    Ok([
        ("exchange_hop_8_ratio", "hop 8 against hop 1", hops),
        ("exchange_hop_32_ratio", "exchange 32 of a chain against 1", deep),
    ]
    .map(|(name, what, ratios)| print_ratio(name, what, ratios))
    .to_vec())
}

fn print_ratio(name: &str, what: &str, ratios: Vec<(f64, f64)>) -> Value {
    let (costs, times): (Vec<_>, Vec<_>) = ratios.into_iter().unzip();
    let (cost, time) = (median(costs), median(times));
    println!("{what:<34} x{cost:.3} of the server's and Postgres' processor time, x{time:.3} of the time");
    entry(name, rounded(cost, 3), "ratio")
}

/// The middle one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// One round of exchanges that are so deep in their chains.
async fn exchanges(
    bench: &Bench,
    delegates: &[Client],
    chains: &[Vec<String>],
    depth: usize,
) -> Result<Round, Failure> {
    let (issuer, client) = (&bench.marque.issuer, actor(bench, delegates, depth));
    let nonce = nonce(&bench.agent.http, issuer).await?;
    let requests: Vec<Bytes> = make(bench.requests.unwrap_or(EXCHANGES / 2), |index| {
        let parent = chains.get(index % chains.len()).and_then(|chain| chain.get(depth - 1)).ok_or("no chain")?;
        client.request(issuer, "/token", &exchange(parent, TOKEN_TYPE_TXN), &nonce)
    })?;
    round(&bench.marque, &target(&bench.marque)?, requests)
}

/// Weighs tokens of one step and of ten, after each number of hops. Nothing is loaded.
///
/// # Errors
/// When an exchange is refused.
pub async fn sizes(bench: &Bench) -> Result<Vec<Value>, Failure> {
    let delegates = delegates(bench)?;
    let last = usize::try_from(HOPS)?;
    let mut entries = Vec::new();
    println!("\noctets of a transaction token, by hops");
    println!("{:<10} {}", "", (0..=last).map(|hop| format!("{hop:>6}")).collect::<String>());
    for steps in STEPS {
        let (intent, _) = bench.redeemed(&bench.marque, &handed_on(steps, &delegates)).await?;
        let octets: Vec<usize> = chain(bench, &delegates, &intent, last).await?.iter().map(String::len).collect();
        println!(
            "{:<10} {}",
            format!("{steps} steps"),
            octets.iter().map(|octets| format!("{octets:>6}")).collect::<String>()
        );
        let weigh = |hops: usize| octets.get(hops).copied().ok_or("no such hop");
        #[expect(clippy::cast_precision_loss, reason = "some thousands of octets")]
        let mut add = |name: &str, octets: usize| entries.push(entry(name, octets as f64, "octets"));
        if steps == 1 {
            add("token_bytes_1_1", weigh(1)?);
            add("token_bytes_per_hop", (weigh(last)? - weigh(1)?).div_ceil(last - 1));
        } else {
            add("token_bytes_10_8", weigh(last)?);
        }
    }
    println!();
    Ok(entries)
}
