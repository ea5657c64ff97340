//! Marque's side of the measurements: does what the peers' program asks for, a line for each. `make bench` runs both.
//!
//! `answers` gives the answers to the questions, `allocations` their number, `time NAME COUNT` the nanoseconds that so
//! many operations of the named figure take.

mod gate;
mod marque;

use bench_harness::contender::Contender;
use bench_harness::measure::Operation;
use bench_harness::plan::{self, Failure};
use bench_harness::{SIZE, allocations_of, answers, decision, expect};
use gate::Door;
use marque::{Marque, Submission};
use std::hint::black_box;
use std::io::stdin;

fn main() -> Result<(), Failure> {
    let mut prepared: Option<(String, Operation)> = None;
    for line in stdin().lines() {
        let line = line?;
        match line.split(' ').collect::<Vec<_>>().as_slice() {
            ["answers"] => println!("{}", answers::<Marque>()?),
            ["allocations"] => println!("{}", allocations_of::<Marque>()?),
            ["time", name, count] => {
                let (name, mut operation) = match prepared.take().filter(|(prepared, _)| prepared == name) {
                    Some(same) => same,
                    None => ((*name).to_owned(), operation(name)?),
                };
                println!("{}", operation.run(count.parse()?)?);
                prepared = Some((name, operation));
            }
            _ => return Err(format!("{line:?} means nothing").into()),
        }
    }
    Ok(())
}

/// What the named figure measures.
fn operation(name: &str) -> Result<Operation, Failure> {
    match name {
        "decide_all_kinds_50_ns" => decide_all_kinds(),
        "covers_50_us" => covers(),
        "parse_50_us" => of_submission(Submission::parse),
        "parse_digest_50_us" => of_submission(Submission::parse_and_digest),
        "resolve_digest_50_us" => of_submission(Submission::resolve_and_digest),
        "gate_warm_us" => Ok(own(Door::remembering(10)?.verified())),
        "gate_warm_one_step_us" => Ok(own(Door::remembering(1)?.verified())),
        "gate_warm_decide_us" => Ok(own(Door::remembering(10)?.decided()?)),
        "gate_cold_us" => Ok(own(Door::forgetting(10, 0)?.verified())),
        "gate_cold_64_hops_us" => Ok(own(Door::forgetting(10, 64)?.verified())),
        "gate_proof_us" => Ok(own(Door::forgetting(10, 0)?.proven()?)),
        "es256_us" => Ok(own(Door::forgetting(10, 0)?.signature()?)),
        name => {
            let count = name.strip_prefix("decide_").and_then(|name| name.strip_suffix("_ns"));
            let count = count.ok_or_else(|| format!("there is no figure {name}"))?;
            match count.strip_prefix("refused_") {
                Some(count) => decision::<Marque>(count.parse()?, false),
                None => decision::<Marque>(count.parse()?, true),
            }
        }
    }
}

fn own<T>(operation: impl FnMut() -> T + 'static) -> Operation {
    Operation::new(Marque::NAME, operation)
}

fn decide_all_kinds() -> Result<Operation, Failure> {
    let (marque, call) = Marque::with_all_kinds(SIZE)?;
    expect("a value of every kind is permitted", marque.permits(&call))?;
    Ok(own(move || marque.permits(black_box(&call))))
}

fn covers() -> Result<Operation, Failure> {
    let steps = plan::steps(SIZE);
    let (parent, child) = (Marque::new(&steps)?, Marque::new(&plan::narrowed(&steps))?);
    expect("Marque covers a narrowing only", parent.covers(&child) && !child.covers(&parent))?;
    Ok(own(move || parent.covers(black_box(&child))))
}

fn of_submission<T: 'static>(read: fn(&Submission) -> Option<T>) -> Result<Operation, Failure> {
    let submission = Submission::new(&plan::steps(SIZE))?;
    expect("the plan is read", read(&submission).is_some())?;
    Ok(own(move || read(black_box(&submission))))
}
