//! Readers for what Fly's answers do beyond their description.

use std::fmt;

use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// `null` reads as the type's default, as an absent field does.
pub(super) fn null_as_default<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// A date, where it is one. Fly writes `0001-01-01T00:00:00Z` for "not yet", seen right after a create.
pub(super) fn date<'de, D: Deserializer<'de>>(from: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    Ok(text
        .and_then(|text| DateTime::parse_from_rfc3339(&text).ok())
        .map(|date| date.with_timezone(&Utc))
        .filter(|date| date.year() > 1))
}

/// A text that is left out, `null` or empty when there is none.
pub(super) fn filled<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.filter(|text| !text.is_empty()))
}

/// An entry of a list, read as far as that goes: one that cannot be read does not cost the others.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
pub enum Entry<T> {
    /// What it says.
    Read(T),
    /// Something else than it should be.
    Unreadable(Unread),
}

/// What cannot be read, kept to be searched. Never printed: it may hold an environment.
#[derive(Clone, Deserialize, PartialEq)]
#[serde(transparent)]
pub struct Unread(Value);

impl Unread {
    /// Whether one of these texts stands in it, wherever that is.
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
