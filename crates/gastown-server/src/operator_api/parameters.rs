//! The fields in the address of a call. One that is not known is refused, so that a mistyped condition lists nothing wrong.

use std::collections::BTreeMap;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use gastown_domain::Invalid;

use super::failure::Failure;

/// The rows of a list without a limit, and the most.
const LIMIT: u32 = 200;
const MAX_LIMIT: u32 = 10_000;

/// The fields of an address.
#[derive(Debug)]
pub(super) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Errors: a field that is not `known`, one that is given twice, or a value with control characters, which Postgres
    /// refuses.
    pub(super) fn read(query: Option<&str>, known: &[&str]) -> Result<Self, Failure> {
        let mut fields = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if !known.contains(&&*name) {
                return Err(Failure::unknown_field(&format!("{name:?}"), known));
            }
            if value.contains(char::is_control) {
                return Err(invalid(&name, "must have no control characters"));
            }
            if fields.insert(name.clone().into_owned(), value.into_owned()).is_some() {
                return Err(Failure::bad_request(&format!("the field {name} is given twice")));
            }
        }
        Ok(Self(fields))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Returns a value of the domain, whose errors are for people.
    ///
    /// Errors: the value is invalid.
    pub(super) fn parsed<T: FromStr<Err = Invalid>>(&self, name: &str) -> Result<Option<T>, Failure> {
        let parsed = self.get(name).map(str::parse).transpose();
        parsed.map_err(|problem: Invalid| invalid(name, &problem.to_string()))
    }

    /// Returns a time.
    pub(super) fn time(&self, name: &str) -> Result<Option<DateTime<Utc>>, Failure> {
        self.read_as(name, "must be a time with its offset, such as 2026-11-23T08:50:00Z")
    }

    /// Returns a whole number of seconds.
    pub(super) fn seconds(&self, name: &str) -> Result<Option<u64>, Failure> {
        let given = self.read_as::<u32>(name, "must be a whole number of seconds, at most 4294967295")?;
        Ok(given.map(u64::from))
    }

    /// Returns true if the field is there. It only narrows a list, so its one value is `true`.
    pub(super) fn switch(&self, name: &str) -> Result<bool, Failure> {
        match self.get(name) {
            None => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(invalid(name, "must be true; leave the field out otherwise")),
        }
    }

    /// Returns the limit of a list.
    pub(super) fn limit(&self) -> Result<u32, Failure> {
        let expected = format!("must be a whole number between 1 and {MAX_LIMIT}");
        match self.read_as("limit", &expected)?.unwrap_or(LIMIT) {
            limit @ 1..=MAX_LIMIT => Ok(limit),
            _ => Err(invalid("limit", &expected)),
        }
    }

    fn read_as<T: FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, Failure> {
        self.get(name).map(|given| given.parse().map_err(|_| invalid(name, expected))).transpose()
    }
}

fn invalid(name: &str, problem: &str) -> Failure {
    Failure::bad_request(&format!("{name} is invalid: {problem}"))
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use axum::response::IntoResponse as _;

    use super::*;

    async fn text(failure: Failure) -> String {
        let body = to_bytes(failure.into_response().into_body(), 1 << 16).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn mistakes_name_their_field() {
        let known = &["user", "limit"];
        for (query, problem) in [
            ("usr=alice", "the field \\\"usr\\\" is unknown; known are user, limit"),
            ("user=a&user=b", "the field user is given twice"),
            ("user=a%00", "user is invalid: must have no control characters"),
            ("user=a%0Ab", "user is invalid: must have no control characters"),
        ] {
            let failure = Parameters::read(Some(query), known).unwrap_err();
            assert!(text(failure).await.contains(problem), "{query}");
        }
        assert!(text(Parameters::read(Some("a=1"), &[]).unwrap_err()).await.contains("none is"));
        for query in ["limit=0", "limit=10001", "limit=many", "limit=-1"] {
            let failure = Parameters::read(Some(query), known).unwrap().limit().unwrap_err();
            assert!(text(failure).await.contains("limit is invalid: must be a whole number between"), "{query}");
        }
    }

    #[tokio::test]
    async fn values_say_what_is_expected() {
        fn read(query: &str) -> Parameters {
            Parameters::read(Some(query), &["since", "grace", "failed", "town"]).unwrap()
        }
        for raw in ["yesterday", "", "2026-11-23", "2026-11-23T08:50:00"] {
            let failure = read(&format!("since={raw}")).time("since").unwrap_err();
            assert!(text(failure).await.contains("since is invalid: must be a time with its offset, such as"), "{raw}");
        }
        for raw in ["-1", "1.5", "", "4294967296", "1h"] {
            let failure = read(&format!("grace={raw}")).seconds("grace").unwrap_err();
            assert!(text(failure).await.contains("grace is invalid: must be a whole number of seconds"), "{raw}");
        }
        for raw in ["false", "1", "", "TRUE"] {
            let failure = read(&format!("failed={raw}")).switch("failed").unwrap_err();
            assert!(text(failure).await.contains("failed is invalid: must be true"), "{raw}");
        }
        let failure = read("town=mill").parsed::<gastown_domain::TownId>("town").unwrap_err();
        assert!(text(failure).await.contains("town is invalid: "));
        let given = read("since=2026-11-23T09:50:00%2B01:00&grace=0&failed=true");
        assert_eq!(given.time("since").unwrap(), Some("2026-11-23T08:50:00Z".parse().unwrap()));
        assert_eq!((given.seconds("grace").unwrap(), given.switch("failed").unwrap()), (Some(0), true));
        let none = read("");
        assert_eq!((none.time("since").unwrap(), none.seconds("grace").unwrap()), (None, None));
        assert!(!none.switch("failed").unwrap());
    }

    #[test]
    fn values_are_decoded() {
        let given = Parameters::read(Some("user=oauth%2Fgoogle%3A4&limit=7"), &["user", "limit"]).unwrap();
        assert_eq!((given.get("user"), given.limit().unwrap()), (Some("oauth/google:4"), 7));
        assert_eq!(Parameters::read(None, &[]).unwrap().limit().unwrap(), LIMIT);
    }
}
