//! Mistakes of a builder.

use gastown::{BuildError, FlySettings, Gastown, GastownBuilder, Policy, SandboxEnv, SecretSettings};

/// Returns the settings that a builder reports as missing or wrong.
async fn mistakes(builder: GastownBuilder) -> Vec<(&'static str, String)> {
    match builder.build().await {
        Err(BuildError::Invalid(mistakes)) => {
            mistakes.0.into_iter().map(|mistake| (mistake.setting, mistake.problem)).collect()
        }
        Err(error) => panic!("another error: {error}"),
        Ok(_) => panic!("it was built"),
    }
}

async fn names(builder: GastownBuilder) -> Vec<&'static str> {
    mistakes(builder).await.into_iter().map(|(setting, _)| setting).collect()
}

#[tokio::test]
async fn empty_builder_names_everything_that_is_missing() {
    assert_eq!(names(Gastown::builder()).await, ["database", "fly", "secrets", "image", "sandbox_env"]);
}

#[tokio::test]
async fn missing_adapter_names_the_ports_that_would_replace_it() {
    let mistakes = mistakes(Gastown::builder()).await;
    let (_, problem) = mistakes.iter().find(|(setting, _)| *setting == "fly").unwrap();
    assert_eq!(problem, "is missing, or instead of it: apps, volumes, machines, inventory");
}

/// Returns a builder whose every setting is wrong, with a database in this file.
fn wrong(file: &str) -> GastownBuilder {
    let mut policy = Policy::production();
    policy.limits.agreeing_observations = 0;
    let env = SandboxEnv::new("canary", "", "");
    Gastown::builder()
        .database(format!("sqlite://{file}?canary=canary"))
        .migrate_at_start(true)
        .fly(FlySettings::shared_app("Canary!", " ").base_url("http://canary.example.com"))
        .sandbox_url("canary")
        .secrets(SecretSettings::new("canary", "canary", "canary"))
        .image("")
        .regions(["iad", "canary canary"])
        .sandbox_env(env)
        .policy(policy)
}

#[tokio::test]
async fn all_mistakes_are_named_at_once_and_no_value_is_shown() {
    let error = wrong("town.db").build().await.err().unwrap().to_string();
    assert!(error.starts_with("14 setting(s) of the builder are missing or invalid:\n"), "{error}");
    assert!(!error.to_lowercase().contains("canary"), "{error}");
    for setting in [
        "database",
        "fly.app",
        "fly.base_url",
        "fly.token",
        "sandbox_url",
        "secrets.token_secret",
        "secrets.town_secret",
        "secrets.sealing_key",
        "image",
        "regions",
        "sandbox_env.kilo_api_url",
        "sandbox_env.r2_bucket",
        "sandbox_env.r2_access_key",
        "policy",
    ] {
        assert!(error.contains(&format!("\n  {setting} ")), "{setting} is not in {error}");
    }
}

#[cfg(feature = "sim")]
#[tokio::test]
async fn one_mistake_starts_nothing() {
    let folder = std::env::temp_dir().join(format!("gastown-builder-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("town.db");
    let builder = Gastown::simulated().database(format!("sqlite://{}", file.display())).migrate_at_start(true);
    assert_eq!(names(builder.image("")).await, ["image"]);
    assert!(!file.exists(), "the database was created");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn builder_without_regions_is_refused() {
    let builder = wrong("town.db").regions(Vec::<&str>::new());
    let (_, problem) = mistakes(builder).await.into_iter().find(|(setting, _)| *setting == "regions").unwrap();
    assert_eq!(problem, "is invalid: must name at least one region");
}
