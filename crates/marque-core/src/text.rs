//! Text that a person will read is hostile until shown otherwise.

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::props::{BidiControl, DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};
use std::borrow::Cow;

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
    if text.bytes().all(printable_ascii) {
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

/// Whether text holds something that a mail or chat program would make clickable.
/// Full stops of other scripts count as dots, as host-name processing treats them so (UTS #46).
pub fn has_link(text: &str) -> bool {
    if text.contains("://") || has_opaque_scheme(text) {
        return true;
    }
    let dotted = match text.is_ascii() {
        true => Cow::Borrowed(text),
        false => Cow::Owned(text.replace(['\u{3002}', '\u{ff0e}', '\u{ff61}'], ".")),
    };
    if !may_hold_address(&dotted) {
        return false;
    }
    let mut finder = linkify::LinkFinder::new();
    finder.url_must_have_scheme(false);
    finder.links(&dotted).next().is_some()
}

/// Characters that [`has_link`] may look at in a text. For each one that may stand within an address it looks at what
/// stands around it, as far as the next space.
pub(crate) fn link_steps(text: &str) -> u64 {
    let joins = |c: char| matches!(c, '.' | ':' | '@' | '\u{3002}' | '\u{ff0e}' | '\u{ff61}');
    let of_word = |word: &str| (word.len() as u64).saturating_mul(word.chars().filter(|c| joins(*c)).count() as u64);
    text.split(char::is_whitespace).map(of_word).fold(text.len() as u64, u64::saturating_add)
}

/// Whether something is joined by a dot or an @ sign, without which there is no address: most text is told by this.
fn may_hold_address(text: &str) -> bool {
    let joins = |pair: &[u8]| matches!(pair, [b'.', after] if !after.is_ascii_whitespace() && *after != b'.');
    text.as_bytes().windows(2).any(joins) || text.contains('@')
}

/// `javascript:x`, `data:x`, `tel:x`: a scheme that is followed at once by its address.
fn has_opaque_scheme(text: &str) -> bool {
    const SCHEMES: [&str; 8] = ["javascript", "data", "vbscript", "file", "mailto", "tel", "sms", "blob"];
    let ends_in_scheme = |before: &str| {
        SCHEMES.iter().any(|scheme| {
            let start = before.len().checked_sub(scheme.len());
            start.and_then(|start| before.get(start..)).is_some_and(|end| end.eq_ignore_ascii_case(scheme))
        })
    };
    text.match_indices(':').any(|(at, _)| {
        let (before, after) = text.split_at(at);
        ends_in_scheme(before) && after.get(1..).is_some_and(|rest| rest.starts_with(|c: char| !c.is_whitespace()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
        ] {
            assert!(has_link(link), "{link:?}");
        }
        for plain in ["Note: done", "at 10:30", "1.5 times", "data: see below", "and/or"] {
            assert!(!has_link(plain), "{plain:?}");
        }
    }
}
