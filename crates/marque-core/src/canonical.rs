//! Canonical bytes (RFC 8785), digests over them, and the words people compare.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::fmt;

/// A SHA-256 value; base64url without padding on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest of a value's canonical form.
    pub fn of_canonical(value: &Value) -> Self {
        Self::of(&canonical(value))
    }

    /// Reads 43 characters of canonical base64url without padding.
    pub fn from_base64(text: &str) -> Option<Self> {
        decode(text).and_then(|bytes| bytes.try_into().ok()).map(Self)
    }

    /// Takes 32 bytes as a digest.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Takes bytes as a digest, if they are 32.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Base64url without padding.
    pub fn to_base64(self) -> String {
        encode(&self.0)
    }

    /// The comparison words: four BIP-39 English words (word *i* is bits 11i to 11i+10, from the
    /// most significant bit), joined by hyphens, a space, and bytes 6 to 11 in hexadecimal.
    pub fn words(&self) -> String {
        let list = bip39::Language::English.word_list();
        let word = |index: usize| {
            let number = (0..11).fold(0, |number, bit| number << 1 | self.bit(index * 11 + bit));
            list.get(number).copied().unwrap_or_default()
        };
        let hex: String = self.0.iter().skip(6).take(6).map(|byte| format!("{byte:02x}")).collect();
        format!("{}-{}-{}-{} {hex}", word(0), word(1), word(2), word(3))
    }

    fn bit(&self, index: usize) -> usize {
        self.0.get(index / 8).map_or(0, |byte| usize::from(byte >> (7 - index % 8) & 1))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_base64())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_base64())
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_base64())
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_base64(&text).ok_or_else(|| de::Error::custom("is not a SHA-256 value in base64url"))
    }
}

/// The canonical bytes of a value (RFC 8785). Values come from [`crate::json`], so every number is
/// one that the canonical form writes exactly.
pub fn canonical(value: &Value) -> Vec<u8> {
    if is_written_canonically(value)
        && let Ok(bytes) = serde_json::to_vec(value)
    {
        return bytes;
    }
    // Serializing a `Value` into memory fails only for a non-finite number, which `Value` cannot hold.
    serde_json_canonicalizer::to_vec(value).unwrap_or_default()
}

/// Whether `serde_json` writes the value as RFC 8785 wants it, which it does in a fraction of the time: integers and
/// texts it always does; members it writes in the map's order, which is right where no name has a character that
/// UTF-16 sorts otherwise than UTF-8 does (§3.2.3).
fn is_written_canonically(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => true,
        Value::Number(number) => number.is_i64() || number.is_u64(),
        Value::Array(items) => items.iter().all(is_written_canonically),
        Value::Object(members) => {
            let is_plain = |name: &String| name.bytes().all(|byte| byte < 0xee);
            members.keys().all(is_plain) && members.keys().is_sorted() && members.values().all(is_written_canonically)
        }
    }
}

/// [`canonical`] as text: canonical JSON is always UTF-8.
pub fn canonical_text(value: &Value) -> String {
    String::from_utf8(canonical(value)).unwrap_or_default()
}

/// Base64url without padding.
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Decodes canonical base64url without padding: stray trailing bits are refused.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sorts_by_utf16_and_writes_minimal_escapes() {
        let value = json!({"\u{20ac}": 1, "\r": 2, "\u{fb33}": 3, "1": 4, "\u{1f600}": 5, "\u{80}": 6, "\u{f6}": 7});
        assert_eq!(
            canonical_text(&value),
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}"
        );
    }

    #[test]
    fn words_take_eleven_bits_each_from_the_left() {
        assert_eq!(Digest::from_bytes([0; 32]).words(), "abandon-abandon-abandon-abandon 000000000000");
        assert_eq!(Digest::from_bytes([0xff; 32]).words(), "zoo-zoo-zoo-zoo ffffffffffff");
        let mut bytes = [0; 32];
        bytes[1] = 0x20; // bit 10 is set: word 0 is number 1
        bytes[6] = 0xab;
        assert_eq!(Digest::from_bytes(bytes).words(), "ability-abandon-abandon-abandon ab0000000000");
    }

    #[test]
    fn refuses_base64_that_is_not_canonical() {
        let text = Digest::of(b"x").to_base64();
        assert_eq!(Digest::from_base64(&text), Some(Digest::of(b"x")));
        assert_eq!(Digest::from_base64(&format!("{text}=")), None);
        let mut bent = text.clone();
        let last = bent.pop().unwrap();
        bent.push(if last == '1' { '2' } else { char::from(last as u8 + 1) });
        assert_ne!(Digest::from_base64(&bent), Some(Digest::of(b"x")));
    }
}
