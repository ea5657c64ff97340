//! Reading in one pass: the strict rules of [`super::parse_plan`] stand between the parser and the type, and the
//! canonical form is written while the type is read, where it is wanted. No tree is made.
//!
//! A good document is read like this. One that is not good is read again, the long way, which tells what is wrong and
//! where: so neither a path nor a message is kept here, and every refusal has one wording.

use super::page::Page;
use super::too_large;
use crate::limits;
use serde::de::value::{BorrowedStrDeserializer, StrDeserializer};
use serde::de::{
    Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use std::borrow::Cow;
use std::fmt;

/// Reads a typed shape of what will be signed, and the document's canonical form (RFC 8785), as [`super::parse_plan`],
/// [`super::typed`] and [`crate::canonical::canonical`] do together. `None` if one of the first two refuses: ask them
/// what is wrong.
pub fn read_once<T: DeserializeOwned>(bytes: &[u8], max_bytes: usize) -> Option<(T, Vec<u8>)> {
    read(bytes, max_bytes, limits::JSON_DEPTH, true)
}

/// A typed shape alone, as strictly, of a document that may be nested so deep.
pub(super) fn read_to_depth<T: DeserializeOwned>(bytes: &[u8], max_bytes: usize, max_depth: usize) -> Option<T> {
    read(bytes, max_bytes, max_depth, false).map(|(value, _)| value)
}

fn read<T: DeserializeOwned>(bytes: &[u8], max_bytes: usize, max_depth: usize, is_kept: bool) -> Option<(T, Vec<u8>)> {
    let document = std::str::from_utf8(bytes).ok().filter(|_| bytes.len() <= max_bytes)?;
    let mut page = Page::of(document, max_depth, is_kept);
    let mut source = serde_json::Deserializer::from_str(document);
    let value = T::deserialize(Strict { source: &mut source, page: &mut page, depth: 0 }).ok()?;
    source.end().ok()?;
    Some((value, page.into_written()))
}

/// Tells the parser what is expected, so that it looks for nothing else.
macro_rules! expecting {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, target: V) -> Result<V::Value, D::Error> {
            self.page.enter(self.depth)?;
            self.source.$method(Watch { target, page: self.page, depth: self.depth })
        }
    )*};
}

