//! The inputs as clients write them, for the description of the wire. A test compares them with what the parser reads.

use gastown_domain::{
    FirstRig, Models, TownConfig,
    ports::{AddRig, CreateTown, DestroyTown, EventPage, RemoveRig, RestoreTown, TownPage, UpdateTown},
};
use schemars::JsonSchema;
use serde_json::{Map, Value};

use super::{RigRef, SandboxBeat, TownRef, WatchedList, WatchedTown};
use crate::{
    output::{Id, Moment},
    trpc::Input,
};

/// An input with its form on the wire.
pub(crate) trait Declared: Input {
    /// The form.
    type Form: JsonSchema;
    /// False if the procedure has no input.
    const HAS_INPUT: bool = true;
}

macro_rules! declared {
    ($($input:ty => $form:ty;)+) => {
        $(impl Declared for $input { type Form = $form; })+

        /// The tests of all inputs.
        #[cfg(test)]
        const AGREE: &[fn()] = &[$(tests::agrees::<$input>),+];
    };
}

declared! {
    CreateTown => CreateTownInput;
    DestroyTown => DestroyTownInput;
    TownRef => TownInput;
    RigRef => RigInput;
    AddRig => AddRigInput;
    RemoveRig => RemoveRigInput;
    TownPage => ListTownsInput;
    EventPage => ListEventsInput;
    UpdateTown => UpdateTownInput;
    RestoreTown => RestoreTownInput;
    WatchedTown => WatchTownInput;
    WatchedList => WatchTownsInput;
    SandboxBeat => HeartbeatInput;
}

impl Declared for () {
    type Form = ();
    const HAS_INPUT: bool = false;
}

/// The town of a call.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct TownInput {
    /// The town.
    town_id: Id,
}

/// The rig of a call.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct RigInput {
    /// The town.
    town_id: Id,
    /// The rig.
    rig_id: Id,
}

/// A town to be created.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct CreateTownInput {
    /// The name: 1 to 64 characters of `a-z 0-9 -`, with a letter or digit at both ends.
    town_name: String,
    /// The configuration, at most 32 KiB as JSON. Unknown keys are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<TownConfig>,
    /// One of `listRegions`. Without it, the first region with room is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    /// A repeat with the same key and input returns the same town: 1 to 128 printable ASCII characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<String>,
}

/// A town to be destroyed.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct DestroyTownInput {
    /// The town.
    town_id: Id,
    /// True to wait until nothing is left. Otherwise the call returns once the removal is certain.
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_until_gone: Option<bool>,
}

/// A town to be restored from R2.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct RestoreTownInput {
    /// The town.
    town_id: Id,
    /// The name of the town, as a confirmation that the changes since the last sync are lost.
    confirm: String,
}

/// A change of a town's configuration.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct UpdateTownInput {
    /// The town.
    town_id: Id,
    /// The change. The configuration may then have at most 32 KiB as JSON.
    config: TownConfigPatch,
    /// The `configVersion` of the town as it was read. If the configuration has changed since, nothing is done.
    config_version: String,
}

/// A change of a configuration. A key that it names is replaced, or removed by `null`. Every other key stays.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct TownConfigPatch {
    /// The first rigs, which do not change. A change may only repeat them. `addRig` and `removeRig` change the rigs.
    #[serde(skip_serializing_if = "Option::is_none")]
    rigs: Option<Vec<FirstRig>>,
    /// The models to use.
    #[serde(skip_serializing_if = "Option::is_none")]
    models: Option<Models>,
    /// The maximum number of workers (polecats) that run at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_polecats: Option<u32>,
    /// The minutes without use after which the running town is stopped. `null` turns idle stops off.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 5, max = 10080))]
    idle_stop_minutes: Option<u32>,
    /// Keys that this version does not know.
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// A rig to be added.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct AddRigInput {
    /// The town.
    town_id: Id,
    /// The name: 1 to 64 letters, digits and `_`, and no name of a directory of Gas Town.
    rig_name: String,
    /// The repository, by HTTPS or SSH, on a public host.
    repo_url: String,
    /// The branch. Without it, the repository's default branch is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    branch: Option<String>,
    /// The configuration, at most 32 KiB as JSON, kept as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<Map<String, Value>>,
}

