//! Interleaved measurement: in every round each operation runs one batch, and each round another begins, so that
//! whatever else the machine does meets them all alike. What is measured is the thread's own processor time: waiting for
//! a processor that others use is not the operation's.

use crate::plan::Failure;
use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;

/// Rounds, hence batches per operation. Odd, so that the median is one of them.
pub const ROUNDS: usize = 21;
/// Nanoseconds that one batch is meant to take: long beside the clock's steps, short beside the machine's moods.
const BATCH: f64 = 20e6;

/// Processor time that this thread has used, in nanoseconds.
fn processor_time() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// One way to answer a question, with whatever it needs prepared.
pub struct Operation {
    /// Name and version.
    pub name: &'static str,
    batch: Batch,
}

/// Runs the operation so many times and says how many nanoseconds that took.
type Batch = Box<dyn FnMut(u64) -> Result<f64, Failure>>;

impl Operation {
    /// `operation` is what is measured, dropping what it returns included.
    pub fn new<T>(name: &'static str, mut operation: impl FnMut() -> T + 'static) -> Self {
        Self::elsewhere(name, move |count| {
            let start = processor_time();
            for _ in 0..count {
                black_box(operation());
            }
            Ok(processor_time() - start)
        })
    }

    /// An operation that another program runs and measures: `batch` asks it to run so many.
    pub fn elsewhere(name: &'static str, batch: impl FnMut(u64) -> Result<f64, Failure> + 'static) -> Self {
        Self { name, batch: Box::new(batch) }
    }

    /// Runs it so many times and says how many nanoseconds that took.
    ///
    /// # Errors
    /// When another program should run it and does not.
    pub fn run(&mut self, count: u64) -> Result<f64, Failure> {
        (self.batch)(count)
    }

    /// How many operations take [`BATCH`]. Warms the caches on the way.
    fn batch_size(&mut self) -> Result<u64, Failure> {
        let mut count = 1;
        loop {
            let took = self.run(count)?;
            if took >= BATCH / 2.0 {
                return Ok((count as f64 * BATCH / took).ceil() as u64);
            }
            count *= 2;
        }
    }
}

/// One operation's nanoseconds per operation, round by round.
pub struct Timing {
    /// Name and version.
    pub name: &'static str,
    /// One entry per round.
    pub rounds: Vec<f64>,
}

/// Measures operations beside each other.
///
/// # Errors
/// When one of them cannot be run.
pub fn measure(mut operations: Vec<Operation>) -> Result<Vec<Timing>, Failure> {
    let sizes = operations.iter_mut().map(Operation::batch_size).collect::<Result<Vec<u64>, _>>()?;
    let mut timings: Vec<Timing> =
        operations.iter().map(|operation| Timing { name: operation.name, rounds: Vec::new() }).collect();
    let count = operations.len();
    for round in 0..ROUNDS {
        let mut turns: Vec<_> = operations.iter_mut().zip(&sizes).zip(&mut timings).collect();
        turns.rotate_left(round % count);
        for ((operation, size), timing) in turns {
            timing.rounds.push(operation.run(*size)? / *size as f64);
        }
    }
    Ok(timings)
}

/// Least, median and greatest of some measurements; none of nothing.
#[derive(Clone, Copy, Default)]
pub struct Spread {
    /// The least.
    pub min: f64,
    /// The median, which is what is reported.
    pub median: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Of some measurements.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or_default();
        Self { min: at(0), median: at(values.len() / 2), max: at(values.len().saturating_sub(1)) }
    }
}
