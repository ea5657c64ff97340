//! Patterns: regular expressions in a dialect that every language reads alike, matched in linear time.
//!
//! A pattern describes a set of whole values. It has only what the common engines agree on, or refuse: literals,
//! `.`, bracket classes, groups, alternatives and greedy repetitions. Which crate features the build has changes
//! nothing, because everything that depends on them is refused. A character is a Unicode code point.

use crate::{limits, text};
use regex::{Regex, RegexBuilder};
use regex_syntax::ast::parse::ParserBuilder;
use regex_syntax::ast::{
    Ast, ClassBracketed, ClassSet, ClassSetItem, Group, GroupKind, Literal, LiteralKind, Repetition, RepetitionKind,
    RepetitionRange,
};
use regex_syntax::hir::translate::TranslatorBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};
use regex_syntax::utf8::Utf8Sequences;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::sync::{Arc, OnceLock};

/// A compiled pattern. Clones share it.
#[derive(Clone, Debug)]
pub struct Pattern(Arc<Compiled>);

#[derive(Debug)]
struct Compiled {
    text: String,
    /// Made when a value is first matched, if it is small enough to be kept; `None` if it cannot be made any more.
    regex: OnceLock<Option<Regex>>,
    max_bytes: Option<usize>,
    example: String,
    hir: Hir,
    states: u64,
}

impl Pattern {
    /// Reads and checks a pattern.
    ///
    /// # Errors
    /// Names what is not allowed and, where there is one, the other way to write it.
    pub fn parse(pattern: &str) -> Result<Self, String> {
        let pattern = Self::read(pattern)?;
        pattern.check()?;
        Ok(pattern)
    }

    /// Refuses what is too large when it is compiled, and what matches nothing that a person could read. Reading leaves it
    /// to whoever counts the patterns of a document: compiling is what costs.
    ///
    /// # Errors
    /// Says which of it.
    pub fn check(&self) -> Result<(), String> {
        // Not kept: a plan may have many patterns, and most calls are for a few of them.
        let regex = compile(&self.0.text)?;
        let is_simple = regex.is_match(&self.0.example) && text::check_plain(&self.0.example).is_ok();
        if is_simple { Ok(()) } else { Err("matches nothing, or nothing simple, that a person could read".into()) }
    }

    /// Reads a pattern of the dialect without compiling it.
    fn read(pattern: &str) -> Result<Self, String> {
        let chars = pattern.chars().count();
        if chars > limits::PATTERN_CHARS {
            return Err(format!("is {chars} characters long; at most {} are allowed", limits::PATTERN_CHARS));
        }
        text::check_plain(pattern)?;
        let mut parser = ParserBuilder::new().nest_limit(limits::PATTERN_NEST).build();
        let ast = parser
            .parse(pattern)
            .map_err(|error| format!("is no pattern: {}, at byte {}", error.kind(), error.span().start.offset))?;
        check(&ast)?;
        let hir = TranslatorBuilder::new()
            .build()
            .translate(pattern, &ast)
            .map_err(|error| format!("is no pattern: {}, at byte {}", error.kind(), error.span().start.offset))?;
        let (max_bytes, states) = (hir.properties().maximum_len(), states(&hir));
        if states > limits::PATTERN_STATES {
            return Err(too_large());
        }
        let mut example = String::new();
        write_example(&hir, &mut example);
        let (text, regex) = (pattern.to_owned(), OnceLock::new());
        Ok(Self(Arc::new(Compiled { text, regex, max_bytes, example, hir, states })))
    }

    /// Whether the whole value matches and is plain text (see [`text::check_plain`]). The time is linear in the
    /// value's length: see [`Self::work`]. The engine of a small pattern is kept, with its scratch memory.
    pub fn holds(&self, value: &str) -> bool {
        self.0.max_bytes.is_none_or(|most| value.len() <= most)
            && self.matches(value)
            && text::check_plain(value).is_ok()
    }

    fn matches(&self, value: &str) -> bool {
        let compiled = || compile(&self.0.text).ok();
        if self.0.states > limits::PATTERN_KEPT_STATES {
            return compiled().is_some_and(|regex| regex.is_match(value));
        }
        self.0.regex.get_or_init(compiled).as_ref().is_some_and(|regex| regex.is_match(value))
    }

