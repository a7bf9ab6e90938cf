//! Why a text from outside is not a value of ours.

use std::net::IpAddr;

/// A value that breaks a rule. The text is for the person who sent it: it says what is wrong and what is allowed.
/// The field it belongs to is known to the caller, who names it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// Nothing was given.
    #[error("must not be empty")]
    Empty,
    /// More characters than allowed.
    #[error("is too long: {got} characters, at most {max} are allowed")]
    TooLong {
        /// Characters given.
        got: usize,
        /// Characters allowed.
        max: usize,
    },
    /// A character outside the allowed set.
    #[error("contains {bad:?}, allowed are {allowed}")]
    Character {
        /// The first offending character.
        bad: char,
        /// The allowed set, in words.
        allowed: &'static str,
    },
    /// The first or last character breaks the rule for edges.
    #[error("must begin and end with a letter or digit")]
    Edge,
    /// The name belongs to Gas Town itself.
    #[error("{word:?} is a reserved name")]
    Reserved {
        /// The reserved word.
        word: &'static str,
    },
    /// Not one of the accepted shapes.
    #[error("must be {expected}")]
    Shape {
        /// What would be accepted.
        expected: &'static str,
    },
    /// A URL that carries a user's password or token.
    #[error("must not contain credentials")]
    Credentials,
    /// A host that is loopback, link-local or private.
    #[error("must not point to a loopback, link-local or private host")]
    PrivateHost {
        /// The address, where the host is one.
        address: Option<IpAddr>,
    },
    /// Something that a program could take for an option.
    #[error("must not start with '-'")]
    LeadingDash,
    /// A number outside its range.
    #[error("must be between {min} and {max}")]
    Range {
        /// Least value.
        min: u64,
        /// Greatest value.
        max: u64,
    },
}
