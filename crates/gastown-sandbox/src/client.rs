//! `Sandboxes` over HTTP.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use gastown_domain::{
    RigName, SandboxRig,
    ports::{SandboxAddress, SandboxError, Sandboxes},
};
use reqwest::Method;
use url::Url;

use crate::{
    answer::{Asked, Rubbish, judge, read, wrong},
    template::UrlTemplate,
    transport::{Reply, SetUpError, Transport},
    wire::{Health, Rig, Rigs, Synced},
};

/// A sandbox that works says so in this word.
const OK: &str = "ok";
/// No body.
const NOTHING: Option<&()> = None;

/// Deadlines of the calls, each from its start to the last byte of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To have a connection.
    pub connect: Duration,
    /// Health, listing.
    pub quick: Duration,
    /// Removing a rig: its sessions are ended and its files deleted.
    pub remove: Duration,
    /// Adding a rig: a clone.
    pub clone: Duration,
    /// A sync to R2.
    pub sync: Duration,
}

impl Default for Timeouts {
    /// 3 s to connect, 10 s for what is quick, 1 min to remove, 5 min for a clone or a sync.
    fn default() -> Self {
        let long = Duration::from_secs(300);
        Self {
            connect: Duration::from_secs(3),
            quick: Duration::from_secs(10),
            remove: Duration::from_secs(60),
            clone: long,
            sync: long,
        }
    }
}

/// Speaks to sandboxes. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct SandboxClient {
    template: UrlTemplate,
    transport: Transport,
    timeouts: Timeouts,
}

impl SandboxClient {
    /// A client that finds sandboxes by the template.
    pub fn new(template: UrlTemplate, timeouts: Timeouts) -> Result<Self, SetUpError> {
        Ok(Self { template, transport: Transport::new(timeouts.connect)?, timeouts })
    }

    async fn ask(
        &self,
        at: &SandboxAddress,
        asked: Asked,
        body: Option<&impl serde::Serialize>,
        path: Path<'_>,
    ) -> Result<Reply, SandboxError> {
        let (method, deadline) = match asked {
            Asked::Health | Asked::Rigs => (Method::GET, self.timeouts.quick),
            Asked::AddRig => (Method::POST, self.timeouts.clone),
            Asked::RemoveRig => (Method::DELETE, self.timeouts.remove),
            Asked::Sync => (Method::POST, self.timeouts.sync),
        };
        let base = self
            .template
            .fill(&at.app, &at.machine)
            .map_err(|cause| SandboxError::Unreachable { cause: Box::new(cause) })?;
        let url = path.below(base);
        for key in &at.keys {
            let reply = self.transport.send(at, key, method.clone(), url.clone(), body, deadline).await?;
            tracing::debug!(
                town.id = %at.town,
                fly.machine_id = %at.machine,
                sandbox.asked = ?asked,
                sandbox.status = reply.status,
                "sandbox answered"
            );
            match judge(asked, &reply) {
                // Nothing was done; the machine may have been configured before a rotation.
                Err(SandboxError::Unauthorized) => {}
                judged => return judged.map(|()| reply),
            }
        }
        Err(SandboxError::Unauthorized)
    }
}

/// What is addressed below a sandbox's base.
#[derive(Clone, Copy)]
enum Path<'a> {
    Health,
    Rigs,
    Rig { name: &'a RigName, force: bool },
    Sync,
}

impl Path<'_> {
    fn below(self, mut base: Url) -> Url {
        let segments: &[&str] = match &self {
            Self::Health => &["health"],
            Self::Rigs => &["rigs"],
            Self::Rig { name, .. } => &["rigs", name.as_str()],
            Self::Sync => &["sync"],
        };
        // An http address always has a path to extend.
        if let Ok(mut path) = base.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        if let Self::Rig { force, .. } = self {
            base.query_pairs_mut().append_pair("force", if force { "true" } else { "false" });
        }
        base
    }
}

#[async_trait]
impl Sandboxes for SandboxClient {
    async fn health(&self, at: &SandboxAddress) -> Result<(), SandboxError> {
        let reply = self.ask(at, Asked::Health, NOTHING, Path::Health).await?;
        let health: Health = read(&reply)?;
        if health.town_id != at.town {
            return Err(wrong(Rubbish::OtherTown));
        }
        if health.status == OK { Ok(()) } else { Err(SandboxError::Unhealthy) }
    }

    async fn rigs(&self, at: &SandboxAddress) -> Result<Vec<SandboxRig>, SandboxError> {
        let reply = self.ask(at, Asked::Rigs, NOTHING, Path::Rigs).await?;
        let rigs: Rigs = read(&reply)?;
        Ok(rigs.ours())
    }

    async fn add_rig(&self, at: &SandboxAddress, rig: &SandboxRig) -> Result<(), SandboxError> {
        let reply = self.ask(at, Asked::AddRig, Some(&Rig::from(rig)), Path::Rigs).await?;
        let added: SandboxRig = read::<Rig>(&reply)?.into();
        // Any web server says 200 to something; only a sandbox gives the rig back.
        let same = added.name.folded() == rig.name.folded() && added.repo == rig.repo;
        if same { Ok(()) } else { Err(wrong(Rubbish::OtherRig)) }
    }

    async fn remove_rig(&self, at: &SandboxAddress, rig: &RigName, force: bool) -> Result<(), SandboxError> {
        self.ask(at, Asked::RemoveRig, NOTHING, Path::Rig { name: rig, force }).await.map(drop)
    }

    async fn sync(&self, at: &SandboxAddress) -> Result<DateTime<Utc>, SandboxError> {
        let reply = self.ask(at, Asked::Sync, NOTHING, Path::Sync).await?;
        let synced: Synced = read(&reply)?;
        Ok(synced.synced_at)
    }
}

impl std::fmt::Debug for SandboxClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SandboxClient")
            .field("template", &self.template)
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}
