//! Text that a person will read is hostile until shown otherwise.

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::props::{BidiControl, DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};
use std::borrow::Cow;
use std::ops::Range;

/// Refuses text that could show a reader something else than it says: control characters, bidi
/// controls, zero-width and other invisible characters, private-use and unassigned code points,
/// and anything that is not in Unicode normalization form C.
///
/// # Errors
/// The sentence names the first offending code point.
pub fn check_plain(text: &str) -> Result<(), String> {
    check(text, |_| false)
}

/// [`check_plain`] for multi-line free text: line feed, carriage return and tab are allowed.
///
/// # Errors
/// As [`check_plain`].
pub fn check_free(text: &str) -> Result<(), String> {
    check(text, |c| matches!(c, '\n' | '\r' | '\t'))
}

fn check(text: &str, allowed: impl Fn(char) -> bool) -> Result<(), String> {
    let printable_ascii = |byte: u8| (0x20..0x7f).contains(&byte);
    // No byte ends the look, so that the machine looks at many at once.
    if text.bytes().fold(true, |all, byte| all & printable_ascii(byte)) {
        return Ok(());
    }
    if let Some(bad) = text.chars().find(|&c| !allowed(c) && is_deceptive(c)) {
        return Err(format!("contains U+{:04X}, which is invisible or changes how text reads", bad as u32));
    }
    if !ComposingNormalizerBorrowed::new_nfc().is_normalized(text) {
        return Err("is not in Unicode normalization form C".into());
    }
    Ok(())
}

fn is_deceptive(c: char) -> bool {
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    matches!(
        category,
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::PrivateUse
            | GeneralCategory::Surrogate
            | GeneralCategory::Unassigned
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
    ) || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
        || CodePointSetData::new::<BidiControl>().contains(c)
}

/// Full stops that host-name processing treats as dots (UTS #46), or that look like one. Each takes three bytes.
const WIDE_DOTS: [char; 5] = ['\u{3002}', '\u{ff0e}', '\u{ff61}', '\u{2024}', '\u{fe52}'];

/// Characters without one of which there is no link.
pub(crate) const LINK_MARKS: [char; 8] = ['.', ':', '@', '\u{3002}', '\u{ff0e}', '\u{ff61}', '\u{2024}', '\u{fe52}'];

/// Whether text holds something that a mail or chat program would make clickable: [`links`].
pub fn has_link(text: &str) -> bool {
    !links(text).is_empty()
}

/// Of everything in a text that a mail or chat program would make clickable, the part that says where it leads, in order,
/// none overlapping another: the host of an e-mail address; of a URL all as far as its path begins; of what is in no
/// form that all programs read alike, the whole. Full stops of other scripts count as dots. A host name counts whatever
/// stands around it: programs differ in what they skip before and behind one.
pub(crate) fn links(text: &str) -> Vec<Range<usize>> {
    let dotted = Dotted::of(text);
    let may_hold_address = may_hold_address(&dotted.text);
    if !may_hold_address && memchr::memchr(b':', text.as_bytes()).is_none() {
        return Vec::new();
    }
    let mut whole: Vec<Range<usize>> = opaque_schemes(text).collect();
    let mut leads = whole.clone();
    if may_hold_address {
        let mut finder = linkify::LinkFinder::new();
        finder.url_must_have_scheme(false);
        for link in finder.links(&dotted.text) {
            leads.push(dotted.within(lead(&link)));
            whole.push(dotted.within(link.start()..link.end()));
        }
        whole = merged(whole);
        let bare = bare_names(&dotted.text);
        let names = finder.links(&bare).map(|name| dotted.within(name.start()..name.end()));
        for name in outside(&whole, names) {
            leads.push(name.start..word_end(text, name.end));
        }
    }
    whole = merged(whole.into_iter().chain(leads.iter().cloned()).collect());
    let schemes = text.match_indices("://").map(|(at, colon)| at..at + colon.len());
    for scheme in outside(&whole, schemes) {
        leads.push(word_start(text, scheme.start)..word_end(text, scheme.end));
    }
    merged(leads)
}

/// Which part of a link says where it leads, with the character that ends it there.
fn lead(link: &linkify::Link<'_>) -> Range<usize> {
    let text = link.as_str();
    if *link.kind() == linkify::LinkKind::Email {
        return link.start() + text.rfind('@').map_or(0, |at| at + 1)..link.end();
    }
    let authority = text.find("://").map_or(0, |at| at + "://".len());
    let path = text.get(authority..).and_then(|rest| rest.find(['/', '?', '#', '\\']));
    link.start()..path.map_or(link.end(), |at| link.start() + authority + at + 1)
}

/// A text with every full stop as a dot.
struct Dotted<'t> {
    text: Cow<'t, str>,
    /// Where dots stand in it that took two bytes more.
    wide: Vec<usize>,
}

