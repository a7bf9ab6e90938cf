//! Volumes: create, read, list, destroy. A machine's mount attaches a volume; there is no call for it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Action, Call, Method, config::Guest, lenient, machines::HOST_OK};

/// The body of a create. A create is not idempotent: the same request again makes a second volume.
#[derive(Clone, Debug, Serialize)]
pub struct CreateVolume<'a> {
    /// Not unique on Fly. At most 30 of `a-z 0-9 _`.
    pub name: &'a str,
    /// The code of one region. Lists and aliases are not accepted.
    pub region: &'a str,
    /// Size in GiB, at most 500.
    pub size_gb: u32,
    /// True if the disk is encrypted at rest.
    pub encrypted: bool,
    /// True if it must be in another zone than the volumes of the same name. Off, because a name belongs to one town.
    /// A surplus volume that awaits its deletion must not make the next create fail.
    pub require_unique_zone: bool,
    /// The machine that will mount it. Fly chooses a host with room for both. A hint, not a reservation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compute: Option<&'a Guest>,
}

/// A volume as Fly shows it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Volume {
    /// `vol_…`.
    pub id: String,
    /// The name it was given.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub name: String,
    /// The state.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub state: VolumeState,
    /// The region it is in. Absent in some answers, such as those of a volume that is being deleted.
    #[serde(default, deserialize_with = "lenient::filled")]
    pub region: Option<String>,
    /// The machine that mounts it. It may name one that is gone.
    #[serde(default, deserialize_with = "lenient::filled")]
    pub attached_machine_id: Option<String>,
    /// The time of its creation.
    #[serde(default, deserialize_with = "lenient::date")]
    pub created_at: Option<DateTime<Utc>>,
    /// `ok`, `unknown` or `unreachable`.
    #[serde(default, deserialize_with = "lenient::filled")]
    pub host_status: Option<String>,
}

impl Volume {
    /// Returns true if the host answers. If not, the state is the last known one.
    pub fn host_answers(&self) -> bool {
        self.host_status.as_deref().is_none_or(|status| status == HOST_OK)
    }
}

/// The states of a volume (Fly: "Volume states"), those that Fly's own client hides, and any other text.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is the state that Fly documents, nothing more")]
pub enum VolumeState {
    Creating,
    Created,
    Extending,
    Restoring,
    EnablingRemoteExport,
    Hydrating,
    Recovering,
    SchedulingDestroy,
    ForkCleanup,
    WaitingForDetach,
    PendingDestroy,
    Destroying,
    Destroyed,
    /// A state that this client does not know, or none. Never read as gone (FM-31).
    #[default]
    #[serde(other)]
    Other,
}

/// Creates a volume. Answer: [`Volume`].
pub fn create(app: &str, volume: &CreateVolume<'_>) -> Call {
    Call::new(Action::CreateVolume, Method::Post, ["apps", app, "volumes"]).with_body(json!(volume))
}

/// Reads a volume. Answer: [`Volume`]. A deleted one is shown for a day.
pub fn get(app: &str, volume: &str) -> Call {
    Call::new(Action::GetVolume, Method::Get, ["apps", app, "volumes", volume])
}

/// Lists the app's volumes. Answer: a list of [`Volume`].
pub fn list(app: &str) -> Call {
    Call::new(Action::ListVolumes, Method::Get, ["apps", app, "volumes"])
}

/// Deletes a volume. 412 while a machine holds it. Answer: [`Volume`] in a state of deletion.
pub fn destroy(app: &str, volume: &str) -> Call {
    Call::new(Action::DestroyVolume, Method::Delete, ["apps", app, "volumes", volume])
}
