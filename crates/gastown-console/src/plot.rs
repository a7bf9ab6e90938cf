//! The plot of the last hours: how long operations took, and how many failed. Pure: from events to buckets to SVG.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use gastown_domain::ports::AuditedEvent;
use gastown_domain::{EventOutcome, OperationId};
use maud::{Markup, html};

/// The hours that the plot shows.
pub(crate) const HOURS: u32 = 6;
/// The number of buckets, each of ten minutes.
const BUCKETS: u32 = HOURS * 6;
/// The time of a bucket.
const BUCKET: TimeDelta = TimeDelta::minutes(10);

/// The size of the picture, and the edges of the plot in it.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 230.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 738.0;
const TOP: f64 = 12.0;
const FLOOR: f64 = 160.0;
/// The height of the bars of failures below the floor.
const FAILURES_TOP: f64 = 168.0;
const FAILURES_FLOOR: f64 = 208.0;

/// The durations at the grid lines. The scale is logarithmic, because operations take milliseconds to hours.
const GRID: [(f64, &str); 6] =
    [(0.1, "0.1 s"), (1.0, "1 s"), (10.0, "10 s"), (60.0, "1 min"), (600.0, "10 min"), (3600.0, "1 h")];

/// The operations that ended within ten minutes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Bucket {
    /// The operations that reached their goal, or were replaced by another one.
    pub(crate) done: usize,
    /// Those that failed or were rolled back.
    pub(crate) failed: usize,
    /// The median of their durations, as far as their start is known.
    pub(crate) median: Option<Duration>,
    /// The longest duration.
    pub(crate) longest: Option<Duration>,
}

/// Sorts the ends of operations into buckets, oldest first. The last bucket ends at `now`.
pub(crate) fn buckets(events: &[AuditedEvent], now: DateTime<Utc>) -> Vec<Bucket> {
    let accepted: HashMap<OperationId, DateTime<Utc>> = events
        .iter()
        .filter(|event| outcome(event) == Some(EventOutcome::Accepted))
        .filter_map(|event| Some((event.event.operation?, event.event.at)))
        .collect();
    let mut sorted = vec![(Bucket::default(), Vec::new()); BUCKETS as usize];
    for AuditedEvent { event, .. } in events.iter().filter(|event| event.event.operation.is_some()) {
        let is_failed = match event.outcome.parse() {
            Ok(EventOutcome::Done | EventOutcome::Preempted) => false,
            Ok(EventOutcome::Failed | EventOutcome::RolledBack) => true,
            Ok(EventOutcome::Accepted | EventOutcome::Observed) | Err(_) => continue,
        };
        let Some((bucket, took)) = position(event.at, now).and_then(|at| sorted.get_mut(at)) else { continue };
        if is_failed {
            bucket.failed += 1;
        } else {
            bucket.done += 1;
        }
        let start = event.operation.and_then(|operation| accepted.get(&operation));
        took.extend(start.and_then(|start| (event.at - *start).to_std().ok()));
    }
    sorted.into_iter().map(|(bucket, took)| with_durations(bucket, took)).collect()
}

fn outcome(event: &AuditedEvent) -> Option<EventOutcome> {
    event.event.outcome.parse().ok()
}

/// Returns the bucket of a time. `None`: too old. A time ahead of `now` is of a replica whose clock is ahead.
fn position(at: DateTime<Utc>, now: DateTime<Utc>) -> Option<usize> {
    let age = (now - at).max(TimeDelta::zero());
    let back = usize::try_from(age.num_seconds() / BUCKET.num_seconds()).ok()?;
    (BUCKETS as usize).checked_sub(back + 1)
}

fn with_durations(bucket: Bucket, mut took: Vec<Duration>) -> Bucket {
    took.sort_unstable();
    Bucket { median: took.get(took.len() / 2).copied(), longest: took.last().copied(), ..bucket }
}

/// Draws the buckets. A screen reader gets the sums.
pub(crate) fn svg(buckets: &[Bucket], now: DateTime<Utc>) -> Markup {
    let (done, failed) = (sum(buckets, |bucket| bucket.done), sum(buckets, |bucket| bucket.failed));
    let most = buckets.iter().map(|bucket| bucket.failed).max().unwrap_or_default();
    let summary = format!("In the last {HOURS} hours {done} operations succeeded and {failed} failed.");
    html! {
        svg class="plot" viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(summary) {
            @for (seconds, label) in GRID {
                line class="grid" x1=(LEFT) x2=(RIGHT) y1=(y(seconds)) y2=(y(seconds)) {}
                text class="scale" x=(LEFT - 6.0) y=(y(seconds)) { (label) }
            }
            line class="axis" x1=(LEFT) x2=(RIGHT) y1=(FLOOR) y2=(FLOOR) {}
            line class="axis" x1=(LEFT) x2=(RIGHT) y1=(FAILURES_FLOOR) y2=(FAILURES_FLOOR) {}
            text class="scale" x=(LEFT - 6.0) y=(FAILURES_TOP + 20.0) { "failed" }
            @for (at, bucket) in buckets.iter().enumerate() { (drawn(at, bucket, most)) }
            @for hour in 0..=HOURS { (hour_mark(hour, now)) }
        }
    }
}

fn sum(buckets: &[Bucket], of: impl Fn(&Bucket) -> usize) -> usize {
    buckets.iter().map(of).sum()
}

