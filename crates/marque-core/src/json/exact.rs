//! Reading types out of values in their one form.
//!
//! Derived readers take a list for an object, its members in the order of the source code, and `{"name": null}` for a
//! plain name. A second way to write something is a second way to read it; here neither is taken.

use serde::de::value::{BorrowedStrDeserializer, MapDeserializer, SeqDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Map, Value};

/// A value, and everything in it, read as it is.
#[derive(Clone, Copy)]
pub struct Exact<'v>(pub &'v Value);

fn members(object: &Map<String, Value>) -> impl Iterator<Item = (&str, Exact<'_>)> {
    object.iter().map(|(name, value)| (name.as_str(), Exact(value)))
}

impl<'de> Deserializer<'de> for Exact<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Object(object) => visitor.visit_map(MapDeserializer::new(members(object))),
            Value::Array(items) => visitor.visit_seq(SeqDeserializer::new(items.iter().map(Exact))),
            scalar => scalar.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _members: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if self.0.is_object() { self.deserialize_any(visitor) } else { self.0.deserialize_map(visitor) }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Value::Object(object) if object.len() == 1 => match members(object).next() {
                Some((name, content)) => visitor.visit_enum(Variant { name, content }),
                None => Err(Error::custom("has no member")),
            },
            other => other.deserialize_enum(name, variants, visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

impl<'v> IntoDeserializer<'v, Error> for Exact<'v> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// The one member of an object: the variant's name and what belongs to it.
struct Variant<'v> {
    name: &'v str,
    content: Exact<'v>,
}

impl<'v> EnumAccess<'v> for Variant<'v> {
    type Error = Error;
    type Variant = Exact<'v>;

    fn variant_seed<S: DeserializeSeed<'v>>(self, seed: S) -> Result<(S::Value, Exact<'v>), Error> {
        Ok((seed.deserialize(BorrowedStrDeserializer::<Error>::new(self.name))?, self.content))
    }
}

impl<'v> VariantAccess<'v> for Exact<'v> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Err(Error::invalid_type(Unexpected::Map, &"a plain name"))
    }

    fn newtype_variant_seed<S: DeserializeSeed<'v>>(self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'v>>(self, _length: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'v>>(self, members: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        self.deserialize_struct("", members, visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Pair {
        one: u8,
        #[serde(default)]
        other: Option<Box<Pair>>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Plain,
        Of(Pair),
        Each(Vec<Kind>),
    }

    fn kind(value: Value) -> Result<Kind, String> {
        Kind::deserialize(Exact(&value)).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_written_in_the_one_form_is_read() {
        let pair = |one, other| Pair { one, other };
        assert_eq!(kind(json!("plain")), Ok(Kind::Plain));
        assert_eq!(kind(json!({"of": {"one": 1}})), Ok(Kind::Of(pair(1, None))));
        let inner = Some(Box::new(pair(2, None)));
        assert_eq!(kind(json!({"of": {"one": 1, "other": {"one": 2}}})), Ok(Kind::Of(pair(1, inner))));
        assert_eq!(
            kind(json!({"each": ["plain", {"each": []}]})),
            Ok(Kind::Each(vec![Kind::Plain, Kind::Each(vec![])]))
        );
    }

    #[test]
    fn a_second_form_is_not() {
        for bad in [
            json!({"of": [1]}),
            json!({"of": [1, [2]]}),
            json!({"of": {"one": 1, "other": [2]}}),
            json!({"each": [{"of": [1]}]}),
            json!({"plain": null}),
            json!({"plain": {}}),
            json!({"each": [{"plain": null}]}),
            json!({"plain": null, "each": []}),
            json!({}),
            json!(["plain"]),
            json!("of"),
            json!(null),
        ] {
            assert!(kind(bad.clone()).is_err(), "{bad}");
        }
    }
}
