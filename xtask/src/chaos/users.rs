//! The users of a run, with rows in the database and tokens as the host application signs them.

use std::sync::Arc;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use gastown_domain::UserId;
use gastown_domain::ports::Clock;
use gastown_jwt::{TokenKeys, TokenMinter};
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgPool;

/// Longer than any run.
const LIFETIME: TimeDelta = TimeDelta::hours(48);
const PEPPER: &str = "chaos";

/// A user with a token.
pub(super) struct User {
    pub(super) id: String,
    pub(super) token: SecretString,
}

/// The system clock.
struct WallClock;

impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "tokens are valid in real time")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// Inserts the users. Their ids are unique to this run, because the database may hold those of earlier runs.
pub(super) async fn insert(pool: &PgPool, seed: u64, count: u16, secret: &SecretString) -> anyhow::Result<Vec<User>> {
    let minter = TokenMinter::new(TokenKeys::new(secret)?, Arc::new(WallClock));
    let pepper = SecretString::from(PEPPER);
    let mut users = Vec::new();
    for number in 1..=count {
        let id = format!("chaos-{seed:x}-{}-{number}", std::process::id());
        sqlx::query("INSERT INTO kilocode_users (id, api_token_pepper) VALUES ($1, $2)")
            .bind(&id)
            .bind(pepper.expose_secret())
            .execute(pool)
            .await
            .context("cannot insert a user")?;
        let user: UserId = id.parse()?;
        let token = minter.mint_user_token(&user, Some(&pepper), LIFETIME)?;
        users.push(User { id, token });
    }
    Ok(users)
}
