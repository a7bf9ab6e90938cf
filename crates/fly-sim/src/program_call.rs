//! The kinds of requests to the program of a machine.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The maximum length of a name.
const MAX_LEN: usize = 31;

/// A kind of request to the program of a machine, named by its [`Workload`](crate::Workload).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProgramCall {
    bytes: [u8; MAX_LEN],
    len: u8,
}

impl ProgramCall {
    /// Requests without a name of their own.
    pub const OTHER: Self = Self::named("Program");

    /// Returns the kind with this name: 1 to 31 ASCII letters and digits.
    ///
    /// # Panics
    ///
    /// Panics if the name is invalid. In a constant, that is an error of the compiler.
    pub const fn named(name: &str) -> Self {
        match Self::parse(name) {
            Some(kind) => kind,
            None => panic!("a kind of request has 1 to 31 ASCII letters and digits"),
        }
    }

    const fn parse(name: &str) -> Option<Self> {
        let given = name.as_bytes();
        if given.is_empty() || given.len() > MAX_LEN {
            return None;
        }
        let mut kind = Self { bytes: [0; MAX_LEN], len: 0 };
        let mut at = 0;
        while at < given.len() {
            if !given[at].is_ascii_alphanumeric() {
                return None;
            }
            kind.bytes[at] = given[at];
            kind.len += 1;
            at += 1;
        }
        Some(kind)
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        let name = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        std::str::from_utf8(name).unwrap_or_default()
    }
}

impl fmt::Display for ProgramCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ProgramCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ProgramCall {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ProgramCall {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::parse(&name).ok_or_else(|| D::Error::custom(format!("`{name}` is no kind of call")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_survives_serialization() {
        const KIND: ProgramCall = ProgramCall::named("SandboxHealth");
        let json = serde_json::to_string(&KIND).unwrap();
        assert_eq!(json, "\"SandboxHealth\"");
        assert_eq!(serde_json::from_str::<ProgramCall>(&json).unwrap(), KIND);
    }

    #[test]
    fn invalid_names_are_refused() {
        for name in ["", "a b", &"a".repeat(32), "ö"] {
            assert!(serde_json::from_value::<ProgramCall>(name.into()).is_err(), "{name:?}");
        }
    }
}