    /// Units of work that matching a value costs: in the worst case the pattern is compiled, and each of its states is
    /// followed over each byte. A value that is too long is not looked at.
    pub fn work(&self, value: &str) -> u64 {
        if self.0.max_bytes.is_some_and(|most| value.len() > most) {
            return 0;
        }
        let steps = (value.len() as u64).saturating_mul(self.0.states);
        self.0.states / limits::COMPILED_STATES_PER_WORK + steps / limits::STATES_PER_WORK
    }

    /// Bytes of the longest value that matches; `None` if there is no longest.
    pub fn max_bytes(&self) -> Option<usize> {
        self.0.max_bytes
    }

    /// A short value that matches.
    pub fn example(&self) -> String {
        self.0.example.clone()
    }

    /// How many values match, each counted as often as there are ways to match it; [`u64::MAX`] where there is no end.
    pub fn count(&self) -> u64 {
        count(&self.0.hir)
    }

    /// The values that match, and perhaps some that are no plain text. They are as many as [`Self::count`] says, so it is
    /// asked first. Units of work that writing them down costs are those of [`Self::values_work`].
    pub fn values(&self) -> Vec<String> {
        values(&self.0.hir)
    }

    /// Units of work that writing down all values costs.
    pub fn values_work(&self) -> u64 {
        let longest = self.0.max_bytes.map_or(u64::MAX, |bytes| bytes as u64);
        self.count().saturating_add(self.0.states).saturating_mul(longest) / limits::COMPARED_BYTES_PER_WORK
    }

    /// Whether a value that matches may contain one of some characters; where it cannot, the answer is no.
    pub fn may_contain(&self, chars: &[char]) -> bool {
        may_contain(&self.0.hir, chars)
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for Pattern {}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0.text)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let text = String::deserialize(source)?;
        Self::read(&text).map_err(de::Error::custom)
    }
}

fn compile(pattern: &str) -> Result<Regex, String> {
    // The frame around the pattern nests as well.
    let nest_limit = limits::PATTERN_NEST + 8;
    RegexBuilder::new(&format!(r"\A(?:{pattern})\z"))
        .size_limit(limits::PATTERN_BYTES)
        .dfa_size_limit(limits::PATTERN_CACHE_BYTES)
        .nest_limit(nest_limit)
        .build()
        .map_err(|_| too_large())
}

fn too_large() -> String {
    format!("is more than {} bytes when it is compiled: repeat less", limits::PATTERN_BYTES)
}

/// Refuses what engines read differently. The nesting is bounded by the parser.
fn check(ast: &Ast) -> Result<(), String> {
    match ast {
        Ast::Literal(literal) => check_literal(literal),
        Ast::Dot(_) => Ok(()),
        Ast::ClassBracketed(class) => check_class(class),
        Ast::Repetition(repetition) => check_repetition(repetition),
        Ast::Group(group) => check_group(group),
        Ast::Alternation(alternation) => alternation.asts.iter().try_for_each(check),
        Ast::Concat(concat) => concat.asts.iter().try_for_each(check),
        Ast::Empty(_) => refuse("has an empty part; write `?` behind what may be missing"),
        Ast::Flags(_) => refuse("has a flag; write out what you mean, `[Aa]` for both cases"),
        Ast::Assertion(_) => refuse("has an anchor or a word boundary; a pattern is matched against the whole value"),
        Ast::ClassUnicode(_) => refuse("has a Unicode class; write the characters as a class, like `[a-z]`"),
        Ast::ClassPerl(_) => refuse("has `\\d`, `\\w` or `\\s`, which languages read differently; write `[0-9]`"),
    }
}

fn refuse(what: &str) -> Result<(), String> {
    Err(what.to_owned())
}

fn check_literal(literal: &Literal) -> Result<(), String> {
    match literal.kind {
        LiteralKind::Verbatim | LiteralKind::Meta | LiteralKind::Superfluous => Ok(()),
        LiteralKind::Octal | LiteralKind::HexFixed(_) | LiteralKind::HexBrace(_) | LiteralKind::Special(_) => {
            refuse("has an escaped code; write the character itself")
        }
    }
}

