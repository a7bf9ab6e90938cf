//! Programs on this computer that serve as the programs of machines.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// An address that cannot be attached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// The text is no URL.
    #[error("the URL is invalid")]
    Invalid,
    /// The URL is not of this computer.
    #[error("the URL must be http and name the loopback, such as http://127.0.0.1:8080")]
    NotLocal,
    /// The machine is named otherwise than by its id or as `app/name`.
    #[error("the machine is named by its id, or as app/name")]
    Machine,
}

/// The attached programs, by the id of a machine or by `app/name`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub(crate) struct Attachments(BTreeMap<String, Url>);

impl From<Attachments> for BTreeMap<String, String> {
    fn from(attachments: Attachments) -> Self {
        attachments.0.into_iter().map(|(machine, url)| (machine, url.into())).collect()
    }
}

impl TryFrom<BTreeMap<String, String>> for Attachments {
    type Error = AttachError;

    fn try_from(urls: BTreeMap<String, String>) -> Result<Self, AttachError> {
        let mut attachments = Self::default();
        urls.iter().try_for_each(|(machine, url)| attachments.attach(machine, url))?;
        Ok(attachments)
    }
}

impl Attachments {
    pub(crate) fn attach(&mut self, machine: &str, url: &str) -> Result<(), AttachError> {
        if machine.is_empty() || machine.split('/').count() > 2 {
            return Err(AttachError::Machine);
        }
        self.0.insert(machine.to_owned(), parse(url)?);
        Ok(())
    }

    pub(crate) fn detach(&mut self, machine: &str) -> bool {
        self.0.remove(machine).is_some()
    }

    /// Returns the attachments with those of the other, which win.
    pub(crate) fn updated_by(mut self, other: &Self) -> Self {
        self.0.extend(other.0.clone());
        self
    }

    pub(crate) fn get(&self, machine: &str) -> Option<&Url> {
        self.0.get(machine)
    }

    /// Returns the program of a machine. One that is attached by id wins.
    pub(crate) fn of(&self, id: &str, app: &str, name: &str) -> Option<Url> {
        self.0.get(id).or_else(|| self.0.get(&format!("{app}/{name}"))).cloned()
    }
}

fn parse(url: &str) -> Result<Url, AttachError> {
    let url: Url = url.parse().map_err(|_| AttachError::Invalid)?;
    let is_local = match url.host() {
        Some(Host::Domain(domain)) => domain == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    };
    let is_plain = url.scheme() == "http" && url.query().is_none() && url.fragment().is_none();
    if is_local && is_plain { Ok(url) } else { Err(AttachError::NotLocal) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_programs_of_this_computer_are_attached() {
        let mut attachments = Attachments::default();
        for url in ["http://127.0.0.1:8080", "http://localhost:1/base", "http://[::1]:2"] {
            assert_eq!(attachments.attach("mill/one", url), Ok(()), "{url}");
        }
        for url in ["https://127.0.0.1", "http://10.0.0.1", "http://example.org", "http://127.0.0.1/?a=1"] {
            assert_eq!(attachments.attach("mill/one", url), Err(AttachError::NotLocal), "{url}");
        }
        assert_eq!(attachments.attach("mill/one", "nothing"), Err(AttachError::Invalid));
        assert_eq!(attachments.attach("a/b/c", "http://127.0.0.1"), Err(AttachError::Machine));
        assert_eq!(attachments.of("id", "mill", "one").unwrap().as_str(), "http://[::1]:2/");
    }
}
