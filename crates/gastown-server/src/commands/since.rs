//! The earliest time of a list: an age such as `24h`, or a time.

use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};

/// The earliest time of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Since {
    /// This long ago.
    Ago(TimeDelta),
    /// A time.
    At(DateTime<Utc>),
}

/// The text is neither an age nor a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an age such as 30m, 24h or 7d, or a time such as 2026-11-23T08:50:00Z")]
pub(super) struct InvalidSince;

impl Since {
    /// Returns the time.
    pub(super) fn before(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::Ago(age) => now.checked_sub_signed(age).unwrap_or(DateTime::<Utc>::MIN_UTC),
            Self::At(time) => time,
        }
    }
}

impl FromStr for Since {
    type Err = InvalidSince;

    fn from_str(raw: &str) -> Result<Self, InvalidSince> {
        if let Ok(time) = raw.parse() {
            return Ok(Self::At(time));
        }
        let unit = raw.chars().last().ok_or(InvalidSince)?;
        let digits = raw.strip_suffix(unit).unwrap_or_default();
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidSince);
        }
        // A hundred years of seconds have ten digits.
        let number = digits.parse::<u32>().map_err(|_| InvalidSince)?.into();
        let age = match unit {
            's' => TimeDelta::try_seconds(number),
            'm' => TimeDelta::try_minutes(number),
            'h' => TimeDelta::try_hours(number),
            'd' => TimeDelta::try_days(number),
            _ => None,
        };
        age.map(Self::Ago).ok_or(InvalidSince)
    }
}

impl std::fmt::Display for Since {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::At(time) => write!(f, "{}", time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)),
            Self::Ago(age) if age.num_hours() * 3600 == age.num_seconds() => write!(f, "{}h", age.num_hours()),
            Self::Ago(age) => write!(f, "{}s", age.num_seconds()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_times_are_read() {
        let now: DateTime<Utc> = "2026-11-23T12:00:00Z".parse().unwrap();
        for (raw, expected) in [
            ("90s", "2026-11-23T11:58:30Z"),
            ("30m", "2026-11-23T11:30:00Z"),
            ("24h", "2026-11-22T12:00:00Z"),
            ("7d", "2026-11-16T12:00:00Z"),
            ("2026-11-01T00:00:00+01:00", "2026-10-31T23:00:00Z"),
        ] {
            let since: Since = raw.parse().unwrap();
            assert_eq!(since.before(now), expected.parse::<DateTime<Utc>>().unwrap(), "{raw}");
            assert_eq!(since.to_string().parse::<Since>().unwrap().before(now), since.before(now), "{raw}");
        }
        assert_eq!("4000000000d".parse::<Since>().unwrap().before(now), DateTime::<Utc>::MIN_UTC);
        for raw in ["", "h", "-1h", "1w", "yesterday", "99999999999s", "1 h", "1ü"] {
            assert_eq!(raw.parse::<Since>(), Err(InvalidSince), "{raw:?}");
        }
    }
}
