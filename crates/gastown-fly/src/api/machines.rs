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

/// The longest wait Fly takes; more is refused with 400.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Fly's word for a host that can be asked.
pub(crate) const HOST_OK: &str = "ok";

/// What a machine is made from.
#[derive(Clone, Debug, Serialize)]
pub struct CreateMachine<'a> {
    /// Unique among the app's living machines: the only idempotency the API has.
    pub name: &'a str,
    /// Where; with a mount it must be the volume's region.
    pub region: &'a str,
    /// The configuration.
    pub config: &'a MachineConfig,
    /// Do not boot from an older set of app secrets than this version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_secrets_version: Option<u64>,
    /// Create without starting.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub skip_launch: bool,
}

/// A new configuration for a machine.
#[derive(Clone, Debug, Serialize)]
pub struct UpdateMachine<'a> {
    /// The whole configuration; nothing is merged.
    pub config: &'a MachineConfig,
    /// The `instance_id` that was read: another one means that somebody else updated meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_version: Option<&'a str>,
    /// Do not boot from an older set of app secrets than this version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_secrets_version: Option<u64>,
    /// Update without starting.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub skip_launch: bool,
}

/// A machine as Fly shows it.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Machine {
    /// 14 hex digits in practice.
    pub id: String,
    /// The name it was given.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub name: String,
    /// The state.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub state: MachineState,
    /// Where it is.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub region: String,
    /// The version of its configuration; each update may change it.
    #[serde(default, deserialize_with = "lenient::filled")]
    pub instance_id: Option<String>,
    /// Its configuration; `None` when the host cannot be asked.
    #[serde(default)]
    pub config: Option<ConfigSeen>,
    /// What is known of the configuration when the host cannot be asked.
    #[serde(default)]
    pub incomplete_config: Option<ConfigSeen>,
    /// `ok`, `unknown`, `unreachable`; anything but `ok` makes the state the last known one.
    #[serde(default, deserialize_with = "lenient::filled")]
    pub host_status: Option<String>,
    /// When it was made.
    #[serde(default, deserialize_with = "lenient::date")]
    pub created_at: Option<DateTime<Utc>>,
    /// When it last changed; unknown right after a create.
    #[serde(default, deserialize_with = "lenient::date")]
    pub updated_at: Option<DateTime<Utc>>,
    /// What happened to it, newest first.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub events: Vec<Event>,
    /// The nonce of the lease that was asked for together with a create or update.
    #[serde(default, deserialize_with = "lenient::filled")]
    pub nonce: Option<String>,
}

impl Machine {
    /// A tag's value, from the full configuration or, when the host is away, from what is left of it.
    pub fn tag(&self, key: &str) -> Option<&str> {
        [&self.config, &self.incomplete_config]
            .into_iter()
            .flatten()
            .find_map(|config| config.metadata.get(key))
            .map(String::as_str)
    }

    /// Whether the host can be asked. If not, the state is the last known one and the configuration may be partial.
    pub fn host_answers(&self) -> bool {
        self.host_status.as_deref().is_none_or(|status| status == HOST_OK)
    }

    /// Whether all tags are at hand: only then does the absence of one mean anything.
    pub fn shows_all_tags(&self) -> bool {
        self.config.is_some() && self.host_answers()
    }

    /// The volume mounted by the current configuration.
    pub fn volume(&self) -> Option<&str> {
        [&self.config, &self.incomplete_config]
            .into_iter()
            .flatten()
            .flat_map(|config| &config.mounts)
            .map(|mount| mount.volume.as_str())
            .find(|volume| !volume.is_empty())
    }
}

/// The states of a machine (Fly: "Machine states"), and what is none of them.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is the word Fly documents, nothing more")]
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
    /// A word this client does not know, or none. Never read as gone (FM-31).
    #[default]
    #[serde(other)]
    Other,
}

