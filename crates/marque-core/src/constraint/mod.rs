//! Constraints on one argument or resource id: a closed registry, one member per object.
//!
//! Four questions are asked of a constraint: is it well formed ([`Constraint::check`]), does a
//! value satisfy it ([`Constraint::test`]), does it allow nothing that another does not
//! ([`Constraint::compare`]), and what do two of them allow together ([`Constraint::meet`]). What
//! cannot be decided is refused, never guessed.
//!
//! To add a kind: a variant here; the compiler leads through `check`, `test`, `compare`, `taint`
//! and `display`; then scenarios that allow, refuse, and refuse a widening.

mod check;
mod compare;
mod fmt;
mod history;
mod meet;
mod shape;
mod test;
mod work;

pub use check::{check_arguments, check_currency};
pub use compare::{Comparison, argument_compare, arguments_compare};
pub use history::Field;
pub use meet::meet_arguments;
pub use test::{ArgumentFault, Truth, World, arguments_test};
pub use work::Work;
pub(crate) use work::{of_entries, of_value};

use crate::timestamp::Timestamp;
use crate::value::decimal::DecimalText;
use crate::value::expr::Expr;
use crate::value::pattern::Pattern;
#[cfg(feature = "schema")]
use crate::{limits, schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What each named argument must satisfy. `*` stands for all further arguments.
pub type Arguments = BTreeMap<String, Constraint>;

/// What a value must satisfy. An unknown kind does not parse, at the server and at the gate alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Constraint {
    /// Equals the value.
    #[cfg_attr(feature = "schema", schemars(with = "schema::PlanValue"))]
    Const(Value),
    /// Equals one of the values.
    #[cfg_attr(feature = "schema", schemars(with = "schema::Alternatives"))]
    OneOf(Vec<Value>),
    /// Is text of bounded length, without links unless they are allowed.
    Text(TextRule),
    /// Is text that a linear-time regular expression matches as a whole.
    Pattern(Pattern),
    /// Is a number, or a number written as text, within a range. Compared exactly.
    Num(NumRange),
    /// Is `{"currency":…,"value":…}` in this currency and range. Compared exactly.
    Amount(AmountRange),
    /// Is an RFC 3339 timestamp within a range.
    TimeWindow(TimeWindow),
    /// Is an e-mail address or a host name in one of the domains.
    Domain(DomainRule),
    /// Is a path under the prefix, in normal form.
    #[cfg_attr(feature = "schema", schemars(with = "schema::Prefix"))]
    Prefix(String),
    /// Is a list of bounded length, each item of which satisfies a constraint.
    Items(Items),
    /// Is an object of these members and no others; `*` stands for all further members.
    #[cfg_attr(feature = "schema", schemars(with = "schema::Arguments"))]
    Obj(Arguments),
    /// Is a list of any length, each item of which satisfies the constraint.
    Each(Box<Constraint>),
    /// Satisfies all of the constraints.
    #[cfg_attr(feature = "schema", schemars(with = "schema::Parts"))]
    All(Vec<Constraint>),
    /// Satisfies one of the constraints.
    #[cfg_attr(feature = "schema", schemars(with = "schema::Parts"))]
    Either(Vec<Constraint>),
    /// Is absent, or satisfies the constraint. Only for an argument or a member of an object.
    Optional(Box<Constraint>),
    /// Equals a structured field of an earlier step's result.
    Ref(Ref),
    /// Is a list without repetitions of exactly the values in a column of an earlier step's result.
    RefSet(RefSet),
    /// Equals an argument that an earlier step was used with.
    SameAs(SameAs),
    /// Is a template, filled with values that satisfy the slots' constraints.
    Fmt(Fmt),
    /// Equals, as a number, what an arithmetic expression gives.
    Compute(Compute),
    /// Is a number within a bounded change of another value.
    Rel(Rel),
    /// Names a record whose attributes, as the resource server looks them up, satisfy a predicate.
    Attr(Attr),
    /// Occurs, as a word of some type, in the free text of an earlier step's result.
    Extract(Extract),
    /// Is a passage of the free text of an earlier step's result.
    Quote(Quote),
    /// Anything: shown to the person as UNBOUNDED.
    Any(True),
}

/// The rule of `{"text":{"max":n,"urls":false}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TextRule {
    /// Unicode characters at most.
    #[cfg_attr(feature = "schema", schemars(range(max = limits::TEXT_CHARS)))]
    pub max: u64,
    /// Whether links are allowed; absent means they are not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub urls: bool,
}

