//! The plan that everybody is measured with, and how: what Marque's program and its peers' have in common.

pub mod allocations;
pub mod contender;
pub mod measure;
pub mod plan;

use contender::Contender;
use measure::Operation;
use plan::{Call, Failure, Step};
use std::hint::black_box;

/// Steps of the plan that most is measured with.
pub const SIZE: usize = 50;
/// Decisions during which allocations are counted.
pub const DECISIONS: u64 = 10_000;

/// Asks the questions of [`plan::questions`] and gives the answers in a line.
///
/// # Errors
/// When a contender that claims to check the whole plan answers wrongly: a figure for the wrong answer means nothing.
pub fn answers<C: Contender>() -> Result<String, Failure> {
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
    Ok(format!("  {} permits: {}", C::NAME, permitted.join("; ")))
}

/// A contender that holds a plan, and a call in its terms.
fn prepared<C: Contender>(steps: &[Step], call: &Call) -> Result<(C, C::Call), Failure> {
    let contender = C::new(steps)?;
    let call = contender.call(call)?;
    Ok((contender, call))
}

/// Deciding the last step's call, or one that is refused, with a plan of so many steps.
///
/// # Errors
/// When the contender cannot hold the plan.
pub fn decision<C: Contender + 'static>(count: usize, permitted: bool) -> Result<Operation, Failure> {
    let steps = plan::steps(count);
    let planned = Call::of_last(&steps)?;
    let (contender, call) = prepared::<C>(&steps, &if permitted { planned } else { planned.refused() })?;
    Ok(Operation::new(C::NAME, move || contender.permits(black_box(&call))))
}

/// Allocations in [`DECISIONS`] permitted decisions.
///
/// # Errors
/// When the contender cannot hold the plan, or refuses.
pub fn allocations_of<C: Contender>() -> Result<u64, Failure> {
    let steps = plan::steps(SIZE);
    let (contender, call) = prepared::<C>(&steps, &Call::of_last(&steps)?)?;
    expect(C::NAME, contender.permits(&call))?;
    Ok(allocations::during(DECISIONS, || contender.permits(black_box(&call))))
}

/// # Errors
/// When it does not hold.
pub fn expect(what: &str, holds: bool) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(format!("not so: {what}").into()) }
}
