//! Builds the service with settings of production, here from the environment.
//!
//! `cargo run -p gastown --example production` names each setting that is missing or wrong.
#![expect(clippy::disallowed_methods, reason = "an example reads its settings from the environment")]

use std::error::Error;

use gastown::{BuildError, FlySettings, Gastown, SandboxEnv, SecretSettings, tokio};

/// Builds the service. All processes have the same settings.
async fn open(setting: impl Fn(&str) -> String) -> Result<Gastown, BuildError> {
    let token_secret = setting("NEXTAUTH_SECRET");
    let town_secret = setting("INTERNAL_API_SECRET");
    let sealing_key = setting("SANDBOX_PUBLIC_KEY");
    Gastown::builder()
        .database(setting("DATABASE_URL"))
        .migrate_at_start(true)
        .fly(FlySettings::shared_app(setting("FLY_APP_NAME"), setting("FLY_API_TOKEN")))
        .secrets(SecretSettings::new(token_secret, town_secret, sealing_key))
        .image(setting("FLY_IMAGE"))
        .sandbox_env(SandboxEnv::new(setting("KILO_API_URL"), setting("R2_BUCKET"), setting("R2_ACCESS_KEY")))
        .build()
        .await
}

#[tokio::main(crate = "gastown::tokio")]
async fn main() -> Result<(), Box<dyn Error>> {
    let gastown = open(|name| std::env::var(name).unwrap_or_default()).await?;
    gastown.run(gastown::CancellationToken::new()).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_wrong_setting_is_named() {
        let Err(BuildError::Invalid(mistakes)) = open(|_| String::new()).await else { panic!("it was built") };
        let text = mistakes.to_string();
        for name in ["database", "fly", "secrets", "image"] {
            assert!(text.contains(name), "{name}: {text}");
        }
    }
}