fn check_class(class: &ClassBracketed) -> Result<(), String> {
    match &class.kind {
        ClassSet::Item(item) => check_item(item),
        ClassSet::BinaryOp(_) => refuse("has `&&`, `--` or `~~` in a class; escape them with `\\`"),
    }
}

fn check_item(item: &ClassSetItem) -> Result<(), String> {
    match item {
        ClassSetItem::Literal(literal) => check_class_literal(literal),
        ClassSetItem::Range(range) => check_class_literal(&range.start).and_then(|()| check_class_literal(&range.end)),
        ClassSetItem::Union(union) => union.items.iter().try_for_each(check_item),
        ClassSetItem::Empty(_) => refuse("has an empty class"),
        ClassSetItem::Ascii(_) => refuse("has a POSIX class; write the characters, like `[a-z]`"),
        ClassSetItem::Unicode(_) => refuse("has a Unicode class; write the characters, like `[a-z]`"),
        ClassSetItem::Perl(_) => refuse("has `\\d`, `\\w` or `\\s`, which languages read differently; write `0-9`"),
        ClassSetItem::Bracketed(_) => refuse("has a class within a class; write `\\[` for the character"),
    }
}

/// `[]a]` is a class of two characters in some languages and something else in others.
fn check_class_literal(literal: &Literal) -> Result<(), String> {
    if literal.c == ']' && literal.kind == LiteralKind::Verbatim {
        return refuse("has `]` in a class; write `\\]`");
    }
    check_literal(literal)
}

fn check_group(group: &Group) -> Result<(), String> {
    match &group.kind {
        GroupKind::CaptureIndex(_) => check(&group.ast),
        GroupKind::NonCapturing(flags) if flags.items.is_empty() => check(&group.ast),
        GroupKind::NonCapturing(_) => refuse("has a flag; write out what you mean, `[Aa]` for both cases"),
        GroupKind::CaptureName { .. } => refuse("has a named group; write `(…)`"),
    }
}

fn check_repetition(repetition: &Repetition) -> Result<(), String> {
    if !repetition.greedy {
        return refuse("has a lazy repetition; leave out the `?`");
    }
    if matches!(*repetition.ast, Ast::Repetition(_)) {
        return refuse("repeats a repetition, which languages read differently; put the inner one into `(…)`");
    }
    let most = match &repetition.op.kind {
        RepetitionKind::ZeroOrOne | RepetitionKind::ZeroOrMore | RepetitionKind::OneOrMore => 0,
        RepetitionKind::Range(RepetitionRange::Exactly(most) | RepetitionRange::AtLeast(most)) => *most,
        RepetitionKind::Range(RepetitionRange::Bounded(_, most)) => *most,
    };
    if most > limits::PATTERN_REPEATS {
        return Err(format!("repeats {most} times; at most {} are allowed", limits::PATTERN_REPEATS));
    }
    check(&repetition.ast)
}

/// Writes the least that matches: the shortest alternative, as few repetitions as there may be, of a class the
/// character that is easiest to read. The number of states bounds the length.
fn write_example(hir: &Hir, example: &mut String) {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => example.push_str(&String::from_utf8_lossy(&literal.0)),
        HirKind::Class(class) => example.extend(readable(class)),
        HirKind::Capture(group) => write_example(&group.sub, example),
        HirKind::Concat(parts) => parts.iter().for_each(|part| write_example(part, example)),
        HirKind::Alternation(parts) => {
            if let Some(part) = parts.iter().min_by_key(|part| part.properties().minimum_len()) {
                write_example(part, example);
            }
        }
        HirKind::Repetition(repetition) if repetition.min > 0 => {
            let mut once = String::new();
            write_example(&repetition.sub, &mut once);
            example.extend(std::iter::repeat_n(once.as_str(), repetition.min as usize));
        }
        HirKind::Repetition(_) => {}
    }
}