/// A rig to be removed.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct RemoveRigInput {
    /// The town.
    town_id: Id,
    /// The rig.
    rig_id: Id,
    /// True to remove the rig even if work is lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    force: Option<bool>,
}

/// A page of the list. Without an input, the whole list is returned.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct ListTownsInput {
    /// The `townId` of the last town of the previous page.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<Id>,
    /// The most towns of the page, 1 to 100. Without it, all towns.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    limit: Option<u32>,
}

/// A town to be watched.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct WatchTownInput {
    /// The town.
    town_id: Id,
    /// The id of the last value that the client has seen. The client of tRPC sends it when it reconnects.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_event_id: Option<String>,
}

/// The list to watch: that of the caller.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct WatchTownsInput {
    /// The id of the last value that the client has seen. The client of tRPC sends it when it reconnects.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_event_id: Option<String>,
}

/// A heartbeat of a sandbox. A part that it does not report is unknown.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct HeartbeatInput {
    /// The town.
    town_id: Id,
    /// True if the daemon of `gt` runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    gt_running: Option<bool>,
    /// True if its database runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    dolt_running: Option<bool>,
    /// The workers (polecats) that are at work.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100_000))]
    active_polecats: Option<u32>,
    /// The used part of the volume, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    disk_used_bytes: Option<u64>,
    /// The time of the last complete sync to R2. A time in the future counts as now.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_r2_sync_at: Option<Moment>,
}

/// A page of the history of a town.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct ListEventsInput {
    /// The town.
    town_id: Id,
    /// The `nextCursor` of the previous page. Without it, the page begins with the newest event.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<Id>,
    /// The most events of the page, 1 to 200, by default 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use schemars::{Schema, schema_for};
    use serde_json::json;

    use super::*;
    use crate::input::fields::tests::read;

    fn members(schema: &Schema, keyword: &str) -> BTreeSet<String> {
        match schema.get(keyword) {
            Some(Value::Object(properties)) => properties.keys().cloned().collect(),
            Some(Value::Array(names)) => names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
            _ => BTreeSet::new(),
        }
    }

    /// Compares the declared members with those that the parser reads, and the required ones with its complaints.
    pub(super) fn agrees<I: Declared>() {
        let schema = schema_for!(I::Form);
        let what = std::any::type_name::<I>();
        drop(read());
        let _ = I::parse(Some(json!({"config": 5})));
        let mut known = read();
        let of_config = ["rigs", "models", "max_polecats", "maxPolecats", "idle_stop_minutes", "idleStopMinutes"];
        known.retain(|name| !of_config.contains(&name.as_str()));
        assert_eq!(members(&schema, "properties"), known, "{what}");
        let complaints = I::parse(Some(json!({}))).err().map(|error| error.message().to_owned()).unwrap_or_default();
        let issues: Vec<Value> = serde_json::from_str(&complaints).unwrap_or_default();
        let missing = issues.iter().filter_map(|issue| issue["path"][0].as_str().map(str::to_owned)).collect();
        assert_eq!(members(&schema, "required"), missing, "{what}");
    }

    #[test]
    fn declared_members_are_those_that_are_read() {
        for agrees in AGREE {
            agrees();
        }
    }

    #[test]
    fn configuration_declares_its_known_members() {
        let known = members(&schema_for!(TownConfig), "properties");
        drop(read());
        let _ = CreateTown::parse(Some(json!({})));
        let read = read();
        assert!(known.iter().all(|name| read.contains(name)), "{known:?} {read:?}");
    }
}
