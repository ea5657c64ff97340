//! What a pooler costs: servers that reach their databases by sessions of their own, and by PgBouncer in either mode, in turns.

use crate::agent::{Granted, plan};
use crate::bench::Bench;
use crate::figures::chain::median;
use crate::figures::{exchange, reading};
use crate::load::Target;
use crate::marque::Marque;
use crate::pooler::{self, Pooler};
use crate::rounds::{entry, round, rounded};
use bench_keys::Failure;
use bytes::Bytes;
use serde_json::Value;

/// Times that all of them have their turn.
const TURNS: usize = 5;

/// Measures exchanges and introspection by each way to the database.
///
/// # Errors
/// When a pooler or a server does not start, or a request is refused.
pub async fn measure(bench: &Bench) -> Result<Vec<Value>, Failure> {
    if !pooler::is_installed() {
        println!("{:<30} not measured: there is no PgBouncer (Debian: pgbouncer)", "poolers");
        return Ok(Vec::new());
    }
    let databases =
        [bench.site.database("direct")?, bench.site.database("session")?, bench.site.database("transaction")?];
    let [direct, behind_session, behind_transaction] = databases;
    let session = Pooler::start("session", behind_session, bench.site.postgres_pid).await?;
    let transaction = Pooler::start("transaction", behind_transaction, bench.site.postgres_pid).await?;
    let by_sessions = [("DATABASE_URL", transaction.url.as_str()), ("DATABASE_DIRECT_URL", behind_transaction)];
    let servers = [
        ("by itself", bench.another_by(&[("DATABASE_URL", direct)], "").await?),
        ("session mode", bench.another_by(&[("DATABASE_URL", &session.url)], "").await?),
        ("transaction mode", bench.another_by(&by_sessions, "").await?),
    ];
    let mut entries = Vec::new();
    for what in [What::Exchange, What::Introspection] {
        let rates = what.rates(bench, &servers).await?;
        let [own, session, transaction] = rates.map(median);
        for (mode, rate) in [("session", session), ("transaction", transaction)] {
            let ratio = rounded(rate / own, 3);
            println!("{:<30} x{ratio:.3} of the rate without it", format!("{}, {mode} mode", what.name()));
            entries.push(entry(&format!("{}_pgbouncer_{mode}_ratio", what.name()), ratio, "ratio"));
        }
    }
    Ok(entries)
}

/// What is asked of the servers.
#[derive(Clone, Copy)]
enum What {
    Exchange,
    Introspection,
}

impl What {
    const fn name(self) -> &'static str {
        match self {
            Self::Exchange => "exchange",
            Self::Introspection => "introspection",
        }
    }

    /// Requests a second of each server, in turns.
    async fn rates(self, bench: &Bench, servers: &[(&str, Marque); 3]) -> Result<[Vec<f64>; 3], Failure> {
        let mut prepared = Vec::new();
        for (_, marque) in servers {
            prepared.push(match self {
                Self::Exchange => bench.intents(marque, &plan(), exchange::INTENTS).await?,
                Self::Introspection => bench.granted(marque, &plan(), reading::TOKENS).await?,
            });
        }
        let mut rates: [Vec<f64>; 3] = Default::default();
        // The first turn warms up.
        for turn in 0..=TURNS {
            let mut said = Vec::new();
            let mut all: Vec<_> = servers.iter().zip(&prepared).zip(&mut rates).collect();
            // Each begins a turn now and then.
            all.rotate_left(turn % servers.len());
            for (((name, marque), tokens), rates) in all {
                let (target, requests) = self.requests(bench, marque, tokens).await?;
                let rate = round(marque, &target, requests)?.seen.per_second;
                said.push(format!("{rate:.0}/s {name}"));
                if turn > 0 {
                    rates.push(rate);
                }
            }
            println!("{:<30} {}", self.name(), said.join(", "));
        }
        Ok(rates)
    }

    async fn requests(
        self,
        bench: &Bench,
        marque: &Marque,
        tokens: &[Granted],
    ) -> Result<(Target, Vec<Bytes>), Failure> {
        match self {
            Self::Exchange => {
                let count = bench.requests.unwrap_or(exchange::EXCHANGES);
                Ok((exchange::target(marque)?, exchange::requests(bench, marque, tokens, count).await?))
            }
            Self::Introspection => {
                let count = bench.requests.unwrap_or(reading::INTROSPECTIONS);
                Ok((reading::introspected(marque)?, reading::by_resource_server(bench, marque, tokens, count)?))
            }
        }
    }
}
