//! Machines: create, read, list, update, destroy, start, stop, wait.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Action, Call, Method,
    config::{ConfigSeen, MachineConfig},
    lenient,
};

/// The longest wait that Fly accepts. A longer one is refused with 400.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The `host_status` of a host that answers.
pub(super) const HOST_OK: &str = "ok";

/// The body of a create.
#[derive(Clone, Debug, Serialize)]
pub struct CreateMachine<'a> {
    /// Unique among the app's living machines. This is the only idempotency the API has.
    pub name: &'a str,
    /// The region. With a mount it must be the volume's region.
    pub region: &'a str,
    /// The configuration.
    pub config: &'a MachineConfig,
}

/// The body of an update.
#[derive(Clone, Debug, Serialize)]
pub struct UpdateMachine<'a> {
    /// The whole configuration. Nothing is merged.
    pub config: &'a MachineConfig,
    /// The `instance_id` that was read. Fly refuses the update if the machine has another one by now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_version: Option<&'a str>,
    /// Update without starting.
    pub skip_launch: bool,
}

/// A machine as Fly shows it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Machine {
    /// 14 hex digits in practice.
    pub id: String,
    /// The name it was given.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub name: String,
    /// The state.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub state: MachineState,
    /// The version of its configuration. Each update may change it.
    #[serde(default, deserialize_with = "lenient::filled")]
    pub instance_id: Option<String>,
    /// Its configuration, or `None` when the host does not answer.
    #[serde(default)]
    pub config: Option<ConfigSeen>,
    /// The known part of the configuration when the host does not answer.
    #[serde(default)]
    pub incomplete_config: Option<ConfigSeen>,
    /// `ok`, `unknown` or `unreachable`. With anything but `ok` the state is the last known one.
    #[serde(default, deserialize_with = "lenient::filled")]
    pub host_status: Option<String>,
    /// The time of its creation.
    #[serde(default, deserialize_with = "lenient::date")]
    pub created_at: Option<DateTime<Utc>>,
}

impl Machine {
    /// Returns a tag's value, from the full configuration or else from the incomplete one.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.configs().find_map(|config| config.metadata.get(key)).map(String::as_str)
    }

    /// Returns true if the host answers. If not, the state is the last known one and the configuration may be partial.
    pub fn host_answers(&self) -> bool {
        self.host_status.as_deref().is_none_or(|status| status == HOST_OK)
    }

    /// Returns true if all tags are known. Only then does the absence of a tag mean anything.
    pub fn shows_all_tags(&self) -> bool {
        self.config.is_some() && self.host_answers()
    }

    /// Returns the volume that the current configuration mounts.
    pub fn volume(&self) -> Option<&str> {
        let mounts = self.configs().flat_map(|config| &config.mounts);
        mounts.map(|mount| mount.volume.as_str()).find(|volume| !volume.is_empty())
    }

    fn configs(&self) -> impl Iterator<Item = &ConfigSeen> {
        [&self.config, &self.incomplete_config].into_iter().flatten()
    }
}

/// The states of a machine (Fly: "Machine states"), and any other text.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is the state that Fly documents, nothing more")]
pub enum MachineState {
    Creating,
    Created,
    Starting,
    Started,
    Stopping,
    Stopped,
    Suspending,
    Suspended,
    Restarting,
    Updating,
    Replacing,
    Replaced,
    Migrated,
    Failed,
    LaunchFailed,
    Destroying,
    Destroyed,
    /// A state that this client does not know, or none. Never read as gone (FM-31).
    #[default]
    #[serde(other)]
    Other,
}

/// A state to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the state that Fly documents, nothing more")]
pub enum WaitFor {
    Started,
    Stopped,
    Destroyed,
}

impl WaitFor {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Stopped => "stopped",
            Self::Destroyed => "destroyed",
        }
    }
}

/// Creates a machine, which then launches. A name in use is 409. Answer: [`Machine`], usually `created`.
pub fn create(app: &str, machine: &CreateMachine<'_>) -> Call {
    Call::new(Action::CreateMachine, Method::Post, ["apps", app, "machines"]).with_body(json!(machine))
}

/// Reads a machine. Answer: [`Machine`]. A destroyed one is still shown.
pub fn get(app: &str, machine: &str) -> Call {
    Call::new(Action::GetMachine, Method::Get, ["apps", app, "machines", machine])
}

/// Lists the app's machines, or only those with the tag where one is given. Answer: a list of [`Machine`].
///
/// The list lags behind, and not every description of the API has the filter. Neither proves that a machine is absent,
/// and the tags of the result must be compared again.
pub fn list(app: &str, tag: Option<(&str, &str)>) -> Call {
    let call = Call::new(Action::ListMachines, Method::Get, ["apps", app, "machines"]);
    match tag {
        Some((key, value)) => call.with_query(format!("metadata.{key}"), value),
        None => call,
    }
}

/// Lists all of the app's machines, without configurations and histories. Answer: a list of [`Machine`].
pub fn summary(app: &str) -> Call {
    Call::new(Action::ListMachines, Method::Get, ["apps", app, "machines"]).with_query("summary", "true")
}

/// Replaces a machine's configuration. A started machine reboots. Answer: [`Machine`] with a new `instance_id`.
pub fn update(app: &str, machine: &str, update: &UpdateMachine<'_>) -> Call {
    Call::new(Action::UpdateMachine, Method::Post, ["apps", app, "machines", machine]).with_body(json!(update))
}

/// Destroys a machine, and kills it first where it runs. The answer means accepted: the end is the state `destroyed`.
pub fn destroy(app: &str, machine: &str) -> Call {
    Call::new(Action::DestroyMachine, Method::Delete, ["apps", app, "machines", machine]).with_query("force", "true")
}

/// Starts a machine.
pub fn start(app: &str, machine: &str) -> Call {
    Call::new(Action::StartMachine, Method::Post, ["apps", app, "machines", machine, "start"])
}

/// Stops a machine: `SIGINT`, then, after `grace`, the kill. Stopping a stopped machine succeeds.
pub fn stop(app: &str, machine: &str, grace: Duration) -> Call {
    Call::new(Action::StopMachine, Method::Post, ["apps", app, "machines", machine, "stop"])
        .with_body(json!({ "timeout": format!("{}s", grace.as_secs()) }))
}

/// Waits until the machine is in the state. A state that is not reached within `timeout` is 408.
///
/// Fly accepts 1 to 60 s, so `timeout` is clamped to that. `version` is the `instance_id` to watch; Fly's description
/// requires it for `stopped`.
pub fn wait(app: &str, machine: &str, target: WaitFor, version: Option<&str>, timeout: Duration) -> Call {
    let timeout = Duration::from_secs(timeout.as_secs().clamp(1, LONGEST_WAIT.as_secs()));
    let call = Call::new(Action::WaitMachine, Method::Get, ["apps", app, "machines", machine, "wait"])
        .with_query("state", target.as_str())
        .with_query("timeout", timeout.as_secs().to_string())
        .with_server_wait(timeout);
    match version {
        Some(version) => call.with_query("instance_id", version),
        None => call,
    }
}
