//! Measures a running server as a resource server sees it. `make bench` runs it; see docs/performance.md.
//!
//! Everything that is measured is prepared beforehand: plans are approved, tokens exchanged, proofs signed.

mod agent;
mod load;
mod marque;
mod person;
mod processes;
mod realm;
mod revocation;

use agent::{Agent, COUNTED, Granted, RESOURCE_SERVER, reading, rotation};
use bench_keys::Failure;
use bytes::Bytes;
use load::{Seen, Target};
use marque::Marque;
use marque_core::call::Call;
use person::{ORIGIN, Person};
use processes::Times;
use realm::Realm;
use serde_json::{Value, json};
use std::path::Path;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Intents whose tokens take turns.
const INTENTS: usize = 32;
/// Connections of the closed loop.
const CONNECTIONS: usize = 64;
/// Rounds of each figure; the median counts.
const ROUNDS: usize = 5;
/// Decisions of a round that nothing counts, and of one that the ledger counts.
const DECISIONS: [usize; 2] = [20_000, 8_000];
/// Revocations whose way to a gate is timed.
const REVOCATIONS: usize = 100;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let realm = Realm::start().await?;
    let person = Person::new(&realm)?;
    let agent = Agent::new(&realm)?;
    let program = root.join("target/release/marque");
    let marque = Marque::start(&program, &root.join("target/bench/server"), &realm, ORIGIN).await?;
    let token = realm.access_token(RESOURCE_SERVER, &marque.issuer)?;
    agent.publish(&marque, &token).await?;
    let idle = processes::resident_mb(marque.pid)?;
    let mut granted = Vec::new();
    for _ in 0..INTENTS {
        granted.push(approved(&marque, &person, &agent).await?.0);
    }
    let bench = Bench { marque, agent, granted, target_token: token.clone() };
    println!(
        "\nmedian [least - greatest] of {ROUNDS} rounds, {CONNECTIONS} connections; processor time for each request\n"
    );
    let [free, counted] = DECISIONS;
    let mut entries = vec![
        bench.rate("remote_decisions_per_s", free, |_| reading())?,
        bench.rate("remote_ledger_per_s", counted, |index| rotation(index % COUNTED))?,
    ];
    let mut receipts = Vec::new();
    for _ in 0..REVOCATIONS {
        let (granted, receipt) = approved(&bench.marque, &person, &bench.agent).await?;
        receipts.push((granted.intent_id, receipt));
    }
    entries.extend(revocation::measure(&bench.marque, &person, receipts, token).await?);
    let loaded = processes::resident_mb(bench.marque.pid)?;
    println!("resident: {idle:.0} MB idle, {loaded:.0} MB afterwards");
    add(&root.join("target/bench/results.json"), entries)
}

async fn approved(marque: &Marque, person: &Person, agent: &Agent) -> Result<(Granted, person::Receipt), Failure> {
    let intent_id = agent.submit(marque).await?;
    let receipt = person.approve(marque, &intent_id).await?;
    Ok((agent.redeem(marque, intent_id).await?, receipt))
}

struct Bench {
    marque: Marque,
    agent: Agent,
    granted: Vec<Granted>,
    target_token: String,
}

impl Bench {
    /// Decisions per second on these calls, tokens taking turns.
    fn rate(&self, name: &str, count: usize, call: impl Fn(usize) -> Call) -> Result<Value, Failure> {
        let authority = self.marque.issuer.strip_prefix("http://").and_then(|rest| rest.split('/').next());
        let target = Target {
            authority: authority.ok_or("the issuer has no host")?.to_owned(),
            path: format!("/realms/{}/access/v1/evaluation", realm::NAME),
            token: self.target_token.clone(),
            expected: r#""decision":true"#,
        };
        let mut rounds = Vec::new();
        // The first round warms up.
        for round in 0..=ROUNDS {
            let bodies = self.granted.iter().enumerate().cycle().take(count).enumerate();
            let bodies =
                bodies.map(|(index, (_, granted))| self.agent.question(granted, &call(index / self.granted.len())));
            let bodies = bodies.collect::<Result<Vec<Bytes>, _>>()?;
            let before = Times::now(self.marque.pid, self.marque.postgres_pid)?;
            let seen = load::run(&target, bodies, CONNECTIONS)?;
            let used = Times::now(self.marque.pid, self.marque.postgres_pid)?.since(before);
            if round > 0 {
                rounds.push((seen, used));
            }
        }
        rounds.sort_by(|(one, _), (other, _)| one.per_second.total_cmp(&other.per_second));
        print_rounds(name, &rounds);
        let (seen, _) = rounds.get(rounds.len() / 2).ok_or("no rounds")?;
        Ok(json!({"name": name, "value": seen.per_second.round(), "unit": "1/s"}))
    }
}

fn print_rounds(name: &str, rounds: &[(Seen, Times)]) {
    let (Some((least, _)), Some((seen, used)), Some((greatest, _))) =
        (rounds.first(), rounds.get(rounds.len() / 2), rounds.last())
    else {
        return;
    };
    #[expect(clippy::cast_precision_loss, reason = "some thousands of requests")]
    let each = |time: std::time::Duration| time.as_secs_f64() * 1e6 / seen.count as f64;
    println!(
        "{name:<24} {:>8.0} [{:.0} - {:.0}]   p50 {:.1} ms, p99 {:.1} ms; server {:.0} us, Postgres {:.0} us, client {:.0} us",
        seen.per_second,
        least.per_second,
        greatest.per_second,
        seen.p50.as_secs_f64() * 1e3,
        seen.p99.as_secs_f64() * 1e3,
        each(used.server),
        each(used.database),
        each(used.client),
    );
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
