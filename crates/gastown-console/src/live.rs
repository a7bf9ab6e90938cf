//! Live events over server-sent events. All viewers share one read of the registry.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use chrono::{SecondsFormat, TimeDelta};
use futures::{StreamExt as _, stream};
use gastown_domain::ports::{AuditedEvent, EventFilter, StoreError};
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Interval, MissedTickBehavior};

use crate::pages::Console;
use crate::view::{cause_of, is_failure};

/// The most viewers at a time.
pub(crate) const MAX_VIEWERS: usize = 16;
/// The interval of reads.
const EVERY: Duration = Duration::from_secs(2);
/// The ticks between two pulses, which refresh figures and keep the connection alive.
const PULSE: u32 = 5;
/// The age of the events that are read. A replica whose clock is behind writes events that are not the newest.
const WINDOW: TimeDelta = TimeDelta::minutes(2);
/// The most events of a read.
const MAX_EVENTS: u32 = 200;
/// The rows that a viewer sees.
pub(crate) const ROWS: u32 = 20;
/// The time after which a viewer connects again, so that an expired session ends.
const MAX_TIME: Duration = Duration::from_secs(15 * 60);

/// Serves the events until the viewer leaves, its time is over or the server stops.
pub(crate) async fn stream(State(console): State<Arc<Console>>) -> Response {
    let Ok(place) = Arc::clone(&console.viewers).try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many viewers\n").into_response();
    };
    let stopped = console.stop.clone().cancelled_owned();
    let values = stream::unfold(Viewer::new(console, place), |mut viewer| async move {
        let event = viewer.next().await;
        Some((Ok::<_, Infallible>(event), viewer))
    });
    let ended = Box::pin(async move {
        tokio::select! {
            () = stopped => {}
            () = tokio::time::sleep(MAX_TIME) => {}
        }
    });
    Sse::new(values.take_until(ended)).into_response()
}

/// One viewer, with the events of its last read.
struct Viewer {
    console: Arc<Console>,
    ticks: Interval,
    count: u32,
    seen: Option<Arc<Vec<AuditedEvent>>>,
    _place: OwnedSemaphorePermit,
}

impl Viewer {
    fn new(console: Arc<Console>, place: OwnedSemaphorePermit) -> Self {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { console, ticks, count: 0, seen: None, _place: place }
    }

    /// Waits for the next event: first the latest events, then new ones and pulses.
    async fn next(&mut self) -> Event {
        loop {
            self.ticks.tick().await;
            self.count = self.count.wrapping_add(1);
            let pulse = self.count.is_multiple_of(PULSE).then(|| Event::default().event("pulse").data("."));
            // A failed read is logged by the page that shows it, and repeated.
            let Ok(window) = recent(&self.console).await else {
                match pulse {
                    Some(pulse) => return pulse,
                    None => continue,
                }
            };
            let Some(seen) = self.seen.replace(Arc::clone(&window)) else {
                match latest(&self.console).await {
                    Ok(events) => return message("latest", &events),
                    Err(_) => continue,
                }
            };
            let fresh = unseen(&seen, &window);
            match pulse {
                _ if !fresh.is_empty() => return message("new", &fresh),
                Some(pulse) => return pulse,
                None => {}
            }
        }
    }
}

/// Returns the events of the last minutes, newest first.
async fn recent(console: &Console) -> Result<Arc<Vec<AuditedEvent>>, StoreError> {
    let since = Some(console.sources.clock.now() - WINDOW);
    let filter = EventFilter { since, ..EventFilter::default() };
    console.recent.get(console.sources.operator.audit(&filter, MAX_EVENTS)).await
}

/// Returns the latest events of any age.
async fn latest(console: &Console) -> Result<Vec<AuditedEvent>, StoreError> {
    console.sources.operator.audit(&EventFilter::default(), ROWS).await
}

/// Returns the events of a read that the one before did not have, in the same order.
fn unseen(before: &[AuditedEvent], now: &[AuditedEvent]) -> Vec<AuditedEvent> {
    now.iter().filter(|event| !before.contains(event)).cloned().collect()
}

fn message(name: &str, events: &[AuditedEvent]) -> Event {
    let rows: Vec<Value> = events.iter().take(ROWS as usize).map(row).collect();
    Event::default().event(name).data(Value::Array(rows).to_string())
}

/// Returns the cells of a row as texts. The script shows them as text, never as HTML.
fn row(AuditedEvent { town, owner, name, event }: &AuditedEvent) -> Value {
    json!({
        "at": event.at.to_rfc3339_opts(SecondsFormat::Secs, true),
        "townId": town.to_string(),
        "town": format!("{owner}/{name}"),
        "actor": event.actor,
        "action": event.action,
        "outcome": event.outcome,
        "failed": is_failure(&event.outcome),
        "cause": cause_of(event),
    })
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use gastown_domain::Town;
    use gastown_domain::ports::TownEvent;

    use super::*;

    fn event(second: i64, actor: &str) -> AuditedEvent {
        AuditedEvent {
            town: Town::sample().id,
            owner: "alice".to_owned(),
            name: "mill".to_owned(),
            event: TownEvent {
                at: DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(second),
                actor: actor.to_owned(),
                action: "stop".to_owned(),
                outcome: "failed".to_owned(),
                error: Some("throttled".to_owned()),
                operation: None,
                last_step: Some("power_off".to_owned()),
            },
        }
    }

    #[test]
    fn late_events_are_new_and_none_comes_twice() {
        let before = [event(3, "a"), event(2, "a")];
        let now = [event(4, "a"), event(3, "a"), event(3, "late"), event(2, "a")];
        assert_eq!(unseen(&before, &now), [event(4, "a"), event(3, "late")]);
        assert_eq!(unseen(&now, &before), []);
    }

    #[test]
    fn rows_are_texts() {
        let shown = row(&event(0, "<b>\n&"));
        assert_eq!(shown["actor"], "<b>\n&");
        assert_eq!((&shown["town"], &shown["failed"]), (&json!("alice/mill"), &json!(true)));
        assert!(shown["cause"].as_str().unwrap().starts_with("throttled: "), "{shown}");
    }
}
