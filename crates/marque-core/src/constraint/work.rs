//! Counted work, so that no plan and no call costs more than it may, however fast the machine is.

use crate::limits;
use serde_json::Value;
use std::cell::Cell;

/// Bytes that a value counts for beside its texts when it is compared.
const VALUE_BYTES: u64 = 64;

/// A counted limit of work. What it is spent on is said at [`limits::DECISION_WORK`].
#[derive(Debug)]
pub struct Work {
    units: u64,
    left: Cell<u64>,
}

impl Work {
    /// So many units.
    pub const fn new(units: u64) -> Self {
        Self { units, left: Cell::new(units) }
    }

    /// Takes some units; false once they are used up.
    pub fn spend(&self, units: u64) -> bool {
        let left = self.left.get().checked_sub(units);
        self.left.set(left.unwrap_or(0));
        left.is_some()
    }

    /// Units that are left.
    pub fn left(&self) -> u64 {
        self.left.get()
    }

    /// Units that were spent. Where they were not enough, all of them.
    pub fn spent(&self) -> u64 {
        self.units - self.left.get()
    }

    /// Does a part of the work with at most some units of what is left; what the part spends is spent here too.
    pub fn within<T>(&self, units: u64, part: impl FnOnce(&Self) -> T) -> T {
        let own = Self::new(units.min(self.left()));
        let done = part(&own);
        self.spend(own.spent());
        done
    }
}

/// Units for looking at a text.
pub(super) fn of_text(text: &str) -> u64 {
    text.len() as u64 / limits::BYTES_PER_WORK
}

/// Units for looking for a link in a text.
pub(super) fn of_links(text: &str) -> u64 {
    crate::text::link_steps(text) / limits::STATES_PER_WORK
}

/// Units for walking over some entries.
pub(crate) fn of_entries(entries: usize) -> u64 {
    entries as u64 / limits::ENTRIES_PER_WORK
}

/// Units for comparing a value of so many bytes with some values of a constraint, each of which is short.
pub(super) fn of_comparing(with: usize, bytes: usize) -> u64 {
    with as u64 * (VALUE_BYTES + limits::VALUE_CHARS.min(bytes) as u64) / limits::COMPARED_BYTES_PER_WORK
}

/// Units for comparing, or copying, a value as a whole.
pub(crate) fn of_value(value: &Value) -> u64 {
    bytes(value) / limits::COMPARED_BYTES_PER_WORK
}

/// Bytes of a value. Its nesting was bounded when it was read.
pub(super) fn bytes(value: &Value) -> u64 {
    VALUE_BYTES
        + match value {
            Value::String(text) => text.len() as u64,
            Value::Array(items) => items.iter().map(bytes).sum(),
            Value::Object(members) => members.iter().map(|(name, member)| name.len() as u64 + bytes(member)).sum(),
            _ => 0,
        }
}
