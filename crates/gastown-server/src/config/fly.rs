//! How Fly is called.

use std::num::NonZeroU32;

use gastown::{FlySettings, require_https};
use gastown_domain::AppPlacement;
use gastown_fly::{BaseUrl, FlyAppName, FlyAppPrefix, PUBLIC_BASE_URL, RateLimiting};
use secrecy::SecretString;

use crate::settings_source::Reader;

/// How Fly is called.
#[derive(Debug, Clone)]
pub struct FlyConfig {
    /// `FLY_API_BASE_URL`.
    pub base_url: BaseUrl,
    /// `FLY_API_TOKEN`.
    pub token: SecretString,
    /// `FLY_APP_NAME`, or `FLY_ORG_SLUG` and `FLY_APP_PREFIX`.
    pub app: AppPlacement,
    /// `REPLICAS`, 1 where absent: how many processes share Fly's limits.
    pub replicas: NonZeroU32,
    /// `FLY_RATE_LIMITS`, the limits that Fly documents where absent. They hold for all replicas together.
    pub rate_limits: RateLimiting,
}

impl FlyConfig {
    /// Returns the settings for a builder.
    pub fn settings(&self) -> FlySettings {
        FlySettings::placed(self.app.clone(), self.token.clone())
            .base_url(self.base_url.clone())
            .replicas(self.replicas)
            .rate_limits(self.rate_limits)
    }
}

pub(super) fn fly(reader: &mut Reader<'_>) -> Option<FlyConfig> {
    let base_url = reader.optional("FLY_API_BASE_URL").or_else(|| PUBLIC_BASE_URL.parse().ok());
    if let Some(Err(problem)) = base_url.as_ref().map(|base: &BaseUrl| require_https(base.as_url())) {
        reader.wrong("FLY_API_BASE_URL", &format!("is invalid: {problem}"));
    }
    let token = reader.required_secret("FLY_API_TOKEN");
    let app = placement(reader);
    let replicas = reader.count("REPLICAS", 1, 1000);
    let rate_limits = reader.or("FLY_RATE_LIMITS", RateLimiting::default());
    Some(FlyConfig { base_url: base_url?, token: token?, app: app?, replicas: NonZeroU32::new(replicas)?, rate_limits })
}

/// Reads where towns are placed: in one app, or in one for each user.
pub(super) fn placement(reader: &mut Reader<'_>) -> Option<AppPlacement> {
    let per_user = reader.has("FLY_ORG_SLUG") || reader.has("FLY_APP_PREFIX");
    match (reader.has("FLY_APP_NAME"), per_user) {
        (true, true) => {
            reader.wrong(
                "FLY_APP_NAME",
                "cannot be set together with FLY_ORG_SLUG and FLY_APP_PREFIX: one app, or one per user",
            );
            None
        }
        (false, false) => {
            reader.wrong("FLY_APP_NAME", "is missing (or FLY_ORG_SLUG and FLY_APP_PREFIX, for one app per user)");
            None
        }
        (true, false) => reader.required::<FlyAppName>("FLY_APP_NAME").map(|app| AppPlacement::Shared(app.into())),
        (false, true) => {
            let organization = reader.required("FLY_ORG_SLUG");
            let prefix = reader.required::<FlyAppPrefix>("FLY_APP_PREFIX");
            let per_user = |(organization, prefix): (_, FlyAppPrefix)| AppPlacement::PerUser {
                organization,
                prefix: prefix.into(),
            };
            organization.zip(prefix).map(per_user)
        }
    }
}
