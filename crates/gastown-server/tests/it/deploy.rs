//! The files of `docs/deploy`: every name is a setting, their settings are valid, and what they start runs.

mod compose;
mod dockerfile;
mod image;
mod manifests;
mod release;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use gastown_domain::ImageRef;
use gastown_secrets::SandboxKey;
use gastown_server::{Config, Source};
use serde_json::{Value, json};

const DOCKERFILE: &str = include_str!("../../../../docs/deploy/Dockerfile");
const FLY: &str = include_str!("../../../../docs/deploy/fly.toml");
const KUBERNETES: &str = include_str!("../../../../docs/deploy/kubernetes.yaml");
const COMPOSE: &str = include_str!("../../../../docs/deploy/compose.yaml");
const SYSTEMD: &str = include_str!("../../../../docs/deploy/gastown.service");
const SECRETS: &str = include_str!("../../../../docs/deploy/secrets.env");

/// Returns the settings of `fly.toml`.
fn fly() -> BTreeMap<String, String> {
    let table: toml::Table = FLY.parse().unwrap();
    let env = table["env"].as_table().unwrap().iter();
    env.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
}

/// Returns the settings of the config map, the lines between `data:` and the next document.
fn kubernetes() -> BTreeMap<String, String> {
    let (_, data) = KUBERNETES.split_once("\ndata:\n").unwrap();
    let (data, _) = data.split_once("\n---").unwrap();
    let setting = |line: &str| {
        let (name, value) = line.trim().split_once(": ").unwrap();
        (name.to_owned(), value.trim_matches('"').to_owned())
    };
    data.lines().map(setting).collect()
}

fn secret_names() -> BTreeSet<&'static str> {
    SECRETS.lines().map(|line| line.strip_suffix('=').unwrap()).collect()
}

/// Reads settings together with secrets.
fn read(settings: &BTreeMap<String, String>) -> Config {
    let key = SandboxKey::generate().public_key().to_string();
    let values = secret_names().into_iter().map(|name| {
        let value = match name {
            "DATABASE_URL" => "postgres://u:p@db.internal/gastown".to_owned(),
            "SANDBOX_PUBLIC_KEY" => key.clone(),
            other => format!("value-of-{other}-0a1b2c3d4e5f6g7h8i9j"),
        };
        (name.to_owned(), value)
    });
    let all = settings.clone().into_iter().chain(values);
    Config::read(&Source::from_pairs(all)).unwrap_or_else(|error| panic!("{error}"))
}

/// Replaces each variable of a file of Docker Compose by its value.
fn substituted(text: &str, value: impl Fn(&str) -> String) -> String {
    let mut text = text.to_owned();
    while let Some((before, rest)) = text.split_once("${") {
        let (name, after) = rest.split_once(":?}").unwrap();
        text = format!("{before}{}{after}", value(name));
    }
    text
}

/// Returns a service of `compose.yaml`, with random-looking values for its variables.
fn compose_service(service: &str) -> Value {
    let key = SandboxKey::generate().public_key().to_string();
    let text = substituted(COMPOSE, |name| match name {
        "SANDBOX_PUBLIC_KEY" => key.clone(),
        other => format!("{}-0a1b2c3d4e5f6g7h8i9j0k", other.to_lowercase()),
    });
    let file: Value = serde_saphyr::from_str(&text).unwrap();
    file["services"][service].clone()
}