/// One entry of a machine's history.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Event {
    /// `launch`, `start`, `exit`, `restart`, `update`, …
    #[serde(default, rename = "type", deserialize_with = "lenient::null_as_default")]
    pub kind: String,
    /// What became of it.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub status: String,
    /// Unix time in milliseconds.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub timestamp: i64,
    /// Details.
    #[serde(default)]
    pub request: Option<EventRequest>,
}

/// Details of an event.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct EventRequest {
    /// How the process ended.
    #[serde(default)]
    pub exit_event: Option<ExitEvent>,
}

/// How a machine's process ended. Fly omits zero values.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct ExitEvent {
    /// The exit code.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub exit_code: i32,
    /// Whether it ran out of memory.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub oom_killed: bool,
    /// Whether the stop was asked for.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub requested_stop: bool,
}

/// What a wait is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the word Fly documents, nothing more")]
pub enum WaitFor {
    Started,
    Stopped,
    Destroyed,
}

impl WaitFor {
    const fn word(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Stopped => "stopped",
            Self::Destroyed => "destroyed",
        }
    }
}

/// Creates a machine. Answer: [`Machine`], usually `created`; it launches by itself. A name in use is 409.
pub fn create(app: &str, machine: &CreateMachine<'_>) -> Call {
    Call::new(Action::CreateMachine, Method::Post, ["apps", app, "machines"]).with_body(json!(machine))
}

/// Reads a machine. Answer: [`Machine`]; a destroyed one is still shown.
pub fn get(app: &str, machine: &str) -> Call {
    Call::new(Action::GetMachine, Method::Get, ["apps", app, "machines", machine])
}

/// Lists the app's machines, those with the tag alone where one is given. Answer: a list of [`Machine`].
///
/// The list lags behind and the filter is not in every description of the API: neither proves that a machine is absent,
/// and what comes back must be compared with the tag again.
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

/// Replaces a machine's configuration. Answer: [`Machine`] with a new `instance_id`. A started machine reboots.
pub fn update(app: &str, machine: &str, update: &UpdateMachine<'_>) -> Call {
    Call::new(Action::UpdateMachine, Method::Post, ["apps", app, "machines", machine]).with_body(json!(update))
}

/// Destroys a machine, killing it first where `force` is set. Accepted is not done: watch for `destroyed`.
pub fn destroy(app: &str, machine: &str, force: bool) -> Call {
    let call = Call::new(Action::DestroyMachine, Method::Delete, ["apps", app, "machines", machine]);
    if force { call.with_query("force", "true") } else { call }
}

/// Starts a machine.
pub fn start(app: &str, machine: &str) -> Call {
    Call::new(Action::StartMachine, Method::Post, ["apps", app, "machines", machine, "start"])
}

/// Stops a machine: `SIGINT`, then, after `grace`, the kill. Stopping a stopped one is answered like the first time.
pub fn stop(app: &str, machine: &str, grace: Duration) -> Call {
    Call::new(Action::StopMachine, Method::Post, ["apps", app, "machines", machine, "stop"])
        .with_body(json!({ "timeout": format!("{}s", grace.as_secs()) }))
}

/// Waits until the machine is in the state, at most `patience` (clamped to what Fly takes: 1 to 60 s). Not there: 408.
///
/// `version` is the `instance_id` to watch; Fly's description asks for it when waiting for `stopped`.
pub fn wait(app: &str, machine: &str, target: WaitFor, version: Option<&str>, patience: Duration) -> Call {
    let patience = Duration::from_secs(patience.as_secs().clamp(1, LONGEST_WAIT.as_secs()));
    let call = Call::new(Action::WaitMachine, Method::Get, ["apps", app, "machines", machine, "wait"])
        .with_query("state", target.word())
        .with_query("timeout", patience.as_secs().to_string())
        .with_server_wait(patience);
    match version {
        Some(version) => call.with_query("instance_id", version),
        None => call,
    }
}
