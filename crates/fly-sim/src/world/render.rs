//! Fly's JSON representations of the world's entities.

use serde_json::{Map, Value, json};

use super::{
    model::{App, Machine, MachineEvent, Secret, Volume},
    state::World,
};
use crate::{clock::rfc3339, image::Image};

const BYTES_PER_GB: u64 = 1 << 30;
const BLOCK: u64 = 4096;
/// The number of events in a machine object.
const EVENTS_SHOWN: usize = 20;

impl World {
    /// Renders an app as in `GET /apps/{app}`.
    pub(crate) fn render_app(&self, app: &App) -> Value {
        let (machines, volumes) = (self.machines.active(&app.name), self.volumes.count(&app.name));
        let status = if app.was_deployed { "deployed" } else { "pending" };
        json!({
            "id": app.name, "name": app.name, "status": status, "network": app.network,
            "machine_count": machines, "volume_count": volumes,
            "organization": { "name": app.org_slug, "slug": app.org_slug },
        })
    }
}

impl Machine {
    /// Renders the machine as in most calls. `summary` omits the fields that a list with `summary=true` omits.
    pub(crate) fn render(&self, summary: bool) -> Value {
        let mut shown = json!({
            "id": self.id, "name": self.name, "state": self.state, "region": self.region,
            "instance_id": self.version, "private_ip": self.private_ip, "image_ref": self.image_ref(),
            "created_at": rfc3339(self.created_at), "updated_at": rfc3339(self.updated_at),
        });
        if !summary {
            self.render_config(&mut shown);
            shown["events"] = self.events.iter().take(EVENTS_SHOWN).map(MachineEvent::render).collect();
        }
        if self.cordoned {
            shown["cordoned"] = json!(true);
        }
        shown
    }

    /// Adds the configuration, of which only the image is known while the host is down.
    fn render_config(&self, shown: &mut Value) {
        if self.host_down {
            shown["config"] = Value::Null;
            shown["incomplete_config"] = json!({ "image": self.image() });
            shown["host_status"] = json!("unreachable");
        } else {
            shown["config"] = Value::Object(self.config_with_defaults());
            shown["host_status"] = json!("ok");
        }
    }

    /// Renders the machine as in the calls of an organization: its configuration has guest, image and metadata only.
    ///
    /// A summary has no configuration.
    pub(crate) fn render_for_org(&self, summary: bool) -> Value {
        let kept = ["guest", "image", "metadata"];
        let mut config = self.config_with_defaults();
        config.retain(|key, _| kept.contains(&key.as_str()));
        let mut shown = json!({
            "app_name": self.app, "created_at": rfc3339(self.created_at), "id": self.id,
            "instance_id": self.version, "name": self.name, "private_ip": self.private_ip, "region": self.region,
            "state": self.state, "updated_at": rfc3339(self.updated_at), "version": self.version,
        });
        if !summary {
            shown["config"] = Value::Object(config);
        }
        shown
    }

    /// Returns the image in the configuration of the machine.
    pub(crate) fn image(&self) -> &str {
        self.config.get("image").and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns the configuration with the defaults that Fly fills in.
    fn config_with_defaults(&self) -> Map<String, Value> {
        let mut config = self.config.clone();
        fill_in(&mut config, "init", &[]);
        fill_in(&mut config, "restart", &[("policy", json!("on-failure"))]);
        let guest = [("cpu_kind", json!("shared")), ("cpus", json!(1)), ("memory_mb", json!(self.memory_mb()))];
        fill_in(&mut config, "guest", &guest);
        config
    }

    fn image_ref(&self) -> Value {
        // A configuration is checked before it is stored.
        Image::parse(self.image()).map(|image| image.render()).unwrap_or_default()
    }
}

/// Adds an object to the configuration, or the fields that it lacks.
fn fill_in(config: &mut Map<String, Value>, key: &str, defaults: &[(&str, Value)]) {
    let part = config.entry(key).or_insert_with(|| json!({}));
    if let Value::Object(fields) = part {
        for (name, value) in defaults {
            fields.entry(*name).or_insert_with(|| value.clone());
        }
    }
}

impl MachineEvent {
    /// Renders an entry of `events`.
    pub(crate) fn render(&self) -> Value {
        let mut shown = json!({
            "id": self.id, "type": self.kind, "status": self.status, "source": self.source,
            "timestamp": self.at.timestamp_millis(),
        });
        if let Some(request) = &self.request {
            shown["request"] = request.clone();
        }
        shown
    }
}

impl Volume {
    /// Returns the state in Fly's spelling.
    pub(crate) fn state(&self) -> &'static str {
        if self.deleted { "pending_destroy" } else { "created" }
    }

    /// Renders the volume as in a list with `summary=true`: without its blocks and bytes.
    pub(crate) fn render_summary(&self) -> Value {
        let mut shown = self.render();
        if let Value::Object(fields) = &mut shown {
            fields.retain(|name, _| !name.starts_with("block") && !name.starts_with("bytes"));
        }
        shown
    }

    /// Renders the volume as in most calls.
    pub(crate) fn render(&self) -> Value {
        let total = self.size_gb * BYTES_PER_GB;
        let used: u64 = self.files.values().map(|file| file.len() as u64).sum();
        json!({
            "id": self.id, "name": self.name, "state": self.state(), "size_gb": self.size_gb,
            "region": self.region, "zone": self.zone, "encrypted": self.encrypted, "fstype": self.fstype,
            "attached_machine_id": self.claimed_by, "attached_alloc_id": null,
            "created_at": rfc3339(self.created_at), "snapshot_retention": self.snapshot_retention,
            "auto_backup_enabled": self.auto_backup_enabled, "host_status": self.host.as_str(), "type": "local",
            "block_size": BLOCK, "blocks": total / BLOCK, "blocks_free": (total - used) / BLOCK,
            "blocks_avail": (total - used) / BLOCK, "bytes_used": used, "bytes_total": total,
        })
    }

    /// Renders the volume as in the calls of an organization.
    pub(crate) fn render_for_org(&self, summary: bool) -> Value {
        let mut shown = if summary { self.render_summary() } else { self.render() };
        shown["app_name"] = json!(self.app);
        shown["updated_at"] = json!(rfc3339(self.updated_at));
        shown
    }
}

impl Secret {
    /// Renders the secret without its value.
    pub(crate) fn render(&self, name: &str) -> Value {
        json!({
            "name": name, "digest": self.digest,
            "created_at": rfc3339(self.created_at), "updated_at": rfc3339(self.updated_at),
        })
    }
}
