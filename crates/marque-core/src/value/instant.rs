//! Instants as tools write them: any RFC 3339 timestamp, to the nanosecond.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Bytes of the longest timestamp that is read: nine digits of a second and a numeric offset.
const TIMESTAMP_BYTES: usize = 35;
/// Digits of a fraction of a second: a tenth would be lost.
const FRACTION_DIGITS: usize = 9;

/// Nanoseconds since the Unix epoch. Equal instants are equal whatever offset they were written with.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Moment(i128);

impl Moment {
    /// Reads an RFC 3339 timestamp of the years 0001 to 9999 with an upper-case `T`, a numeric offset or an
    /// upper-case `Z`, and at most nine digits of a second. A leap second has no number of its own and is refused.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let is_leap_second = bytes.get(17..19) == Some(b"60");
        let is_year_zero = bytes.starts_with(b"0000");
        let fraction = bytes.get(20..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let is_short = bytes.len() <= TIMESTAMP_BYTES && fraction <= FRACTION_DIGITS;
        let is_upper_case = bytes.get(10) == Some(&b'T') && !text.ends_with('z');
        if !is_short || !is_upper_case || is_leap_second || is_year_zero {
            return None;
        }
        OffsetDateTime::parse(text, &Rfc3339).ok().map(|instant| Self(instant.unix_timestamp_nanos()))
    }

    /// The instant that many seconds after the Unix epoch.
    pub fn from_secs(secs: i64) -> Self {
        Self(i128::from(secs) * 1_000_000_000)
    }

    /// Nanoseconds since the Unix epoch.
    pub fn as_nanos(self) -> i128 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn instant(text: &str) -> Moment {
        Moment::parse(text).unwrap()
    }

    #[test]
    fn the_same_instant_is_equal_however_it_is_written() {
        let noon = instant("2026-11-22T12:00:00Z");
        assert_eq!(noon, Moment::from_secs(1_795_348_800));
        for same in ["2026-11-22T12:00:00.000Z", "2026-11-22T14:00:00+02:00", "2026-11-22T06:30:00.0-05:30"] {
            assert_eq!(instant(same), noon, "{same}");
        }
        let later = instant("2026-11-22T12:00:00.000000001Z");
        assert_eq!(later.as_nanos() - noon.as_nanos(), 1);
        assert!(noon < later && later < instant("2026-11-22T12:00:00-00:01"));
        assert!(instant("0001-01-01T00:00:00Z") < instant("1969-12-31T23:59:59.999999999+00:00"));
        assert_eq!(instant("1969-12-31T23:59:59.9Z").as_nanos(), -100_000_000);
    }

    #[test]
    fn refuses_what_is_read_differently() {
        for bad in [
            "",
            "2026-11-22",
            "2026-11-22T12:00:00",
            "2026-11-22T12:00Z",
            "2026-11-22t12:00:00Z",
            "2026-11-22T12:00:00z",
            "2026-11-22 12:00:00Z",
            "2026-11-22T12:00:00.Z",
            "2026-11-22T12:00:00,5Z",
            "2026-11-22T12:00:00.1234567890Z",
            "2026-11-22T12:00:00.1234567890+00:00",
            "2026-11-22T12:00:00+0200",
            "2026-11-22T12:00:00+02",
            "2026-11-22T12:00:00+24:00",
            "2026-11-22T12:00:00+02:60",
            "2016-12-31T23:59:60Z",
            "2016-12-31T23:59:60.5Z",
            "2026-11-22T24:00:00Z",
            "2026-02-29T12:00:00Z",
            "0000-01-01T00:00:00Z",
            "+2026-11-22T12:00:00Z",
            "12026-11-22T12:00:00Z",
            " 2026-11-22T12:00:00Z",
            "2026-11-22T12:00:00Z ",
            "2026-11-22T12:00:00ZZ",
            "2026-1-22T12:00:00Z",
            "\u{662}026-11-22T12:00:00Z",
        ] {
            assert_eq!(Moment::parse(bad), None, "{bad}");
        }
    }

    /// Always the same cases: a failure today is a failure tomorrow.
    fn fixed() -> ProptestConfig {
        let rng_seed = proptest::test_runner::RngSeed::Fixed(7);
        ProptestConfig { cases: 2048, rng_seed, failure_persistence: None, ..ProptestConfig::default() }
    }

    /// Days since the Unix epoch of a date of the Gregorian calendar, counted year by year.
    fn days(year: i64, month: i64, day: i64) -> i64 {
        let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let before: i64 = (1..year).map(|year| if is_leap(year) { 366 } else { 365 }).sum();
        let february = if is_leap(year) { 29 } else { 28 };
        let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        before + months.iter().zip(1..month).map(|(days, _)| days).sum::<i64>() + day - 1 - 719_162
    }

    proptest! {
        #![proptest_config(fixed())]

        #[test]
        fn counts_days_and_offsets(
            (year, month, day) in (1i64..=9999, 1i64..=12, 1i64..=28),
            (hour, minute, second) in (0i64..24, 0i64..60, 0i64..60),
            nanos in 0i128..1_000_000_000,
            (minus, offset) in (any::<bool>(), 0i64..24 * 60),
        ) {
            let sign = if minus { '-' } else { '+' };
            let text = format!(
                "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}{sign}{:02}:{:02}",
                offset / 60, offset % 60
            );
            let local = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
            let secs = if minus { local + offset * 60 } else { local - offset * 60 };
            prop_assert_eq!(Moment::parse(&text), Some(Moment(i128::from(secs) * 1_000_000_000 + nanos)), "{}", text);
        }

        #[test]
        fn any_text_never_panics(text in "[0-9TZz:.+-]{0,40}", spoiled in 0usize..20, by in "[0-9TtZz:.+ é-]") {
            let _ = Moment::parse(&text);
            let mut good = "2026-11-22T12:00:00Z".to_owned();
            good.replace_range(spoiled..=spoiled, &by);
            let _ = Moment::parse(&good);
        }
    }
}
