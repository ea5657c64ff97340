//! Exact decimal numbers: an amount is never rounded unless a rule says so.
//!
//! The number itself, its order and its rounding are of the crate `rust_decimal`. Its sums, products and
//! quotients round silently where they do not fit; here they are computed so that this is noticed.

use crate::limits;
use rust_decimal::RoundingStrategy;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Number, Value};
use std::fmt;
use std::str::FromStr;

/// 10^[`limits::DECIMAL_DIGITS`]: every mantissa is smaller.
const MANTISSA_END: u128 = 10_u128.pow(28);
const _: () = assert!(limits::DECIMAL_DIGITS == 28);

/// A decimal number of at most [`limits::DECIMAL_DIGITS`] digits. Equal numbers are equal however they were
/// written: 9.5 is 9.50. There is no negative zero.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Decimal(rust_decimal::Decimal);

impl Decimal {
    /// Nothing.
    pub const ZERO: Self = Self(rust_decimal::Decimal::ZERO);

    /// Reads plain notation, `-?(0|[1-9][0-9]*)(\.[0-9]+)?`: no exponent, no plus, no leading zero, no negative
    /// zero. Zeros may end the fraction.
    ///
    /// # Errors
    /// Says what form is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::of_plain(text).ok_or_else(|| {
            format!("is not a decimal number in plain notation of at most {} digits, like 9.50", limits::DECIMAL_DIGITS)
        })
    }

    /// The number that a value is: a JSON integer, a JSON fraction of at most [`limits::FRACTION_DIGITS`]
    /// significant digits, or a string in plain notation. Nothing is allocated.
    pub fn of_value(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::of_plain(text),
            Value::Number(number) => Self::of_number(number),
            _ => None,
        }
    }

    /// The sum, if it fits.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let scale = self.scale().max(other.scale());
        let aligned = |number: Self| {
            let zeros = u32::try_from(scale - number.scale()).ok()?;
            number.0.mantissa().checked_mul(10_i128.checked_pow(zeros)?)
        };
        Self::of_parts(aligned(self)?.checked_add(aligned(other)?)?, scale)
    }

    /// The difference, if it fits.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.checked_add(other.negated())
    }

    /// The product, if it fits.
    #[must_use]
    pub fn checked_mul(self, other: Self) -> Option<Self> {
        let (mut a, mut b) = (self.0.mantissa(), other.0.mantissa());
        if a == 0 || b == 0 {
            return Self::of_parts(0, 0);
        }
        // Without the zeros that the product would end in: it fits in 128 bits if it fits at all.
        let mut scale = self.scale() + other.scale();
        for (from_a, from_b) in [(10, 1), (1, 10), (2, 5), (5, 2)] {
            while a % from_a == 0 && b % from_b == 0 {
                (a, b, scale) = (a / from_a, b / from_b, scale - 1);
            }
        }
        Self::of_parts(a.checked_mul(b)?, scale)
    }

    /// The quotient, if it has an end and fits.
    #[must_use]
    pub fn checked_div(self, divisor: Self) -> Option<Self> {
        let rounded = self.0.checked_div(divisor.0)?;
        let quotient = Self::of_parts(rounded.mantissa(), i32::try_from(rounded.scale()).ok()?)?;
        (quotient.checked_mul(divisor)? == self).then_some(quotient)
    }

    /// The number with at most `digits` digits behind the point, half away from zero, if it fits.
    #[must_use]
    pub fn round(self, digits: u32) -> Option<Self> {
        let rounded = self.0.round_dp_with_strategy(digits, RoundingStrategy::MidpointAwayFromZero);
        Self::of_parts(rounded.mantissa(), i32::try_from(rounded.scale()).ok()?)
    }

    /// The number with the other sign.
    #[must_use]
    pub fn negated(self) -> Self {
        // Zero stays as it is.
        Self::of_parts(-self.0.mantissa(), self.scale()).unwrap_or(self)
    }

    fn scale(self) -> i32 {
        i32::try_from(self.0.scale()).unwrap_or(i32::MAX)
    }

    /// mantissa / 10^scale, if it fits.
    fn of_parts(mut mantissa: i128, mut scale: i32) -> Option<Self> {
        if mantissa == 0 {
            scale = 0;
        }
        while scale > 0 && mantissa % 10 == 0 {
            (mantissa, scale) = (mantissa / 10, scale - 1);
        }
        while scale < 0 && mantissa.unsigned_abs() < MANTISSA_END {
            (mantissa, scale) = (mantissa * 10, scale + 1);
        }
        if mantissa.unsigned_abs() >= MANTISSA_END {
            return None;
        }
        rust_decimal::Decimal::try_from_i128_with_scale(mantissa, u32::try_from(scale).ok()?).ok().map(Self)
    }

    fn of_plain(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let has_bare_point = fraction.is_empty() && digits.contains('.');
        let has_leading_zero = whole.len() > 1 && whole.starts_with('0');
        let significant = if whole == "0" { fraction.len() } else { whole.len() + fraction.len() };
        if whole.is_empty() || has_bare_point || has_leading_zero || significant > limits::DECIMAL_DIGITS {
            return None;
        }
        let mantissa = mantissa(whole, fraction)?;
        let is_negative = digits.len() < text.len();
        if is_negative && mantissa == 0 {
            return None;
        }
        Self::of_parts(if is_negative { -mantissa } else { mantissa }, i32::try_from(fraction.len()).ok()?)
    }

    fn of_number(number: &Number) -> Option<Self> {
        if let Some(integer) = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from)) {
            return Self::of_parts(integer, 0);
        }
        let fraction = number.as_f64().filter(|fraction| fraction.is_finite())?;
        Self::of_shortest(zmij::Buffer::new().format_finite(fraction))
    }

    /// The shortest text of a binary64, as `1.5`, `1e-7` or `-1.5e+20`.
    fn of_shortest(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let (digits, exponent) = digits.split_once('e').unwrap_or((digits, "0"));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let mut mantissa = mantissa(whole, fraction)?;
        let mut scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent.parse().ok()?)?;
        while mantissa != 0 && mantissa % 10 == 0 {
            (mantissa, scale) = (mantissa / 10, scale - 1);
        }
        if mantissa >= 10_i128.pow(u32::try_from(limits::FRACTION_DIGITS).ok()?) {
            return None;
        }
        Self::of_parts(if text.starts_with('-') { -mantissa } else { mantissa }, scale)
    }
}

