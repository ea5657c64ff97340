//! What a token or an envelope takes of the heap, for bounding what is remembered. `tests/memory.rs` holds it against the
//! heap.

use marque_core::envelope::{Envelope, EnvelopeStep};

/// Bytes of an entry besides what it remembers: hash, place and pointers.
const ENTRY: usize = 1024;
/// Bytes that what was read takes for each byte that it was read from: names and numbers become nodes of trees.
const TIMES: usize = 10;
/// Bytes that the engine of a pattern takes once a value was matched against it.
const PATTERN: usize = 16 * 1024;

/// Bytes of the heap that an envelope takes, with the token that it came in, of so many bytes as they travel.
pub(crate) fn heap_bytes(travelled: usize, envelope: &Envelope) -> usize {
    let patterns: usize = envelope.steps.iter().map(EnvelopeStep::patterns).sum();
    ENTRY.saturating_add(travelled.saturating_mul(TIMES)).saturating_add(patterns.saturating_mul(PATTERN))
}
