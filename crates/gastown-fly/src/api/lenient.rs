//! Readers for what Fly's answers do beyond their description.

use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Deserializer, de::IgnoredAny};

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
    Unreadable(IgnoredAny),
}