impl<'t> Dotted<'t> {
    fn of(text: &'t str) -> Self {
        if text.is_ascii() {
            return Self { text: Cow::Borrowed(text), wide: Vec::new() };
        }
        let wide: Vec<_> = text.match_indices(WIDE_DOTS).enumerate().map(|(before, (at, _))| at - 2 * before).collect();
        if wide.is_empty() {
            return Self { text: Cow::Borrowed(text), wide };
        }
        Self { text: Cow::Owned(text.replace(WIDE_DOTS, ".")), wide }
    }

    /// The same range of the text as it was.
    fn within(&self, range: Range<usize>) -> Range<usize> {
        let was = |at: usize| at + 2 * self.wide.partition_point(|dot| *dot < at);
        was(range.start)..was(range.end)
    }
}

/// The text with spaces in place of all that cannot stand in a host name, and of what cannot stand where it does.
fn bare_names(text: &str) -> String {
    let mut bare = String::with_capacity(text.len());
    let mut before = false;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let is_between = || before && rest.clone().next().is_some_and(char::is_alphanumeric);
        match c {
            c if c.is_alphanumeric() => bare.push(c),
            '.' | '-' if is_between() => bare.push(c),
            c => bare.extend(std::iter::repeat_n(' ', c.len_utf8())),
        }
        before = c.is_alphanumeric();
    }
    bare
}

/// Those of some ranges that have nothing in common with others, which do not overlap and are in order.
fn outside(others: &[Range<usize>], ranges: impl Iterator<Item = Range<usize>>) -> Vec<Range<usize>> {
    let is_apart = |range: &Range<usize>| {
        let next = others.partition_point(|other| other.end <= range.start);
        others.get(next).is_none_or(|other| range.end <= other.start)
    };
    ranges.filter(is_apart).collect()
}

/// Ranges in order, those that overlap as one.
fn merged(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// Where the word at a place begins: behind the last space.
fn word_start(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|before| before.split(char::is_whitespace).next_back()).map_or(at, |word| at - word.len())
}

/// Where the word at a place ends: at the next space, without the punctuation before it.
fn word_end(text: &str, at: usize) -> usize {
    at + word_from(text, at).trim_end_matches(['.', ',', ';', ':', '!', '?', ')', '\'', '"']).len()
}

/// What of the word at a place stands there and behind: up to the next space.
fn word_from(text: &str, at: usize) -> &str {
    text.get(at..).and_then(|after| after.split(char::is_whitespace).next()).unwrap_or("")
}

/// Characters that [`links`] may look at in a text. For each one that may stand within an address it looks at what
/// stands around it, as far as the next space, and a second time at bare names.
pub(crate) fn link_steps(text: &str) -> u64 {
    let mut steps = text.len() as u64;
    let mut word = 0..0;
    let mut look_around = |at: usize| {
        if at >= word.end {
            word = word_start(text, at)..at + word_from(text, at).len();
        }
        steps = steps.saturating_add(word.len() as u64);
    };
    if text.is_ascii() {
        memchr::memchr3_iter(b'.', b':', b'@', text.as_bytes()).for_each(look_around);
    } else {
        text.match_indices(LINK_MARKS).for_each(|(at, _)| look_around(at));
    }
    steps.saturating_mul(2)
}

/// Whether something is joined by a dot or an @ sign, without which there is no address: most text is told by this.
fn may_hold_address(text: &str) -> bool {
    let bytes = text.as_bytes();
    let joins = |at: usize| match bytes.get(at..) {
        Some([b'.', after, ..]) => !after.is_ascii_whitespace() && *after != b'.',
        Some([mark, ..]) => *mark == b'@',
        _ => false,
    };
    memchr::memchr2_iter(b'.', b'@', bytes).any(joins)
}

