//! Measures Marque's decision beside Cedar's, Biscuit's and Tenuo's: `make bench`. How to read it: docs/performance.md.

mod biscuit;
mod cedar;
mod own;
mod report;
mod tenuo;

use bench_harness::contender::Contender;
use bench_harness::measure::{Operation, Timing, measure};
use bench_harness::plan::{self, Failure, Step};
use bench_harness::{DECISIONS, SIZE, allocations_of, answers, decision, expect};
use own::Marque;
use report::{Report, Unit};
use std::hint::black_box;
use std::path::Path;

/// Where the figures are written, from the repository's root.
const RESULTS: &str = "target/bench/results.json";
/// Steps of the plans that are decided. A plan may have 200 at most; the largest shows how the cost grows.
const SIZES: [usize; 3] = [5, 50, 1000];
/// What a gate takes for a token, in microseconds: the peers have no such thing.
const GATE: [&str; 7] = [
    "gate_warm_us",
    "gate_warm_one_step_us",
    "gate_warm_decide_us",
    "gate_cold_us",
    "gate_cold_64_hops_us",
    "gate_proof_us",
    "es256_us",
];

fn main() -> Result<(), Failure> {
    let marque = Marque::start()?;
    agree(&marque)?;
    let mut report = Report::default();
    Report::head();
    for count in SIZES {
        for (name, permitted) in [(format!("decide_{count}_ns"), true), (format!("decide_refused_{count}_ns"), false)] {
            report.add(&name, Unit::Nanoseconds, &beside(&marque, &name, decisions(count, permitted)?)?);
        }
    }
    let mut add = |name: &str, unit, peers| -> Result<(), Failure> {
        report.add(name, unit, &beside(&marque, name, peers)?);
        Ok(())
    };
    add("decide_all_kinds_50_ns", Unit::Nanoseconds, Vec::new())?;
    add("covers_50_us", Unit::Microseconds, covers()?)?;
    add("parse_50_us", Unit::Microseconds, Vec::new())?;
    add("parse_digest_50_us", Unit::Microseconds, parse_and_digest()?)?;
    add("resolve_digest_50_us", Unit::Microseconds, Vec::new())?;
    for name in GATE {
        add(name, Unit::Microseconds, Vec::new())?;
    }
    report.add_counts("decide_allocations", &format!("allocations in {DECISIONS} decisions"), &allocations(&marque)?);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    report.write(&root.join(RESULTS))?;
    println!("\nwritten to {RESULTS}");
    Ok(())
}

/// Measures a figure of Marque and the same of its peers, in turns.
fn beside(marque: &Marque, figure: &str, peers: Vec<Operation>) -> Result<Vec<Timing>, Failure> {
    measure(std::iter::once(marque.operation(figure)).chain(peers).collect())
}

/// Asks everybody the same questions and prints the answers. Fails if one that claims to check the whole plan answers
/// wrongly.
fn agree(marque: &Marque) -> Result<(), Failure> {
    println!("Answers ({SIZE} steps):\n{}", marque.ask("answers")?);
    println!("{}", answers::<cedar::Cedar>()?);
    println!("{}", answers::<biscuit::Biscuit>()?);
    println!("{}", answers::<tenuo::Tenuo>()?);
    println!("{}", answers::<tenuo::Tenuo<tenuo::Regex>>()?);
    println!("{}", answers::<tenuo::Tenuo<tenuo::Unbounded>>()?);
    println!("{}", answers::<tenuo::WithProof>()?);
    Ok(())
}

// ---- Decisions

fn decisions(count: usize, permitted: bool) -> Result<Vec<Operation>, Failure> {
    let mut peers = vec![decision::<cedar::Cedar>(count, permitted)?, decision::<biscuit::Biscuit>(count, permitted)?];
    if count <= tenuo::MAX_TOOLS_PER_WARRANT {
        peers.push(decision::<tenuo::Tenuo>(count, permitted)?);
        peers.push(decision::<tenuo::Tenuo<tenuo::Regex>>(count, permitted)?);
        peers.push(decision::<tenuo::Tenuo<tenuo::Unbounded>>(count, permitted)?);
        peers.push(decision::<tenuo::WithProof>(count, permitted)?);
    }
    Ok(peers)
}

fn allocations(marque: &Marque) -> Result<Vec<(&'static str, u64)>, Failure> {
    Ok(vec![
        (own::NAME, marque.ask("allocations")?.parse()?),
        (cedar::Cedar::NAME, allocations_of::<cedar::Cedar>()?),
        (biscuit::Biscuit::NAME, allocations_of::<biscuit::Biscuit>()?),
        (<tenuo::Tenuo>::NAME, allocations_of::<tenuo::Tenuo>()?),
        (tenuo::Tenuo::<tenuo::Unbounded>::NAME, allocations_of::<tenuo::Tenuo<tenuo::Unbounded>>()?),
    ])
}

// ---- Narrowing and reading

/// Cedar and Biscuit have no such check: Cedar compares no policies, and a Biscuit block only adds checks.
fn covers() -> Result<Vec<Operation>, Failure> {
    let steps = plan::steps(SIZE);
    let narrowed = plan::narrowed(&steps);
    Ok(vec![
        warrant_covers::<tenuo::Expression>(&steps, &narrowed)?,
        warrant_covers::<tenuo::Regex>(&steps, &narrowed)?,
    ])
}

fn warrant_covers<N: tenuo::Note + 'static>(steps: &[Step], narrowed: &[Step]) -> Result<Operation, Failure> {
    let (parent, child) = (tenuo::Tenuo::<N>::new(steps)?, tenuo::Tenuo::<N>::new(narrowed)?);
    expect("Tenuo covers a narrowing only", parent.covers(&child) && !child.covers(&parent))?;
    Ok(Operation::new(N::NAME, move || parent.covers(black_box(&child))))
}

fn parse_and_digest() -> Result<Vec<Operation>, Failure> {
    let steps = plan::steps(SIZE);
    let policies = cedar::Document::new(&steps)?;
    let token = biscuit::Document::new(&steps)?;
    let warrant = tenuo::Document::new(&steps)?;
    Ok(vec![
        Operation::new(cedar::Cedar::NAME, move || black_box(&policies).parse_and_digest()),
        Operation::new(biscuit::Biscuit::NAME, move || black_box(&token).parse_and_verify()),
        Operation::new(<tenuo::Tenuo>::NAME, move || black_box(&warrant).parse_and_digest()),
    ])
}
