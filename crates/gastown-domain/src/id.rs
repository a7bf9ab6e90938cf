//! Identifiers: ours are UUIDs, those of Fly and of the host application are texts with rules.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Invalid;

/// Makes a newtype around a UUID.
macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Takes a UUID that is known to be this kind of id.
            pub const fn new(id: Uuid) -> Self {
                Self(id)
            }

            /// The UUID, for storage.
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
                // Only the hyphenated form: braces, URNs and bare hex would make two texts of one id.
                match Uuid::try_parse(raw) {
                    Ok(id) if raw.len() == 36 => Ok(Self(id)),
                    _ => Err(Invalid::Shape { expected: "a UUID" }),
                }
            }
        }
    };
}

/// Gives a text newtype its conversions; `$parse` is its one way in.
macro_rules! text_newtype {
    ($(#[$doc:meta])* $name:ident, $parse:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text, for storage and for the wire.
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
    /// A town: primary key of `gastown_towns`, and what every name, tag, key and token outside hangs on.
    TownId
);
uuid_id!(
    /// A rig: primary key of `gastown_rigs`.
    RigId
);
uuid_id!(
    /// One run of an operation on a town.
    OperationId
);

impl TownId {
    /// The machine's name on Fly: `town-<32 hex>`. Unique per app among living machines (Fly), so a repeated create
    /// cannot make a second one.
    pub fn machine_name(self) -> String {
        format!("town-{}", self.0.simple())
    }

    /// The volume's name on Fly: `town_<24 hex>`. Fly takes at most 30 of `a-z 0-9 _`.
    pub fn volume_name(self) -> String {
        let hex = self.0.simple().to_string();
        format!("town_{}", hex.get(..24).unwrap_or(&hex))
    }
}

text_newtype!(
    /// The host application's id of a user: 1 to 255 printable characters, none of them white space.
    UserId,
    parse_user_id
);
text_newtype!(
    /// Fly's id of a machine, 14 hex digits in practice: 1 to 64 of `a-z A-Z 0-9 _ -`.
    MachineId,
    parse_provider_id
);
text_newtype!(
    /// Fly's id of a volume, `vol_` and letters in practice: 1 to 64 of `a-z A-Z 0-9 _ -`.
    VolumeId,
    parse_provider_id
);
text_newtype!(
    /// A Fly app: 1 to 62 of `a-z 0-9 -` (Fly: "under 63 chars using numbers, lowercase letters and dashes").
    AppName,
    parse_app_name
);
text_newtype!(
    /// An image a machine boots, with tag or digest: 1 to 512 printable ASCII characters.
    ImageRef,
    parse_image
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
    bounded(raw, 62)?;
    match raw.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
        Some(bad) => Err(Invalid::Character { bad, allowed: "a-z, 0-9 and '-'" }),
        None if raw.starts_with('-') || raw.ends_with('-') => Err(Invalid::Edge),
        None => Ok(raw.to_owned()),
    }
}

fn parse_image(raw: &str) -> Result<String, Invalid> {
    bounded(raw, 512)?;
    match raw.chars().find(|c| !c.is_ascii_graphic()) {
        Some(bad) => Err(Invalid::Character { bad, allowed: "printable ASCII characters" }),
        None if raw.starts_with('-') => Err(Invalid::LeadingDash),
        None => Ok(raw.to_owned()),
    }
}

/// Refuses the empty text and one of more than `max` characters.
pub(crate) fn bounded(raw: &str, max: usize) -> Result<(), Invalid> {
    if raw.is_empty() {
        return Err(Invalid::Empty);
    }
    match raw.chars().count() {
        got if got > max => Err(Invalid::TooLong { got, max }),
        _ => Ok(()),
    }
}

/// Characters that reorder or hide text when shown.
pub(crate) fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{061c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_on_fly_come_from_the_town_id() {
        let town: TownId = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b".parse().unwrap();
        assert_eq!(town.machine_name(), "town-0190a1b2c3d47e5f8a9b0c1d2e3f4a5b");
        assert_eq!(town.volume_name(), "town_0190a1b2c3d47e5f8a9b0c1d");
        assert!(town.volume_name().len() <= 30);
    }

    #[test]
    fn an_id_has_one_text_only() {
        for raw in ["", "nope", "{0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b}", "0190a1b2c3d47e5f8a9b0c1d2e3f4a5b"] {
            assert_eq!(raw.parse::<TownId>(), Err(Invalid::Shape { expected: "a UUID" }), "{raw:?}");
        }
    }

    #[test]
    fn texts_of_others_are_checked() {
        for (raw, ok) in [("user_abc123", true), ("", false), ("a b", false), ("a\u{202e}b", false), ("ü", true)] {
            assert_eq!(raw.parse::<UserId>().is_ok(), ok, "{raw:?}");
        }
        for (raw, ok) in [("kilo-dev", true), ("Kilo", false), ("-x", false), ("a_b", false)] {
            assert_eq!(raw.parse::<AppName>().is_ok(), ok, "{raw:?}");
        }
        for (raw, ok) in [("148ed21a031189", true), ("../x", false), ("vol_9vlz", true)] {
            assert_eq!(raw.parse::<MachineId>().is_ok(), ok, "{raw:?}");
        }
    }
}
