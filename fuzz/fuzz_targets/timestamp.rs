//! Instants.
#![no_main]

use libfuzzer_sys::fuzz_target;
use marque_core::timestamp::{format, parse};

fuzz_target!(|bytes: &[u8]| {
    if let Some(secs) = std::str::from_utf8(bytes).ok().and_then(|text| parse(text).ok()) {
        assert_eq!(format(secs).map(String::into_bytes).as_deref(), Ok(bytes), "one instant has one spelling");
    }
    if let Some(secs) = bytes.first_chunk().map(|first| i64::from_le_bytes(*first))
        && let Ok(text) = format(secs)
    {
        assert_eq!(parse(&text), Ok(secs), "{text} reads back");
    }
});
