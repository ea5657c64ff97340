//! Plays `vectors/scenarios` against the gate: every call comes out as it does in the library.

mod common;
mod player;

use marque_core::call::Call;
use marque_gate::Permit;
use marque_gate::ledger::Ledger;
use marque_scenarios::format::{self, CallEntry, LaterEntry};
use player::{Keeper, Keys, StoryLedger, play};

/// Whatever is counted is counted by a double of Marque's ledger.
struct AtMarque(StoryLedger);

impl Keeper for AtMarque {
    fn ledger(&self) -> impl Ledger + 'static {
        self.0.clone()
    }

    fn intent(&self) -> &str {
        "018f0000-0000-7000-8000-000000000001"
    }

    fn marque(&self) -> &StoryLedger {
        &self.0
    }

    async fn permitted(&mut self, entry: &CallEntry, call: &Call, permit: Permit) -> Result<(), String> {
        self.0.permitted(entry, call, permit.step())
    }

    async fn later(&mut self, later: &LaterEntry) -> Result<(), String> {
        self.0.later(later)
    }
}

#[tokio::test]
async fn every_scenario_comes_out_at_the_gate_as_it_says() {
    let (keys, catalogs) = (Keys::new(), format::catalogs());
    let (mut calls, mut failures) = (0, Vec::new());
    for (file_name, file) in format::files() {
        for scenario in file.scenarios.iter().filter(|scenario| scenario.refused.is_none()) {
            let keeper = AtMarque(StoryLedger::new(scenario));
            match play(&keys, (&file, scenario), &catalogs, keeper).await {
                Ok(played) => calls += played,
                Err(failure) => failures.push(format!("{file_name}: {}\n    {failure}", scenario.name)),
            }
        }
    }
    println!("{calls} calls at the gate");
    assert!(failures.is_empty(), "{} scenarios:\n{}", failures.len(), failures.join("\n"));
    assert!(calls >= 500, "{calls} calls, and at least 500 are wanted");
}
