//! What an operator asked for where the registry's answer got lost: a failed commit may have happened, so a look tells
//! (FM-46). Where the look fails too, or finds nothing, the failure is told.

use chrono::{DateTime, Utc};
use gastown_domain::TownId;
use gastown_domain::ports::{NewOperation, Operations, Operator, Requested, Retried, StoreError};

/// How many of a town's events are looked through for the retry.
const EVENTS: u32 = 20;

/// [`Operator::destroy`]. The operation's id is ours: what is in flight under it was accepted, and what ended under it
/// leaves nothing to ask for.
pub(super) async fn destroy(
    operator: &dyn Operator,
    operations: &dyn Operations,
    wish: &NewOperation,
    actor: &str,
) -> Result<Requested, StoreError> {
    let error = match operator.destroy(wish, actor).await {
        Err(error @ StoreError::Unavailable { .. }) => error,
        known => return known,
    };
    if let Ok(Some(current)) = operations.current(wish.town).await
        && current.id == wish.id
    {
        return Ok(Requested::Accepted(current));
    }
    match operations.outcome(wish.id).await {
        Ok(Some(_)) => Ok(Requested::NotFound),
        Ok(None) | Err(_) => Err(error),
    }
}

/// [`Operator::retry`]. It has no id of its own: an event of it that was not there before says that it was written.
pub(super) async fn retry(operator: &dyn Operator, town: TownId, actor: &str) -> Result<Retried, StoreError> {
    let before = last_retry(operator, town, actor).await;
    let error = match operator.retry(town, actor).await {
        Err(error @ StoreError::Unavailable { .. }) => error,
        known => return known,
    };
    let after = last_retry(operator, town, actor).await;
    let written = before.is_ok_and(|before| after.is_ok_and(|after| after > before));
    let in_flight = operator.town_details(town, &[], 0).await.ok().flatten().and_then(|found| found.operation);
    match in_flight {
        Some(Ok(held)) if written => Ok(Retried::Due(Box::new(held.operation))),
        _ => Err(error),
    }
}

/// When this operator last had the town tried again.
async fn last_retry(operator: &dyn Operator, town: TownId, actor: &str) -> Result<Option<DateTime<Utc>>, StoreError> {
    let found = operator.town_details(town, &[], EVENTS).await?;
    let events = found.map(|found| found.events).unwrap_or_default();
    Ok(events.iter().filter(|event| event.action == "retry" && event.actor == actor).map(|event| event.at).max())
}

#[cfg(test)]
mod tests;
