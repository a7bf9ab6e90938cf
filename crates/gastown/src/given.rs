//! A value for the builder: a parsed one, or a text that `build` parses.

use std::fmt::Display;
use std::str::FromStr;

use gastown_domain::{ImageRef, Region};
use gastown_secrets::PublicSealingKey;

use crate::build_error::Mistakes;

/// A value of a setting, from a parsed value or from a text. `build` reports texts that are invalid.
#[derive(Debug, Clone)]
pub struct Given<T>(Form<T>);

#[derive(Debug, Clone)]
enum Form<T> {
    Parsed(T),
    Text(String),
}

impl<T: FromStr<Err: Display>> Given<T> {
    /// Returns the value, or reports the mistake.
    pub(crate) fn value(self, setting: &'static str, mistakes: &mut Mistakes) -> Option<T> {
        match self.0 {
            Form::Parsed(value) => Some(value),
            Form::Text(text) => mistakes.checked(setting, text.parse()),
        }
    }
}

impl<T> From<&str> for Given<T> {
    fn from(text: &str) -> Self {
        Self(Form::Text(text.to_owned()))
    }
}

impl<T> From<String> for Given<T> {
    fn from(text: String) -> Self {
        Self(Form::Text(text))
    }
}

macro_rules! parsed {
    ($($type:ty),+) => {
        $(impl From<$type> for Given<$type> {
            fn from(value: $type) -> Self {
                Self(Form::Parsed(value))
            }
        })+
    };
}
parsed!(ImageRef, Region, PublicSealingKey);
#[cfg(feature = "fly")]
parsed!(gastown_fly::FlyAppName, gastown_fly::FlyAppPrefix, gastown_fly::BaseUrl, gastown_sandbox::UrlTemplate);
