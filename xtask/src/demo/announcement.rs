use std::collections::BTreeMap;

use anyhow::Context;
use serde::Deserialize;

/// The first line of `gastown dev --json`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Announcement {
    /// The address of the control plane, without `/trpc`.
    pub(super) url: String,
    /// The address of the console.
    pub(super) console_url: String,
    users: BTreeMap<String, User>,
    /// The address of the simulated Fly, without `/v1`.
    pub(super) fly_url: String,
    /// The app on Fly that holds the machines.
    pub(super) fly_app: String,
    /// The token of the simulated Fly. Any text is accepted if the line names none.
    #[serde(default = "any_token")]
    pub(super) fly_token: String,
}

#[derive(Deserialize)]
struct User {
    token: String,
}

fn any_token() -> String {
    "demo".to_owned()
}

impl Announcement {
    pub(super) fn parse(line: &str) -> anyhow::Result<Self> {
        serde_json::from_str(line).context("the first line of `gastown dev --json` cannot be parsed")
    }

    /// Returns the bearer token of a user.
    pub(super) fn token_of(&self, user: &str) -> anyhow::Result<&str> {
        self.users.get(user).map(|user| user.token.as_str()).with_context(|| format!("no token for user {user}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_parsed_and_may_have_more_fields() {
        let line = r#"{"url":"http://127.0.0.1:1","users":{"demo":{"token":"t","more":1}},
            "consoleUrl":"http://127.0.0.1:3/console","flyUrl":"http://127.0.0.1:2","flyApp":"gastown-dev","more":true}"#;
        let parsed = Announcement::parse(line).unwrap();
        assert_eq!((parsed.url.as_str(), parsed.fly_url.as_str()), ("http://127.0.0.1:1", "http://127.0.0.1:2"));
        assert_eq!((parsed.fly_app.as_str(), parsed.token_of("demo").unwrap()), ("gastown-dev", "t"));
        assert_eq!(parsed.console_url, "http://127.0.0.1:3/console");
        assert!(parsed.token_of("alice").is_err());
    }

    #[test]
    fn a_line_without_an_address_is_refused() {
        assert!(Announcement::parse(r#"{"users":{}}"#).is_err());
        assert!(Announcement::parse("error: cannot listen").is_err());
    }
}
