//! The address of sandboxes, and the settings that are passed on to them.

use gastown::{HttpUrl, require_https};
use gastown_domain::AppPlacement;
use gastown_orchestrator::SandboxEnv;
use gastown_sandbox::{DEFAULT_TEMPLATE, UrlTemplate};
use gastown_secrets::DerivedTownKeys;

use super::{ConfigError, checked, fly, secret_rules};
use crate::settings_source::{Reader, Source};

/// The settings by which one town's sandbox is called.
pub(crate) struct SandboxAccess {
    /// The keys of the towns, from `INTERNAL_API_SECRET`.
    pub(crate) keys: DerivedTownKeys,
    /// `FLY_APP_NAME`, or `FLY_ORG_SLUG` and `FLY_APP_PREFIX`.
    pub(crate) app: AppPlacement,
    /// `SANDBOX_URL`.
    pub(crate) url: UrlTemplate,
}

impl SandboxAccess {
    /// Reads and checks only these settings.
    ///
    /// Errors: every missing or invalid setting of these.
    pub(crate) fn read(source: &Source) -> Result<Self, ConfigError> {
        checked(source, |reader| {
            secret_rules::check(reader, &["INTERNAL_API_SECRET"], &[]);
            let secret = reader.required_secret("INTERNAL_API_SECRET");
            let (app, url) = (fly::placement(reader), sandbox_url(reader));
            Some(Self { keys: DerivedTownKeys::new(&secret?).ok()?, app: app?, url: url? })
        })
    }
}

pub(super) fn sandbox_env(reader: &mut Reader<'_>) -> Option<SandboxEnv> {
    let kilo_api_url: Option<HttpUrl> = reader.required("KILO_API_URL");
    let r2_bucket = reader.required("R2_BUCKET");
    let r2_access_key = reader.required_secret("R2_ACCESS_KEY");
    let r2_secret_key = reader.secret("R2_SECRET_KEY");
    let r2_endpoint: Option<HttpUrl> = reader.optional("R2_ENDPOINT");
    let gastown_cloud_url: Option<HttpUrl> = reader.optional("GASTOWN_CLOUD_URL");
    if let Some(Err(problem)) = gastown_cloud_url.clone().map(HttpUrl::for_paths) {
        reader.wrong("GASTOWN_CLOUD_URL", &format!("is invalid: {problem}"));
    }
    Some(SandboxEnv {
        kilo_api_url: kilo_api_url.map(String::from)?,
        r2_bucket: r2_bucket?,
        r2_access_key: r2_access_key?,
        r2_secret_key,
        r2_endpoint: r2_endpoint.map(String::from),
        gastown_cloud_url: gastown_cloud_url.map(String::from),
    })
}

/// Reads the template of the addresses. The app and the machine's id do not decide if the host is private.
pub(super) fn sandbox_url(reader: &mut Reader<'_>) -> Option<UrlTemplate> {
    let template: UrlTemplate = reader.optional("SANDBOX_URL").or_else(|| DEFAULT_TEMPLATE.parse().ok())?;
    let filled = template.fill(&"app".parse().ok()?, &"0".parse().ok()?).ok()?;
    match require_https(&filled) {
        Ok(()) => Some(template),
        Err(problem) => {
            reader.wrong("SANDBOX_URL", &format!("is invalid: {problem}"));
            None
        }
    }
}
