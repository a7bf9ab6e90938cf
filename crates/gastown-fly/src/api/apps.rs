//! Apps: the namespace of machines and volumes. Names are unique across all of Fly.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Action, Call, Entry, Method, lenient};

/// The body of a create.
#[derive(Clone, Debug, Serialize)]
pub struct CreateApp<'a> {
    /// Lowercase letters, digits and dashes, under 63 characters, unique on Fly.
    pub name: &'a str,
    /// The organization's slug.
    pub org_slug: &'a str,
    /// A private network of the app's own. Apps in different networks cannot reach each other. Fixed at creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<&'a str>,
}

/// An app as Fly shows it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct App {
    /// The app's name.
    pub name: String,
    /// The owner.
    #[serde(default)]
    pub organization: Option<Organization>,
    /// The private network, where it is not the default one.
    #[serde(default, deserialize_with = "lenient::filled")]
    pub network: Option<String>,
}

/// The owner of an app.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Organization {
    /// The real slug. Fly accepts the alias `personal` in requests and never shows it.
    pub slug: String,
}

/// The apps of an organization.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct AppList {
    /// Each app, in no documented order.
    pub apps: Vec<Entry<AppEntry>>,
}

/// An app as the list shows it, without its owner.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct AppEntry {
    /// The app's name.
    pub name: String,
}

/// Creates an app. Fly answers 201 once the app can be read, as far as Fly knows. The answer's body is not used.
pub fn create(app: &CreateApp<'_>) -> Call {
    Call::new(Action::CreateApp, Method::Post, ["apps"]).with_query("wait", "true").with_body(json!(app))
}

/// Reads an app. 403 means that the name belongs to another organization. Answer: [`App`].
pub fn get(app: &str) -> Call {
    Call::new(Action::GetApp, Method::Get, ["apps", app])
}

/// Lists the apps of an organization. The alias `personal` is accepted. Answer: [`AppList`].
pub fn list(org_slug: &str) -> Call {
    Call::new(Action::ListApps, Method::Get, ["apps"]).with_query("org_slug", org_slug)
}
