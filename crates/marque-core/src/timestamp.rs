//! Instants on the wire: RFC 3339 in UTC with whole seconds, or seconds since the Unix epoch.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// An instant as a plan states it: `YYYY-MM-DDTHH:MM:SSZ`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp {
    text: String,
    secs: i64,
}

impl Timestamp {
    /// As written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Seconds since the Unix epoch.
    pub const fn secs(&self) -> i64 {
        self.secs
    }
}

impl TryFrom<String> for Timestamp {
    type Error = String;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Ok(Self { secs: parse(&text)?, text })
    }
}

impl From<Timestamp> for String {
    fn from(timestamp: Timestamp) -> Self {
        timestamp.text
    }
}

/// Parses `YYYY-MM-DDTHH:MM:SSZ`, the only form a plan may use, into seconds since the Unix epoch.
///
/// # Errors
/// Says what form is expected.
pub fn parse(text: &str) -> Result<i64, String> {
    let refused = || "is not an RFC 3339 instant in UTC with whole seconds, like 2026-11-22T03:00:00Z".to_owned();
    if text.len() != 20 || !text.ends_with('Z') || text.as_bytes().get(10) != Some(&b'T') {
        return Err(refused());
    }
    let secs = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| refused())?.unix_timestamp();
    // A leap second has no number of its own: read back, it would be the second before.
    if format(secs).as_deref() == Ok(text) { Ok(secs) } else { Err(refused()) }
}

/// Writes seconds since the Unix epoch as `YYYY-MM-DDTHH:MM:SSZ`.
///
/// # Errors
/// When the instant is outside the years 0 to 9999.
pub fn format(secs: i64) -> Result<String, String> {
    let instant = OffsetDateTime::from_unix_timestamp(secs).map_err(|_| "is no instant".to_owned())?;
    instant.format(&Rfc3339).map_err(|_| "is no instant".to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn reads_back_what_it_writes_and_nothing_else() {
        assert_eq!(super::format(1_795_316_400).as_deref(), Ok("2026-11-22T03:00:00Z"));
        assert_eq!(super::parse("2026-11-22T03:00:00Z"), Ok(1_795_316_400));
        for bad in [
            "2026-11-22T03:00:00+00:00",
            "2026-11-22t03:00:00Z",
            "2026-11-22T03:00:00.5Z",
            "2026-13-22T03:00:00Z",
            "",
            "2026-11-22 03:00:00Z",
        ] {
            assert!(super::parse(bad).is_err(), "{bad}");
        }
    }
}