/// `javascript:x`, `data:x`, `tel:x`: a scheme that is followed at once by its address.
fn opaque_schemes(text: &str) -> impl Iterator<Item = Range<usize>> {
    const SCHEMES: [&str; 8] = ["javascript", "data", "vbscript", "file", "mailto", "tel", "sms", "blob"];
    let scheme_start = |before: &str| {
        SCHEMES.iter().find_map(|scheme| {
            let start = before.len().checked_sub(scheme.len())?;
            before.get(start..).filter(|end| end.eq_ignore_ascii_case(scheme)).map(|_| start)
        })
    };
    text.match_indices(':').filter_map(move |(at, colon)| {
        let (before, after) = text.split_at(at);
        let next = after.get(colon.len()..)?.chars().next().filter(|c| !c.is_whitespace())?;
        let least = at + colon.len() + next.len_utf8();
        scheme_start(before).map(|start| start..word_end(text, least))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_text_that_reads_differently_than_it_is() {
        for bad in [
            "a\u{0}b",
            "a\u{202e}b",
            "a\u{200b}b",
            "a\u{feff}",
            "\u{e0041}",
            "\u{e000}",
            "e\u{301}",
            "\u{115f}",
            "a\nb",
            "\u{85}",
            "\u{2028}",
            "\u{378}",
        ] {
            assert!(check_plain(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn accepts_ordinary_text_of_many_scripts() {
        for good in ["plain", "grüße", "日本語", "Ελληνικά", "a b – c", "🔑"] {
            assert_eq!(check_plain(good), Ok(()), "{good:?}");
        }
    }

    #[test]
    fn free_text_may_have_lines_but_nothing_hidden() {
        assert_eq!(check_free("a\r\n\tb ä"), Ok(()));
        assert!(check_free("a\u{200d}b").is_err());
    }

    #[test]
    fn finds_links_however_they_are_written() {
        for link in [
            "see https://x.example/a",
            "www.example.com",
            "example.com/pay",
            "mail a@example.com",
            "javascript:alert(1)",
            "evil\u{3002}com",
            "ftp://h",
            "...evil.com/pay",
            "see ..evil.com",
            ".evil.com",
            "/evil.com/pay",
            "//evil.com",
            "and/or/evil.com",
            "evil.com_",
            "_evil.com",
            "evil.com~",
            "-evil.com",
            "(evil.com",
            "@evil.com",
            "a_@evil.com_",
            "evil\u{2024}com",
            "evil\u{fe52}com",
            "evil\u{ff0e}com",
            "evil\u{ff61}com/\u{2024}",
        ] {
            assert!(has_link(link), "{link:?}");
        }
        for plain in [
            "Note: done",
            "at 10:30",
            "1.5 times",
            "data: see below",
            "and/or",
            "wait...what",
            "e.g. this, i.e. that",
            "a_b",
            "...",
            "v1.1",
            "and so on. And on.",
            "2026-01-01T10:00:00.5Z",
            "\u{65e5}\u{672c}\u{3002}\u{65e5}",
        ] {
            assert!(!has_link(plain), "{plain:?}");
        }
    }

    #[test]
    fn says_where_links_lead() {
        for (text, expected) in [
            ("see (https://x.example/a), then y.example.", &["https://x.example/", "y.example"][..]),
            (
                "\u{3002}\u{3002} evil\u{2024}com \u{fe52} b\u{ff0e}example/\u{e4}!",
                &["evil\u{2024}com", "b\u{ff0e}example/"],
            ),
            ("https://a:b@x.example:8443?c=d and e.f@y.example", &["https://a:b@x.example:8443?", "y.example"]),
            ("write to mailto:a@x.com, or tel:5.", &["mailto:a@x.com", "tel:5"]),
            ("/evil.com/pay, now", &["evil.com/pay"]),
            ("(://a) b", &["(://a"]),
        ] {
            let found: Vec<_> = links(text).into_iter().map(|link| &text[link]).collect();
            assert_eq!(found, expected, "{text:?}");
        }
    }

    proptest! {
        #![proptest_config(fixed())]

        #[test]
        fn what_is_a_link_within_a_piece_is_one_by_itself(before in PIECE, piece in PIECE, after in PIECE) {
            let text = format!("{before}{piece}{after}");
            let (start, end) = (before.len(), before.len() + piece.len());
            let found = links(&text);
            prop_assert!(found.iter().all(|link| text.get(link.clone()).is_some_and(|link| !link.is_empty())), "{:?}", found);
            prop_assert!(found.windows(2).all(|pair| pair[0].end <= pair[1].start), "{:?}", found);
            let is_within = found.iter().any(|link| start <= link.start && link.end <= end);
            prop_assert!(!is_within || has_link(&piece), "{:?} in {:?}", piece, text);
        }

        /// That a word which is a number holds no link is used where constraints are compared.
        #[test]
        fn a_number_is_no_link(number in "-?(0|[1-9][0-9]{0,12}|[1-9][0-9]{0,2})([.][0-9]{1,15}|[.][0-9])?") {
            prop_assert!(!has_link(&number), "{}", number);
        }

        /// The plain count: each word as long as it is for each mark in it.
        #[test]
        fn the_steps_of_a_look_are_those_of_its_words(text in "([a-c .:@/]|[ ]|\t|\u{2003}|\u{2024}|\u{e4}){0,40}") {
            let of_word = |word: &str| word.len() * word.matches(LINK_MARKS).count();
            let words: usize = text.split(char::is_whitespace).map(of_word).sum();
            prop_assert_eq!(link_steps(&text), 2 * (text.len() + words) as u64);
        }

        #[test]
        fn a_host_name_is_a_link_whatever_stands_around_it(before in "[ ./_~(<*@:-]{0,4}", after in "[ ./_~)>*@:,-]{0,4}") {
            let text = format!("{before}evil.example{after}");
            prop_assert!(has_link(&text), "{}", text);
        }
    }

    const PIECE: &str = "(a|b|\\.|:|/|://|@|-|_| |com|x\\.com|\u{2024}|\u{e4}|data|\\(|'){0,6}";

    /// Always the same cases: a failure today is a failure tomorrow.
    fn fixed() -> ProptestConfig {
        let rng_seed = proptest::test_runner::RngSeed::Fixed(7);
        ProptestConfig { cases: 4096, rng_seed, failure_persistence: None, ..ProptestConfig::default() }
    }
}
