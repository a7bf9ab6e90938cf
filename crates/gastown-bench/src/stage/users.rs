//! Tokens of users, as the host application signs them.

use std::sync::Arc;

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use gastown_domain::UserId;
use gastown_domain::ports::Clock;
use gastown_jwt::{TokenKeys, TokenMinter};
use gastown_secrets::DerivedTownKeys;
use secrecy::{ExposeSecret as _, SecretString};

/// The secret of this program only.
pub(super) const TOKEN_SECRET: &str = "signs-the-tokens-of-the-bench-alone";
/// The secret of the towns' keys, of this program only.
pub(super) const KEY_SECRET: &str = "derives-the-keys-of-the-bench-alone";
pub(super) const PEPPER: &str = "bench";

/// Longer than any run.
const LIFETIME: TimeDelta = TimeDelta::hours(48);

/// The system clock.
struct WallClock;

impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "tokens are valid in real time")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// Returns the tokens of the users with these numbers.
pub(crate) fn tokens(numbers: impl IntoIterator<Item = usize>) -> anyhow::Result<Vec<String>> {
    let keys = TokenKeys::new(&SecretString::from(TOKEN_SECRET)).context("failed to prepare the keys")?;
    let minter = TokenMinter::new(keys, Arc::new(WallClock));
    let pepper = SecretString::from(PEPPER);
    let token = |number: usize| -> anyhow::Result<String> {
        let user: UserId = user_id(number).parse().context("a user's id is invalid")?;
        let token = minter.mint_user_token(&user, Some(&pepper), LIFETIME).context("failed to mint a token")?;
        Ok(token.expose_secret().to_owned())
    };
    numbers.into_iter().map(token).collect()
}

/// Returns the keys with which sandboxes authenticate.
pub(crate) fn town_keys() -> anyhow::Result<DerivedTownKeys> {
    DerivedTownKeys::new(&SecretString::from(KEY_SECRET)).context("failed to prepare the towns' keys")
}

fn user_id(number: usize) -> String {
    format!("user-{number}")
}
