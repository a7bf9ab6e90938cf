//! The boot of a sandbox, which decrypts its environment or fails.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use gastown_secrets::{EnvValue, InvalidKey, OpenEnvError, SandboxKey, open_env};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::sandbox::Identity;

/// The app secret with the image's private key. Other secrets with this prefix are keys of earlier rotations.
const PRIVATE_KEY: &str = "SANDBOX_PRIVATE_KEY";
/// The variables without which a sandbox does not boot.
const REQUIRED: [&str; 6] = ["KILO_API_URL", "KILO_JWT", "TOWN_ID", "R2_BUCKET", "R2_ACCESS_KEY", "INTERNAL_API_KEY"];

/// The decrypted environment of a sandbox.
pub(crate) struct Environment {
    pub(crate) identity: Identity,
    /// The expiry of the gateway token, if the token states one.
    pub(crate) token_expires_at: Option<DateTime<Utc>>,
    /// True if an empty volume is to be restored from R2.
    pub(crate) restores: bool,
}

/// A failure to boot. It contains names of settings, never their values.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BootError {
    #[error("{name} is missing")]
    Missing { name: &'static str },
    #[error("{name} is not a private key: {cause}")]
    PrivateKey { name: String, cause: InvalidKey },
    #[error(transparent)]
    Environment(#[from] OpenEnvError),
}

/// Decrypts the environment of a machine, which includes the app's secrets.
///
/// If none of the sandbox's variables is set, the machine runs another image, which serves nothing.
pub(crate) fn open(environment: BTreeMap<String, String>) -> Result<Option<Environment>, BootError> {
    if REQUIRED.iter().any(|name| environment.contains_key(*name)) {
        open_sandbox(environment).map(Some)
    } else {
        Ok(None)
    }
}

fn open_sandbox(environment: BTreeMap<String, String>) -> Result<Environment, BootError> {
    let mut keys = Vec::new();
    for (name, value) in environment.iter().filter(|(name, _)| name.starts_with(PRIVATE_KEY)) {
        let key = SandboxKey::parse(&SecretString::from(value.as_str()));
        keys.push(key.map_err(|cause| BootError::PrivateKey { name: name.clone(), cause })?);
    }
    if keys.is_empty() {
        return Err(BootError::Missing { name: PRIVATE_KEY });
    }
    let opened: BTreeMap<_, _> = open_env(&keys, environment)?.into_iter().collect();
    let required = |name: &'static str| variable(&opened, name).ok_or(BootError::Missing { name });
    for name in REQUIRED {
        required(name)?;
    }
    let identity = Identity {
        town_id: required("TOWN_ID")?.to_owned(),
        key: SecretString::from(required("INTERNAL_API_KEY")?),
        cloud_url: variable(&opened, "GASTOWN_CLOUD_URL").map(str::to_owned),
    };
    let restores = variable(&opened, "R2_RESTORE") == Some("1");
    Ok(Environment { identity, token_expires_at: token_expiry(required("KILO_JWT")?), restores })
}

/// Returns a variable that is set and not empty.
fn variable<'env>(environment: &'env BTreeMap<String, EnvValue>, name: &str) -> Option<&'env str> {
    let value = match environment.get(name)? {
        EnvValue::Opened(secret) => secret.expose_secret(),
        EnvValue::Plain(text) => text,
    };
    (!value.is_empty()).then_some(value)
}

/// Returns `exp` of a JWT. The sandbox does not verify the token, because the gateway does.
pub(crate) fn token_expiry(token: &str) -> Option<DateTime<Utc>> {
    let payload = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    DateTime::from_timestamp(claims.get("exp")?.as_i64()?, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns an environment with secrets that are sealed for the key in it.
    fn environment() -> BTreeMap<String, String> {
        let key = SandboxKey::generate();
        let seal = |plain: &str| key.public_key().seal(&SecretString::from(plain)).unwrap().to_text();
        [
            ("SANDBOX_PRIVATE_KEY", key.to_secret().expose_secret().to_owned()),
            ("KILO_API_URL", "https://gateway.example".into()),
            ("KILO_JWT", seal("e30.eyJleHAiOjE3MDAwMDAwMDB9.c2ln")),
            ("TOWN_ID", "town-1".into()),
            ("R2_BUCKET", "bucket".into()),
            ("R2_ACCESS_KEY", seal("access")),
            ("INTERNAL_API_KEY", seal("canary")),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    fn refusal(environment: BTreeMap<String, String>) -> BootError {
        open(environment).err().unwrap()
    }

    #[test]
    fn sandbox_decrypts_its_environment() {
        let opened = open(environment()).unwrap().unwrap();
        assert_eq!(opened.identity.key.expose_secret(), "canary");
        assert_eq!(opened.token_expires_at.unwrap().timestamp(), 1_700_000_000);
    }

    #[test]
    fn boot_fails_if_a_variable_is_missing() {
        for name in REQUIRED.into_iter().chain([PRIVATE_KEY]) {
            let mut environment = environment();
            environment.remove(name);
            assert!(refusal(environment).to_string().contains(name), "{name}");
        }
    }

    #[test]
    fn other_image_boots_without_sandbox() {
        assert!(open(BTreeMap::from([("PATH".to_owned(), "/bin".to_owned())])).unwrap().is_none());
    }

    #[test]
    fn boot_fails_if_values_are_sealed_for_another_key() {
        let mut environment = environment();
        let other = SandboxKey::generate().to_secret();
        environment.insert(PRIVATE_KEY.into(), other.expose_secret().to_owned());
        assert!(matches!(refusal(environment), BootError::Environment(_)));
    }
}
