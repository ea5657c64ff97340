//! What is printed, and what is written for others to read.

use bench_harness::measure::{Spread, Timing};
use bench_harness::plan::Failure;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// In what a figure is given.
#[derive(Clone, Copy)]
pub enum Unit {
    /// Nanoseconds per operation.
    Nanoseconds,
    /// Microseconds per operation.
    Microseconds,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::Microseconds => "us",
        }
    }

    fn of(self, nanoseconds: f64) -> f64 {
        match self {
            Self::Nanoseconds => nanoseconds,
            Self::Microseconds => nanoseconds / 1000.0,
        }
    }
}

/// All figures of a run.
#[derive(Default)]
pub struct Report {
    entries: Vec<Value>,
}

impl Report {
    /// Prints the head of the table.
    pub fn head() {
        println!("\nmedian [least - greatest] of all rounds; ratio = peer / Marque, above 1 Marque is faster\n");
        println!("{:<24} {:>4} {:>34}   {:<34} {:>34}   ratio", "figure", "unit", "Marque", "peer", "peer's");
    }

    /// Takes and prints the timings of one figure. Marque's are the first.
    pub fn add(&mut self, name: &str, unit: Unit, timings: &[Timing]) {
        let Some((marque, peers)) = timings.split_first() else { return };
        let spread = |timing: &Timing| Spread::of(timing.rounds.iter().map(|nanoseconds| unit.of(*nanoseconds)));
        let own = spread(marque);
        let value = rounded(own.median);
        self.entries.push(json!({"name": name, "value": value, "unit": unit.name()}));
        println!("{name:<24} {:>4} {:>34}", unit.name(), text(own));
        for peer in peers {
            let theirs = spread(peer);
            let ratio = theirs.median / own.median;
            let by_round = Spread::of(peer.rounds.iter().zip(&marque.rounds).map(|(theirs, own)| theirs / own));
            self.entries.push(json!({"name": name, "value": value, "unit": unit.name(), "peer": peer.name,
                "peer_value": rounded(theirs.median), "ratio": rounded(ratio)}));
            println!(
                "{:<64}   {:<34} {:>34}   {ratio:.2} [{:.2} - {:.2}]",
                "",
                peer.name,
                text(theirs),
                by_round.min,
                by_round.max
            );
        }
    }

    /// Takes and prints counts. Marque's is the first; there are no ratios, since it may be 0.
    pub fn add_counts(&mut self, name: &str, unit: &str, counts: &[(&str, u64)]) {
        let Some(((_, own), peers)) = counts.split_first() else { return };
        self.entries.push(json!({"name": name, "value": own, "unit": unit}));
        println!("{name:<24} {own} {unit}");
        for (peer, count) in peers {
            self.entries.push(json!({"name": name, "value": own, "unit": unit, "peer": peer, "peer_value": count}));
            println!("{:<64}   {peer:<34} {count:>34}", "");
        }
    }

    /// Writes all figures as a JSON list.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, serde_json::to_string_pretty(&self.entries)? + "\n")?;
        Ok(())
    }
}

fn text(spread: Spread) -> String {
    format!("{:.2} [{:.2} - {:.2}]", spread.median, spread.min, spread.max)
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
