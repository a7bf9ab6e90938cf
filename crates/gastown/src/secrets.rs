//! The secrets of the control plane, and the ports that follow from them.

use std::sync::Arc;

use gastown_domain::ports::Clock;
use gastown_jwt::{TokenKeys, TokenMinter, TokenVerifier};
use gastown_secrets::{DerivedTownKeys, PublicSealingKey};
use secrecy::SecretString;

use crate::build_error::Mistakes;
use crate::given::Given;
use crate::ports_of_builder::PortSet;

/// The secrets of the control plane. All replicas have the same.
#[derive(Debug, Clone)]
pub struct SecretSettings {
    token_secret: SecretString,
    previous_token_secret: Option<SecretString>,
    token_env: Option<String>,
    town_secret: SecretString,
    previous_town_secret: Option<SecretString>,
    sealing_key: Given<PublicSealingKey>,
}

impl SecretSettings {
    /// Returns the secrets that are required.
    ///
    /// `token_secret` signs users' and gateway tokens and is shared with the host application. Each town's key is derived
    /// from `town_secret`. Both have at least 32 bytes. `sealing_key` is the public key of the sandbox image, in base64.
    pub fn new(
        token_secret: impl Into<SecretString>,
        town_secret: impl Into<SecretString>,
        sealing_key: impl Into<Given<PublicSealingKey>>,
    ) -> Self {
        Self {
            token_secret: token_secret.into(),
            previous_token_secret: None,
            token_env: None,
            town_secret: town_secret.into(),
            previous_town_secret: None,
            sealing_key: sealing_key.into(),
        }
    }

    /// Also accepts tokens that this secret has signed, during a rotation.
    #[must_use]
    pub fn previous_token_secret(mut self, secret: impl Into<SecretString>) -> Self {
        self.previous_token_secret = Some(secret.into());
        self
    }

    /// Also accepts towns' keys that were derived from this secret, during a rotation.
    #[must_use]
    pub fn previous_town_secret(mut self, secret: impl Into<SecretString>) -> Self {
        self.previous_town_secret = Some(secret.into());
        self
    }

    /// Sets the `env` of tokens, so that tokens of another stage are rejected.
    #[must_use]
    pub fn token_env(mut self, env: impl Into<String>) -> Self {
        self.token_env = Some(env.into());
        self
    }

    /// Checks the secrets and reports all mistakes.
    pub(crate) fn checked(self, mistakes: &mut Mistakes) -> Option<CheckedSecrets> {
        let tokens = match (TokenKeys::new(&self.token_secret), &self.previous_token_secret) {
            (Ok(keys), Some(previous)) => keys.accepting_previous(previous),
            (keys, _) => keys,
        };
        let tokens = mistakes.checked("secrets.token_secret", tokens);
        let towns = match (DerivedTownKeys::new(&self.town_secret), &self.previous_town_secret) {
            (Ok(keys), Some(previous)) => keys.accepting_previous(previous),
            (keys, _) => keys,
        };
        let towns = mistakes.checked("secrets.town_secret", towns);
        let sealer = self.sealing_key.value("secrets.sealing_key", mistakes);
        Some(CheckedSecrets { tokens: tokens?, env: self.token_env, towns: Arc::new(towns?), sealer: sealer? })
    }
}

/// Secrets that have no mistake.
pub(crate) struct CheckedSecrets {
    tokens: TokenKeys,
    env: Option<String>,
    towns: Arc<DerivedTownKeys>,
    sealer: PublicSealingKey,
}

impl CheckedSecrets {
    /// Seals with another key.
    #[cfg(feature = "sim")]
    pub(crate) fn seal_with(&mut self, key: PublicSealingKey) {
        self.sealer = key;
    }

    /// Returns the minter of tokens.
    pub(crate) fn minter(&self, clock: Arc<dyn Clock>) -> TokenMinter {
        let minter = TokenMinter::new(self.tokens.clone(), clock);
        match &self.env {
            Some(env) => minter.in_env(env),
            None => minter,
        }
    }

    /// Returns the ports on these secrets.
    pub(crate) fn ports(&self, clock: &Arc<dyn Clock>) -> PortSet {
        let verifier = TokenVerifier::new(self.tokens.clone(), Arc::clone(clock));
        let verifier = match &self.env {
            Some(env) => verifier.in_env(env),
            None => verifier,
        };
        PortSet {
            token_mint: Some(Arc::new(self.minter(Arc::clone(clock)))),
            sealer: Some(Arc::new(self.sealer.clone())),
            town_keys: Some(self.towns.clone()),
            user_tokens: Some(Arc::new(verifier)),
            ..PortSet::default()
        }
    }
}
