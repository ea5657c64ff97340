//! Constraints on one argument or resource id: a closed registry, one member per object.
//!
//! Three questions are asked of a constraint: does a value satisfy it ([`Constraint::holds`]), does
//! it allow nothing that another does not ([`Constraint::covers`]), and is it well formed
//! ([`Constraint::check`]). A comparison that cannot be decided is refused, never guessed.

use crate::canonical::canonical_text;
use crate::json::Refused;
use crate::{limits, text};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a value must satisfy. An unknown kind does not parse, at the server and at the gate alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Constraint {
    /// Equals the value.
    Const(Value),
    /// Equals one of the values.
    OneOf(Vec<Value>),
    /// Is text of bounded length, without links unless they are allowed.
    Text(TextRule),
    /// Anything: shown to the person as UNBOUNDED.
    Any(True),
}

/// The rule of `{"text":{"max":n,"urls":false}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextRule {
    /// Unicode characters at most.
    pub max: u64,
    /// Whether links are allowed; absent means they are not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub urls: bool,
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

impl TextRule {
    fn holds(&self, value: &Value) -> bool {
        value.as_str().is_some_and(|value| {
            value.chars().count() as u64 <= self.max
                && text::check_free(value).is_ok()
                && (self.urls || !text::has_link(value))
        })
    }

    fn covers(&self, child: &Self) -> bool {
        child.max <= self.max && (self.urls || !child.urls)
    }
}

impl Constraint {
    /// Whether a concrete value satisfies the constraint.
    pub fn holds(&self, value: &Value) -> bool {
        match self {
            Self::Const(allowed) => value == allowed,
            Self::OneOf(allowed) => allowed.contains(value),
            Self::Text(rule) => rule.holds(value),
            Self::Any(True) => true,
        }
    }

    /// Whether every value that satisfies `child` satisfies this constraint too. `false` also means
    /// that it cannot be decided.
    pub fn covers(&self, child: &Self) -> bool {
        match (self, child) {
            (Self::Any(True), _) => true,
            (_, Self::Const(value)) => self.holds(value),
            (_, Self::OneOf(values)) => values.iter().all(|value| self.holds(value)),
            (Self::Text(parent), Self::Text(child)) => parent.covers(child),
            (Self::Const(_) | Self::OneOf(_), Self::Text(_)) | (_, Self::Any(True)) => false,
        }
    }

    /// Refuses what parses but makes no sense: no alternatives, too many, an excessive length.
    ///
    /// # Errors
    /// With the path of the constraint.
    pub fn check(&self, path: &str) -> Result<(), Refused> {
        let is_long = |value: &Value| canonical_text(value).chars().count() > limits::VALUE_CHARS;
        match self {
            Self::Const(value) if is_long(value) => Err(too_long(&format!("{path}.const"))),
            Self::OneOf(values) if values.iter().any(is_long) => Err(too_long(&format!("{path}.one_of"))),
            Self::OneOf(values) if values.is_empty() || values.len() > limits::ALTERNATIVES => {
                Err(Refused::at(format!("{path}.one_of"), format!("needs 1 to {} alternatives", limits::ALTERNATIVES)))
            }
            Self::Text(rule) if rule.max > limits::TEXT_CHARS => {
                Err(Refused::at(format!("{path}.text.max"), format!("may be at most {}", limits::TEXT_CHARS)))
            }
            _ => Ok(()),
        }
    }

