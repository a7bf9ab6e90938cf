//! Following an operation until it has ended.

use std::time::Duration;

use tokio::time::Instant;

use super::Chosen;
use crate::commands::render::table::plain;
use crate::commands::say::say;
use crate::operator_access::OperatorAccess;
use crate::reports::{HeldOperation, Readable, TownReport};

/// The pause between two reads of an operation that is followed.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// The result of following.
pub(super) enum Followed {
    /// It has ended. The rows of the town, as they were then.
    Ended(Box<TownReport>),
    /// The time is over. The last state, in words.
    NotInTime(String),
}

/// Prints the progress until `has_ended`, unless the output is JSON.
pub(super) async fn follow(
    access: &dyn OperatorAccess,
    of: Chosen,
    timeout: Duration,
    has_ended: impl Fn(&TownReport) -> bool,
) -> anyhow::Result<Followed> {
    let deadline = Instant::now() + timeout;
    let mut printed = String::new();
    loop {
        let found = access.town(of.town).await?;
        if has_ended(&found) {
            return Ok(Followed::Ended(Box::new(found)));
        }
        let now = match &found.operation {
            Some(Readable::Unreadable(row)) => format!("the operation cannot be read: {}", plain(&row.unreadable)),
            Some(Readable::Read(held)) => progress(held),
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
    let kind = plain(&operation.kind);
    let step = plain(operation.step.as_deref().unwrap_or("started"));
    match (&operation.step, &operation.last_error) {
        (None, None) if held_by.is_none() => format!("{kind}: waiting for a worker"),
        (_, None) => format!("{kind}: {step}"),
        (_, Some(error)) => match operation.attempt {
            // What it waits for is no failure yet.
            0 => format!("{kind}: {step}: {}", plain(&error.message)),
            attempt => format!("{kind}: {step}, attempt {attempt} failed: {}", plain(&error.message)),
        },
    }
}
