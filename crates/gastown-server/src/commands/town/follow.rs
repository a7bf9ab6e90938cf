//! Following an operation until it has ended.

use std::time::Duration;

use gastown_domain::ports::{HeldOperation, TownDetails};
use gastown_domain::{Failure, Recorded};
use gastown_persistence::Database;
use tokio::time::Instant;

use super::{Chosen, town_details};
use crate::commands::render::table::plain;
use crate::commands::say::say;

/// The pause between two reads of an operation that is followed.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// The result of following.
pub(super) enum Followed {
    /// It has ended. The rows of the town, as they were then.
    Ended(Box<TownDetails>),
    /// The time is over. The last state, in words.
    NotInTime(String),
}

/// Prints the progress until `has_ended`, unless the output is JSON.
pub(super) async fn follow(
    database: &Database,
    of: Chosen,
    timeout: Duration,
    has_ended: impl Fn(&TownDetails) -> bool,
) -> anyhow::Result<Followed> {
    let deadline = Instant::now() + timeout;
    let mut printed = String::new();
    loop {
        let found = town_details(database, of.town).await?;
        if has_ended(&found) {
            return Ok(Followed::Ended(Box::new(found)));
        }
        let now = match &found.operation {
            Some(Err(unreadable)) => format!("the operation cannot be read: {unreadable}"),
            Some(Ok(held)) => progress(held),
            None => "waiting for a worker".to_owned(),
        };
        if !of.json && now != printed {
            say(&now)?;
        }
        printed = now;
        if Instant::now() >= deadline {
            return Ok(Followed::NotInTime(printed));
        }
        tokio::time::sleep_until(deadline.min(Instant::now() + POLL_INTERVAL)).await;
    }
}

fn progress(HeldOperation { operation, held_by, .. }: &HeldOperation) -> String {
    let kind = plain(operation.kind.as_str());
    let step = plain(operation.step.as_ref().map_or("started", Recorded::as_str));
    match (&operation.step, &operation.last_error) {
        (None, None) if held_by.is_none() => format!("{kind}: waiting for a worker"),
        (_, None) => format!("{kind}: {step}"),
        (_, Some(error)) => {
            let error = error.known().unwrap_or(Failure::Unrecognized);
            format!("{kind}: {step}, attempt {} failed: {}", operation.attempt, error.message())
        }
    }
}
