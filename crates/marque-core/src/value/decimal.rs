//! Exact decimal numbers: an amount is never rounded unless a rule says so.
//!
//! The number itself, its order and its rounding are of the crate `rust_decimal`. Its sums, products and
//! quotients round silently where they do not fit; here they are computed so that this is noticed.

use crate::limits;
use rust_decimal::RoundingStrategy;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Number, Value};
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// 10^[`limits::DECIMAL_DIGITS`]: every mantissa is smaller.
const MANTISSA_END: u128 = 10_u128.pow(28);
/// The same number, where a sign matters. One has so many of the smallest fraction that `rust_decimal` keeps.
const UNIT: i128 = 10_i128.pow(28);
const _: () = assert!(limits::DECIMAL_DIGITS == 28);

/// A decimal number of at most [`limits::DECIMAL_DIGITS`] digits. Equal numbers are equal however they were
/// written: 9.5 is 9.50. There is no negative zero.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Decimal(rust_decimal::Decimal);

impl Decimal {
    /// Nothing.
    pub const ZERO: Self = Self(rust_decimal::Decimal::ZERO);

    /// The least number.
    pub fn least() -> Self {
        Self(rust_decimal::Decimal::from_i128_with_scale(1 - UNIT, 0))
    }

    /// The greatest number.
    pub fn greatest() -> Self {
        Self(rust_decimal::Decimal::from_i128_with_scale(UNIT - 1, 0))
    }

    /// Reads plain notation, `-?(0|[1-9][0-9]*)(\.[0-9]+)?`: no exponent, no plus, no leading zero, no negative
    /// zero. Zeros may end the fraction.
    ///
    /// # Errors
    /// Says what form is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::of_text(text).ok_or_else(|| {
            format!("is not a decimal number in plain notation of at most {} digits, like 9.50", limits::DECIMAL_DIGITS)
        })
    }

    /// The number that a value is: a JSON integer, a JSON fraction of at most [`limits::FRACTION_DIGITS`]
    /// significant digits, or a string in plain notation. Nothing is allocated.
    pub fn of_value(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::of_text(text),
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

    /// How the exact sum of this number and another stands to a third, however many digits the sum has.
    pub fn sum_cmp(self, other: Self, third: Self) -> Ordering {
        Sum::of([self, other]).cmp(&Sum::of([third]))
    }

    /// Whether the sum of this number and another is beyond every number, and on which side.
    pub fn sum_beyond(self, other: Self) -> Option<Ordering> {
        let sum = Sum::of([self, other]);
        let is_greater = sum > Sum { whole: UNIT - 1, part: 0 };
        if is_greater {
            Some(Ordering::Greater)
        } else {
            (sum < Sum { whole: 1 - UNIT, part: 0 }).then_some(Ordering::Less)
        }
    }

    /// Each part is less than 10^28, or that with a sign.
    fn exact(self) -> Sum {
        let (mantissa, unit) = (self.0.mantissa(), 10_i128.pow(self.0.scale().min(28)));
        Sum { whole: mantissa.div_euclid(unit), part: mantissa.rem_euclid(unit) * (UNIT / unit) }
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

    /// [`Self::parse`] without saying what form is expected. Nothing is allocated.
    pub fn of_text(text: &str) -> Option<Self> {
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

/// An exact sum of numbers, however many digits it has: what it comes to does not depend on their order, so that a sum
/// of fewer numbers that are not negative is never the greater one. Beyond 10^10 numbers it stays where it is.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Sum {
    /// The greatest whole number that is not greater.
    whole: i128,
    /// What is missing, in units of 10^-28: 0 to 10^28 - 1.
    part: i128,
}

impl Sum {
    /// The sum of some numbers.
    pub fn of(numbers: impl IntoIterator<Item = Decimal>) -> Self {
        numbers.into_iter().fold(Self::default(), Self::plus)
    }

    /// The sum of one number more.
    #[must_use]
    pub fn plus(self, number: Decimal) -> Self {
        let number = number.exact();
        let part = self.part + number.part;
        Self { whole: self.whole.saturating_add(number.whole).saturating_add(part / UNIT), part: part % UNIT }
    }

    /// Whether it is greater than a number.
    pub fn exceeds(self, number: Decimal) -> bool {
        self > number.exact()
    }

    /// The sum as a number, if it fits.
    pub fn number(self) -> Option<Decimal> {
        // Both with the sum's sign, so that neither has digits that the sum has not.
        let is_between = self.whole < 0 && self.part > 0;
        let (whole, part) = if is_between { (self.whole + 1, self.part - UNIT) } else { (self.whole, self.part) };
        Decimal::of_parts(whole, 0)?.checked_add(Decimal::of_parts(part, 28)?)
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
mod tests;
