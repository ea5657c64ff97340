//! Texts of a schema: by its pattern and its lengths.

use proptest::prelude::*;
use proptest::strategy::{BoxedStrategy, ValueTree};
use proptest::string::string_regex_parsed;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use regex_syntax::hir::{Capture, Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Repetition};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// One text in so many has other characters than those of ASCII, if its pattern allows them.
const EXOTIC: usize = 400;
/// One text in so many repeats as often as its pattern allows; the others by this much more than they must.
const LONG: usize = 40;
const REPEATS: u32 = 6;
/// Texts of a pattern that may be too long, before it is given up.
const ATTEMPTS: usize = 500;

/// A source of texts, and of all that is random.
pub struct Texts {
    runner: TestRunner,
    strategies: BTreeMap<(String, bool, bool), BoxedStrategy<String>>,
    patterns: BTreeMap<String, regex::Regex>,
}

impl Texts {
    pub fn new() -> Self {
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
        Self {
            runner: TestRunner::new_with_rng(Config::default(), rng),
            strategies: BTreeMap::new(),
            patterns: BTreeMap::new(),
        }
    }

    /// The one source of randomness: always the same.
    pub fn random(&mut self) -> &mut TestRng {
        self.runner.rng()
    }

    /// A text that a schema allows.
    pub fn text(&mut self, schema: &Map<String, Value>) -> String {
        let pattern = schema.get("pattern").and_then(Value::as_str).unwrap_or("^[^\\n]*$").to_owned();
        let also = schema.get("also").and_then(Value::as_str).map(str::to_owned);
        let bound = |name: &str| schema.get(name).and_then(Value::as_u64).map(|bound| bound as usize);
        let (least, most) = (bound("minLength").unwrap_or(0), bound("maxLength").unwrap_or(usize::MAX));
        let refused = schema.get("not").and_then(|not| not["enum"].as_array()).cloned().unwrap_or_default();
        for _ in 0..ATTEMPTS {
            let text = self.of_pattern(&pattern);
            let fits = (least..=most).contains(&text.chars().count()) && !refused.contains(&text.as_str().into());
            if fits && also.as_ref().is_none_or(|also| self.matches(also, &text)) {
                return text;
            }
        }
        panic!("no text of {least} to {most} characters for {pattern}")
    }

    fn matches(&mut self, pattern: &str, text: &str) -> bool {
        let compiled = self.patterns.entry(pattern.to_owned());
        compiled.or_insert_with(|| regex::Regex::new(pattern).unwrap()).is_match(text)
    }

    fn of_pattern(&mut self, pattern: &str) -> String {
        let mut one_in = |so_many| self.random().random_range(0..so_many) == 0;
        let (exotic, long) = (one_in(EXOTIC), one_in(LONG));
        let strategy = self.strategies.entry((pattern.to_owned(), exotic, long)).or_insert_with(|| {
            let whole = regex_syntax::parse(pattern).unwrap();
            string_regex_parsed(&Rebuild { exotic, long }.of(&whole)).unwrap().boxed()
        });
        strategy.new_tree(&mut self.runner).unwrap().current()
    }
}

/// What a pattern is changed to before texts are made of it. The changed one matches nothing that the pattern does not.
struct Rebuild {
    exotic: bool,
    long: bool,
}

impl Rebuild {
    /// Without `^` and `$`, which the maker does not know; the texts are whole ones anyway.
    fn of(&self, pattern: &Hir) -> Hir {
        match pattern.kind() {
            HirKind::Look(_) => Hir::empty(),
            HirKind::Class(Class::Unicode(all)) if !self.exotic => Hir::class(in_ascii(all)),
            HirKind::Capture(group) => Hir::capture(Capture { sub: Box::new(self.of(&group.sub)), ..group.clone() }),
            HirKind::Repetition(repetition) => {
                let mut repetition = Repetition { sub: Box::new(self.of(&repetition.sub)), ..repetition.clone() };
                if !self.long {
                    let most = repetition.min + REPEATS;
                    repetition.max = Some(repetition.max.map_or(most, |max| max.min(most)));
                }
                Hir::repetition(repetition)
            }
            HirKind::Concat(parts) => Hir::concat(parts.iter().map(|part| self.of(part)).collect()),
            HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(|part| self.of(part)).collect()),
            HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) => pattern.clone(),
        }
    }
}

/// Printable ASCII alone, if a class has some.
fn in_ascii(class: &ClassUnicode) -> Class {
    let mut ascii = ClassUnicode::new([ClassUnicodeRange::new(' ', '~')]);
    ascii.intersect(class);
    Class::Unicode(if ascii.ranges().is_empty() { class.clone() } else { ascii })
}
