//! What is not known of creates that were sent: whether they made something, and for how long it may still appear.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::Seen;

/// The creates of one thing of a town, its volume or its machine, of which nothing was seen yet (FM-02, FM-03).
///
/// It is written down before a create is sent, and taken back where Fly refused it. An answer alone does not end it, but the
/// sight of what was made: Fly may show a thing some moments after it said that it made it, and its lists lag (FM-32).
///
/// ```
/// use gastown_domain::{UnconfirmedCreate, Seen};
/// # let now = chrono::DateTime::<chrono::Utc>::UNIX_EPOCH;
/// let mut doubt = UnconfirmedCreate::default();
/// doubt.sent(2, now + chrono::TimeDelta::seconds(45));
/// // Two looks have to agree that there is nothing, and even then something may come for 45 seconds.
/// assert_eq!([doubt.absent::<()>(), doubt.absent(), doubt.absent()], [Seen::Unknown, Seen::Unknown, Seen::Absent]);
/// assert!(doubt.outwaits(now));
/// // What is found by its name is what was made.
/// doubt.found();
/// assert_eq!(doubt, UnconfirmedCreate::default());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Option<Written>")]
pub struct UnconfirmedCreate {
    /// Creates of which nothing was seen yet.
    creates: u8,
    /// Agreeing looks that are still wanted before what does not show is absent.
    looks: u8,
    /// Until then, by the database's clock, something may appear; `None` where it is not known since when.
    until: Option<DateTime<Utc>>,
    /// Looks that are wanted after that, for what has appeared last is what lists show last.
    after: u8,
    /// The row's id came with an answer to one of them, and was not seen yet.
    named: bool,
}

impl UnconfirmedCreate {
    /// Of what was asked before by somebody who left no word: it is not known how often, nor when.
    pub const fn of_the_past(looks: u8) -> Self {
        Self { creates: 2, looks, until: None, after: looks, named: false }
    }

    /// Whether there is any.
    pub const fn exists(&self) -> bool {
        self.creates > 0
    }

    /// A create is about to be sent; what it makes appears before `until`, by the database's clock, or never.
    pub fn sent(&mut self, looks: u8, until: DateTime<Utc>) {
        let until = self.until.map_or(until, |before| before.max(until));
        let creates = self.creates.saturating_add(1);
        *self = Self { creates, looks, until: Some(until), after: looks, named: false };
    }

    /// Fly said what it made, and the row names it from now on.
    pub const fn answered(&mut self) {
        self.named = true;
    }

    /// Whether what the row names may not show yet, so that nothing else is to be taken for it.
    pub const fn is_about_the_named(&self) -> bool {
        self.named && self.looks > 0
    }

    /// Another driver goes on: who drove before may still be about to send what is written down here.
    pub const fn taken_over(&mut self) {
        self.until = None;
    }

    /// Of a doubt without an end, for it is not known since when it is one: it ends then.
    pub fn bound(&mut self, until: DateTime<Utc>) {
        if self.exists() {
            self.until.get_or_insert(until);
        }
    }

    /// What the row names was seen.
    pub fn seen(&mut self) {
        if self.named {
            self.found();
        }
    }

    /// A thing that the row did not name was found by its name.
    pub fn found(&mut self) {
        *self = match self.creates {
            0 | 1 => Self::default(),
            more => Self { creates: more - 1, looks: 0, named: false, ..*self },
        };
    }

    /// A look has found nothing: is that a proof?
    pub const fn absent<T>(&mut self) -> Seen<T> {
        match self.looks.checked_sub(1) {
            Some(fewer) => {
                self.looks = fewer;
                Seen::Unknown
            }
            None => Seen::Absent,
        }
    }

    /// Whether the end has to wait after this look, for something may still appear, or have appeared where no list shows it
    /// yet. `now` is the database's clock from before the look.
    pub fn outwaits(&mut self, now: DateTime<Utc>) -> bool {
        if !self.exists() {
            return false;
        }
        if self.until.is_none_or(|until| now < until) {
            return true;
        }
        let wanted = self.after;
        self.after = wanted.saturating_sub(1);
        wanted > 0
    }
}

/// As it stands in a row: earlier versions wrote how many looks were wanted, and nothing where there was no doubt.
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
        let mut doubt = UnconfirmedCreate::default();
        doubt.sent(3, at(seconds + 45));
        doubt
    }

    #[test]
    fn what_was_answered_is_in_doubt_until_it_was_seen() {
        let mut doubt = sent_at(0);
        doubt.seen();
        assert!(doubt.exists(), "the row names something else");
        assert!(!doubt.is_about_the_named());
        doubt.answered();
        assert!(doubt.is_about_the_named());
        assert_eq!(doubt.absent::<()>(), Seen::Unknown);
        doubt.seen();
        assert_eq!(doubt, UnconfirmedCreate::default());
    }

    #[test]
    fn of_two_creates_the_one_that_is_not_seen_stays_in_doubt_as_long_as_it_may_land() {
        let mut doubt = sent_at(0);
        while doubt.absent::<()>() == Seen::Unknown {}
        doubt.sent(3, at(10 + 45));
        doubt.answered();
        doubt.seen();
        doubt.seen();
        assert_eq!(doubt.absent::<()>(), Seen::Absent);
        let outwaits: Vec<_> = [54, 54, 55, 57, 59, 61].into_iter().map(|now| doubt.outwaits(at(now))).collect();
        assert_eq!(outwaits, [true, true, true, true, true, false], "three looks after the last moment");
    }

    #[test]
    fn a_doubt_of_the_past_is_bounded_by_whoever_heeds_it_first() {
        let mut doubt = UnconfirmedCreate::of_the_past(1);
        assert!(doubt.outwaits(at(1_000_000)));
        doubt.bound(at(45));
        doubt.bound(at(90));
        assert_eq!([44, 45, 45].map(|now| doubt.outwaits(at(now))), [true, true, false]);
        let mut none = UnconfirmedCreate::default();
        none.bound(at(45));
        assert_eq!(none, UnconfirmedCreate::default());
    }

    #[test]
    fn whoever_takes_over_begins_to_wait_anew() {
        let mut doubt = sent_at(0);
        doubt.taken_over();
        doubt.bound(at(40 + 45));
        assert!(doubt.outwaits(at(84)));
    }

    #[test]
    fn rows_of_older_versions_read_back() {
        for (written, want) in [("null", UnconfirmedCreate::default()), ("3", UnconfirmedCreate::of_the_past(3))] {
            assert_eq!(serde_json::from_str::<UnconfirmedCreate>(written).unwrap(), want, "{written}");
        }
        for doubt in [UnconfirmedCreate::default(), sent_at(0), UnconfirmedCreate::of_the_past(2)] {
            let written = serde_json::to_string(&doubt).unwrap();
            assert_eq!(serde_json::from_str::<UnconfirmedCreate>(&written).unwrap(), doubt, "{written}");
        }
    }
}
