//! A client of Fly that checks the provider without the control plane.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

const TIMEOUT: Duration = Duration::from_secs(30);

/// A client of the Machines API, for one app.
pub(super) struct Fly {
    http: reqwest::Client,
    /// The address of the app.
    url: String,
    token: String,
}

/// The fields of a machine that the demo reads.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Machine {
    pub(super) id: String,
    pub(super) state: String,
    pub(super) region: String,
    config: Config,
}

#[derive(Debug, Clone, Deserialize)]
struct Config {
    #[serde(default)]
    mounts: Vec<Mount>,
}

/// A volume that a machine mounts.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Mount {
    pub(super) volume: String,
    pub(super) path: String,
}

/// The fields of a volume that the demo reads.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Volume {
    pub(super) id: String,
    pub(super) state: String,
    pub(super) size_gb: u64,
}

impl Machine {
    /// Returns the one volume of a town's machine.
    pub(super) fn mount(&self) -> anyhow::Result<&Mount> {
        self.config.mounts.first().with_context(|| format!("machine {} has no volume", self.id))
    }

    fn is_living(&self) -> bool {
        !matches!(self.state.as_str(), "destroying" | "destroyed")
    }
}

impl Volume {
    /// Returns false for a volume that is being deleted. Fly lists it for a day.
    fn is_living(&self) -> bool {
        !matches!(self.state.as_str(), "pending_destroy" | "scheduling_destroy" | "destroying" | "destroyed")
    }
}

#[derive(Deserialize)]
struct Printed {
    #[serde(default)]
    stdout: String,
    #[serde(default)]
    stderr: String,
    exit_code: i32,
}

impl Fly {
    pub(super) fn new(url: &str, app: &str, token: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
        Ok(Self { http, url: format!("{}/v1/apps/{app}", url.trim_end_matches('/')), token: token.to_owned() })
    }

    /// Returns the only living machine of a town.
    pub(super) async fn machine_of(&self, town: &str) -> anyhow::Result<Machine> {
        let mut machines = self.machines(&[("metadata.gastown_town_id", town)]).await?;
        ensure!(machines.len() == 1, "the town has {} machines on Fly", machines.len());
        machines.pop().context("the town has no machine on Fly")
    }

    /// Returns the volume, unless it is being deleted.
    pub(super) async fn volume(&self, id: &str) -> anyhow::Result<Option<Volume>> {
        Ok(self.volumes().await?.into_iter().find(|volume| volume.id == id))
    }

    /// Describes every living machine and volume of the app, including those of no town.
    pub(super) async fn all(&self) -> anyhow::Result<Vec<String>> {
        let machines = self.machines(&[]).await?;
        let machines = machines.iter().map(|machine| format!("machine {} ({})", machine.id, machine.state));
        let volumes = self.volumes().await?;
        let volumes = volumes.iter().map(|volume| format!("volume {} ({})", volume.id, volume.state));
        Ok(machines.chain(volumes).collect())
    }

    async fn machines(&self, filter: &[(&str, &str)]) -> anyhow::Result<Vec<Machine>> {
        let machines: Vec<Machine> = send(self.get("machines").query(filter)).await.context("list machines")?;
        Ok(machines.into_iter().filter(Machine::is_living).collect())
    }

    async fn volumes(&self) -> anyhow::Result<Vec<Volume>> {
        let volumes: Vec<Volume> = send(self.get("volumes")).await.context("list volumes")?;
        Ok(volumes.into_iter().filter(Volume::is_living).collect())
    }

    /// Runs a command in a machine and returns what it prints.
    pub(super) async fn exec(&self, machine: &str, command: &[&str]) -> anyhow::Result<String> {
        let url = format!("{}/machines/{machine}/exec", self.url);
        let body = json!({ "command": command, "timeout": 10 });
        let printed: Printed = send(self.http.post(url).bearer_auth(&self.token).json(&body)).await.context("exec")?;
        ensure!(printed.exit_code == 0, "{command:?} failed in the machine: {}", printed.stderr.trim());
        Ok(printed.stdout)
    }

    fn get(&self, what: &str) -> reqwest::RequestBuilder {
        self.http.get(format!("{}/{what}", self.url)).bearer_auth(&self.token)
    }
}

async fn send<T: DeserializeOwned>(request: reqwest::RequestBuilder) -> anyhow::Result<T> {
    let answer = request.send().await?;
    let status = answer.status();
    let text = answer.text().await?;
    ensure!(status.is_success(), "Fly answered {status}: {text}");
    serde_json::from_str(&text).with_context(|| format!("Fly answered with unexpected JSON: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_and_its_mount_are_parsed() {
        let text = r#"{"id":"m1","state":"started","region":"iad","name":"town-1",
            "config":{"image":"x","mounts":[{"volume":"vol_1","path":"/data","extra":1}]}}"#;
        let machine: Machine = serde_json::from_str(text).unwrap();
        assert_eq!(machine.mount().unwrap().volume, "vol_1");
        let bare: Machine =
            serde_json::from_str(r#"{"id":"m1","state":"started","region":"iad","config":{}}"#).unwrap();
        assert!(bare.mount().is_err());
    }

    #[test]
    fn machines_and_volumes_that_are_being_destroyed_are_not_living() {
        for (state, living) in [("created", true), ("pending_destroy", false), ("destroyed", false)] {
            assert_eq!(Volume { id: "v".into(), state: state.into(), size_gb: 1 }.is_living(), living, "{state}");
        }
        let machine = |state: &str| Machine {
            id: "m".into(),
            state: state.into(),
            region: "iad".into(),
            config: Config { mounts: Vec::new() },
        };
        assert!(machine("stopped").is_living() && !machine("destroying").is_living());
    }
}
