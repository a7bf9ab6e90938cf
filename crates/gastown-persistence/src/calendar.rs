//! Times as both databases keep and compare them: to the microsecond, and with four digits for the year, for SQLite
//! compares them as texts.

use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};

/// The last second of the year 9999.
const LAST_SECOND: i64 = 253_402_300_799;

/// What both databases keep of a time: microseconds.
pub(crate) fn truncated(at: DateTime<Utc>) -> DateTime<Utc> {
    at.trunc_subsecs(6)
}

/// A time that a duration leads beyond the calendar stays where it was: such a lease is over at once.
pub(crate) fn after(now: DateTime<Utc>, wait: Duration) -> DateTime<Utc> {
    sum(now, wait).unwrap_or(now)
}

/// Returns the stored deadline of an operation. One without a time-out has the last second of the calendar.
pub(crate) fn deadline(now: DateTime<Utc>, timeout: Option<Duration>) -> DateTime<Utc> {
    let deadline = timeout.and_then(|timeout| sum(now, timeout));
    at_most_the_last(deadline.unwrap_or(DateTime::<Utc>::MAX_UTC))
}

/// Returns the deadline that a stored one stands for: the last second of the calendar is none.
pub(crate) fn stored_deadline(stored: DateTime<Utc>) -> Option<DateTime<Utc>> {
    (stored.timestamp() < LAST_SECOND).then_some(stored)
}

/// A time that was given, as it can be kept.
pub(crate) fn at_most_the_last(at: DateTime<Utc>) -> DateTime<Utc> {
    let last = DateTime::from_timestamp(LAST_SECOND, 0).unwrap_or(DateTime::<Utc>::MAX_UTC);
    truncated(at.min(last))
}

/// So long ago; at the earliest when Unix began, which is before anything that is remembered here.
pub(crate) fn before(now: DateTime<Utc>, span: Duration) -> DateTime<Utc> {
    let then = TimeDelta::from_std(span).ok().and_then(|span| now.checked_sub_signed(span));
    then.map_or(DateTime::UNIX_EPOCH, |then| truncated(then.max(DateTime::UNIX_EPOCH)))
}

/// Now, but later than a time before: two marks of one row are never the same, however coarse the clock.
pub(crate) fn later_than(before: Option<DateTime<Utc>>, now: DateTime<Utc>) -> DateTime<Utc> {
    match before {
        Some(before) if before >= now => before + TimeDelta::microseconds(1),
        _ => now,
    }
}

fn sum(now: DateTime<Utc>, wait: Duration) -> Option<DateTime<Utc>> {
    let then = now.checked_add_signed(TimeDelta::from_std(wait).ok()?)?;
    (then.timestamp() <= LAST_SECOND).then_some(truncated(then))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> DateTime<Utc> {
        "2026-11-23T12:00:00.123456Z".parse().unwrap()
    }

    #[test]
    fn what_leads_beyond_the_calendar_ends_with_it_or_does_not_begin() {
        for endless in [Duration::MAX, Duration::from_secs(9_000 * 366 * 86_400), Duration::from_secs(1 << 40)] {
            assert_eq!(after(noon(), endless), noon(), "{endless:?}");
            assert_eq!(deadline(noon(), Some(endless)).to_rfc3339(), "9999-12-31T23:59:59+00:00", "{endless:?}");
            assert_eq!(before(noon(), endless), DateTime::UNIX_EPOCH, "{endless:?}");
        }
        let minute = Duration::from_secs(60);
        assert_eq!(after(noon(), minute), noon() + TimeDelta::seconds(60));
        assert_eq!(deadline(noon(), Some(minute)), noon() + TimeDelta::seconds(60));
        assert_eq!(before(noon(), minute), noon() - TimeDelta::seconds(60));
    }

    #[test]
    fn a_mark_is_later_than_the_one_before_also_where_the_clock_stands_or_goes_back() {
        let microsecond = TimeDelta::microseconds(1);
        assert_eq!(later_than(None, noon()), noon());
        assert_eq!(later_than(Some(noon() - microsecond), noon()), noon());
        assert_eq!(later_than(Some(noon()), noon()), noon() + microsecond);
        assert_eq!(later_than(Some(noon() + microsecond), noon()), noon() + microsecond * 2);
    }
}
