//! The address of a machine's sandbox.

use std::str::FromStr;

use gastown_domain::{AppName, MachineId};
use url::Url;

/// The address of Fly's proxy, which a header directs to the machine.
pub const DEFAULT_TEMPLATE: &str = "https://{app}.fly.dev";

const APP: &str = "{app}";
const MACHINE: &str = "{machine_id}";

/// An http or https address with the optional placeholders `{app}` and `{machine_id}`.
///
/// ```
/// use gastown_sandbox::UrlTemplate;
/// let private: UrlTemplate = "http://{machine_id}.vm.{app}.internal:8080".parse()?;
/// let at = private.fill(&"mill".parse().unwrap(), &"148ed21a031189".parse().unwrap())?;
/// assert_eq!(at.as_str(), "http://148ed21a031189.vm.mill.internal:8080/");
/// # Ok::<(), gastown_sandbox::InvalidTemplate>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlTemplate(String);

/// The text is not a template of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTemplate {
    /// The filled template is not a URL.
    #[error("not a URL after filling in the placeholders")]
    Url,
    /// The scheme is neither http nor https, or the host is missing.
    #[error("not an http or https address")]
    Scheme,
    /// The address contains a user, a password, a query or a fragment.
    #[error("an address must not contain credentials, query or fragment")]
    Extra,
    /// A placeholder is neither `{app}` nor `{machine_id}`.
    #[error("a placeholder is neither {{app}} nor {{machine_id}}")]
    Placeholder,
}

impl UrlTemplate {
    /// Returns the address of a machine's sandbox. Its path ends with `/`.
    pub fn fill(&self, app: &AppName, machine: &MachineId) -> Result<Url, InvalidTemplate> {
        let filled = self.0.replace(APP, app.as_str()).replace(MACHINE, machine.as_str());
        if filled.contains(['{', '}']) {
            return Err(InvalidTemplate::Placeholder);
        }
        let mut url = Url::parse(&filled).map_err(|_| InvalidTemplate::Url)?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(InvalidTemplate::Scheme);
        }
        let credentials = !url.username().is_empty() || url.password().is_some();
        if credentials || url.query().is_some() || url.fragment().is_some() {
            return Err(InvalidTemplate::Extra);
        }
        if !url.path().ends_with('/') {
            let path = format!("{}/", url.path());
            url.set_path(&path);
        }
        Ok(url)
    }
}

impl Default for UrlTemplate {
    fn default() -> Self {
        Self(DEFAULT_TEMPLATE.to_owned())
    }
}

impl FromStr for UrlTemplate {
    type Err = InvalidTemplate;

    fn from_str(raw: &str) -> Result<Self, InvalidTemplate> {
        let template = Self(raw.trim().to_owned());
        // A template that is valid once is always valid: both values contain only letters, digits and '-'.
        let (Ok(app), Ok(machine)) = ("app".parse(), "0".parse()) else { return Err(InvalidTemplate::Url) };
        template.fill(&app, &machine)?;
        Ok(template)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_filled_in() {
        for (raw, want) in [
            (DEFAULT_TEMPLATE, "https://mill.fly.dev/"),
            ("http://127.0.0.1:4280/sandboxes/{app}/{machine_id}", "http://127.0.0.1:4280/sandboxes/mill/m1/"),
            ("http://127.0.0.1:4280/x/", "http://127.0.0.1:4280/x/"),
        ] {
            let template: UrlTemplate = raw.parse().unwrap();
            let url = template.fill(&"mill".parse().unwrap(), &"m1".parse().unwrap()).unwrap();
            assert_eq!(url.as_str(), want, "{raw:?}");
        }
    }

    #[test]
    fn invalid_template_is_refused_when_parsed() {
        for (raw, why) in [
            ("", InvalidTemplate::Url),
            ("{app}.fly.dev", InvalidTemplate::Url),
            ("ftp://{app}.fly.dev", InvalidTemplate::Scheme),
            ("https://key@{app}.fly.dev", InvalidTemplate::Extra),
            ("https://{app}.fly.dev?m={machine_id}", InvalidTemplate::Extra),
            ("https://{app}.fly.dev/{town}", InvalidTemplate::Placeholder),
        ] {
            assert_eq!(raw.parse::<UrlTemplate>(), Err(why), "{raw:?}");
        }
    }
}
