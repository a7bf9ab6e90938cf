//! The fields of a form.

use std::collections::HashMap;

/// The fields of `application/x-www-form-urlencoded`. The last of several with one name counts.
pub(crate) struct Form(HashMap<String, String>);

impl Form {
    pub(crate) fn read(body: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(body).into_owned().collect())
    }

    /// Returns a field, or an empty text.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}
