//! Strict JSON: what a parser would silently repair is refused, with its path.
//!
//! Two profiles share one reader. [`parse_plan`] is for everything that gets signed: no fractions at
//! all (amounts are decimal strings). [`parse_call`] is for the arguments of a concrete call, where
//! fractions of at most fifteen significant digits are exact in both directions.
//!
//! Refused in both: duplicate member names, integers beyond ±(2^53−1), nesting deeper than
//! [`limits::JSON_DEPTH`], more than [`limits::JSON_VALUES`] values, trailing bytes, lone surrogates
//! and everything else that RFC 8259 does not allow.

mod exact;
mod once;
mod page;

pub(crate) use exact::Exact;
pub use once::read_once;

use crate::canonical::canonical;
use crate::{limits, text};
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::{Cell, RefCell};
use std::fmt;

/// What was refused, and where: `path` is a JSON path such as `$.steps[0].args.name`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct Refused {
    /// Where in the document, from its root `$`.
    pub path: String,
    /// What is wrong there and what would be right.
    pub message: String,
}

/// Where in a document: written out only for a refusal, since a good document has hundreds of places.
#[derive(Clone, Copy, Debug)]
pub enum Path<'p> {
    /// A path as it is written.
    At(&'p str),
    /// A member of an object; several levels may be joined by dots.
    Member(&'p Path<'p>, &'p str),
    /// An element of a list.
    Item(&'p Path<'p>, usize),
}

impl<'p> Path<'p> {
    /// A member of the object here.
    pub const fn member(&'p self, name: &'p str) -> Self {
        Self::Member(self, name)
    }

    /// An element of the list here.
    pub const fn item(&'p self, index: usize) -> Self {
        Self::Item(self, index)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(path) => f.write_str(path),
            Self::Member(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

impl<'p> From<&'p str> for Path<'p> {
    fn from(path: &'p str) -> Self {
        Self::At(path)
    }
}

impl<'p> From<&'p String> for Path<'p> {
    fn from(path: &'p String) -> Self {
        Self::At(path)
    }
}

impl From<Path<'_>> for String {
    fn from(path: Path<'_>) -> Self {
        path.to_string()
    }
}

impl Refused {
    /// A refusal at a path.
    pub fn at(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }

    /// The same refusal in a document that holds the refused one at `path`.
    #[must_use]
    pub fn under(self, path: &str) -> Self {
        Self { path: format!("{path}{}", self.path.strip_prefix('$').unwrap_or_default()), message: self.message }
    }
}

/// Parses what will be signed: no fractions, and every string passes [`text::check_plain`].
///
/// # Errors
/// The first offence in document order.
pub fn parse_plan(bytes: &[u8], max_bytes: usize) -> Result<Value, Refused> {
    parse(bytes, max_bytes, Profile::Plan)
}

/// Reads a typed shape of what will be signed, and the document's canonical form (RFC 8785): [`parse_plan`], [`typed`]
/// and [`canonical`] together, in one pass where nothing is wrong.
///
/// # Errors
/// As [`parse_plan`], then as [`typed`].
pub fn read_plan<T: DeserializeOwned>(bytes: &[u8], max_bytes: usize) -> Result<(T, Vec<u8>), Refused> {
    if let Some(read) = read_once(bytes, max_bytes) {
        return Ok(read);
    }
    let value = parse_plan(bytes, max_bytes)?;
    let canonical = canonical(&value);
    Ok((typed(value)?, canonical))
}

/// Reads the claims of a token: as [`read_plan`], of at most [`limits::JWS_BYTES`], nested as deep as a chain of actors
/// makes them ([`limits::CLAIMS_DEPTH`]).
///
/// # Errors
/// As [`read_plan`].
pub fn read_claims<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refused> {
    if let Some(claims) = once::read_to_depth(bytes, limits::JWS_BYTES, limits::CLAIMS_DEPTH) {
        return Ok(claims);
    }
    typed(parse_to_depth(bytes, limits::JWS_BYTES, Profile::Plan, limits::CLAIMS_DEPTH)?)
}

/// Parses the arguments of a concrete call: fractions are allowed up to
/// [`limits::FRACTION_DIGITS`] significant digits, strings may be any text.
///
/// # Errors
/// The first offence in document order.
pub fn parse_call(bytes: &[u8], max_bytes: usize) -> Result<Value, Refused> {
    parse(bytes, max_bytes, Profile::Call)
}

/// Reads a typed shape out of a strictly parsed value, in its one form: no list for an object. Unknown and missing
/// members are refused by the type's own serde attributes; the path of the offence is kept.
///
/// # Errors
/// The first place where value and type differ.
pub fn typed<T: DeserializeOwned>(value: Value) -> Result<T, Refused> {
    // Keeping the path costs more than reading, so it is kept only once it is known that there is an offence.
    T::deserialize(Exact(&value)).or_else(|_| typed_with_path(&value))
}

fn typed_with_path<T: DeserializeOwned>(value: &Value) -> Result<T, Refused> {
    serde_path_to_error::deserialize(Exact(value)).map_err(|error| {
        let path = match error.path().to_string() {
            path if path == "." => "$".to_owned(),
            path if path.starts_with('[') => format!("${path}"),
            path => format!("$.{path}"),
        };
        Refused::at(path, error.into_inner().to_string())
    })
}

/// For optional members: a member that is stated has a value, and `null` is none.
pub(crate) fn stated<'de, D: Deserializer<'de>, T: de::Deserialize<'de>>(source: D) -> Result<Option<T>, D::Error> {
    T::deserialize(source).map(Some)
}

