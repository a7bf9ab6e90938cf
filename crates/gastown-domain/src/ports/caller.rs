//! The caller of an operation on towns, and its authorization.

use secrecy::SecretString;

use super::VerifiedToken;
use crate::UserId;

/// The user on whose behalf an operation runs. Its text never contains a pepper.
#[derive(Debug, Clone)]
pub enum Caller {
    /// A user whose identity the embedding program has verified.
    Trusted(UserId),
    /// The user of a verified token. The registry compares its pepper with the current one, in the statement of a read.
    Token(VerifiedToken),
}

impl Caller {
    /// Returns the user.
    pub const fn user(&self) -> &UserId {
        match self {
            Self::Trusted(user) => user,
            Self::Token(token) => &token.user,
        }
    }

    /// Returns true if the caller may act for its user, whose current pepper is given.
    pub fn is_authorized(&self, current: Option<&SecretString>) -> bool {
        match self {
            Self::Trusted(_) => true,
            Self::Token(token) => token.has_pepper(current),
        }
    }
}

impl From<UserId> for Caller {
    fn from(user: UserId) -> Self {
        Self::Trusted(user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(pepper: Option<&str>) -> VerifiedToken {
        VerifiedToken { user: "alice".parse().unwrap(), pepper: pepper.map(SecretString::from) }
    }

    #[test]
    fn token_is_authorized_by_its_own_pepper_only() {
        for (own, current, want) in [
            (Some("a"), Some("a"), true),
            (Some("a"), Some("b"), false),
            (Some("a"), Some("aa"), false),
            (Some("a"), None, false),
            (None, Some("a"), false),
            (None, None, true),
        ] {
            let current = current.map(SecretString::from);
            assert_eq!(Caller::Token(token(own)).is_authorized(current.as_ref()), want, "{own:?} {current:?}");
            assert!(Caller::Trusted("alice".parse().unwrap()).is_authorized(current.as_ref()));
        }
    }

    #[test]
    fn caller_shows_its_user_and_no_pepper() {
        let caller = Caller::Token(token(Some("canary")));
        assert_eq!(caller.user(), Caller::from("alice".parse::<UserId>().unwrap()).user());
        let shown = format!("{caller:?}");
        assert!(shown.contains("alice") && !shown.contains("canary"), "{shown}");
    }
}