/// A value of the document at a depth, on its way to the type that it is read as.
struct Strict<'p, 'de, D> {
    source: D,
    page: &'p mut Page<'de>,
    depth: usize,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Strict<'_, 'de, D> {
    type Error = D::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _members: &'static [&'static str],
        target: V,
    ) -> Result<V::Value, D::Error> {
        self.page.enter(self.depth)?;
        self.source.deserialize_map(Watch { target, page: self.page, depth: self.depth })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        target: V,
    ) -> Result<V::Value, D::Error> {
        self.deserialize_any(Choice(target))
    }

    fn deserialize_option<V: Visitor<'de>>(self, target: V) -> Result<V::Value, D::Error> {
        self.source.deserialize_option(Watch { target, page: self.page, depth: self.depth })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, target: V) -> Result<V::Value, D::Error> {
        target.visit_newtype_struct(self)
    }

    expecting! {
        deserialize_any deserialize_bool deserialize_i64 deserialize_u32 deserialize_u64 deserialize_str deserialize_string
        deserialize_seq deserialize_map
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u16 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

/// Checks and writes what the parser hands over, and hands it on.
struct Watch<'p, 'de, V> {
    target: V,
    page: &'p mut Page<'de>,
    depth: usize,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Watch<'_, 'de, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.target.expecting(f)
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.page.word("null");
        self.target.visit_unit()
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.page.enter(self.depth)?;
        self.page.word("null");
        self.target.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, source: D) -> Result<V::Value, D::Error> {
        self.target.visit_some(Strict { source, page: self.page, depth: self.depth })
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<V::Value, E> {
        self.page.word(value);
        self.target.visit_bool(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<V::Value, E> {
        self.page.integer(value)?;
        self.target.visit_i64(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<V::Value, E> {
        self.page.integer(i64::try_from(value).map_err(|_| too_large())?)?;
        self.target.visit_u64(value)
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<V::Value, E> {
        self.page.unescaped(value)?;
        self.target.visit_borrowed_str(value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<V::Value, E> {
        self.page.escaped(value)?;
        self.target.visit_str(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, source: A) -> Result<V::Value, A::Error> {
        self.page.mark(b'[');
        let items = Entries { source, page: &mut *self.page, depth: self.depth + 1, is_first: true };
        let value = self.target.visit_seq(items)?;
        self.page.mark(b']');
        Ok(value)
    }

    fn visit_map<A: MapAccess<'de>>(self, source: A) -> Result<V::Value, A::Error> {
        let begun = self.page.begin_object();
        let members = Entries { source, page: &mut *self.page, depth: self.depth + 1, is_first: true };
        let value = self.target.visit_map(members)?;
        self.page.end_object(begun)?;
        Ok(value)
    }
}

/// What a list or an object holds, at a depth.
struct Entries<'p, 'de, A> {
    source: A,
    page: &'p mut Page<'de>,
    depth: usize,
    is_first: bool,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Entries<'_, 'de, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let before = if std::mem::take(&mut self.is_first) { None } else { Some(b',') };
        self.source.next_element_seed(Entry { seed, page: &mut *self.page, depth: self.depth, before })
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Entries<'_, 'de, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let Some(Name(name)) = self.source.next_key()? else { return Ok(None) };
        self.page.name(name.clone(), std::mem::take(&mut self.is_first))?;
        match name {
            Cow::Borrowed(name) => seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some),
            Cow::Owned(name) => seed.deserialize(StrDeserializer::new(&name)).map(Some),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let entry = Entry { seed, page: &mut *self.page, depth: self.depth, before: None };
        let value = self.source.next_value_seed(entry)?;
        self.page.end_member();
        Ok(value)
    }
}

/// An entry of a list or the value of a member, and what parts it from the one before.
struct Entry<'p, 'de, S> {
    seed: S,
    page: &'p mut Page<'de>,
    depth: usize,
    before: Option<u8>,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Entry<'_, 'de, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<S::Value, D::Error> {
        if let Some(before) = self.before {
            self.page.mark(before);
        }
        self.seed.deserialize(Strict { source, page: self.page, depth: self.depth })
    }
}

/// A member's name: borrowed where it is written without escapes.
struct Name<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_str(NameVisitor)
    }
}

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Name<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Borrowed(name)))
    }

    fn visit_str<E>(self, name: &str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Owned(name.to_owned())))
    }
}

/// Reads one of several variants: a plain name, or an object of one member, never one for the other.
struct Choice<V>(V);

impl<'de, V: Visitor<'de>> Visitor<'de> for Choice<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<V::Value, E> {
        self.0.visit_enum(StrDeserializer::new(name))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut source: A) -> Result<V::Value, A::Error> {
        let value = self.0.visit_enum(Variant(&mut source))?;
        match source.next_key::<IgnoredAny>()? {
            Some(_) => Err(Error::custom("has more than one member")),
            None => Ok(value),
        }
    }
}

/// The one member of an object: the variant's name and what belongs to it.
struct Variant<'a, A>(&'a mut A);

impl<'de, A: MapAccess<'de>> EnumAccess<'de> for Variant<'_, A> {
    type Error = A::Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), A::Error> {
        match self.0.next_key_seed(seed)? {
            Some(variant) => Ok((variant, self)),
            None => Err(Error::custom("has no member")),
        }
    }
}

impl<'de, A: MapAccess<'de>> VariantAccess<'de> for Variant<'_, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        Err(Error::invalid_type(Unexpected::Map, &"a plain name"))
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(seed)
    }

    /// No type of the plan language has such variants.
    fn tuple_variant<V: Visitor<'de>>(self, _length: usize, _target: V) -> Result<V::Value, A::Error> {
        Err(Error::invalid_type(Unexpected::TupleVariant, &"a variant with one content"))
    }

    /// No type of the plan language has such variants.
    fn struct_variant<V: Visitor<'de>>(
        self,
        _members: &'static [&'static str],
        _target: V,
    ) -> Result<V::Value, A::Error> {
        Err(Error::invalid_type(Unexpected::StructVariant, &"a variant with one content"))
    }
}
