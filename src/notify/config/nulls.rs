//! A key without a value: an empty text, `false` or 0, whatever the default is.
//!
//! In: a deserializer. Out: the same, but that texts, booleans and numbers may be null. That is how
//! Alertmanager's YAML library reads `title:` with nothing behind it. Never here: what keys mean.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, Visitor};

/// Reads null where a text, a boolean or a number is wanted.
pub(super) struct Nulls<T>(pub(super) T);

/// What is wanted.
#[derive(Clone, Copy)]
enum Wanted {
    Text,
    Bool,
    Signed,
    Unsigned,
    Float,
}

/// Passes on what is there, and null as the wanted kind of nothing.
struct OrNothing<V>(V, Wanted);

/// Passes on what is there.
macro_rules! pass_on {
    () => {
        pass_on! {
            visit_bool(bool);
            visit_i64(i64);
            visit_u64(u64);
            visit_f64(f64);
            visit_str(&str);
            visit_borrowed_str(&'de str);
            visit_string(String);
        }
    };
    ($($visit:ident($type:ty);)*) => {
        $(fn $visit<E: serde::de::Error>(self, value: $type) -> Result<V::Value, E> {
            self.0.$visit(value)
        })*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for OrNothing<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<V::Value, E> {
        match self.1 {
            Wanted::Text => self.0.visit_str(""),
            Wanted::Bool => self.0.visit_bool(false),
            Wanted::Signed => self.0.visit_i64(0),
            Wanted::Unsigned => self.0.visit_u64(0),
            Wanted::Float => self.0.visit_f64(0.0),
        }
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, there: D) -> Result<V::Value, D::Error> {
        match self.1 {
            Wanted::Text => there.deserialize_string(self.0),
            Wanted::Bool => there.deserialize_bool(self.0),
            Wanted::Signed => there.deserialize_i64(self.0),
            Wanted::Unsigned => there.deserialize_u64(self.0),
            Wanted::Float => there.deserialize_f64(self.0),
        }
    }

    pass_on!();
}

macro_rules! wanted {
    ($($method:ident: $wanted:ident;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.0.deserialize_option(OrNothing(visitor, Wanted::$wanted))
        })*
    };
}

macro_rules! within {
    ($($method:ident($($argument:ident: $type:ty),*);)*) => {
        $(fn $method<V: Visitor<'de>>(
            self,
            $($argument: $type,)*
            visitor: V,
        ) -> Result<V::Value, D::Error> {
            self.0.$method($($argument,)* Nulls(visitor))
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Nulls<D> {
    type Error = D::Error;

    wanted! {
        deserialize_str: Text;
        deserialize_string: Text;
        deserialize_bool: Bool;
        deserialize_i8: Signed;
        deserialize_i16: Signed;
        deserialize_i32: Signed;
        deserialize_i64: Signed;
        deserialize_u8: Unsigned;
        deserialize_u16: Unsigned;
        deserialize_u32: Unsigned;
        deserialize_u64: Unsigned;
        deserialize_f32: Float;
        deserialize_f64: Float;
    }

    within! {
        deserialize_any();
        deserialize_option();
        deserialize_unit();
        deserialize_seq();
        deserialize_map();
        deserialize_char();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_identifier();
        deserialize_ignored_any();
        deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str);
        deserialize_tuple(len: usize);
        deserialize_tuple_struct(name: &'static str, len: usize);
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Nulls<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Nulls(inner))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(Nulls(inner))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Nulls(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, pairs: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Nulls(pairs))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.0.visit_enum(variant)
    }

    fn visit_char<E: serde::de::Error>(self, value: char) -> Result<V::Value, E> {
        self.0.visit_char(value)
    }

    pass_on!();
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Nulls<A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, A::Error> {
        self.0.next_element_seed(Nulls(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Nulls<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        self.0.next_key_seed(seed)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        self.0.next_value_seed(Nulls(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Nulls<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Nulls(deserializer))
    }
}
