//! Watching the list of a user's towns: from the list that a watcher has to what has changed in it.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use super::digest;
use crate::ports::{TownState, TownSummary};
use crate::{Invalid, Town, TownId};

/// A change of a watched list.
#[derive(Debug, Clone, PartialEq)]
pub struct TownsChanged {
    /// The position after this change.
    pub position: ListPosition,
    /// True if `towns` is the whole list, which replaces what the watcher has.
    pub is_whole: bool,
    /// The new and the changed towns, in the order of the list.
    pub towns: Vec<TownSummary>,
    /// The towns that are not in the list any more.
    pub gone: Vec<TownId>,
}

/// The list that a watcher has seen, as a digest.
///
/// Its text is the id of an event. A watcher that resumes with another digest than that of the present list gets the whole
/// list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListPosition(u64);

impl fmt::Display for ListPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{:x}", self.0)
    }
}

impl FromStr for ListPosition {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let read = text.strip_prefix("1.").and_then(|digits| u64::from_str_radix(digits, 16).ok());
        read.map(Self).ok_or(Invalid::Shape { expected: "an id of an event" })
    }
}

impl ListPosition {
    /// Returns the position of a watcher that has seen this list.
    pub fn of(list: &[TownSummary]) -> Self {
        let towns: Vec<_> = list.iter().map(|town| format!("{:?}", watched(town))).collect();
        Self(digest(&towns.join("\n")))
    }
}

/// Returns the change with which watching begins: the whole list, or `None` if the watcher has seen it.
pub fn list_at_first(after: Option<ListPosition>, list: &[TownSummary]) -> Option<TownsChanged> {
    let position = ListPosition::of(list);
    let is_new = after != Some(position);
    is_new.then(|| TownsChanged { position, is_whole: true, towns: list.to_vec(), gone: Vec::new() })
}

/// Returns the changes between two lists, or `None` if nothing has changed that watchers receive.
pub fn list_changes(before: &[TownSummary], list: &[TownSummary]) -> Option<TownsChanged> {
    let known: HashMap<_, _> = before.iter().map(|town| (town.state.town.id, watched(town))).collect();
    let is_changed = |town: &&TownSummary| known.get(&town.state.town.id) != Some(&watched(town));
    let towns: Vec<_> = list.iter().filter(is_changed).cloned().collect();
    let is_listed = |id: &TownId| list.iter().any(|town| town.state.town.id == *id);
    let gone: Vec<_> = before.iter().map(|town| town.state.town.id).filter(|id| !is_listed(id)).collect();
    let is_any = !towns.is_empty() || !gone.is_empty();
    is_any.then(|| TownsChanged { position: ListPosition::of(list), is_whole: false, towns, gone })
}

/// Returns the part of a summary that watchers receive. The times of heartbeats and syncs change all the time, so they are no
/// change.
fn watched(summary: &TownSummary) -> TownSummary {
    let TownState { town, operation } = &summary.state;
    let town = Town { last_heartbeat_at: None, last_r2_sync_at: None, ..town.clone() };
    TownSummary { state: TownState { town, operation: operation.clone() }, ..summary.clone() }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;
    use crate::{HealthState, TownStatus};

    fn town(number: u128, status: TownStatus) -> TownSummary {
        TownState::idle(Town { id: TownId::new(Uuid::from_u128(number)), status, ..Town::sample() }).into()
    }

    fn ids(towns: &[TownSummary]) -> Vec<u128> {
        towns.iter().map(|town| town.state.town.id.as_uuid().as_u128()).collect()
    }

    const RUNNING: TownStatus = TownStatus::Running;
    const STOPPED: TownStatus = TownStatus::Stopped;

    #[test]
    fn new_changed_and_gone_towns_are_changes() {
        let before = [town(1, RUNNING), town(2, RUNNING), town(3, RUNNING)];
        let unwell = TownSummary { health: HealthState::Unhealthy.into(), ..town(3, RUNNING) };
        let list = [town(2, STOPPED), unwell, town(4, RUNNING)];
        let change = list_changes(&before, &list).unwrap();
        assert_eq!(ids(&change.towns), [2, 3, 4]);
        assert_eq!(change.gone, [before[0].state.town.id]);
        assert!(!change.is_whole);
        assert_eq!(list_changes(&list, &list), None);
        assert_eq!(list_at_first(Some(change.position), &list), None, "a watcher that resumes has seen this list");
    }

    #[test]
    fn heartbeats_and_syncs_are_no_change() {
        let before = [town(1, RUNNING)];
        let mut list = before.clone();
        list[0].state.town.last_heartbeat_at = DateTime::from_timestamp(60, 0);
        list[0].state.town.last_r2_sync_at = DateTime::from_timestamp(60, 0);
        assert_eq!(list_changes(&before, &list), None);
        assert_eq!(ListPosition::of(&before), ListPosition::of(&list));
    }

    #[test]
    fn watcher_that_missed_something_gets_the_whole_list() {
        let seen = ListPosition::of(&[town(1, RUNNING)]);
        let list = [town(1, RUNNING), town(2, RUNNING)];
        for after in [None, Some(seen)] {
            let change = list_at_first(after, &list).unwrap();
            assert!(change.is_whole);
            assert_eq!(ids(&change.towns), [1, 2]);
        }
        let change = list_at_first(None, &[]).unwrap();
        assert!(change.is_whole && change.towns.is_empty(), "an empty list is a change too");
    }

    #[test]
    fn texts_of_other_versions_are_no_positions() {
        let position = ListPosition::of(&[town(1, RUNNING)]);
        assert_eq!(position.to_string().parse(), Ok(position));
        for text in ["", "1", "1.", "2.0", "1.x", "1.0.0", &"1".repeat(5000)] {
            assert!(text.parse::<ListPosition>().is_err(), "{text}");
        }
    }
}
