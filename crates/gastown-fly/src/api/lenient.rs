//! Deserializers for answers that differ from Fly's description.

use std::fmt;

use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Reads `null` as the type's default, as an absent field is read.
pub(super) fn null_as_default<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// Reads a date, or `None` for a text that is not one. Fly writes `0001-01-01T00:00:00Z` for "not yet", right after a
/// create.
pub(super) fn date<'de, D: Deserializer<'de>>(from: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    Ok(text
        .and_then(|text| DateTime::parse_from_rfc3339(&text).ok())
        .map(|date| date.with_timezone(&Utc))
        .filter(|date| date.year() > 1))
}

/// Reads a text, and `null` and the empty text as `None`.
pub(super) fn filled<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.filter(|text| !text.is_empty()))
}

/// An entry of a list. An entry that cannot be read does not make the others unreadable.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
pub enum Entry<T> {
    /// An entry of the expected shape.
    Read(T),
    /// An entry of another shape.
    Unreadable(Unread),
}

/// An entry that cannot be read, kept so that it can be searched. Never printed, because it may hold an environment.
#[derive(Clone, Deserialize, PartialEq)]
#[serde(transparent)]
pub struct Unread(Value);

impl Unread {
    /// Returns true if one of these texts is a value anywhere in the entry.
    pub fn mentions(&self, texts: &[&str]) -> bool {
        mentions(&self.0, texts)
    }
}

fn mentions(value: &Value, texts: &[&str]) -> bool {
    match value {
        Value::String(text) => texts.contains(&text.as_str()),
        Value::Array(values) => values.iter().any(|value| mentions(value, texts)),
        Value::Object(fields) => fields.values().any(|value| mentions(value, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

impl fmt::Debug for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unread").finish_non_exhaustive()
    }
}
