//! The database, its migrations, and its clock.

use chrono::TimeDelta;
use gastown_domain::ports::Clock as _;
use gastown_persistence::Database;
use gastown_system::SystemClock;
use migration::{MigrateError, at_url};
use secrecy::{ExposeSecret as _, SecretString};

use crate::commands::database;
use crate::config::required_database_url;
use crate::reports::Check;
use crate::settings_source::Source;

/// The difference of clocks from which tokens are refused.
const MAX_DIFFERENCE: TimeDelta = TimeDelta::seconds(5);

/// Adds the checks of the database. Returns it if it can be used.
pub(super) async fn checks(source: &Source, checks: &mut Vec<Check>) -> Option<Database> {
    let Ok(url) = required_database_url(source) else {
        checks.push(Check::skipped("database", "DATABASE_URL is missing or invalid"));
        return None;
    };
    if !schema(&url, checks).await {
        return None;
    }
    let database = match database::open(source).await {
        Ok(database) => database,
        Err(error) => {
            checks.push(Check::failed("sessions", &format!("{error:#}"), "see \"Poolers\" of docs/operations.md"));
            return None;
        }
    };
    checks.push(clock(&database).await);
    Some(database)
}

/// Adds the checks of the database and its migrations. Returns true if both are right.
pub(super) async fn schema(url: &SecretString, checks: &mut Vec<Check>) -> bool {
    let states = match at_url::status(url.expose_secret()).await {
        Ok(states) => states,
        Err(error) => {
            checks.push(unusable(&error));
            return false;
        }
    };
    checks.push(Check::ok("database", "it answers"));
    let pending = states.iter().filter(|state| !state.applied).count();
    if pending > 0 {
        let detail = format!("{pending} of {} are pending", states.len());
        checks.push(Check::failed("migrations", &detail, "run `gastown migrate up`"));
        return false;
    }
    checks.push(Check::ok("migrations", &format!("all {} are applied", states.len())));
    true
}

fn unusable(error: &MigrateError) -> Check {
    let mend = match error {
        MigrateError::NoSuchDatabase(_) => "correct DATABASE_URL, or create the database and run `gastown migrate up`",
        MigrateError::Address(_)
        | MigrateError::Postgres(_)
        | MigrateError::Connect(_)
        | MigrateError::Locked(_)
        | MigrateError::Failed(_)
        | MigrateError::Status(_) => "check DATABASE_URL, that the server runs, and that it can be reached from here",
    };
    Check::failed("database", &with_causes(error), mend)
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

pub(super) async fn clock(database: &Database) -> Check {
    let before = SystemClock.now();
    let time = match database.time().await {
        Ok(time) => time,
        Err(error) => return Check::failed("clock", &with_causes(&error), "repair the database"),
    };
    // The time is that of a moment between the two reads of our clock.
    let difference = (time - SystemClock.now()).abs().min((time - before).abs());
    let detail = format!("it differs from that of the database by {} ms", difference.num_milliseconds());
    if difference > MAX_DIFFERENCE {
        return Check::failed("clock", &detail, "synchronize the clocks of this machine and of the database (NTP)");
    }
    Check::ok("clock", &detail)
}
