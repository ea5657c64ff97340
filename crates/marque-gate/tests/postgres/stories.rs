//! The scenarios with the ledger in Postgres, which hands what it cannot decide to a double of Marque's. Each of the two
//! knows only what it permitted itself, and the calls come out all the same.

use crate::player::{DOMAIN, Keeper, Keys, StoryLedger, play};
use crate::support::*;
use marque_core::call::Call;
use marque_core::canonical::canonical_text;
use marque_gate::ledger::{Ledger, Settlement};
use marque_gate::postgres::{GateDatabase, PgLedger};
use marque_gate::{GateConfig, Outcome, Permit};
use marque_scenarios::ISSUER;
use marque_scenarios::format::{self, CallEntry, LaterEntry, Scenario};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::collections::BTreeMap;

/// Each use before a story is a row: a story that begins with more of them than this is not played here.
const MANY: u64 = 1000;

/// What became of the calls of a story.
#[derive(Default)]
struct Counts {
    here: u32,
    uncounted: u32,
}

struct AtHome<'c> {
    pool: PgPool,
    ledger: PgLedger,
    marque: StoryLedger,
    intent: String,
    /// Calls that were counted here, by the story's names for them.
    named: BTreeMap<String, String>,
    counts: &'c mut Counts,
}

impl AtHome<'_> {
    async fn tell(&self, permit_id: &str, outcome: Option<format::Outcome>, result: Option<Value>) {
        let state = match outcome {
            Some(format::Outcome::Committed) | None => Outcome::Committed,
            Some(format::Outcome::Released) => Outcome::Released,
            Some(format::Outcome::Reserved) => return,
        };
        let open = self.ledger.open_permits(100_000).await.unwrap();
        if let Some(open) = open.into_iter().find(|open| open.reserved.permit_id == permit_id) {
            let settlement = Settlement { outcome: state, receipt: None };
            self.ledger.settle(&open.reserved, settlement).await.unwrap();
        }
        // What a story says of a result is not always what a receipt can say: it is written as it would be kept.
        if let Some(result) = result {
            let written = sqlx::query("update marque_gate.permits set result = $2 where permit_id = $1")
                .bind(permit_id)
                .bind(canonical_text(&result))
                .execute(&self.pool)
                .await
                .unwrap();
            assert_eq!(written.rows_affected(), 1);
        }
    }
}

fn result(gives: Option<&Value>, discloses: Option<&BTreeMap<String, Value>>) -> Option<Value> {
    gives.map(|value| json!({"whole": value})).or_else(|| discloses.map(|leaves| json!({"leaves": leaves})))
}

impl Keeper for AtHome<'_> {
    fn ledger(&self) -> impl Ledger + 'static {
        self.ledger.clone().with_fallback(self.marque.clone())
    }

    fn intent(&self) -> &str {
        &self.intent
    }

    fn marque(&self) -> &StoryLedger {
        &self.marque
    }

    async fn permitted(&mut self, entry: &CallEntry, call: &Call, permit: Permit) -> Result<(), String> {
        let Some(id) = permit.id().filter(|id| id.starts_with("pg-")).map(str::to_owned) else {
            self.counts.uncounted += u32::from(permit.id().is_none());
            return self.marque.permitted(entry, call, permit.step());
        };
        self.counts.here += 1;
        self.tell(&id, entry.outcome, result(entry.gives.as_ref(), entry.discloses.as_ref())).await;
        self.named.extend(entry.name.clone().map(|name| (name, id)));
        Ok(())
    }

    async fn later(&mut self, later: &LaterEntry) -> Result<(), String> {
        let Some(id) = self.named.get(&later.of) else { return self.marque.later(later) };
        self.tell(id, later.outcome, result(later.gives.as_ref(), later.discloses.as_ref())).await;
        Ok(())
    }
}

/// What was done before a story, known only by number: rows whose arguments cannot be read.
async fn write_before(pool: &PgPool, intent: &str, scenario: &Scenario) {
    let uses = scenario
        .before
        .iter()
        .flat_map(|(step, before)| (0..before.uses).map(move |use_| (step, use_ < before.committed)));
    for (seq, (step, is_committed)) in (1_i64..).zip(uses) {
        sqlx::query(
            "insert into marque_gate.intents values ($1, $2, now()) on conflict (intent_id) do update set permits = $2",
        )
        .bind(intent)
        .bind(seq)
        .execute(pool)
        .await
        .unwrap();
        let name = format!("pg-{intent}-{seq}");
        sqlx::query(
            "insert into marque_gate.permits
             values ($1, $2, $3, $4, $1, sha256($5), $5, 'unknown', $6, null, now(), now() + interval '1 hour')",
        )
        .bind(&name)
        .bind(intent)
        .bind(step)
        .bind(seq)
        .bind(name.as_bytes())
        .bind(if is_committed { "committed" } else { "reserved" })
        .execute(pool)
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn every_scenario_comes_out_with_two_ledgers_as_with_one() {
    let (postgres, keys, catalogs) = (Postgres::shared(), Keys::new(), format::catalogs());
    let options = postgres.database();
    let config = GateConfig::new("https://any.example", ISSUER, DOMAIN).unwrap();
    let database = GateDatabase::connect(options.clone(), SCHEMA, &config).await.unwrap();
    let pool = PgPool::connect_with(options).await.unwrap();
    let (mut stories, mut calls, mut counts, mut at_marque) = ([0, 0, 0], 0, Counts::default(), 0);
    let mut failures = Vec::new();
    for (file_name, file) in format::files() {
        for scenario in file.scenarios.iter().filter(|scenario| scenario.refused.is_none()) {
            if scenario.before.values().any(|before| before.uses > MANY) {
                println!("not played, for the number of its rows: {}", scenario.name);
                continue;
            }
            let (intent, marque) = (intent(), StoryLedger::new(scenario));
            write_before(&pool, &intent, scenario).await;
            let (here, asked) = (counts.here, marque.clone());
            let keeper = AtHome {
                pool: pool.clone(),
                ledger: database.ledger(),
                marque,
                intent,
                named: BTreeMap::new(),
                counts: &mut counts,
            };
            match play(&keys, (&file, scenario), &catalogs, keeper).await {
                Ok(played) => calls += played,
                Err(failure) => failures.push(format!("{file_name}: {}\n    {failure}", scenario.name)),
            }
            at_marque += asked.permits();
            stories[usize::from(counts.here > here) + 2 * usize::from(asked.permits() > 0 && counts.here == here)] += 1;
        }
    }
    println!(
        "{calls} calls; permits: {} counted in Postgres, {at_marque} at Marque, {} uncounted; stories: {} with permits \
         from Postgres, {} from Marque alone, {} without counted permits",
        counts.here, counts.uncounted, stories[1], stories[2], stories[0]
    );
    assert!(counts.here >= 250 && at_marque >= 30, "both ledgers have their part");
    assert!(failures.is_empty(), "{} scenarios:\n{}", failures.len(), failures.join("\n"));
}
