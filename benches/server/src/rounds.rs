//! A figure: rounds of a closed loop, and where their time went.

use crate::load::{self, Seen, Target};
use crate::marque::Marque;
use crate::processes::Times;
use bench_keys::Failure;
use bytes::Bytes;
use serde_json::{Value, json};
use std::time::Duration;

/// Connections of the closed loop.
pub const CONNECTIONS: usize = 64;

/// One round.
#[derive(Debug)]
pub struct Round {
    /// What the loop saw.
    pub seen: Seen,
    /// What the processes used.
    pub used: Times,
}

impl Round {
    /// Processor time of the server and its database for each request, in microseconds.
    pub fn cost_us(&self) -> f64 {
        self.each(self.used.server + self.used.database)
    }

    #[expect(clippy::cast_precision_loss, reason = "some thousands of requests")]
    fn each(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1e6 / self.seen.count as f64
    }
}

/// The rounds of a figure, slowest first.
#[derive(Debug)]
pub struct Rounds(Vec<Round>);

impl Rounds {
    /// Puts rounds in order.
    pub fn new(mut rounds: Vec<Round>) -> Self {
        rounds.sort_by(|one, other| one.seen.per_second.total_cmp(&other.seen.per_second));
        Self(rounds)
    }

    /// The median one.
    ///
    /// # Errors
    /// When there was none.
    pub fn median(&self) -> Result<&Round, Failure> {
        Ok(self.0.get(self.0.len() / 2).ok_or("no rounds")?)
    }

    /// An entry of the median rate.
    ///
    /// # Errors
    /// When there was no round.
    pub fn entry(&self, name: &str) -> Result<Value, Failure> {
        Ok(entry(name, self.median()?.seen.per_second.round(), "1/s"))
    }

    /// Prints them as one line of the table.
    pub fn print(&self, name: &str) {
        let (Some(least), Ok(median), Some(greatest)) = (self.0.first(), self.median(), self.0.last()) else { return };
        println!(
            "{name:<30} {:>8.0} [{:.0} - {:.0}]   p50 {:.1} ms, p99 {:.1} ms; server {:.0} us, Postgres {:.0} us, client {:.0} us",
            median.seen.per_second,
            least.seen.per_second,
            greatest.seen.per_second,
            milliseconds(median.seen.p50),
            milliseconds(median.seen.p99),
            median.each(median.used.server),
            median.each(median.used.database),
            median.each(median.used.client),
        );
    }
}

/// One figure of the results.
pub fn entry(name: &str, value: f64, unit: &str) -> Value {
    json!({"name": name, "value": value, "unit": unit})
}

/// Milliseconds of a duration.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Rounded to so many decimals.
pub fn rounded(value: f64, decimals: i32) -> f64 {
    let unit = 10_f64.powi(decimals);
    (value * unit).round() / unit
}

/// Runs one round at a server of Marque's.
///
/// # Errors
/// When an answer is not the expected one.
pub fn round(marque: &Marque, target: &Target, requests: Vec<Bytes>) -> Result<Round, Failure> {
    round_of((marque.pid, marque.postgres_pid), target, requests)
}

/// Runs one round at a server and its Postgres, which are known by their processes.
///
/// # Errors
/// When an answer is not the expected one.
pub fn round_of((server, database): (u32, u32), target: &Target, requests: Vec<Bytes>) -> Result<Round, Failure> {
    let before = Times::now(server, database)?;
    let seen = load::run(target, requests, CONNECTIONS)?;
    Ok(Round { seen, used: Times::now(server, database)?.since(before) })
}

/// Runs rounds after one that warms up, each with new requests, and prints them.
///
/// # Errors
/// When an answer is not the expected one, or requests cannot be made.
pub async fn rounds<F: Future<Output = Result<Vec<Bytes>, Failure>>>(
    name: &str,
    marque: &Marque,
    target: &Target,
    count: usize,
    mut requests: impl FnMut() -> F,
) -> Result<Rounds, Failure> {
    round(marque, target, requests().await?)?;
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(round(marque, target, requests().await?)?);
    }
    let rounds = Rounds::new(all);
    rounds.print(name);
    Ok(rounds)
}