/// The rule of `{"num":{"min":"0","max":"9"}}`: at least one bound, both included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", schemars(extend("minProperties" = 1)))]
pub struct NumRange {
    /// The least number.
    #[serde(default, deserialize_with = "crate::json::stated", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "DecimalText"))]
    pub min: Option<DecimalText>,
    /// The greatest number; not below min.
    #[serde(default, deserialize_with = "crate::json::stated", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "DecimalText"))]
    pub max: Option<DecimalText>,
}

/// The rule of `{"amount":{"max":"9.50","currency":"EUR"}}`. Without `min` an amount is not negative.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", schemars(extend("anyOf" = [{"required": ["min"]}, {"properties": {"max": {"$ref": "#/$defs/NotNegative"}}}])))]
pub struct AmountRange {
    /// The least amount; absent means zero.
    #[serde(default, deserialize_with = "crate::json::stated", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "DecimalText"))]
    pub min: Option<DecimalText>,
    /// The greatest amount; not below min.
    pub max: DecimalText,
    /// ISO 4217 code: three capital letters.
    #[cfg_attr(feature = "schema", schemars(with = "schema::Currency"))]
    pub currency: String,
}

/// Two instants, RFC 3339 in UTC with whole seconds, both included; at least one of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", schemars(extend("minProperties" = 1)))]
pub struct TimeWindow {
    /// Not before.
    #[serde(default, deserialize_with = "crate::json::stated", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Timestamp"))]
    pub from: Option<Timestamp>,
    /// Not after; itself not before from.
    #[serde(default, deserialize_with = "crate::json::stated", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Timestamp"))]
    pub to: Option<Timestamp>,
}

/// The rule of `{"domain":{"any_of":["x.com"],"subdomains":false}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DomainRule {
    /// Host names in lower-case ASCII.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<schema::Host>", length(min = 1, max = limits::ALTERNATIVES)))]
    pub any_of: Vec<String>,
    /// Whether hosts below them are allowed; absent means they are not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub subdomains: bool,
}

/// The rule of `{"items":{"of":C,"max":n}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Items {
    /// What each item must satisfy.
    pub of: Box<Constraint>,
    /// Items at most.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = limits::ITEMS)))]
    pub max: u64,
}

/// The rule of `{"ref":{"step","field","where"?,"reduce"?}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ref {
    /// An earlier step.
    pub step: String,
    /// Where in its result. With `reduce`, a column: one segment is `*`.
    pub field: Field,
    /// Which rows count: constraints by JSON pointer within a row.
    #[serde(default, rename = "where", skip_serializing_if = "BTreeMap::is_empty")]
    pub rows: BTreeMap<String, Constraint>,
    /// How a column becomes one value.
    #[serde(default, deserialize_with = "crate::json::stated", skip_serializing_if = "Option::is_none")]
    pub reduce: Option<Reduce>,
}

/// How the column of the rows that count becomes one value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Reduce {
    /// The only row's value; several rows or none give no value.
    Lookup,
    /// The first row's value.
    First,
    /// The last row's value.
    Last,
    /// The value in the row whose number at this JSON pointer is greatest; a tie gives no value.
    #[cfg_attr(feature = "schema", schemars(with = "schema::Pointer"))]
    Argmax(String),
    /// The value in the row whose number at this JSON pointer is least; a tie gives no value.
    #[cfg_attr(feature = "schema", schemars(with = "schema::Pointer"))]
    Argmin(String),
    /// How many rows there are.
    Count,
    /// The exact sum of the column.
    Sum,
}

/// The rule of `{"ref_set":{"step","field"}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RefSet {
    /// An earlier step.
    #[cfg_attr(feature = "schema", schemars(with = "schema::EarlierStep"))]
    pub step: String,
    /// A column of its result: one segment is `*`.
    #[cfg_attr(feature = "schema", schemars(with = "schema::Column"))]
    pub field: Field,
}

/// The rule of `{"same_as":{"step","arg"}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SameAs {
    /// An earlier step.
    #[cfg_attr(feature = "schema", schemars(with = "schema::EarlierStep"))]
    pub step: String,
    /// One of its arguments: one that its args name, not "*".
    #[cfg_attr(feature = "schema", schemars(with = "schema::Identifier"))]
    pub arg: String,
}

/// The rule of `{"fmt":{"template":"Hi {a}","slots":{"a":C}}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Fmt {
    /// Text with slots in braces. Two slots never touch.
    #[cfg_attr(feature = "schema", schemars(with = "schema::Template"))]
    pub template: String,
    /// What fills each slot.
    #[cfg_attr(feature = "schema", schemars(with = "schema::Slots"))]
    pub slots: BTreeMap<String, Constraint>,
}

/// The rule of `{"compute":{"expr","vars"}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Compute {
    /// The expression.
    pub expr: Expr,
    /// What gives each variable its one value. Exactly the variables of the expression.
    #[cfg_attr(feature = "schema", schemars(with = "schema::Variables"))]
    pub vars: BTreeMap<String, Constraint>,
}

