//! The conditions in the address of a list.

use std::collections::HashMap;

use chrono::{DateTime, SecondsFormat, Utc};
use gastown_domain::ports::{EventFilter, ListPosition, TownFilter};
use gastown_domain::{TownId, TownStatus};

/// The fields of an address or of a form of conditions. Empty ones do not count.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields(HashMap<String, String>);

impl Fields {
    pub(crate) fn read(query: &str) -> Self {
        let fields = url::form_urlencoded::parse(query.as_bytes()).into_owned();
        Self(fields.filter(|(_, value)| !value.trim().is_empty()).collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim())
    }

    /// Reads a field. `Err` names a field with an invalid value.
    fn parsed<T: std::str::FromStr>(&self, name: &'static str) -> Result<Option<T>, &'static str> {
        self.get(name).map(|value| value.parse().map_err(|_| name)).transpose()
    }

    /// Returns a text. `Err` names a field with control characters, which Postgres refuses.
    fn text(&self, name: &'static str) -> Result<Option<String>, &'static str> {
        match self.get(name) {
            Some(value) if value.contains(char::is_control) => Err(name),
            found => Ok(found.map(ToOwned::to_owned)),
        }
    }

    /// Returns the conditions of a list of towns. `Err` names a field with an invalid value.
    pub(crate) fn towns(&self) -> Result<TownFilter, &'static str> {
        let after = match (self.parsed("after_user")?, self.parsed("after_name")?, self.parsed("after")?) {
            (Some(owner), Some(name), Some(town)) => Some(ListPosition { owner, name, town }),
            _ => None,
        };
        Ok(TownFilter {
            owner: self.parsed("user")?,
            name: self.parsed("name")?,
            status: self.parsed::<TownStatus>("status")?,
            health: self.parsed("health")?,
            image: None,
            after,
        })
    }

    /// Returns the conditions of a list of events. `Err` names a field with an invalid value.
    pub(crate) fn events(&self) -> Result<EventFilter, &'static str> {
        Ok(EventFilter {
            town: self.parsed("town")?,
            owner: self.parsed("user")?,
            actor: self.text("actor")?,
            action: self.text("action")?,
            failed: self.get("failed").is_some(),
            since: None,
            until: self.parsed::<DateTime<Utc>>("until")?,
        })
    }

    /// Returns the address of the next page of towns, with the same conditions.
    pub(crate) fn page_of_towns(&self, last: &ListPosition) -> String {
        let town = last.town.to_string();
        let position =
            [("after_user", last.owner.as_str()), ("after_name", last.name.as_str()), ("after", town.as_str())];
        self.address("/console/towns", &["user", "name", "status", "health"], &position)
    }

    /// Returns the address of the page with older events, with the same conditions.
    pub(crate) fn page_of_events(&self, last: DateTime<Utc>) -> String {
        let until = last.to_rfc3339_opts(SecondsFormat::Micros, true);
        self.address("/console/events", &["town", "user", "actor", "action", "failed"], &[("until", &until)])
    }

    /// Returns the address of a town's events.
    pub(crate) fn events_of(town: TownId) -> String {
        format!("/console/events?town={town}")
    }

    fn address(&self, path: &str, kept: &[&str], more: &[(&str, &str)]) -> String {
        let kept = kept.iter().filter_map(|name| Some((*name, self.get(name)?)));
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(kept.chain(more.iter().copied()));
        format!("{path}?{}", query.finish())
    }
}

#[cfg(test)]
mod tests {
    use gastown_domain::Town;
    use gastown_domain::ports::ListedHealth;

    use super::*;

    #[test]
    fn conditions_are_read_and_empty_fields_do_not_count() {
        let all = Fields::read("user=&name=&status=&health=&failed=").towns().unwrap();
        assert_eq!(all, TownFilter::default());
        let filter = Fields::read("user=alice&name=mill&status=running&health=drift").towns().unwrap();
        let expected = TownFilter {
            owner: Some("alice".parse().unwrap()),
            name: Some("mill".parse().unwrap()),
            status: Some(TownStatus::Running),
            health: Some(ListedHealth::Drift),
            image: None,
            after: None,
        };
        assert_eq!(filter, expected);
        let events = Fields::read("actor=operator%3Aeve&failed=1&action=stop").events().unwrap();
        assert_eq!((events.actor.as_deref(), events.failed), (Some("operator:eve"), true));
    }

    #[test]
    fn invalid_values_are_named() {
        for (query, field) in [("name=No+Name", "name"), ("status=on", "status"), ("health=well", "health")] {
            assert_eq!(Fields::read(query).towns(), Err(field));
        }
        for (query, field) in
            [("town=mill", "town"), ("until=yesterday", "until"), ("actor=a%00b", "actor"), ("action=%1Fx", "action")]
        {
            assert_eq!(Fields::read(query).events(), Err(field));
        }
    }

    #[test]
    fn addresses_of_pages_are_read_again() {
        let town = Town { owner: "oauth/google:4&2".parse().unwrap(), ..Town::sample() };
        let last = ListPosition { owner: town.owner, name: town.name, town: town.id };
        let address = Fields::read("status=running&health=").page_of_towns(&last);
        let (_, query) = address.split_once('?').unwrap();
        let filter = Fields::read(query).towns().unwrap();
        assert_eq!((filter.after, filter.status), (Some(last), Some(TownStatus::Running)));
        let at = "2026-12-01T10:00:00.123456Z".parse().unwrap();
        let address = Fields::read("failed=1&user=a%26b").page_of_events(at);
        let filter = Fields::read(address.split_once('?').unwrap().1).events().unwrap();
        assert_eq!((filter.until, filter.failed, filter.owner.unwrap().as_str()), (Some(at), true, "a&b"));
    }
}
