//! Measures Marque's decision beside Cedar's, Biscuit's and Tenuo's: `make bench`. How to read it: docs/performance.md.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod allocations;
mod biscuit;
mod cedar;
mod contender;
mod harness;
mod marque;
mod plan;
mod report;
mod tenuo;

use contender::Contender;
use harness::{Operation, Timing, measure};
use plan::{Call, Failure, Step};
use report::{Report, Unit};
use std::hint::black_box;
use std::path::Path;

/// Where the figures are written, from the repository's root.
const RESULTS: &str = "target/bench/results.json";
/// Steps of the plans that are decided. A plan may have 200 at most; the largest shows how the cost grows.
const SIZES: [usize; 3] = [5, 50, 1000];
/// Steps of the plan that everything else is measured with.
const SIZE: usize = 50;
/// Decisions during which allocations are counted.
const DECISIONS: u64 = 10_000;

fn main() -> Result<(), Failure> {
    agree()?;
    let mut report = Report::default();
    Report::head();
    for count in SIZES {
        report.add(&format!("decide_{count}_ns"), Unit::Nanoseconds, &decide(count, true)?);
        report.add(&format!("decide_refused_{count}_ns"), Unit::Nanoseconds, &decide(count, false)?);
    }
    report.add(&format!("decide_all_kinds_{SIZE}_ns"), Unit::Nanoseconds, &decide_all_kinds()?);
    report.add(&format!("covers_{SIZE}_us"), Unit::Microseconds, &covers()?);
    report.add(&format!("parse_{SIZE}_us"), Unit::Microseconds, &parse()?);
    report.add(&format!("parse_digest_{SIZE}_us"), Unit::Microseconds, &parse_and_digest()?);
    report.add(&format!("resolve_digest_{SIZE}_us"), Unit::Microseconds, &resolve_and_digest()?);
    report.add_counts("decide_allocations", &format!("allocations in {DECISIONS} decisions"), &count_allocations()?);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    report.write(&root.join(RESULTS))?;
    println!("\nwritten to {RESULTS}");
    Ok(())
}

/// A contender that holds a plan, and a call in its terms.
fn prepared<C: Contender>(steps: &[Step], call: &Call) -> Result<(C, C::Call), Failure> {
    let contender = C::new(steps)?;
    let call = contender.call(call)?;
    Ok((contender, call))
}

// ---- Agreement

/// Asks everybody the same questions, prints the answers, and fails if a contender that claims to check the whole plan
/// answers wrongly: a figure for the wrong answer means nothing.
fn agree() -> Result<(), Failure> {
    println!("Answers ({SIZE} steps):");
    answers::<marque::Marque>()?;
    answers::<cedar::Cedar>()?;
    answers::<biscuit::Biscuit>()?;
    answers::<tenuo::Tenuo>()?;
    answers::<tenuo::Tenuo<tenuo::Regex>>()?;
    answers::<tenuo::Tenuo<tenuo::Unbounded>>()?;
    answers::<tenuo::WithProof>()
}

fn answers<C: Contender>() -> Result<(), Failure> {
    let steps = plan::steps(SIZE);
    let contender = C::new(&steps)?;
    let mut permitted = Vec::new();
    for question in plan::questions(&Call::of_last(&steps)?) {
        let call = contender.call(&question.call)?;
        let answer = if question.is_repeated { contender.permits_again(&call) } else { contender.permits(&call) };
        if C::IS_WHOLE && question.permitted.is_some_and(|right| right != answer) {
            return Err(format!("{} answers {answer} to: {}", C::NAME, question.what).into());
        }
        permitted.extend(answer.then_some(question.what));
    }
    println!("  {} permits: {}", C::NAME, permitted.join("; "));
    Ok(())
}

// ---- Decisions

fn decide(count: usize, permitted: bool) -> Result<Vec<Timing>, Failure> {
    let steps = plan::steps(count);
    let planned = Call::of_last(&steps)?;
    let call = if permitted { planned } else { planned.refused() };
    let mut operations = vec![
        decision::<marque::Marque>(&steps, &call)?,
        decision::<cedar::Cedar>(&steps, &call)?,
        decision::<biscuit::Biscuit>(&steps, &call)?,
    ];
    if count <= tenuo::MAX_TOOLS_PER_WARRANT {
        operations.push(decision::<tenuo::Tenuo>(&steps, &call)?);
        operations.push(decision::<tenuo::Tenuo<tenuo::Regex>>(&steps, &call)?);
        operations.push(decision::<tenuo::Tenuo<tenuo::Unbounded>>(&steps, &call)?);
        operations.push(decision::<tenuo::WithProof>(&steps, &call)?);
    }
    Ok(measure(operations))
}

