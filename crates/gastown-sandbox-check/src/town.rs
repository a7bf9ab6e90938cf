//! The town that the check plays, with its secrets and its environment.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use gastown_domain::TownId;
use gastown_secrets::{
    CipherRefused, EnvValue, InvalidKey, OpenEnvError, PREVIOUS_PRIVATE_KEY, PRIVATE_KEY, SandboxKey, open_env,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use url::Url;

/// The lifetime of the first token. A sandbox has to request another one at once.
const FIRST_TOKEN: TimeDelta = TimeDelta::minutes(5);

/// The address of a running sandbox, and its town.
#[derive(Debug, Clone)]
pub struct Target {
    /// The base address of the API.
    pub url: Url,
    /// The machine, if the address is that of Fly's proxy.
    pub machine: Option<String>,
    /// The town.
    pub town: Town,
}

/// The facts of a town that answers are compared with.
#[derive(Debug, Clone)]
pub struct Town {
    /// The value of `TOWN_ID`.
    pub id: TownId,
    /// The opened `INTERNAL_API_KEY`.
    pub key: SecretString,
    /// The expiry of the gateway token at boot, if it is known.
    pub token_expires_at: Option<DateTime<Utc>>,
    /// Values that no answer may contain.
    pub secrets: Vec<SecretString>,
}

/// The environment does not describe a town. The error contains no value.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTown {
    /// A variable is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// The town's id is not a UUID.
    #[error("TOWN_ID is not a UUID")]
    Id,
    /// A private key is malformed.
    #[error("{name} is invalid")]
    Key {
        /// The variable.
        name: &'static str,
        /// The cause.
        #[source]
        cause: InvalidKey,
    },
    /// A sealed value cannot be opened.
    #[error(transparent)]
    Sealed(#[from] OpenEnvError),
}

impl Town {
    /// Reads a town from the environment of its sandbox. Sealed values are opened with the private keys in it.
    pub fn from_environment(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self, InvalidTown> {
        let mut pairs: BTreeMap<String, String> = pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let mut keys = Vec::new();
        for name in [PRIVATE_KEY, PREVIOUS_PRIVATE_KEY] {
            if let Some(value) = pairs.remove(name) {
                let key = SandboxKey::parse(&SecretString::from(value));
                keys.push(key.map_err(|cause| InvalidTown::Key { name, cause })?);
            }
        }
        // Other variables of the caller's environment are of no interest.
        let of_town = ["TOWN_ID", "INTERNAL_API_KEY", "KILO_JWT", "R2_ACCESS_KEY", "R2_SECRET_KEY"];
        pairs.retain(|name, _| of_town.contains(&name.as_str()));
        let opened: BTreeMap<_, _> = open_env(&keys, pairs)?.into_iter().collect();
        let secret = |name: &'static str| {
            opened.get(name).map(|value| match value {
                EnvValue::Opened(secret) => secret.clone(),
                EnvValue::Plain(text) => SecretString::from(text.as_str()),
            })
        };
        let id = secret("TOWN_ID").ok_or(InvalidTown::Missing("TOWN_ID"))?;
        let key = secret("INTERNAL_API_KEY").ok_or(InvalidTown::Missing("INTERNAL_API_KEY"))?;
        let id = id.expose_secret().parse().map_err(|_| InvalidTown::Id)?;
        let token = secret("KILO_JWT");
        let token_expires_at = token.as_ref().and_then(|token| expiry(token.expose_secret()));
        let secrets = of_town.into_iter().skip(1).filter_map(secret).collect();
        Ok(Self { id, key, token_expires_at, secrets })
    }
}

/// The secrets of a new town. Its sandbox is booted with them.
pub struct TownSecrets {
    id: TownId,
    sandbox_key: SandboxKey,
    secrets: Vec<(&'static str, SecretString)>,
}

impl TownSecrets {
    /// Generates the secrets of a town. Its gateway token expires soon after `now`, so that it has to be refreshed.
    pub fn generate(id: TownId, now: DateTime<Utc>) -> Self {
        let random = || SandboxKey::generate().to_secret();
        let token = gateway_token(id, now + FIRST_TOKEN);
        let secrets = vec![
            ("KILO_JWT", token),
            ("INTERNAL_API_KEY", random()),
            ("R2_ACCESS_KEY", random()),
            ("R2_SECRET_KEY", random()),
        ];
        Self { id, sandbox_key: SandboxKey::generate(), secrets }
    }

    /// Returns the environment as the control plane would configure it, with the private key of the image.
    ///
    /// `home` is the address of the control plane, as the sandbox reaches it.
    pub fn environment(&self, home: Option<&Url>) -> Result<Environment, CipherRefused> {
        let mut pairs = BTreeMap::from([
            ("TOWN_ID".to_owned(), self.id.to_string()),
            ("KILO_API_URL".to_owned(), "https://kilo.example.com".to_owned()),
            ("R2_BUCKET".to_owned(), "towns".to_owned()),
            (PRIVATE_KEY.to_owned(), self.sandbox_key.to_secret().expose_secret().to_owned()),
        ]);
        if let Some(home) = home {
            pairs.insert("GASTOWN_CLOUD_URL".to_owned(), home.as_str().trim_end_matches('/').to_owned());
        }
        for (name, value) in &self.secrets {
            pairs.insert((*name).to_owned(), self.sandbox_key.public_key().seal(value)?.to_text());
        }
        Ok(Environment(pairs))
    }
}

impl fmt::Debug for TownSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TownSecrets").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The environment of a sandbox at boot. `Debug` shows only the names.
#[derive(Clone, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Returns the variables, in alphabetical order.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut changed = self.clone();
        changed.0.insert(name.to_owned(), value.to_owned());
        changed
    }

    pub(crate) fn without(&self, name: &str) -> Self {
        let mut changed = self.clone();
        changed.0.remove(name);
        changed
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Returns a gateway token with a signature that no gateway accepts. A sandbox reads only its expiry.
pub(crate) fn gateway_token(town: TownId, expires_at: DateTime<Utc>) -> SecretString {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let header = part(&json!({ "alg": "HS256", "typ": "JWT" }));
    let claims = part(&json!({ "type": "gastown_sandbox", "town_id": town, "exp": expires_at.timestamp() }));
    SecretString::from(format!("{header}.{claims}.bm90IGEgc2lnbmF0dXJl"))
}

/// Returns the claim `exp` of a token.
pub(crate) fn expiry(token: &str) -> Option<DateTime<Utc>> {
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    Some(DateTime::from_timestamp(claims.get("exp")?.as_i64()?, 0)?.trunc_subsecs(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> TownSecrets {
        let id = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b".parse().unwrap();
        TownSecrets::generate(id, DateTime::from_timestamp(1_900_000_000, 0).unwrap())
    }

    #[test]
    fn town_is_read_from_its_own_environment() {
        let home = "http://127.0.0.1:9090/".parse().unwrap();
        let environment = secrets().environment(Some(&home)).unwrap();
        assert_eq!(environment.get("GASTOWN_CLOUD_URL"), "http://127.0.0.1:9090");
        let pairs = || environment.pairs().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let town = Town::from_environment(pairs()).unwrap();
        assert_eq!(town.id.to_string(), environment.get("TOWN_ID"));
        assert_eq!(town.token_expires_at.unwrap().timestamp(), 1_900_000_300);
        assert_eq!(town.secrets.len(), 4);
        let without = |removed: &'static str| Town::from_environment(pairs().filter(|(name, _)| name != removed));
        assert_eq!(without("TOWN_ID").unwrap_err().to_string(), "TOWN_ID is missing");
        assert_eq!(without("INTERNAL_API_KEY").unwrap_err().to_string(), "INTERNAL_API_KEY is missing");
        assert!(matches!(without("SANDBOX_PRIVATE_KEY"), Err(InvalidTown::Sealed(_))));
        let other = environment.with("TOWN_ID", "mill");
        let pairs = other.pairs().map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert!(matches!(Town::from_environment(pairs), Err(InvalidTown::Id)));
    }

    #[test]
    fn debug_shows_no_value() {
        let shown = format!("{:?} {:?}", secrets(), secrets().environment(None).unwrap());
        assert!(shown.contains("SANDBOX_PRIVATE_KEY") && !shown.contains("nacl"), "{shown}");
    }
}
