//! Creates that were sent and not confirmed: the resource may exist, or may still appear for some time.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::Seen;

/// The creates of one resource of a town, its volume or its machine, of which nothing was observed yet (FM-02, FM-03).
///
/// It is stored before a create is sent, and taken back when the provider refuses it. The answer to a create does not end
/// it. Only the observation of the resource does, because a provider may show a resource some moments after its answer,
/// and its lists lag (FM-32).
///
/// ```
/// use gastown_domain::{Seen, UnconfirmedCreate};
/// # let now = chrono::DateTime::<chrono::Utc>::UNIX_EPOCH;
/// let create = UnconfirmedCreate::default().sent(1, now + chrono::TimeDelta::seconds(45));
/// // One empty observation proves nothing; the next one does.
/// assert_eq!(create.absence::<()>(), Seen::Unknown);
/// assert_eq!(create.after_absence().absence::<()>(), Seen::Absent);
/// // Even then something may still appear for 45 seconds.
/// assert!(create.may_still_appear(now));
/// // A resource that is found by its name is the one that was created.
/// assert_eq!(create.found(), UnconfirmedCreate::default());
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Option<Written>")]
pub struct UnconfirmedCreate {
    /// Creates of which nothing was observed yet.
    creates: u8,
    /// Agreeing observations that are still needed before absence is proven.
    looks: u8,
    /// Until then, by the database's clock, the resource may appear. `None` while the start is not known.
    until: Option<DateTime<Utc>>,
    /// Observations that are needed after that, because lists show the newest resource last.
    after: u8,
    /// The id in the row comes from the answer to one of the creates, and was not observed yet.
    named: bool,
}

impl UnconfirmedCreate {
    /// Returns the state after creates of unknown number and time, as another process may have sent them.
    pub const fn of_the_past(looks: u8) -> Self {
        Self { creates: 2, looks, until: None, after: looks, named: false }
    }

    /// Returns true while a create is unconfirmed.
    pub const fn exists(&self) -> bool {
        self.creates > 0
    }

    /// Returns the state once another create is about to be sent. Its resource appears before `until`, by the database's
    /// clock, or never.
    #[must_use]
    pub fn sent(self, looks: u8, until: DateTime<Utc>) -> Self {
        let until = self.until.map_or(until, |before| before.max(until));
        let creates = self.creates.saturating_add(1);
        Self { creates, looks, until: Some(until), after: looks, named: false }
    }

    /// Returns the state once the provider has answered with an id, which the row records from now on.
    #[must_use]
    pub const fn answered(self) -> Self {
        Self { named: true, ..self }
    }

    /// Returns true while the recorded id may not be visible yet. No other resource is adopted meanwhile.
    pub const fn awaits_recorded(&self) -> bool {
        self.named && self.looks > 0
    }

    /// Returns the state without an expiry. The next observation sets one.
    #[must_use]
    pub const fn without_expiry(self) -> Self {
        Self { until: None, ..self }
    }

    /// Returns the state after the provider denied the resource that the row records. Its create may be too recent to be
    /// shown, so the absence needs the same proof as that of a create that was answered.
    #[must_use]
    pub const fn contradicted(self, looks: u8) -> Self {
        if self.exists() { self } else { Self { creates: 1, looks, until: None, after: looks, named: true } }
    }

    /// Returns true if a create is not accounted for by the id that the row records.
    pub const fn has_unaccounted(&self) -> bool {
        self.creates > if self.named { 1 } else { 0 }
    }

    /// Returns true if there is one create and no other.
    pub const fn is_only_one(&self) -> bool {
        self.creates == 1
    }

    /// Returns the state with the expiry set where none is set.
    #[must_use]
    pub fn bounded(self, until: DateTime<Utc>) -> Self {
        if self.exists() { Self { until: Some(self.until.unwrap_or(until)), ..self } } else { self }
    }

    /// Returns the state once the resource that the row records was observed.
    #[must_use]
    pub const fn recorded_seen(self) -> Self {
        if self.named { self.found() } else { self }
    }

    /// Returns the state once a resource that the row did not record was found by its name.
    #[must_use]
    pub const fn found(self) -> Self {
        match self.creates {
            0 | 1 => Self { creates: 0, looks: 0, until: None, after: 0, named: false },
            more => Self { creates: more - 1, looks: 0, named: false, ..self },
        }
    }

