//! Text that a person reads, and links that a program would make clickable.

use marque_core::text::{check_free, check_plain, has_link};
use marque_core::value::instant::Moment;

#[test]
fn links_are_found_in_every_disguise() {
    for link in [
        "EVIL.COM",
        "see (evil.com).",
        "evil.com:8080/x",
        "evil.xn--p1ai",
        "b\u{fc}cher.example",
        "evil\u{3002}com",
        "evil\u{ff0e}com",
        "evil\u{ff61}com",
        "a@evil.com",
        "http://1.2.3.4",
        "x://y",
        "JaVaScRiPt:alert(1)",
        "DATA:text/html,x",
        "mailto:bob",
        "tel:+49",
        "one\ntwo https://evil.com\nthree",
    ] {
        assert!(has_link(link), "{link:?}");
    }
    for plain in ["", "10:30", "Note: done.", "1.5", "and/or", "std::io", "data: none", "Call me.\nThen go."] {
        assert!(!has_link(plain), "{plain:?}");
    }
}

#[test]
fn hidden_characters_are_refused_and_named() {
    for bad in [
        '\u{0}',
        '\u{7f}',
        '\u{9f}',
        '\u{ad}',
        '\u{34f}',
        '\u{61c}',
        '\u{180e}',
        '\u{200b}',
        '\u{200d}',
        '\u{200e}',
        '\u{2028}',
        '\u{2029}',
        '\u{202a}',
        '\u{202e}',
        '\u{2060}',
        '\u{2066}',
        '\u{2069}',
        '\u{3164}',
        '\u{fe0f}',
        '\u{feff}',
        '\u{ffa0}',
        '\u{fff9}',
        '\u{e000}',
        '\u{e0001}',
        '\u{e0100}',
        '\u{10ffff}',
        '\u{378}',
    ] {
        let refused = check_plain(&format!("a{bad}b")).expect_err(&format!("U+{:04X}", u32::from(bad)));
        assert!(refused.contains(&format!("U+{:04X}", u32::from(bad))), "{refused}");
        assert!(check_free(&format!("a{bad}b")).is_err());
    }
}

#[test]
fn only_lines_and_tabs_are_free() {
    for c in (0..0x20).chain(0x7f..0xa0).filter_map(char::from_u32) {
        let text = format!("a{c}b");
        assert!(check_plain(&text).is_err(), "{text:?}");
        assert_eq!(check_free(&text).is_ok(), matches!(c, '\t' | '\n' | '\r'), "{text:?}");
    }
    assert!(check_plain("e\u{301}").unwrap_err().contains("normalization"));
    assert_eq!(check_plain("\u{e9} \u{65e5}\u{672c} \u{1f511} ~"), Ok(()));
}

/// A `text` rule without links takes every timestamp that a `time_window` takes.
#[test]
fn no_timestamp_looks_like_a_link() {
    for digits in 0..10 {
        for fraction in ["0123456789", "9999999999", "5000000000"] {
            let fraction = if digits == 0 { String::new() } else { format!(".{}", &fraction[..digits]) };
            for zone in ["Z", "+00:00", "-00:00", "+01:00", "-12:30", "+23:59"] {
                for moment in ["2026-11-22T03:00:00", "0001-01-01T00:00:00", "9999-12-31T23:59:59"] {
                    let text = format!("{moment}{fraction}{zone}");
                    assert!(Moment::parse(&text).is_some() || moment.starts_with(['0', '9']), "{text}");
                    assert!(!has_link(&text), "{text}");
                }
            }
        }
    }
}
