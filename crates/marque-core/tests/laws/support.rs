//! Numbers that look random and are always the same, worlds, sets of bits, and how much is to be done.

use marque_core::constraint::{Arguments, Constraint, Truth, Work, World, arguments_test};
use marque_core::facts::{Facts, Records};
use serde_json::{Map, Value};

/// 2026-11-22T03:00:00Z.
pub const NOW: i64 = 1_795_316_400;
/// Units of work that no test here comes near.
const WORK: u64 = 10_000_000;

/// Pairs that the main property generates: a quick part, or as many as `MARQUE_LAWS_PAIRS` says. The quick part comes to
/// some 20,000 pairs over all properties.
#[expect(clippy::disallowed_methods, reason = "the one switch of this test")]
pub fn pairs() -> u64 {
    std::env::var("MARQUE_LAWS_PAIRS").ok().map_or(8_000, |pairs| pairs.parse().unwrap())
}

/// Whether this is the whole of it and not the quick part.
pub fn is_whole() -> bool {
    pairs() >= 1_000_000
}

/// `SplitMix64` (Steele, Lea and Flood 2014): a case is drawn from its number, so that a failure can be run again.
pub struct Rng(u64);

impl Rng {
    pub fn of_case(law: u64, case: u64) -> Self {
        let mut rng = Self((law << 48) ^ case);
        rng.next();
        rng
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 0 to `end` - 1.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    /// True in so many of a hundred cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'s, T>(&mut self, from: &'s [T]) -> &'s T {
        &from[self.below(from.len())]
    }
}

/// What is known while something is tested: the ledger's facts, if any, and the records that came with the call.
#[derive(Clone, Debug, Default)]
pub struct Known {
    pub facts: Option<Facts>,
    pub records: Records,
}

impl Known {
    pub fn truth(&self, constraint: &Constraint, value: &Value) -> Truth {
        let work = Work::new(WORK);
        constraint.test(value, &World { facts: self.facts.as_ref(), records: Some(&self.records), work: &work })
    }

    pub fn holds(&self, constraint: &Constraint, value: &Value) -> bool {
        self.truth(constraint, value) == Truth::Holds
    }

    pub fn all_hold(&self, arguments: &Arguments, given: &Map<String, Value>) -> bool {
        let work = Work::new(WORK);
        let world = World { facts: self.facts.as_ref(), records: Some(&self.records), work: &work };
        arguments_test(arguments, given, &world).is_ok()
    }
}

pub fn constraint(value: &Value) -> Constraint {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{value}: {error}"))
}

/// The name of a constraint's kind.
pub fn kind(constraint: &Constraint) -> String {
    constraint.expected().as_object().and_then(|members| members.keys().next().cloned()).unwrap()
}

pub fn object(value: Value) -> Map<String, Value> {
    let Value::Object(members) = value else { panic!("{value} is no object") };
    members
}

/// A set of small numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bits(Vec<u64>);

impl Bits {
    pub fn of(members: impl IntoIterator<Item = bool>) -> Self {
        let mut words = Vec::new();
        for (at, member) in members.into_iter().enumerate() {
            if at % 64 == 0 {
                words.push(0);
            }
            words[at / 64] |= u64::from(member) << (at % 64);
        }
        Self(words)
    }

    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(one, other)| one & !other == 0)
    }

    pub fn and(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(one, other)| one & other).collect())
    }

    pub fn has(&self, member: usize) -> bool {
        self.0[member / 64] >> (member % 64) & 1 == 1
    }

    pub fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }
}

pub fn percent(part: u64, whole: u64) -> f64 {
    (part * 10_000 / whole.max(1)) as f64 / 100.0
}
