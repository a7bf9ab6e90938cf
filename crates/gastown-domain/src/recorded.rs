//! Stored texts that a newer version may have written.

use std::fmt;
use std::str::FromStr;

/// A stored text: a value that this version knows, or the text of a newer version (FM-59).
///
/// Nothing is decided by a text that is not known. It is shown and written back as it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Recorded<T> {
    /// A value of this version.
    Known(T),
    /// A text of a newer version.
    Newer(String),
}

impl<T: FromStr> Recorded<T> {
    /// Reads a stored text. Every text is accepted.
    ///
    /// ```
    /// use gastown_domain::{Failure, Recorded};
    /// assert_eq!(Recorded::<Failure>::read("throttled"), Recorded::Known(Failure::Throttled));
    /// assert_eq!(Recorded::<Failure>::read("of_the_future"), Recorded::Newer("of_the_future".to_owned()));
    /// ```
    pub fn read(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Newer(text.to_owned()), Self::Known)
    }
}

impl<T: Copy> Recorded<T> {
    /// Returns the value if this version knows it.
    pub const fn known(&self) -> Option<T> {
        match self {
            Self::Known(value) => Some(*value),
            Self::Newer(_) => None,
        }
    }
}

impl<T: Copy + Into<&'static str>> Recorded<T> {
    /// Returns the text as it is stored.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(value) => (*value).into(),
            Self::Newer(text) => text,
        }
    }
}

impl<T: Copy + Into<&'static str>> fmt::Display for Recorded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<T: PartialEq> PartialEq<T> for Recorded<T> {
    fn eq(&self, other: &T) -> bool {
        match self {
            Self::Known(value) => value == other,
            Self::Newer(_) => false,
        }
    }
}

impl<T> From<T> for Recorded<T> {
    fn from(value: T) -> Self {
        Self::Known(value)
    }
}

/// The schema of the known texts, and of any other.
#[cfg(feature = "schema")]
impl<T: schemars::JsonSchema> schemars::JsonSchema for Recorded<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Recorded{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let known = generator.subschema_for::<T>();
        schemars::json_schema!({ "anyOf": [known, { "type": "string" }] })
    }
}
