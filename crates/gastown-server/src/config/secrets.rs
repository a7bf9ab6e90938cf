//! The settings of secrets and tokens.

use gastown_domain::ports::TownKeys as _;
use gastown_jwt::TokenKeys;
use gastown_secrets::{DerivedTownKeys, PublicSealingKey};
use secrecy::SecretString;

use super::{ConfigError, checked, secret_rules};
use crate::settings_source::{Reader, Source};

/// The secrets and the keys derived from them.
#[derive(Debug, Clone)]
pub struct SecretsConfig {
    /// `NEXTAUTH_SECRET`: signs and verifies tokens.
    pub token_secret: SecretString,
    /// `NEXTAUTH_SECRET_PREVIOUS`: verifies tokens signed before a rotation.
    pub previous_token_secret: Option<SecretString>,
    /// `TOKEN_ENV`: the environment named in tokens.
    pub token_env: Option<String>,
    /// `INTERNAL_API_SECRET`: derives the towns' keys.
    pub town_secret: SecretString,
    /// `INTERNAL_API_SECRET_PREVIOUS`: verifies keys derived before a rotation.
    pub previous_town_secret: Option<SecretString>,
    /// `SANDBOX_PUBLIC_KEY`: seals values for sandboxes.
    pub sealing_key: PublicSealingKey,
}

/// The settings of `gastown token`.
#[derive(Debug, Clone)]
pub(crate) struct TokenConfig {
    /// The keys of `NEXTAUTH_SECRET` and `NEXTAUTH_SECRET_PREVIOUS`.
    pub(crate) keys: TokenKeys,
    /// `TOKEN_ENV`.
    pub(crate) env: Option<String>,
}

impl TokenConfig {
    /// Reads and checks only these settings.
    ///
    /// Errors: every missing or invalid setting of these.
    pub(crate) fn read(source: &Source) -> Result<Self, ConfigError> {
        const NAMES: [&str; 2] = ["NEXTAUTH_SECRET", "NEXTAUTH_SECRET_PREVIOUS"];
        checked(source, |reader| {
            secret_rules::check(reader, &NAMES, &[]);
            let keys = TokenKeys::new(&reader.required_secret("NEXTAUTH_SECRET")?).ok()?;
            let keys = match reader.secret("NEXTAUTH_SECRET_PREVIOUS") {
                Some(previous) => keys.accepting_previous(&previous).ok()?,
                None => keys,
            };
            Some(Self { keys, env: reader.optional("TOKEN_ENV") })
        })
    }
}

/// The ids of the keys that towns get from now on. They reveal nothing of the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyIds {
    /// The id of `SANDBOX_PUBLIC_KEY`.
    pub(crate) sealing: String,
    /// The id of `INTERNAL_API_SECRET`.
    pub(crate) towns: String,
}

impl KeyIds {
    /// Reads and checks only these settings.
    ///
    /// Errors: every missing or invalid setting of these.
    pub(crate) fn read(source: &Source) -> Result<Self, ConfigError> {
        checked(source, |reader| {
            secret_rules::check(reader, &["INTERNAL_API_SECRET"], &[]);
            let sealing = reader.required::<PublicSealingKey>("SANDBOX_PUBLIC_KEY");
            let towns = reader.required_secret("INTERNAL_API_SECRET");
            let towns = DerivedTownKeys::new(&towns?).ok()?.key_id();
            Some(Self { sealing: sealing?.key_id().to_string(), towns })
        })
    }
}

/// Reads the secrets. The rules for their values are checked with those of all secrets.
pub(super) fn secrets(reader: &mut Reader<'_>) -> Option<SecretsConfig> {
    let token_secret = reader.required_secret("NEXTAUTH_SECRET");
    let previous_token_secret = reader.secret("NEXTAUTH_SECRET_PREVIOUS");
    let town_secret = reader.required_secret("INTERNAL_API_SECRET");
    let previous_town_secret = reader.secret("INTERNAL_API_SECRET_PREVIOUS");
    let sealing_key = reader.required("SANDBOX_PUBLIC_KEY");
    Some(SecretsConfig {
        token_secret: token_secret?,
        previous_token_secret,
        token_env: reader.optional("TOKEN_ENV"),
        town_secret: town_secret?,
        previous_town_secret,
        sealing_key: sealing_key?,
    })
}
