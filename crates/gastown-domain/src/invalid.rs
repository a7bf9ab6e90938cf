//! Errors of values that come from outside and break a rule.

use std::net::IpAddr;

/// A value that breaks a rule.
///
/// The message is for the person who sent the value. It says what is wrong and what is allowed. The caller adds the name
/// of the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// The value is empty.
    #[error("must not be empty")]
    Empty,
    /// The value has more characters than allowed.
    #[error("is too long: {got} characters, at most {max} are allowed")]
    TooLong {
        /// The number of characters given.
        got: usize,
        /// The number of characters allowed.
        max: usize,
    },
    /// The value has a character outside the allowed set.
    #[error("contains {bad:?}, only {allowed} are allowed")]
    Character {
        /// The first character that is not allowed.
        bad: char,
        /// The allowed set, in words.
        allowed: &'static str,
    },
    /// The first or last character is not a letter or digit.
    #[error("must begin and end with a letter or digit")]
    Edge,
    /// The name is reserved by Gas Town.
    #[error("{word:?} is a reserved name")]
    Reserved {
        /// The reserved word.
        word: &'static str,
    },
    /// The value has none of the accepted forms.
    #[error("must be {expected}")]
    Shape {
        /// The accepted form, in words.
        expected: &'static str,
    },
    /// The URL contains a password or a token.
    #[error("must not contain credentials")]
    Credentials,
    /// The host is loopback, link-local or private.
    #[error("must not point to a loopback, link-local or private host")]
    PrivateHost {
        /// The address, if the host is an IP address.
        address: Option<IpAddr>,
    },
    /// A program could mistake the value for an option.
    #[error("must not start with '-'")]
    LeadingDash,
    /// The number is outside its range.
    #[error("must be between {min} and {max}")]
    Range {
        /// The smallest allowed value.
        min: u64,
        /// The largest allowed value.
        max: u64,
    },
}