fn decision<C: Contender + 'static>(steps: &[Step], call: &Call) -> Result<Operation<'static>, Failure> {
    let (contender, call) = prepared::<C>(steps, call)?;
    Ok(Operation::new(C::NAME, move || contender.permits(black_box(&call))))
}

fn decide_all_kinds() -> Result<Vec<Timing>, Failure> {
    let (marque, call) = marque::Marque::with_all_kinds(SIZE)?;
    expect("a value of every kind is permitted", marque.permits(&call))?;
    Ok(measure(vec![Operation::new(marque::Marque::NAME, || marque.permits(black_box(&call)))]))
}

fn count_allocations() -> Result<Vec<(&'static str, u64)>, Failure> {
    let steps = plan::steps(SIZE);
    let call = Call::of_last(&steps)?;
    Ok(vec![
        allocations_of::<marque::Marque>(&steps, &call)?,
        allocations_of::<cedar::Cedar>(&steps, &call)?,
        allocations_of::<biscuit::Biscuit>(&steps, &call)?,
        allocations_of::<tenuo::Tenuo>(&steps, &call)?,
        allocations_of::<tenuo::Tenuo<tenuo::Unbounded>>(&steps, &call)?,
    ])
}

fn allocations_of<C: Contender>(steps: &[Step], call: &Call) -> Result<(&'static str, u64), Failure> {
    let (contender, call) = prepared::<C>(steps, call)?;
    expect(C::NAME, contender.permits(&call))?;
    Ok((C::NAME, allocations::during(DECISIONS, || contender.permits(black_box(&call)))))
}

// ---- Narrowing and reading

/// Cedar and Biscuit have no such check: Cedar compares no policies, and a Biscuit block only adds checks.
fn covers() -> Result<Vec<Timing>, Failure> {
    let steps = plan::steps(SIZE);
    let narrowed = plan::narrowed(&steps);
    let (parent, child) = (marque::Marque::new(&steps)?, marque::Marque::new(&narrowed)?);
    expect("Marque covers a narrowing only", parent.covers(&child) && !child.covers(&parent))?;
    let marque = Operation::new(marque::Marque::NAME, move || parent.covers(black_box(&child)));
    Ok(measure(vec![
        marque,
        warrant_covers::<tenuo::Expression>(&steps, &narrowed)?,
        warrant_covers::<tenuo::Regex>(&steps, &narrowed)?,
    ]))
}

fn warrant_covers<N: tenuo::Note + 'static>(steps: &[Step], narrowed: &[Step]) -> Result<Operation<'static>, Failure> {
    let (parent, child) = (tenuo::Tenuo::<N>::new(steps)?, tenuo::Tenuo::<N>::new(narrowed)?);
    expect("Tenuo covers a narrowing only", parent.covers(&child) && !child.covers(&parent))?;
    Ok(Operation::new(N::NAME, move || parent.covers(black_box(&child))))
}

fn parse() -> Result<Vec<Timing>, Failure> {
    let submission = marque::Submission::new(&plan::steps(SIZE))?;
    expect("the plan parses", submission.parse())?;
    Ok(measure(vec![Operation::new(marque::Marque::NAME, || black_box(&submission).parse())]))
}

fn resolve_and_digest() -> Result<Vec<Timing>, Failure> {
    let submission = marque::Submission::new(&plan::steps(SIZE))?;
    Ok(measure(vec![Operation::new(marque::Marque::NAME, || black_box(&submission).resolve_and_digest())]))
}

fn parse_and_digest() -> Result<Vec<Timing>, Failure> {
    let steps = plan::steps(SIZE);
    let submission = marque::Submission::new(&steps)?;
    let policies = cedar::Document::new(&steps)?;
    let token = biscuit::Document::new(&steps)?;
    let warrant = tenuo::Document::new(&steps)?;
    Ok(measure(vec![
        Operation::new(marque::Marque::NAME, || black_box(&submission).parse_and_digest()),
        Operation::new(cedar::Cedar::NAME, || black_box(&policies).parse_and_digest()),
        Operation::new(biscuit::Biscuit::NAME, || black_box(&token).parse_and_verify()),
        Operation::new(<tenuo::Tenuo>::NAME, || black_box(&warrant).parse_and_digest()),
    ]))
}

fn expect(what: &str, holds: bool) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(format!("not so: {what}").into()) }
}