#[derive(Clone, Copy, PartialEq)]
enum Profile {
    Plan,
    Call,
}

fn parse(bytes: &[u8], max_bytes: usize, profile: Profile) -> Result<Value, Refused> {
    parse_to_depth(bytes, max_bytes, profile, limits::JSON_DEPTH)
}

fn parse_to_depth(bytes: &[u8], max_bytes: usize, profile: Profile, max_depth: usize) -> Result<Value, Refused> {
    if bytes.len() > max_bytes {
        return Err(Refused::at("$", format!("is {} bytes long; at most {max_bytes} are allowed", bytes.len())));
    }
    let reader = Reader { profile, max_depth, path: RefCell::default(), values: Cell::new(0), rest: Cell::new(bytes) };
    let mut source = serde_json::Deserializer::from_slice(bytes);
    let value = Node { reader: &reader, depth: 0 }.deserialize(&mut source);
    value
        .and_then(|value| source.end().map(|()| value))
        .map_err(|error| Refused { path: reader.path(), message: error.to_string() })
}

/// What one document's reading shares.
struct Reader<'t> {
    profile: Profile,
    max_depth: usize,
    /// Segments of the path of an offence, the innermost first.
    path: RefCell<Vec<String>>,
    values: Cell<usize>,
    /// The document from behind the last number that was read.
    rest: Cell<&'t [u8]>,
}

impl<'t> Reader<'t> {
    /// The next number as it was written. The parser hands over numbers in document order, one call for each.
    fn number(&self) -> &'t [u8] {
        let (number, rest) = next_number(self.rest.get());
        self.rest.set(rest);
        number
    }

    /// Names where an offence was found, on its way out.
    fn within<T, E>(&self, segment: impl fmt::Display, read: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        read().inspect_err(|_| self.path.borrow_mut().push(segment.to_string()))
    }

    fn path(&self) -> String {
        self.path.take().iter().rev().fold("$".to_owned(), |path, segment| path + segment)
    }

    fn string<E: de::Error>(&self, value: &str) -> Result<(), E> {
        match self.profile {
            Profile::Plan => text::check_plain(value).map_err(E::custom),
            Profile::Call => Ok(()),
        }
    }
}