/// At most so many states has the pattern when it is compiled. The nesting is bounded by the parser.
fn states(hir: &Hir) -> u64 {
    let sum = |parts: &[Hir]| parts.iter().map(states).fold(1, u64::saturating_add);
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len() as u64,
        HirKind::Class(class) if ranges(class).iter().all(|(_, end)| end.is_ascii()) => 1,
        HirKind::Class(class) => {
            let of_range = |(start, end): (char, char)| Utf8Sequences::new(start, end).map(|bytes| bytes.len() as u64);
            ranges(class).into_iter().flat_map(of_range).sum()
        }
        HirKind::Capture(group) => states(&group.sub).saturating_add(2),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => sum(parts),
        HirKind::Repetition(repetition) => {
            let times = u64::from(repetition.max.unwrap_or(repetition.min.saturating_add(1))).max(1);
            states(&repetition.sub).saturating_add(1).saturating_mul(times)
        }
    }
}

/// The nesting is bounded by the parser.
fn may_contain(hir: &Hir, chars: &[char]) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => false,
        HirKind::Literal(literal) => String::from_utf8_lossy(&literal.0).contains(chars),
        HirKind::Class(class) => {
            ranges(class).iter().any(|(start, end)| chars.iter().any(|c| (start..=end).contains(&c)))
        }
        HirKind::Capture(group) => may_contain(&group.sub, chars),
        HirKind::Repetition(repetition) => may_contain(&repetition.sub, chars),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().any(|part| may_contain(part, chars)),
    }
}

/// The nesting is bounded by the parser.
fn count(hir: &Hir) -> u64 {
    match hir.kind() {
        HirKind::Empty | HirKind::Literal(_) => 1,
        HirKind::Look(_) => u64::MAX,
        HirKind::Class(class) => ranges(class).into_iter().map(|(start, end)| (start..=end).count() as u64).sum(),
        HirKind::Capture(group) => count(&group.sub),
        HirKind::Concat(parts) => parts.iter().map(count).fold(1, u64::saturating_mul),
        HirKind::Alternation(parts) => parts.iter().map(count).fold(0, u64::saturating_add),
        HirKind::Repetition(repetition) => {
            let (once, most) = (count(&repetition.sub), repetition.max);
            let times = |times: u32| once.saturating_pow(times);
            most.map_or(u64::MAX, |most| (repetition.min..=most).map(times).fold(0, u64::saturating_add))
        }
    }
}

/// Of what has a [`count`].
fn values(hir: &Hir) -> Vec<String> {
    let none = || vec![String::new()];
    let joined = |before: Vec<String>, after: &[String]| {
        before.iter().flat_map(|before| after.iter().map(move |after| format!("{before}{after}"))).collect()
    };
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => none(),
        HirKind::Literal(literal) => vec![String::from_utf8_lossy(&literal.0).into_owned()],
        HirKind::Class(class) => {
            ranges(class).into_iter().flat_map(|(start, end)| start..=end).map(String::from).collect()
        }
        HirKind::Capture(group) => values(&group.sub),
        HirKind::Concat(parts) => parts.iter().map(values).fold(none(), |before, after| joined(before, &after)),
        HirKind::Alternation(parts) => parts.iter().flat_map(values).collect(),
        HirKind::Repetition(repetition) => {
            let once = values(&repetition.sub);
            let mut times = none();
            let mut all = if repetition.min == 0 { none() } else { Vec::new() };
            for time in 1..=repetition.max.unwrap_or(repetition.min) {
                times = joined(times, &once);
                if time >= repetition.min {
                    all.extend(times.iter().cloned());
                }
            }
            all
        }
    }
}

fn ranges(class: &Class) -> Vec<(char, char)> {
    match class {
        Class::Unicode(class) => class.ranges().iter().map(|range| (range.start(), range.end())).collect(),
        Class::Bytes(class) => class.ranges().iter().map(|range| (range.start().into(), range.end().into())).collect(),
    }
}

/// A letter or a digit if there is one, else the first visible ASCII character, else the first plain one.
fn readable(class: &Class) -> Option<char> {
    let ranges = ranges(class);
    let has = |c: &char| ranges.iter().any(|(start, end)| (start..=end).contains(&c));
    let ascii = ('a'..='z').chain('0'..='9').chain('A'..='Z').chain('!'..='~').find(has);
    let is_plain = |c: &char| text::check_plain(c.encode_utf8(&mut [0; 4])).is_ok();
    ascii.or_else(|| ranges.iter().flat_map(|(start, end)| *start..=*end).find(is_plain))
}

#[cfg(test)]
mod tests;
