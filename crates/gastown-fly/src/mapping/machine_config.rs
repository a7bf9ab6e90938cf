//! Maps the domain's machine to Fly's configuration.

use gastown_domain::{Invalid, ports::MachineSpec};

use super::{names::TOWN_TAG, sizes::guest};
use crate::api::config::{MachineConfig, Mount, Port, Restart, Service, StopConfig};

/// The mount point of a town's volume.
const DATA: &str = "/home/gt/data";
/// The port of the sandbox's API.
const SANDBOX_PORT: u16 = 8080;
/// Restarts after a failure, before the machine stays off (FM-24).
const RESTARTS: u32 = 3;

/// Returns the whole configuration of a town's machine.
///
/// Errors: Fly does not offer the size.
pub(crate) fn machine_config(spec: &MachineSpec, stop_grace_secs: u64) -> Result<MachineConfig, Invalid> {
    let mut metadata = spec.metadata.clone();
    // Set last, because adoption and the search for orphans depend on it.
    metadata.insert(TOWN_TAG.to_owned(), spec.town.to_string());
    Ok(MachineConfig {
        image: spec.image.to_string(),
        env: spec.env.clone(),
        guest: guest(spec.guest)?,
        mounts: vec![Mount { volume: spec.volume.to_string(), path: DATA.to_owned() }],
        services: vec![sandbox_service()],
        restart: Restart { policy: "on-failure", max_retries: Some(RESTARTS) },
        stop_config: StopConfig { signal: "SIGINT", timeout: format!("{stop_grace_secs}s") },
        metadata,
        auto_destroy: false,
    })
}

fn sandbox_service() -> Service {
    Service {
        protocol: "tcp",
        internal_port: SANDBOX_PORT,
        ports: vec![Port { port: 443, handlers: vec!["tls", "http"] }],
        autostart: false,
        autostop: "off",
    }
}
