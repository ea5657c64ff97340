//! Patterns: what parses has an example that it matches, reads back from its text, and bounds what it matches.
#![no_main]

use libfuzzer_sys::fuzz_target;
use marque_core::value::pattern::Pattern;

fuzz_target!(|text: &str| {
    let Ok(pattern) = Pattern::parse(text) else { return };
    assert_eq!(pattern.as_str(), text);
    let example = pattern.example();
    assert!(pattern.holds(&example), "{example:?}");
    assert!(pattern.max_bytes().is_none_or(|most| example.len() <= most));
    let long = "a".repeat(4096);
    assert!(!pattern.holds(&long) || pattern.max_bytes().is_none_or(|most| long.len() <= most));
});