/// The digits of both parts as one number.
fn mantissa(whole: &str, fraction: &str) -> Option<i128> {
    whole.bytes().chain(fraction.bytes()).try_fold(0_i128, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| i128::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

impl FromStr for Decimal {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }
}

/// Plain notation without zeros at the end of the fraction.
impl From<i64> for Decimal {
    fn from(number: i64) -> Self {
        Self(number.into())
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A decimal number as a plan writes it: what was signed is shown and written again to the letter, so that `9.50`
/// and `9.5` are different texts of one value.
#[derive(Clone, Debug)]
pub struct DecimalText {
    text: String,
    value: Decimal,
}

impl DecimalText {
    /// Reads plain notation as [`Decimal::parse`] does.
    ///
    /// # Errors
    /// As [`Decimal::parse`].
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(Self { text: text.to_owned(), value: Decimal::parse(text)? })
    }

    /// The number.
    pub fn value(&self) -> Decimal {
        self.value
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl From<Decimal> for DecimalText {
    fn from(value: Decimal) -> Self {
        Self { text: value.to_string(), value }
    }
}

impl PartialEq for DecimalText {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for DecimalText {}

impl Serialize for DecimalText {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for DecimalText {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let text = String::deserialize(source)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_bigint::BigInt;
    use proptest::prelude::*;
    use serde_json::json;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn reads_plain_notation_and_nothing_else() {
        for good in ["0", "-1", "9.50", "0.00", "10", "0.0000000000000000000000000001", "9999999999999999999999999999"]
        {
            assert!(Decimal::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "-",
            ".5",
            "5.",
            "-0",
            "-0.00",
            "+1",
            "01",
            "00",
            "00.5",
            "1e3",
            "1,5",
            " 1",
            "1 ",
            "--1",
            "1.-5",
            "1.5.5",
            "1_000",
            "\u{664}",
            "NaN",
            "10000000000000000000000000000",
            "1.0000000000000000000000000000",
            "0.00000000000000000000000000001",
        ] {
            assert!(Decimal::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_are_equal_and_texts_are_not() {
        assert_eq!(decimal("9.50"), decimal("9.5"));
        assert!(decimal("-2") < decimal("-1.99"));
        let text: DecimalText = serde_json::from_value(json!("9.50")).unwrap();
        assert_eq!(serde_json::to_value(&text).unwrap(), json!("9.50"));
        assert_ne!(text, DecimalText::parse("9.5").unwrap());
        assert_eq!((text.value(), text.as_str()), (decimal("9.5"), "9.50"));
        assert_eq!(decimal("-9.50").to_string(), "-9.5");
        assert!(serde_json::from_value::<DecimalText>(json!(9)).is_err());
        assert!(serde_json::from_value::<DecimalText>(json!("9.")).is_err());
    }

    #[test]
    fn reads_json_numbers_exactly_or_not_at_all() {
        for (value, text) in [
            (json!(12), "12"),
            (json!(-12), "-12"),
            (json!(u64::MAX), "18446744073709551615"),
            (json!(0.1), "0.1"),
            (json!(-0.0), "0"),
            (json!(-2.50), "-2.5"),
            (json!(1e-7), "0.0000001"),
            (json!(1.5e20), "150000000000000000000"),
            (json!(1e27), "1000000000000000000000000000"),
            (json!(123_456_789.012_345), "123456789.012345"),
            (json!("9.50"), "9.5"),
        ] {
            assert_eq!(Decimal::of_value(&value), Some(decimal(text)), "{value}");
        }
        for other in [
            json!(0.123_456_789_012_345_6),
            json!(1e28),
            json!(1e-29),
            json!(1e300),
            json!(5e-324),
            json!("1e3"),
            json!(" 1"),
            json!(true),
            json!(null),
            json!([1]),
        ] {
            assert_eq!(Decimal::of_value(&other), None, "{other}");
        }
    }

    #[test]
    fn a_result_that_does_not_fit_is_none() {
        let (most, least) = (decimal("9999999999999999999999999999"), decimal("0.0000000000000000000000000001"));
        assert_eq!(most.checked_add(decimal("1")), None);
        assert_eq!(most.checked_add(least), None);
        assert_eq!(most.negated().checked_sub(decimal("1")), None);
        assert_eq!(most.checked_mul(decimal("2")), None);
        assert_eq!(least.checked_mul(decimal("0.1")), None);
        assert_eq!(decimal("1").checked_div(decimal("3")), None);
        assert_eq!(decimal("1").checked_div(decimal("0")), None);
        assert_eq!(decimal("0").checked_div(decimal("0")), None);
        assert_eq!(decimal("999999999999999999999999999.5").round(0), Some(decimal("1000000000000000000000000000")));
        assert_eq!(
            decimal("5000000000000000000000000005").checked_mul(decimal("0.2")).unwrap().to_string(),
            "1000000000000000000000000001"
        );
    }

    #[test]
    fn half_is_rounded_away_from_zero() {
        for (text, digits, rounded) in
            [("2.5", 0, "3"), ("-2.5", 0, "-3"), ("2.345", 2, "2.35"), ("2.344", 2, "2.34"), ("2", 9, "2")]
        {
            assert_eq!(decimal(text).round(digits), Some(decimal(rounded)), "{text}");
        }
        assert_eq!(decimal("-0.4").round(0).unwrap().to_string(), "0");
    }

    /// A fraction of big integers, the denominator positive.
    struct Fraction(BigInt, BigInt);

    fn ten(exponent: u32) -> BigInt {
        BigInt::from(10).pow(exponent)
    }

    fn exact(number: Decimal) -> Fraction {
        Fraction(number.0.mantissa().into(), ten(number.0.scale()))
    }

    /// The shortest decimal that the fraction is, if there is one that fits.
    fn fitting(Fraction(above, below): Fraction) -> Option<(BigInt, u32)> {
        let end = ten(28);
        (0..=28)
            .find(|scale| (&above * ten(*scale)) % &below == BigInt::ZERO)
            .map(|scale| (above * ten(scale) / below, scale))
            .filter(|(mantissa, _)| *mantissa < end && *mantissa > -end)
    }

    fn parts(number: Option<Decimal>) -> Option<(BigInt, u32)> {
        number.map(|number| (number.0.mantissa().into(), number.0.scale()))
    }

    fn decimals() -> impl Strategy<Value = Decimal> {
        let any_digits = (0u32..=28, 0i128..10_i128.pow(28)).prop_map(|(digits, number)| number % 10_i128.pow(digits));
        let powers = (0u32..90, 0u32..40, 1i128..20).prop_map(|(twos, fives, more)| {
            2_i128.pow(twos).checked_mul(5_i128.pow(fives)).unwrap_or(1) % (1 << 92) * more
        });
        let round = (1i128..1000, 0u32..26).prop_map(|(number, zeros)| number * 10_i128.pow(zeros));
        (prop_oneof![any_digits, powers, round], 0i32..=28, any::<bool>())
            .prop_filter_map("fits", |(number, scale, minus)| {
                Decimal::of_parts(if minus { -number } else { number }, scale)
            })
    }

    /// Always the same cases: a failure today is a failure tomorrow.
    fn fixed() -> ProptestConfig {
        let rng_seed = proptest::test_runner::RngSeed::Fixed(7);
        ProptestConfig { cases: 4096, rng_seed, failure_persistence: None, ..ProptestConfig::default() }
    }

    proptest! {
        #![proptest_config(fixed())]

        #[test]
        fn arithmetic_is_exact_and_complete(a in decimals(), b in decimals(), digits in 0u32..=28) {
            let (Fraction(an, ad), Fraction(bn, bd)) = (exact(a), exact(b));
            prop_assert_eq!(parts(a.checked_add(b)), fitting(Fraction(&an * &bd + &bn * &ad, &ad * &bd)));
            prop_assert_eq!(parts(a.checked_sub(b)), fitting(Fraction(&an * &bd - &bn * &ad, &ad * &bd)));
            prop_assert_eq!(parts(a.checked_mul(b)), fitting(Fraction(&an * &bn, &ad * &bd)));
            prop_assert_eq!(a.cmp(&b), (&an * &bd).cmp(&(&bn * &ad)));
            let half_up = (an.magnitude() * 2u32 * ten(digits).magnitude() + ad.magnitude()) / (ad.magnitude() * 2u32);
            let rounded = BigInt::from_biguint(an.sign(), half_up);
            prop_assert_eq!(parts(a.round(digits)), fitting(Fraction(rounded, ten(digits))));
            if bn != BigInt::ZERO {
                let sign = BigInt::from(if bn < BigInt::ZERO { -1 } else { 1 });
                prop_assert_eq!(parts(a.checked_div(b)), fitting(Fraction(&an * &bd * &sign, &ad * &bn * &sign)));
            }
            if let Some(product) = a.checked_mul(b) && bn != BigInt::ZERO {
                prop_assert_eq!(product.checked_div(b), Some(a), "the quotient fits because it is a");
            }
        }

        #[test]
        fn text_is_read_back(a in decimals()) {
            prop_assert_eq!(Decimal::parse(&a.to_string()), Ok(a));
        }

        #[test]
        fn a_fraction_is_what_was_written(digits in 1i64..999_999_999_999_999, scale in 0i32..=22) {
            let written = Decimal::of_parts(digits.into(), scale).unwrap();
            let read: Value = serde_json::from_str(&written.to_string()).unwrap();
            prop_assert_eq!(Decimal::of_value(&read), Some(written));
        }

        #[test]
        fn any_text_and_any_fraction_never_panic(text in "[-+0-9.eE ]{0,40}", bits in any::<u64>()) {
            if let Ok(number) = Decimal::parse(&text) {
                prop_assert_eq!(Decimal::of_value(&json!(text)), Some(number));
            }
            let _ = Decimal::of_value(&json!(f64::from_bits(bits)));
        }
    }
}
