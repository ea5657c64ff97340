//! Whether exchanges stay as fast when there are many custody rows: two servers on two databases of one Postgres, in turns.

use crate::agent::plan;
use crate::bench::Bench;
use crate::figures::chain::median;
use crate::figures::exchange::{EXCHANGES, INTENTS, requests, target};
use crate::rounds::{entry, round, rounded};
use bench_keys::Failure;
use serde_json::Value;
use std::time::Instant;
use tokio_postgres::{Client, NoTls};

/// Pairs of rounds.
const PAIRS: usize = 5;
/// Rows of one statement.
const PORTION: u64 = 500_000;
/// Custody rows of plans with twenty tokens each, handed in evenly over the last month: in this month's partition and the one before.
const FILL: &str = "
    insert into tokens (intent_id, jti, kind, token_sha256, parent_sha256, client_id, jkt, txn, hops, issued_at, expires_at)
    select intent_id, gen_random_uuid(), case when token = 0 then 'intent' else 'txn' end,
           sha256(convert_to(intent_id::text || token, 'UTF8')),
           case when token > 0 then sha256(convert_to(intent_id::text || '0', 'UTF8')) end,
           'bench-agent', 'H3_QGqTZbDXXMXBxQ7gE6lYxZbFzM0mQ2vYk0Nq3yPI', case when token > 0 then gen_random_uuid() end,
           0, at, at + interval '5 minutes'
    from generate_series($1::bigint, $2::bigint - 1, 20) as plan,
         lateral (select now() - interval '30 days' * (plan::float8 / $3::bigint) as at) as time,
         lateral (select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7'
                     || substr(md5(plan::text), 1, 3) || 'a' || substr(md5(plan::text), 4, 15))::uuid as intent_id) as intent,
         generate_series(0, 19) as token";

/// Measures pairs of rounds: a database with few rows, and one with many.
///
/// # Errors
/// When the rows cannot be made, or an exchange is refused.
pub async fn measure(bench: &Bench) -> Result<Vec<Value>, Failure> {
    let servers = [bench.another("rows_few", "").await?, bench.another("rows_many", "").await?];
    fill(bench).await?;
    let [few, many] = &servers;
    let intents = [bench.intents(few, &plan(), INTENTS).await?, bench.intents(many, &plan(), INTENTS).await?];
    let mut ratios = Vec::new();
    // The first pair warms up.
    for pair in 0..=PAIRS {
        let mut rates = Vec::new();
        for (marque, intents) in servers.iter().zip(&intents) {
            let requests = requests(bench, marque, intents, bench.requests.unwrap_or(EXCHANGES)).await?;
            rates.push(round(marque, &target(marque)?, requests)?.seen.per_second);
        }
        if let ([few, many], true) = (rates.as_slice(), pair > 0) {
            println!("{:<30} {few:>8.0}/s with few rows, {many:.0}/s with many: x{:.3}", "", many / few);
            ratios.push(many / few);
        }
    }
    let ratio = median(ratios);
    println!("{:<30} x{ratio:.3} of the rate without them", format!("with {} custody rows", bench.rows));
    Ok(vec![entry("exchange_10m_rows_ratio", rounded(ratio, 3), "ratio")])
}

async fn connect(url: &str) -> Result<Client, Failure> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Fills in the rows, over two connections.
async fn fill(bench: &Bench) -> Result<(), Failure> {
    let (url, rows, begun) = (bench.site.database("rows_many")?, bench.rows, Instant::now());
    let half = rows / 2;
    connect(url).await?.batch_execute("select open_custody(now()), open_custody(now() - interval '30 days')").await?;
    tokio::try_join!(fill_part(url, rows, 0, half), fill_part(url, rows, half, rows))?;
    let client = connect(url).await?;
    client.batch_execute("analyze tokens; checkpoint").await?;
    let size: String =
        client.query_one("select pg_size_pretty(pg_database_size(current_database()))", &[]).await?.get(0);
    println!("{:<30} {:>8.0} s, {size}", format!("{rows} rows filled in"), begun.elapsed().as_secs_f64());
    Ok(())
}

async fn fill_part(url: &str, rows: u64, from: u64, to: u64) -> Result<(), Failure> {
    let client = connect(url).await?;
    client.batch_execute("set synchronous_commit = off").await?;
    let fill = client.prepare(FILL).await?;
    let mut at = from;
    while at < to {
        let end = (at + PORTION).min(to);
        client.execute(&fill, &[&i64::try_from(at)?, &i64::try_from(end)?, &i64::try_from(rows)?]).await?;
        at = end;
    }
    Ok(())
}
