//! Identifiers. Our own are UUIDs. Those of the provider and of the host application are validated strings.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Invalid;

/// Defines a newtype around a UUID.
macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID that is known to be this kind of id.
            pub const fn new(id: Uuid) -> Self {
                Self(id)
            }

            /// Returns the UUID, for storage.
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(raw: &str) -> Result<Self, Invalid> {
                // Only the hyphenated form is accepted, so that each id has exactly one text.
                match Uuid::try_parse(raw) {
                    Ok(id) if raw.len() == 36 => Ok(Self(id)),
                    _ => Err(Invalid::Shape { expected: "a UUID" }),
                }
            }
        }
    };
}

/// Defines a string newtype with its conversions. `$parse` is the only way to construct it.
macro_rules! text_newtype {
    ($(#[$doc:meta])* $name:ident, $parse:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Returns the text, for storage and for the wire.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::Invalid;

            fn from_str(raw: &str) -> Result<Self, $crate::Invalid> {
                $parse(raw).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::Invalid;

            fn try_from(raw: String) -> Result<Self, $crate::Invalid> {
                raw.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0
            }
        }
    };
}
pub(crate) use text_newtype;

uuid_id!(
    /// The id of a town and primary key of `gastown_towns`. External names, tags, keys and tokens are derived from it.
    TownId
);
uuid_id!(
    /// The id of a rig and primary key of `gastown_rigs`.
    RigId
);
uuid_id!(
    /// The id of one operation on a town.
    OperationId
);
uuid_id!(
    /// The id of an event in the history of a town.
    EventId
);

text_newtype!(
    /// The id of a user in the host application: 1 to 255 printable characters without white space.
    UserId,
    parse_user_id
);
text_newtype!(
    /// The provider's id of a machine: 1 to 64 characters of `a-z A-Z 0-9 _ -`.
    MachineId,
    parse_provider_id
);
text_newtype!(
    /// The provider's id of a volume: 1 to 64 characters of `a-z A-Z 0-9 _ -`.
    VolumeId,
    parse_provider_id
);
text_newtype!(
    /// The name of an app, the provider's namespace for machines and volumes: 1 to 255 characters, without control
    /// characters and slashes. The provider's adapter knows its format.
    AppName,
    parse_app_name
);
fn parse_user_id(raw: &str) -> Result<String, Invalid> {
    const ALLOWED: &str = "printable characters without white space";
    bounded(raw, 255)?;
    match raw.chars().find(|c| c.is_control() || c.is_whitespace() || is_bidi(*c)) {
        Some(bad) => Err(Invalid::Character { bad, allowed: ALLOWED }),
        None => Ok(raw.to_owned()),
    }
}

fn parse_provider_id(raw: &str) -> Result<String, Invalid> {
    bounded(raw, 64)?;
    match raw.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))) {
        Some(bad) => Err(Invalid::Character { bad, allowed: "letters, digits, '_' and '-'" }),
        None => Ok(raw.to_owned()),
    }
}

fn parse_app_name(raw: &str) -> Result<String, Invalid> {
    bounded(raw, 255)?;
    match raw.chars().find(|c| c.is_control() || matches!(c, '/' | '\\')) {
        Some(bad) => Err(Invalid::Character { bad, allowed: "all but control characters and slashes" }),
        None => Ok(raw.to_owned()),
    }
}

/// Rejects an empty text and a text of more than `max` characters.
pub(crate) fn bounded(raw: &str, max: usize) -> Result<(), Invalid> {
    if raw.is_empty() {
        return Err(Invalid::Empty);
    }
    match raw.chars().count() {
        got if got > max => Err(Invalid::TooLong { got, max }),
        _ => Ok(()),
    }
}

/// Returns true for characters that reorder or hide text when it is displayed.
pub(crate) fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{061c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_accepts_only_the_hyphenated_form() {
        for raw in ["", "nope", "{0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b}", "0190a1b2c3d47e5f8a9b0c1d2e3f4a5b"] {
            assert_eq!(raw.parse::<TownId>(), Err(Invalid::Shape { expected: "a UUID" }), "{raw:?}");
        }
    }

    #[test]
    fn external_ids_are_validated() {
        for (raw, ok) in [("user_abc123", true), ("", false), ("a b", false), ("a\u{202e}b", false), ("ü", true)] {
            assert_eq!(raw.parse::<UserId>().is_ok(), ok, "{raw:?}");
        }
        for (raw, ok) in [("kilo-dev", true), ("Kilo_1", true), ("", false), ("a/b", false), ("a\0", false)] {
            assert_eq!(raw.parse::<AppName>().is_ok(), ok, "{raw:?}");
        }
        for (raw, ok) in [("148ed21a031189", true), ("../x", false), ("vol_9vlz", true)] {
            assert_eq!(raw.parse::<MachineId>().is_ok(), ok, "{raw:?}");
        }
    }
}
