//! The apps that towns are in.

use sha2::{Digest as _, Sha256};

use crate::{AppName, Invalid, UserId};

/// The placement of towns in apps. An app is the provider's namespace for machines and volumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppPlacement {
    /// One app for all towns, created by an operator.
    Shared(AppName),
    /// One app per user, created when needed, with a private network of its own.
    PerUser {
        /// The organization that the apps belong to.
        organization: String,
        /// The prefix of the apps' names.
        prefix: AppName,
    },
}

impl AppPlacement {
    /// Number of hex digits of a user's digest in an app's name.
    const USER_DIGITS: usize = 20;

    /// Returns the app of a user's towns. The app of one user is `<prefix>-<20 hex digits of the user id's SHA-256>`.
    ///
    /// Errors: the prefix makes the name too long.
    pub fn app_of(&self, user: &UserId) -> Result<AppName, Invalid> {
        match self {
            Self::Shared(app) => Ok(app.clone()),
            Self::PerUser { prefix, .. } => {
                let digest = Sha256::digest(user.as_str().as_bytes());
                let bytes = digest.iter().take(Self::USER_DIGITS / 2);
                bytes.fold(format!("{prefix}-"), |name, byte| name + &format!("{byte:02x}")).parse()
            }
        }
    }

    /// Returns true if towns may be in the app. The prefix alone does not decide, because it also begins the names of
    /// another stage's apps: `gt-staging-…`.
    pub fn includes(&self, app: &AppName) -> bool {
        match self {
            Self::Shared(shared) => app == shared,
            Self::PerUser { prefix, .. } => {
                let rest = app.as_str().strip_prefix(prefix.as_str()).and_then(|rest| rest.strip_prefix('-'));
                rest.is_some_and(is_user_digest)
            }
        }
    }
}

fn is_user_digest(digits: &str) -> bool {
    let is_digit = |digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    digits.len() == AppPlacement::USER_DIGITS && digits.bytes().all(is_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn per_user(prefix: &str) -> AppPlacement {
        AppPlacement::PerUser { organization: "acme".to_owned(), prefix: prefix.parse().unwrap() }
    }

    #[test]
    fn the_app_of_a_user_is_derived_from_the_users_id() {
        let placement = per_user("gastown");
        let app = placement.app_of(&"user_abc123".parse().unwrap()).unwrap();
        assert_eq!(app.as_str(), "gastown-5a2e084061eae2209d14");
        assert_ne!(app, placement.app_of(&"user_abc124".parse().unwrap()).unwrap());
        assert!(placement.includes(&app));
    }

    #[test]
    fn a_shared_app_is_the_app_of_every_user() {
        let shared = AppPlacement::Shared("one".parse().unwrap());
        assert_eq!(shared.app_of(&"user_abc123".parse().unwrap()).unwrap().as_str(), "one");
        assert!(shared.includes(&"one".parse().unwrap()));
        assert!(!shared.includes(&"two".parse().unwrap()));
    }

    #[test]
    fn only_the_apps_of_users_are_included() {
        let digits = "0a".repeat(10);
        for (name, included) in [
            (format!("gt-{digits}"), true),
            (format!("gt-staging-{digits}"), false),
            (format!("gt{digits}"), false),
            (format!("gt-{digits}0"), false),
            (format!("other-{digits}"), false),
            ("gt-0g0a0a0a0a0a0a0a0a0a".to_owned(), false),
            ("gt-web".to_owned(), false),
        ] {
            assert_eq!(per_user("gt").includes(&name.parse().unwrap()), included, "{name}");
        }
    }
}