fn drawn(at: usize, bucket: &Bucket, most: usize) -> Markup {
    let Bucket { done, failed, median, longest } = bucket;
    let width = (RIGHT - LEFT) / f64::from(BUCKETS);
    let left = LEFT + width * as_number(at);
    let middle = rounded(left + width / 2.0);
    let share = if most == 0 { 0.0 } else { as_number(*failed) / as_number(most) };
    let height = (FAILURES_FLOOR - FAILURES_TOP) * share;
    html! {
        @if done + failed > 0 {
            g {
                title {
                    (done) " done, " (failed) " failed"
                    @if let (Some(median), Some(longest)) = (median, longest) {
                        ", median " (seconds(*median)) ", longest " (seconds(*longest))
                    }
                }
                @if let (Some(median), Some(longest)) = (median, longest) {
                    line class="span" x1=(middle) x2=(middle) y1=(y(median.as_secs_f64())) y2=(y(longest.as_secs_f64())) {}
                    circle class="median" cx=(middle) cy=(y(median.as_secs_f64())) r="3.5" {}
                }
                @if *failed > 0 {
                    rect class="failed" x=(rounded(left + 2.0)) y=(rounded(FAILURES_FLOOR - height))
                        width=(rounded(width - 4.0)) height=(rounded(height)) {}
                }
            }
        }
    }
}

fn hour_mark(hour: u32, now: DateTime<Utc>) -> Markup {
    let share = f64::from(hour) / f64::from(HOURS);
    let at = now - TimeDelta::hours(i64::from(HOURS - hour));
    html! {
        text class="hour" x=(rounded(LEFT + (RIGHT - LEFT) * share)) y=(FAILURES_FLOOR + 16.0) { (at.format("%H:%M")) }
    }
}

/// Returns the height of a duration. What is shorter or longer than the scale is at its edge.
fn y(seconds: f64) -> f64 {
    let (least, most) = (0.1_f64.log10(), 3600.0_f64.log10());
    let share = ((seconds.max(0.001).log10() - least) / (most - least)).clamp(0.0, 1.0);
    rounded(FLOOR - (FLOOR - TOP) * share)
}

fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Counts here are far below the limit of whole numbers in a float.
fn as_number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 120.0 { format!("{seconds:.1} s") } else { format!("{:.0} min", seconds / 60.0) }
}

#[cfg(test)]
mod tests {
    use gastown_domain::Town;
    use gastown_domain::ports::TownEvent;

    use super::*;

    const NOW: DateTime<Utc> = DateTime::<Utc>::UNIX_EPOCH;

    /// Returns the acceptance and the end of an operation that ended `ago` and took so long.
    fn operation(number: u128, ago: TimeDelta, took: TimeDelta, outcome: &str) -> [AuditedEvent; 2] {
        let id = OperationId::new(format!("{number:032x}").parse().unwrap());
        let event = |at, outcome: &str| AuditedEvent {
            town: Town::sample().id,
            owner: "alice".to_owned(),
            name: "mill".to_owned(),
            event: TownEvent {
                at,
                actor: "alice".to_owned(),
                action: "start".to_owned(),
                outcome: outcome.to_owned(),
                error: None,
                operation: Some(id),
                last_step: None,
            },
        };
        [event(NOW - ago - took, "accepted"), event(NOW - ago, outcome)]
    }

    #[test]
    fn ends_are_counted_in_their_bucket_with_their_durations() {
        let minutes = TimeDelta::minutes;
        let seconds = TimeDelta::seconds;
        let mut events = [
            operation(1, seconds(0), seconds(3), "done"),
            operation(2, seconds(599), seconds(30), "failed"),
            operation(3, minutes(9), seconds(5), "rolled_back"),
            operation(4, minutes(10), seconds(7), "preempted"),
            operation(5, minutes(359), minutes(30), "done"),
            operation(6, minutes(360), seconds(1), "failed"),
            operation(7, -minutes(1), seconds(4), "done"),
            operation(8, minutes(1), seconds(1), "of_the_future"),
        ]
        .concat();
        // The acceptance of the first is older than the events that were read.
        events.remove(0);
        let found = buckets(&events, NOW);
        assert_eq!(found.len(), 36);
        let took = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(found[35], Bucket { done: 2, failed: 2, median: took(5), longest: took(30) });
        assert_eq!(found[34], Bucket { done: 1, failed: 0, median: took(7), longest: took(7) });
        assert_eq!(found[0], Bucket { done: 1, failed: 0, median: took(1800), longest: took(1800) });
        assert!(found[1..34].iter().all(|bucket| *bucket == Bucket::default()));
    }

    #[test]
    fn picture_is_bounded_and_has_the_sums() {
        let events: Vec<_> = (0..2000)
            .flat_map(|n| {
                operation(n, TimeDelta::seconds(i64::try_from(n).unwrap() * 10), TimeDelta::hours(9), "failed")
            })
            .collect();
        let drawn = svg(&buckets(&events, NOW), NOW).into_string();
        assert!(drawn.contains("0 operations succeeded and 2000 failed"), "{drawn}");
        assert!(drawn.len() < 20_000, "{}", drawn.len());
        let empty = svg(&buckets(&[], NOW), NOW).into_string();
        assert!(!empty.contains("circle") && empty.contains("00:00"), "{empty}");
        assert!((y(9e9) - TOP).abs() < 0.1 && (y(0.0) - FLOOR).abs() < 0.1);
    }
}
