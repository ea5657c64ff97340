//! Text that a person will read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use marque_core::text::{check_free, check_plain, has_link};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match (check_plain(text), check_free(text)) {
        (Ok(()), free) => {
            assert_eq!(free, Ok(()), "plain text is free text");
            assert!(!text.contains(char::is_control));
        }
        (Err(_), Ok(())) => assert!(text.contains(['\n', '\r', '\t']), "free text is plain but for its lines"),
        (Err(_), Err(_)) => {}
    }
    let found = has_link(text);
    assert_eq!(has_link(&text.replace('.', "\u{3002}")), found, "a dot of another script is a dot");
    if found {
        assert!(has_link(&format!("See {text}")), "a word before a link does not hide it");
    }
});
