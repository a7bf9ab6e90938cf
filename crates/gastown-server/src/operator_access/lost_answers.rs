//! Requests of an operator whose answer from the registry was lost. The failed commit may have happened, so the registry is
//! read again (FM-46). If that fails or finds nothing, the failure is returned.

use chrono::{DateTime, Utc};
use gastown_domain::TownId;
use gastown_domain::ports::{NewOperation, Operations, Operator, Requested, Retried, StoreError};

/// The number of latest events that are searched for the retry.
const EVENTS: u32 = 20;

/// Calls [`Operator::destroy`]. The operation has a new id. After a lost answer, an operation in flight with this id was
/// accepted, and one that has ended has destroyed the town. The first is returned as `Joined`.
pub(super) async fn destroy(
    operator: &dyn Operator,
    operations: &dyn Operations,
    request: &NewOperation,
    actor: &str,
) -> Result<Requested, StoreError> {
    let error = match operator.destroy(request, actor).await {
        Err(error @ StoreError::Unavailable { .. }) => error,
        known => return known,
    };
    if let Ok(Some(current)) = operations.current(request.town).await
        && current.id == request.id
    {
        return Ok(Requested::Joined(current));
    }
    match operations.outcome(request.id).await {
        Ok(Some(_)) => Ok(Requested::NotFound),
        Ok(None) | Err(_) => Err(error),
    }
}

/// Calls [`Operator::request_as`]. Returns `None` if it was accepted and has ended meanwhile.
pub(super) async fn request(
    operator: &dyn Operator,
    operations: &dyn Operations,
    request: &NewOperation,
    actor: &str,
) -> Result<Option<Requested>, StoreError> {
    let error = match operator.request_as(request, actor).await {
        Err(error @ StoreError::Unavailable { .. }) => error,
        known => return known.map(Some),
    };
    if let Ok(Some(current)) = operations.current(request.town).await
        && current.id == request.id
    {
        return Ok(Some(Requested::Joined(current)));
    }
    match operations.outcome(request.id).await {
        Ok(Some(_)) => Ok(None),
        Ok(None) | Err(_) => Err(error),
    }
}

/// Calls [`Operator::retry`]. It has no id, so after a lost answer a new event shows that it was written.
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

/// Returns the time of the operator's last retry.
async fn last_retry(operator: &dyn Operator, town: TownId, actor: &str) -> Result<Option<DateTime<Utc>>, StoreError> {
    let found = operator.town_details(town, &[], EVENTS).await?;
    let events = found.map(|found| found.events).unwrap_or_default();
    Ok(events.iter().filter(|event| event.action == "retry" && event.actor == actor).map(|event| event.at).max())
}

#[cfg(test)]
mod tests;