    /// Judges an observation that showed nothing: absent if it proves absence, else unknown.
    pub const fn absence<T>(&self) -> Seen<T> {
        if self.looks == 0 { Seen::Absent } else { Seen::Unknown }
    }

    /// Returns the state after an observation that showed nothing.
    #[must_use]
    pub const fn after_absence(self) -> Self {
        Self { looks: self.looks.saturating_sub(1), ..self }
    }

    /// Returns true while the end of the operation has to wait. The resource may still appear, or no list may show it yet.
    /// `now` is the database's time from before the observation.
    pub fn may_still_appear(&self, now: DateTime<Utc>) -> bool {
        self.exists() && (self.is_before_expiry(now) || self.after > 0)
    }

    /// Returns the state after a complete observation at `now`. Observations count once the expiry is over.
    #[must_use]
    pub fn after_observation(self, now: DateTime<Utc>) -> Self {
        if self.is_before_expiry(now) { self } else { Self { after: self.after.saturating_sub(1), ..self } }
    }

    fn is_before_expiry(&self, now: DateTime<Utc>) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// The stored form. Earlier versions wrote only the number of needed observations, or null.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Looks(u8),
    Whole { creates: u8, looks: u8, until: Option<DateTime<Utc>>, after: u8, named: bool },
}

impl From<Option<Written>> for UnconfirmedCreate {
    fn from(written: Option<Written>) -> Self {
        match written {
            None => Self::default(),
            Some(Written::Looks(looks)) => Self::of_the_past(looks),
            Some(Written::Whole { creates, looks, until, after, named }) => {
                Self { creates, looks, until, after, named }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn sent_at(seconds: i64) -> UnconfirmedCreate {
        UnconfirmedCreate::default().sent(3, at(seconds + 45))
    }

    /// Judges observations at these times, one after the other.
    fn pending_at<const N: usize>(create: UnconfirmedCreate, times: [i64; N]) -> [bool; N] {
        let mut create = create;
        times.map(|now| {
            let pending = create.may_still_appear(at(now));
            create = create.after_observation(at(now));
            pending
        })
    }

    fn proven_absent(create: UnconfirmedCreate) -> UnconfirmedCreate {
        let mut create = create;
        while create.absence::<()>() == Seen::Unknown {
            create = create.after_absence();
        }
        create
    }

    #[test]
    fn an_answered_create_is_unconfirmed_until_it_is_observed() {
        let create = sent_at(0).recorded_seen();
        assert!(create.exists(), "the row records something else");
        assert!(!create.awaits_recorded());
        let create = create.answered();
        assert!(create.awaits_recorded());
        assert_eq!(create.absence::<()>(), Seen::Unknown);
        assert_eq!(create.after_absence().recorded_seen(), UnconfirmedCreate::default());
    }

    #[test]
    fn one_of_two_creates_stays_unconfirmed_until_it_cannot_appear() {
        let create = proven_absent(sent_at(0)).sent(3, at(10 + 45)).answered().recorded_seen().recorded_seen();
        assert_eq!(create.absence::<()>(), Seen::Absent);
        let pending = pending_at(create, [54, 54, 55, 57, 59, 61]);
        assert_eq!(pending, [true, true, true, true, true, false], "three observations after the expiry");
    }

    #[test]
    fn a_create_of_the_past_is_bounded_once() {
        let create = UnconfirmedCreate::of_the_past(1);
        assert!(create.may_still_appear(at(1_000_000)));
        let create = create.bounded(at(45)).bounded(at(90));
        assert_eq!(pending_at(create, [44, 45, 45]), [true, true, false]);
        assert_eq!(UnconfirmedCreate::default().bounded(at(45)), UnconfirmedCreate::default());
    }

    #[test]
    fn wait_starts_again_without_an_expiry() {
        let create = sent_at(0).without_expiry().bounded(at(40 + 45));
        assert!(create.may_still_appear(at(84)));
    }

    #[test]
    fn rows_of_older_versions_parse() {
        for (written, want) in [("null", UnconfirmedCreate::default()), ("3", UnconfirmedCreate::of_the_past(3))] {
            assert_eq!(serde_json::from_str::<UnconfirmedCreate>(written).unwrap(), want, "{written}");
        }
        for create in [UnconfirmedCreate::default(), sent_at(0), UnconfirmedCreate::of_the_past(2)] {
            let written = serde_json::to_string(&create).unwrap();
            assert_eq!(serde_json::from_str::<UnconfirmedCreate>(&written).unwrap(), create, "{written}");
        }
    }
}
