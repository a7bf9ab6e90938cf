//! The world as a document, for a file or for a later restore.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    event_queue::{EventQueue, ScheduledEvent, Transition},
    model::{App, Machine, Snapshot, Volume},
    state::World,
};
use crate::{
    clock::{SimClock, StoredClock},
    ids::IdSource,
    machine_state::State,
};

/// The version of the format. A document of another version is refused.
const FORMAT: u32 = 1;

/// An error in a stored world.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The document is of another version.
    #[error("state has format {found}, and this version reads format {FORMAT}")]
    Format {
        /// The version of the document.
        found: Value,
    },
    /// A field is missing or invalid.
    #[error("state is invalid: {0}")]
    Invalid(#[from] serde_json::Error),
}

/// A stored world.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredWorld {
    #[serde(rename = "format")]
    _format: u32,
    clock: StoredClock,
    sequence: u64,
    apps: BTreeMap<String, App>,
    machines: Vec<Machine>,
    volumes: Vec<Volume>,
    snapshots: Vec<Snapshot>,
    #[serde(with = "pairs")]
    idempotent: BTreeMap<(String, String), String>,
    events: EventQueue,
}

impl StoredWorld {
    /// Parses a document.
    pub(crate) fn parse(document: Value) -> Result<Self, StateError> {
        match document.get("format") {
            Some(format) if *format == json!(FORMAT) => Ok(serde_json::from_value(document)?),
            found => Err(StateError::Format { found: found.cloned().unwrap_or_default() }),
        }
    }
}

impl World {
    /// Returns the world as a document, which includes the values of secrets. Programs are not part of it.
    pub(crate) fn store(&self) -> Value {
        json!({
            "format": FORMAT, "clock": self.clock.store(), "sequence": self.sequence, "apps": self.apps,
            "machines": self.machines.values().collect::<Vec<_>>(), "snapshots": self.snapshots,
            "volumes": self.volumes.values().collect::<Vec<_>>(), "events": self.events,
            "idempotent": self.idempotent.iter().collect::<Vec<_>>(),
        })
    }

    /// Replaces the world. The clock goes on where it was, and the programs of started machines boot again.
    pub(crate) fn restore(&mut self, stored: StoredWorld) {
        let clock = SimClock::restore(stored.clock);
        let now = clock.now();
        *self = Self {
            settings: self.settings.clone(),
            apps: stored.apps,
            machines: stored.machines.into_iter().collect(),
            volumes: stored.volumes.into_iter().collect(),
            snapshots: stored.snapshots,
            idempotent: stored.idempotent,
            // Ids after a restore must differ from those before.
            ids: IdSource::seeded(stored.sequence.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(FORMAT)),
            events: stored.events,
            clock,
            now,
            sequence: stored.sequence,
        };
        self.boot_programs_again();
    }

    /// Moves the clock to the real time, as if the world had run meanwhile.
    pub(crate) fn catch_up_with_real_time(&mut self) {
        self.clock.catch_up_with_real_time();
        self.catch_up();
    }

    fn boot_programs_again(&mut self) {
        let due = self.now + self.settings.timing.program_boot;
        for machine in self.machines.values().filter(|machine| machine.state == State::Started && !machine.host_down) {
            let (id, schedule_version) = (machine.id.clone(), machine.schedule_version);
            self.events.schedule(due, ScheduledEvent::Machine { id, schedule_version, next: Transition::ProgramUp });
        }
    }
}

/// Stores the value of a secret.
pub(super) mod secret {
    use secrecy::{ExposeSecret, SecretString};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secret.expose_secret())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
        String::deserialize(deserializer).map(SecretString::from)
    }
}

/// Stores files by path, in Base64.
pub(super) mod files {
    use base64::{Engine, prelude::BASE64_STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    use crate::workload::Files;

    pub(crate) fn serialize<S: Serializer>(files: &Files, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(files.iter().map(|(path, content)| (path, BASE64_STANDARD.encode(content))))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Files, D::Error> {
        let texts = std::collections::BTreeMap::<String, String>::deserialize(deserializer)?;
        let decode = |(path, text): (String, String)| Ok((path, BASE64_STANDARD.decode(text)?));
        texts.into_iter().map(decode).collect::<Result<_, base64::DecodeError>>().map_err(D::Error::custom)
    }
}

/// Stores a map whose keys are no texts as a list of pairs.
pub(super) mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer, K: Serialize, V: Serialize>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, K: Deserialize<'de> + Ord, V: Deserialize<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<K, V>, D::Error> {
        Ok(Vec::<(K, V)>::deserialize(deserializer)?.into_iter().collect())
    }
}
