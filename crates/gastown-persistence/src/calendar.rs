//! Times in the form that both databases store and compare.
//!
//! They have microseconds and a four-digit year, because SQLite compares them as text.

use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};

/// The last second of the year 9999.
const LAST_SECOND: i64 = 253_402_300_799;

/// The longest lease that the databases add to their own time.
const MAX_LEASE: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Truncates a time to microseconds, the precision of both databases.
pub(crate) fn truncated(at: DateTime<Utc>) -> DateTime<Utc> {
    at.trunc_subsecs(6)
}

/// Returns `now + wait`, or `now` if the sum is beyond the calendar. Such a lease expires at once.
pub(crate) fn after(now: DateTime<Utc>, wait: Duration) -> DateTime<Utc> {
    sum(now, wait).unwrap_or(now)
}

/// Returns the stored deadline of an operation. Without a timeout it is the last second of the calendar.
pub(crate) fn deadline(now: DateTime<Utc>, timeout: Option<Duration>) -> DateTime<Utc> {
    storable_deadline(timeout.and_then(|timeout| sum(now, timeout)))
}

/// Returns the stored form of a deadline. No deadline is the last second of the calendar.
pub(crate) fn storable_deadline(deadline: Option<DateTime<Utc>>) -> DateTime<Utc> {
    at_most_the_last(deadline.unwrap_or(DateTime::<Utc>::MAX_UTC))
}

/// Returns the deadline of its stored form.
pub(crate) fn stored_deadline(stored: DateTime<Utc>) -> Option<DateTime<Utc>> {
    (stored.timestamp() < LAST_SECOND).then_some(stored)
}

/// Limits a given time to one that can be stored.
fn at_most_the_last(at: DateTime<Utc>) -> DateTime<Utc> {
    let last = DateTime::from_timestamp(LAST_SECOND, 0).unwrap_or(DateTime::<Utc>::MAX_UTC);
    truncated(at.min(last))
}

/// Returns `now - span`, but at least the Unix epoch, which is before every stored time.
pub(crate) fn before(now: DateTime<Utc>, span: Duration) -> DateTime<Utc> {
    let then = TimeDelta::from_std(span).ok().and_then(|span| now.checked_sub_signed(span));
    then.map_or(DateTime::UNIX_EPOCH, |then| truncated(then.max(DateTime::UNIX_EPOCH)))
}

/// Returns `now`, or a later time if the last mark is not earlier. Marks of one row always differ.
pub(crate) fn later_than(before: Option<DateTime<Utc>>, now: DateTime<Utc>) -> DateTime<Utc> {
    match before {
        Some(before) if before >= now => before + TimeDelta::microseconds(1),
        _ => now,
    }
}

/// Returns a lease in whole milliseconds, or zero if it is longer than a century. A zero lease expires at once.
pub(crate) fn lease_millis(lease: Duration) -> i64 {
    let lease = if lease > MAX_LEASE { Duration::ZERO } else { lease };
    i64::try_from(lease.as_millis()).unwrap_or(0)
}

/// Returns a timeout in whole milliseconds, or `None` if there is none or it is longer than a century.
pub(crate) fn timeout_millis(timeout: Option<Duration>) -> Option<i64> {
    let timeout = timeout.filter(|timeout| *timeout <= MAX_LEASE)?;
    i64::try_from(timeout.as_millis()).ok()
}

fn sum(now: DateTime<Utc>, wait: Duration) -> Option<DateTime<Utc>> {
    let then = now.checked_add_signed(TimeDelta::from_std(wait).ok()?)?;
    (then.timestamp() <= LAST_SECOND).then_some(truncated(then))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CENTURIES: [Duration; 3] =
        [Duration::MAX, Duration::from_secs(9_000 * 366 * 86_400), Duration::from_secs(1 << 40)];

    fn noon() -> DateTime<Utc> {
        "2026-11-23T12:00:00.123456Z".parse().unwrap()
    }

    #[test]
    fn times_beyond_the_calendar_are_limited() {
        for endless in CENTURIES {
            assert_eq!(after(noon(), endless), noon(), "{endless:?}");
            assert_eq!(deadline(noon(), Some(endless)).to_rfc3339(), "9999-12-31T23:59:59+00:00", "{endless:?}");
            assert_eq!(before(noon(), endless), DateTime::UNIX_EPOCH, "{endless:?}");
            assert_eq!(lease_millis(endless), 0, "{endless:?}");
        }
        let minute = Duration::from_secs(60);
        assert_eq!(after(noon(), minute), noon() + TimeDelta::seconds(60));
        assert_eq!(deadline(noon(), Some(minute)), noon() + TimeDelta::seconds(60));
        assert_eq!(before(noon(), minute), noon() - TimeDelta::seconds(60));
        assert_eq!(lease_millis(minute), 60_000);
    }

    #[test]
    fn mark_is_later_than_the_last_one_even_if_the_clock_goes_back() {
        let microsecond = TimeDelta::microseconds(1);
        assert_eq!(later_than(None, noon()), noon());
        assert_eq!(later_than(Some(noon() - microsecond), noon()), noon());
        assert_eq!(later_than(Some(noon()), noon()), noon() + microsecond);
        assert_eq!(later_than(Some(noon() + microsecond), noon()), noon() + microsecond * 2);
    }
}
