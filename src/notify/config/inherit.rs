//! Values that a receiver may leave to `global`.

use std::ops::Deref;

use serde::{Deserialize, Deserializer};

pub(super) use crate::secret::chosen as chosen_secret;

/// A value that may be absent in the file and is always there once the file is loaded: taken over
/// from `global`, or the file is refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Inherited<T>(pub(super) Option<T>);

impl<T> Default for Inherited<T> {
    fn default() -> Inherited<T> {
        Inherited(None)
    }
}

impl<T> From<T> for Inherited<T> {
    fn from(value: T) -> Inherited<T> {
        Inherited(Some(value))
    }
}

impl<T> Deref for Inherited<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("BUG: loading fills inherited values in or refuses the file")
    }
}

impl<T: Clone> Inherited<T> {
    /// Takes the value of `global` over if there is none; `missing` says what is wrong when there is
    /// none in either.
    pub(super) fn inherit(&mut self, global: Option<&T>, missing: &str) -> Result<(), String> {
        if self.0.is_none() {
            self.0 = global.cloned();
        }
        if self.0.is_some() { Ok(()) } else { Err(missing.to_owned()) }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Inherited<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Inherited<T>, D::Error> {
        Option::deserialize(deserializer).map(Inherited)
    }
}

/// Puts the one secret of three keys into the first.
macro_rules! one_secret {
    ($of:expr, $key:ident, $file:ident, $env:ident) => {
        $of.$key.0 = $crate::notify::config::inherit::chosen_secret(
            stringify!($key),
            $of.$key.0.take(),
            &$of.$file,
            &$of.$env,
        )?
    };
}

/// Puts the one secret of three keys, none of which has to be given, into the first.
macro_rules! one_optional_secret {
    ($of:expr, $key:ident, $file:ident, $env:ident) => {
        $of.$key = $crate::notify::config::inherit::chosen_secret(
            stringify!($key),
            $of.$key.take(),
            &$of.$file,
            &$of.$env,
        )?
    };
}

pub(super) use {one_optional_secret, one_secret};