/// One value of the document, at a depth.
#[derive(Clone, Copy)]
struct Node<'r> {
    reader: &'r Reader<'r>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Value, D::Error> {
        let values = self.reader.values.get() + 1;
        self.reader.values.set(values);
        if values > limits::JSON_VALUES {
            return Err(de::Error::custom(format!("more than {} values", limits::JSON_VALUES)));
        }
        if self.depth > self.reader.max_depth {
            return Err(de::Error::custom(format!("nested deeper than {} levels", self.reader.max_depth)));
        }
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        self.reader.number();
        if value.unsigned_abs() > limits::INTEGER_MAX.unsigned_abs() {
            return Err(too_large());
        }
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        self.visit_i64(i64::try_from(value).map_err(|_| too_large())?)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        match self.reader.profile {
            Profile::Plan => {
                Err(E::custom("is not a plain integer within ±(2^53−1); write amounts and bounds as decimal strings"))
            }
            Profile::Call => fraction(value, self.reader.number()),
        }
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        self.reader.string(value)?;
        Ok(Value::String(value.into()))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
        self.reader.string(&value)?;
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        let child = Node { depth: self.depth + 1, ..self };
        while let Some(item) =
            self.reader.within(format_args!("[{}]", list.len()), || items.next_element_seed(child))?
        {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        let child = Node { depth: self.depth + 1, ..self };
        while let Some(name) = members.next_key::<String>()? {
            self.reader.string(&name)?;
            if object.contains_key(&name) {
                return Err(de::Error::custom(format!("member {name:?} appears twice")));
            }
            let value = self.reader.within(format_args!(".{name}"), || members.next_value_seed(child))?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

fn too_large<E: de::Error>() -> E {
    E::custom("is an integer beyond ±(2^53−1); write it as a decimal string")
}

/// A number that was not written as a plain integer, and how it was written. One whose value is an integer becomes
/// that integer, since RFC 8785 gives both one canonical text. One that the binary value changes is refused.
fn fraction<E: de::Error>(value: f64, written: &[u8]) -> Result<Value, E> {
    #[expect(clippy::cast_precision_loss, reason = "2^53−1 is exact in binary64")]
    let exact = limits::INTEGER_MAX as f64;
    let shortest = Written::of(format!("{value:e}").as_bytes());
    if shortest.is_none() || shortest != Written::of(written) {
        return Err(E::custom("is not a number that binary64 keeps as it is written"));
    }
    if value.fract() == 0.0 {
        if value.abs() > exact {
            return Err(too_large());
        }
        #[expect(clippy::cast_possible_truncation, reason = "an integer within ±(2^53−1)")]
        return Ok(Value::Number((value as i64).into()));
    }
    let digits = shortest.map_or(0, |number| number.digits.len());
    match Number::from_f64(value) {
        Some(number) if digits <= limits::FRACTION_DIGITS => Ok(Value::Number(number)),
        _ => Err(E::custom(format!("has more than {} significant digits", limits::FRACTION_DIGITS))),
    }
}

/// What a number's text says, without regard to its sign and to how the point is placed: 0.digits × 10^exponent.
///
/// It is no [`crate::value::decimal::Decimal`], which has 28 digits and no exponent: a binary64 may have 17 and an
/// exponent of three, and whether it is what was written has to be told before it is refused for either.
#[derive(PartialEq)]
struct Written {
    digits: Vec<u8>,
    exponent: i64,
}

impl Written {
    fn of(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?.trim_start_matches('-');
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = [whole.as_bytes(), fraction.as_bytes()].concat();
        let Some(first) = all.iter().position(|digit| *digit != b'0') else {
            return Some(Self { digits: Vec::new(), exponent: 0 });
        };
        let last = all.iter().rposition(|digit| *digit != b'0')?;
        let point = i64::try_from(whole.len()).ok()? - i64::try_from(first).ok()?;
        let exponent = exponent.parse::<i64>().ok()?.checked_add(point)?;
        Some(Self { digits: all.get(first..=last)?.to_vec(), exponent })
    }
}

/// The first number outside of strings, and what follows it.
fn next_number(text: &[u8]) -> (&[u8], &[u8]) {
    let (mut in_string, mut escaped) = (false, false);
    let starts = |byte: u8| byte == b'-' || byte.is_ascii_digit();
    let start = text.iter().position(|byte| {
        if in_string {
            in_string = escaped || *byte != b'"';
            escaped = !escaped && *byte == b'\\';
            return false;
        }
        in_string = *byte == b'"';
        starts(*byte)
    });
    let text = start.and_then(|start| text.get(start..)).unwrap_or_default();
    let belongs = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E');
    text.split_at(text.iter().position(|byte| !belongs(byte)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn plan(text: &str) -> Result<Value, String> {
        parse_plan(text.as_bytes(), 4096).map_err(|refused| refused.to_string())
    }

    fn call(text: &str) -> Result<Value, String> {
        parse_call(text.as_bytes(), 4096).map_err(|refused| refused.to_string())
    }

    #[test]
    fn refuses_duplicate_members_with_their_path() {
        let refused = plan(r#"{"a":{"b":1,"b":2}}"#).unwrap_err();
        assert!(refused.starts_with("$.a: member \"b\" appears twice"), "{refused}");
        assert!(plan(r#"{"a":1,"\u0061":2}"#).is_err(), "an escaped name is the same name");
    }

    #[test]
    fn refuses_numbers_that_other_parsers_would_change() {
        for bad in ["1.5", "1e3", "-0", "9007199254740992", "-9007199254740992", "18446744073709551616", "01", "NaN"] {
            assert!(plan(&format!("{{\"n\":{bad}}}")).is_err(), "{bad}");
        }
        assert_eq!(plan("9007199254740991"), Ok(json!(9_007_199_254_740_991_i64)));
    }

    #[test]
    fn names_the_path_of_the_offence() {
        assert!(plan(r#"{"steps":[1,{"x":1.5}]}"#).unwrap_err().starts_with("$.steps[1].x: "));
        assert!(plan("{\"p\":\"a\u{202e}b\"}").unwrap_err().starts_with("$.p: contains U+202E"));
    }

    #[test]
    fn refuses_depth_size_and_trailing_bytes() {
        let deep = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(plan(&deep(limits::JSON_DEPTH)).is_ok());
        assert!(plan(&deep(limits::JSON_DEPTH + 1)).unwrap_err().contains("nested deeper"));
        assert!(plan("{} x").is_err());
        assert!(parse_plan(&[b' '; 11], 10).unwrap_err().message.contains("at most 10"));
        let many = format!("[{}1]", "1,".repeat(limits::JSON_VALUES));
        assert!(parse_plan(many.as_bytes(), 1 << 20).unwrap_err().message.contains("values"));
    }

    #[test]
    fn a_call_may_hold_exact_fractions_only() {
        assert_eq!(call("[1.5,-2.0,1e3,-0.0]"), Ok(json!([1.5, -2, 1000, 0])));
        assert!(call("0.1234567890123456").is_err());
        assert!(call("1e300").is_err());
        assert!(call("\"\\ud800\"").is_err(), "a lone surrogate is no text");
    }

    /// Always the same cases: a failure today is a failure tomorrow.
    fn fixed() -> ProptestConfig {
        let rng_seed = proptest::test_runner::RngSeed::Fixed(7);
        ProptestConfig { cases: 1024, rng_seed, failure_persistence: None, ..ProptestConfig::default() }
    }

    proptest! {
        #![proptest_config(fixed())]

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = parse_plan(&bytes, 4096);
            let _ = parse_call(&bytes, 4096);
        }

        #[test]
        fn what_is_accepted_is_what_serde_json_reads(text in "[\\[\\]{}:,\"ab01\\\\ .eE-]{0,24}") {
            if let Ok(value) = parse_plan(text.as_bytes(), 4096) {
                prop_assert_eq!(value, serde_json::from_str::<Value>(&text).unwrap());
            }
        }
    }
}