    /// What the constraint asks for, for an error message.
    pub fn expected(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

fn too_long(path: &str) -> Refused {
    Refused::at(path, format!("has a value of more than {} characters, which nobody reads", limits::VALUE_CHARS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;
    use proptest::prelude::*;
    use serde_json::json;

    fn constraint(value: Value) -> Constraint {
        json::typed(value).unwrap()
    }

    #[test]
    fn refuses_unknown_kinds_shorthand_and_several_members() {
        for bad in [
            json!({"regex": "a"}),
            json!("a"),
            json!({"const": 1, "any": true}),
            json!({}),
            json!({"any": false}),
            json!({"text": {"max": 1, "x": 1}}),
            json!({"text": {"max": -1}}),
        ] {
            assert!(json::typed::<Constraint>(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn text_is_bounded_and_without_links_unless_allowed() {
        let rule = constraint(json!({"text": {"max": 5}}));
        assert!(rule.holds(&json!("grüße")));
        assert!(!rule.holds(&json!("grüßen")), "six characters");
        assert!(!rule.holds(&json!("a.com")));
        assert!(!rule.holds(&json!(5)));
        assert!(!rule.holds(&json!("a\u{202e}b")));
        assert!(constraint(json!({"text": {"max": 5, "urls": true}})).holds(&json!("a.com")));
    }

    #[test]
    fn a_value_is_no_longer_than_a_person_reads() {
        let value = |chars: usize| json!("x".repeat(chars - 2)); // two quotation marks
        for kind in [|value: Value| json!({"const": value}), |value: Value| json!({"one_of": [value]})] {
            assert!(constraint(kind(value(limits::VALUE_CHARS))).check("$").is_ok());
            assert!(constraint(kind(value(limits::VALUE_CHARS + 1))).check("$").is_err());
        }
    }

    #[test]
    fn narrowing_is_told_from_widening() {
        let pairs = [
            (json!({"any": true}), json!({"text": {"max": 9}}), true),
            (json!({"text": {"max": 9}}), json!({"any": true}), false),
            (json!({"text": {"max": 9}}), json!({"text": {"max": 9}}), true),
            (json!({"text": {"max": 9}}), json!({"text": {"max": 10}}), false),
            (json!({"text": {"max": 9}}), json!({"text": {"max": 9, "urls": true}}), false),
            (json!({"text": {"max": 9}}), json!({"const": "short"}), true),
            (json!({"text": {"max": 9}}), json!({"one_of": ["a", "a.com"]}), false),
            (json!({"one_of": [1, 2]}), json!({"one_of": [2]}), true),
            (json!({"one_of": [1, 2]}), json!({"one_of": [2, 3]}), false),
            (json!({"one_of": [1, 2]}), json!({"const": 1}), true),
            (json!({"const": 1}), json!({"one_of": [1]}), true),
            (json!({"const": 1}), json!({"const": "1"}), false),
            (json!({"const": "a"}), json!({"text": {"max": 1}}), false),
        ];
        for (parent, child, expected) in pairs {
            assert_eq!(
                constraint(parent.clone()).covers(&constraint(child.clone())),
                expected,
                "{parent} covers {child}"
            );
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(json!("a")),
            Just(json!("ab")),
            Just(json!("a.com")),
            Just(json!(1)),
            Just(json!(null)),
            Just(json!(["a"]))
        ]
    }

    fn constraints() -> impl Strategy<Value = Constraint> {
        prop_oneof![
            values().prop_map(Constraint::Const),
            proptest::collection::vec(values(), 1..4).prop_map(Constraint::OneOf),
            (0u64..4, any::<bool>()).prop_map(|(max, urls)| Constraint::Text(TextRule { max, urls })),
            Just(Constraint::Any(True)),
        ]
    }

    /// Always the same cases: a failure today is a failure tomorrow.
    fn fixed() -> ProptestConfig {
        let rng_seed = proptest::test_runner::RngSeed::Fixed(7);
        ProptestConfig { cases: 1024, rng_seed, failure_persistence: None, ..ProptestConfig::default() }
    }

    proptest! {
        #![proptest_config(fixed())]

        #[test]
        fn covering_is_sound(parent in constraints(), child in constraints(), value in values()) {
            if parent.covers(&child) && child.holds(&value) {
                prop_assert!(parent.holds(&value));
            }
        }

        #[test]
        fn covering_is_reflexive_and_transitive(a in constraints(), b in constraints(), c in constraints()) {
            let bounded_text = |c: &Constraint| c.check("$").is_ok();
            prop_assume!(bounded_text(&a));
            prop_assert!(a.covers(&a));
            if a.covers(&b) && b.covers(&c) {
                prop_assert!(a.covers(&c));
            }
        }
    }
}
