//! How long a server takes until it is ready, on a database that another one has filled.

use crate::bench::Bench;
use crate::figures::chain::median;
use crate::rounds::{entry, milliseconds, rounded};
use bench_keys::Failure;
use serde_json::Value;

/// Starts; the median counts.
const STARTS: usize = 9;

/// Measures the time from the start of the process to the first 200 of its readiness.
///
/// # Errors
/// When a server does not start.
pub async fn measure(bench: &Bench) -> Result<Vec<Value>, Failure> {
    let mut took = Vec::new();
    for _ in 0..STARTS {
        took.push(milliseconds(bench.site.serve("bench", "").await?.ready));
    }
    let (least, greatest) = (took.iter().copied().fold(f64::MAX, f64::min), took.iter().copied().fold(0.0, f64::max));
    let ready = median(took);
    println!("{:<30} {ready:>8.0} ms [{least:.0} - {greatest:.0}]", "ready after");
    Ok(vec![entry("serve_ready_ms", rounded(ready, 1), "ms")])
}