/// The rule of `{"rel":{"base":C,"min","max"}}`: base + min ≤ number ≤ base + max.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Rel {
    /// What gives the base its one value.
    #[cfg_attr(feature = "schema", schemars(with = "schema::OneValue"))]
    pub base: Box<Constraint>,
    /// The least change.
    pub min: DecimalText,
    /// The greatest change; not below min.
    pub max: DecimalText,
}

/// The rule of `{"attr":{"collection","where"}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Attr {
    /// The resource server's name for the records.
    #[cfg_attr(feature = "schema", schemars(with = "schema::Identifier"))]
    pub collection: String,
    /// Constraints by JSON pointer within a record.
    #[serde(rename = "where")]
    #[cfg_attr(feature = "schema", schemars(with = "schema::Attributes"))]
    pub attributes: BTreeMap<String, Constraint>,
}

/// The rule of `{"extract":{"step","type"}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Extract {
    /// An earlier step.
    #[cfg_attr(feature = "schema", schemars(with = "schema::EarlierStep"))]
    pub step: String,
    /// What kind of word.
    #[serde(rename = "type")]
    pub kind: WordKind,
}

/// Kinds of words in free text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WordKind {
    /// An e-mail address in lower case.
    Email,
    /// A host name in lower case.
    Host,
    /// A decimal number.
    Number,
    /// A calendar date, `YYYY-MM-DD`.
    Date,
    /// An account number (ISO 13616), without spaces, with a right check sum.
    Iban,
    /// Anything between white space.
    Word,
}

/// The rule of `{"quote":{"step"}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Quote {
    /// An earlier step.
    #[cfg_attr(feature = "schema", schemars(with = "schema::EarlierStep"))]
    pub step: String,
}

/// The literal `true`: `{"any":false}` means nothing and is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "bool", into = "bool")]
pub struct True;

impl TryFrom<bool> for True {
    type Error = &'static str;
    fn try_from(value: bool) -> Result<Self, Self::Error> {
        value.then_some(Self).ok_or("must be true")
    }
}

impl From<True> for bool {
    fn from(_: True) -> Self {
        true
    }
}

impl Constraint {
    /// The closed registry: the kinds by their names on the wire.
    pub const KINDS: [&str; 25] = [
        "const",
        "one_of",
        "text",
        "pattern",
        "num",
        "amount",
        "time_window",
        "domain",
        "prefix",
        "items",
        "obj",
        "each",
        "all",
        "either",
        "optional",
        "ref",
        "ref_set",
        "same_as",
        "fmt",
        "compute",
        "rel",
        "attr",
        "extract",
        "quote",
        "any",
    ];

    /// What the constraint asks for, for an error message.
    pub fn expected(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The constraint that a value must satisfy if it is there.
    pub fn required(&self) -> &Self {
        match self {
            Self::Optional(inner) => inner,
            other => other,
        }
    }

    /// The constraints that this one is made of, one level down.
    pub fn parts(&self) -> Vec<&Self> {
        match self {
            Self::Items(rule) => vec![&rule.of],
            Self::Each(of) | Self::Optional(of) => vec![of],
            Self::Obj(members) => members.values().collect(),
            Self::All(parts) | Self::Either(parts) => parts.iter().collect(),
            Self::Fmt(rule) => rule.slots.values().collect(),
            Self::Compute(rule) => rule.vars.values().collect(),
            Self::Rel(rule) => vec![&rule.base],
            Self::Ref(rule) => rule.rows.values().collect(),
            Self::Attr(rule) => rule.attributes.values().collect(),
            _ => Vec::new(),
        }
    }

    /// The earlier steps that the value depends on.
    pub fn sources(&self) -> Vec<&str> {
        let own = match self {
            Self::Ref(Ref { step, .. })
            | Self::RefSet(RefSet { step, .. })
            | Self::SameAs(SameAs { step, .. })
            | Self::Extract(Extract { step, .. })
            | Self::Quote(Quote { step }) => Some(step.as_str()),
            _ => None,
        };
        own.into_iter().chain(self.parts().into_iter().flat_map(Self::sources)).collect()
    }

    /// The arguments of earlier steps that the value is bound to.
    pub fn same_as(&self) -> Vec<&SameAs> {
        let own = if let Self::SameAs(rule) = self { Some(rule) } else { None };
        own.into_iter().chain(self.parts().into_iter().flat_map(Self::same_as)).collect()
    }

    /// Whether the value depends on what happened before the call.
    pub fn needs_history(&self) -> bool {
        !self.sources().is_empty()
    }
}
