//! The fields in the address of a call. One that is not known is refused, so that a mistyped condition lists nothing wrong.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use super::failure::Failure;

/// The rows of a list without a limit, and the most.
const LIMIT: u32 = 200;
const MAX_LIMIT: u32 = 10_000;

/// The fields of an address.
#[derive(Debug)]
pub(super) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Errors: a field that is not `known`, or one that is given twice.
    pub(super) fn read(query: Option<&str>, known: &[&str]) -> Result<Self, Failure> {
        let mut fields = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if !known.contains(&&*name) {
                let text =
                    if known.is_empty() { "none is".to_owned() } else { format!("known are {}", known.join(", ")) };
                return Err(Failure::bad_request(&format!("the field {name:?} is unknown; {text}")));
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

    /// Errors: the value is invalid.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Option<T>, Failure> {
        let parsed = self.get(name).map(str::parse).transpose();
        parsed.map_err(|problem| Failure::bad_request(&format!("{name} is invalid: {problem}")))
    }

    /// Returns the limit of a list.
    pub(super) fn limit(&self) -> Result<u32, Failure> {
        match self.parsed("limit")?.unwrap_or(LIMIT) {
            limit @ 1..=MAX_LIMIT => Ok(limit),
            _ => Err(Failure::bad_request(&format!("limit is invalid: must be between 1 and {MAX_LIMIT}"))),
        }
    }
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
        ] {
            let failure = Parameters::read(Some(query), known).unwrap_err();
            assert!(text(failure).await.contains(problem), "{query}");
        }
        assert!(text(Parameters::read(Some("a=1"), &[]).unwrap_err()).await.contains("none is"));
        for query in ["limit=0", "limit=10001", "limit=many", "limit=-1"] {
            let failure = Parameters::read(Some(query), known).unwrap().limit().unwrap_err();
            assert!(text(failure).await.contains("limit is invalid"), "{query}");
        }
    }

    #[test]
    fn values_are_decoded() {
        let given = Parameters::read(Some("user=oauth%2Fgoogle%3A4&limit=7"), &["user", "limit"]).unwrap();
        assert_eq!((given.get("user"), given.limit().unwrap()), (Some("oauth/google:4"), 7));
        assert_eq!(Parameters::read(None, &[]).unwrap().limit().unwrap(), LIMIT);
    }
}