#[test]
fn compose_runs_a_valid_server_with_its_neighbours() {
    let server = compose_service("gastown");
    let pairs = server["environment"].as_object().unwrap().iter();
    let settings: BTreeMap<_, _> =
        pairs.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
    let unknown: Vec<_> = settings.keys().filter(|name| !Config::NAMES.contains(&name.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let config = Config::read(&Source::from_pairs(settings.clone())).unwrap_or_else(|error| panic!("{error}"));
    assert!(config.console.listen.is_some() && config.console.token.is_some());
    assert_eq!(server["depends_on"]["migrate"]["condition"], "service_completed_successfully");
    assert_eq!(server["stop_grace_period"], "45s");

    // Each address names a neighbour, and its port is the one that the neighbour listens on.
    let (fly, migrate, postgres) = (compose_service("fly"), compose_service("migrate"), compose_service("postgres"));
    let host = fly["networks"]["default"]["aliases"][0].as_str().unwrap();
    for name in ["FLY_API_BASE_URL", "SANDBOX_URL"] {
        assert!(settings[name].starts_with(&format!("http://{host}:4280")), "{name}");
    }
    assert!(settings["SANDBOX_URL"].ends_with(":4280/_machine/{app}/{machine_id}"));
    let command: Vec<_> = fly["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert_eq!(command, ["serve", "--listen", "0.0.0.0:4280", "--app", &settings["FLY_APP_NAME"]]);
    let own = server["networks"]["default"]["aliases"][0].as_str().unwrap();
    assert_eq!(settings["GASTOWN_CLOUD_URL"], format!("http://{own}:{}", settings["PORT"]));
    assert_eq!(migrate["command"], json!(["migrate", "up"]));
    assert_eq!(migrate["environment"]["DATABASE_URL"], settings["DATABASE_URL"].as_str());
    let password = postgres["environment"]["POSTGRES_PASSWORD"].as_str().unwrap();
    assert!(settings["DATABASE_URL"].contains(&format!("gastown:{password}@postgres:5432/gastown")));
    // Ports are published to this machine only.
    let ports = server["ports"].as_array().unwrap();
    assert!(ports.iter().all(|port| port.as_str().unwrap().starts_with("127.0.0.1:")), "{ports:?}");
    // The simulator is built from a stage of the Dockerfile.
    let target = fly["build"]["target"].as_str().unwrap();
    assert!(DOCKERFILE.contains(&format!(" AS {target}\n")) && server["build"].get("target").is_none());
}

/// systemd is a part of Debian and Ubuntu. Elsewhere nothing can read the unit.
#[test]
fn systemd_accepts_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gastown.service");
    let verify = |unit: &str| {
        std::fs::write(&path, unit).unwrap();
        Command::new("systemd-analyze").arg("verify").arg(&path).output()
    };
    let unit = SYSTEMD.replace("/usr/local/bin/gastown", env!("CARGO_BIN_EXE_gastown"));
    let Ok(verified) = verify(&unit) else { return };
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    assert!(verified.status.success() && !said.contains("gastown.service"), "{said}");
    // An unknown name is only a warning.
    let mistyped = verify(&unit.replace("RestartSec=", "RestartSeconds=")).unwrap();
    assert!(String::from_utf8_lossy(&mistyped.stderr).contains("Unknown key"), "{mistyped:?}");
}

#[test]
fn page_names_the_variables_of_compose() {
    let page = include_str!("../../../../docs/deploying.md");
    let block = page.split("```sh\n").find(|block| block.trim_start().starts_with("SANDBOX_PUBLIC_KEY=")).unwrap();
    let listed: BTreeSet<_> =
        block.split("```").next().unwrap().lines().filter_map(|line| line.trim().strip_suffix('=')).collect();
    let used: BTreeSet<_> = COMPOSE.split("${").skip(1).map(|rest| rest.split(":?}").next().unwrap()).collect();
    assert_eq!(listed, used);
}

/// Replaces the placeholder of the digest.
fn with_image(settings: &mut BTreeMap<String, String>) {
    let image = settings.get_mut("FLY_IMAGE").unwrap();
    *image = image.replace("REPLACE", &"0f".repeat(32));
}

#[test]
fn settings_of_the_files_are_valid() {
    for (file, mut settings) in [("fly.toml", fly()), ("kubernetes.yaml", kubernetes())] {
        let unknown: Vec<_> = settings.keys().filter(|name| !Config::NAMES.contains(&name.as_str())).collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
        // Only a placeholder is left for the operator, and it is refused.
        let image = &settings["FLY_IMAGE"];
        assert!(image.ends_with("@sha256:REPLACE") && image.parse::<ImageRef>().is_err(), "{file}");
        with_image(&mut settings);
        let config = read(&settings);
        assert_eq!(config.fly.replicas.get(), 2, "{file}");
    }
}

#[test]
fn secrets_are_settings_and_in_no_file() {
    for name in secret_names() {
        assert!(Config::NAMES.contains(&name), "{name}");
        assert!(!fly().contains_key(name) && !kubernetes().contains_key(name), "{name}");
        let is_named = FLY.contains(&format!("{name}=…"));
        assert!(is_named, "the comment of fly.toml lacks {name}");
    }
}

#[test]
fn names_in_image_and_unit_are_settings() {
    let of_image = DOCKERFILE.lines().filter_map(|line| line.strip_prefix("ENV "));
    let of_unit = SYSTEMD.lines().filter_map(|line| line.strip_prefix("Environment="));
    let names: Vec<_> =
        of_image.chain(of_unit).flat_map(str::split_whitespace).map(|pair| pair.split('=').next()).collect();
    assert!(names.len() >= 4, "{names:?}");
    for name in names.into_iter().flatten() {
        assert!(Config::NAMES.contains(&name), "{name}");
    }
}

#[test]
fn files_leave_time_for_a_shutdown() {
    let mut settings = fly();
    with_image(&mut settings);
    let needed = read(&settings).http.shutdown.as_secs() + 20;
    for text in ["kill_timeout = ", "TimeoutStopSec=", "terminationGracePeriodSeconds: "] {
        let line = [FLY, SYSTEMD, KUBERNETES].concat();
        let line = line.lines().find_map(|line| line.trim().strip_prefix(text).map(str::to_owned)).unwrap();
        assert!(line.parse::<u64>().unwrap() >= needed, "{text}{line}");
    }
}
