//! The port `Sandboxes` over HTTP.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use gastown_domain::{
    Branch, HealthReason, RigName, SandboxRig,
    ports::{SandboxAddress, SandboxError, Sandboxes},
};
use reqwest::Method;
use secrecy::SecretString;
use url::Url;

use crate::{
    answer::{Call, InvalidAnswer, classify, read, wrong},
    template::UrlTemplate,
    transport::{Reply, SetUpError, Transport},
    wire::{Health, Rig, Rigs, Synced},
};

/// The status of a healthy sandbox.
const OK: &str = "ok";
/// No body.
const NO_BODY: Option<&()> = None;

/// The time-outs of the calls, each from its start to the last byte of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Connecting.
    pub connect: Duration,
    /// Health and the list of rigs.
    pub quick: Duration,
    /// Removing a rig, which ends its sessions and deletes its files.
    pub remove: Duration,
    /// Adding a rig, which clones its repository.
    pub clone: Duration,
    /// A sync to R2.
    pub sync: Duration,
}

impl Default for Timeouts {
    /// 3 s to connect, 10 s for quick calls, 1 min to remove, 5 min for a clone or a sync.
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

/// A client of all sandboxes. Clones are cheap and share connections.
#[derive(Clone)]
pub struct SandboxClient {
    template: UrlTemplate,
    transport: Transport,
    timeouts: Timeouts,
    /// The secrets that every sandbox has, which are removed from their texts.
    hidden: Vec<SecretString>,
}

impl SandboxClient {
    /// Creates a client that derives the addresses of sandboxes from the template.
    pub fn new(template: UrlTemplate, timeouts: Timeouts) -> Result<Self, SetUpError> {
        Ok(Self { template, transport: Transport::new(timeouts.connect)?, timeouts, hidden: Vec::new() })
    }

    /// Removes these secrets from the texts of sandboxes, in addition to the keys of the town that is called.
    #[must_use]
    pub fn hiding(self, hidden: Vec<SecretString>) -> Self {
        Self { hidden, ..self }
    }

    /// Returns the answer of a healthy sandbox of the town.
    async fn healthy(&self, at: &SandboxAddress) -> Result<Health, SandboxError> {
        let reply = self.call(at, Call::Health, NO_BODY, Path::Health).await?;
        let health: Health = read(&reply)?;
        if health.town_id != at.town {
            return Err(wrong(InvalidAnswer::OtherTown));
        }
        if health.status == OK {
            Ok(health)
        } else {
            Err(SandboxError::Unhealthy { reason: HealthReason::of_code(&health.status) })
        }
    }

    async fn call(
        &self,
        at: &SandboxAddress,
        call: Call,
        body: Option<&impl serde::Serialize>,
        path: Path<'_>,
    ) -> Result<Reply, SandboxError> {
        let (method, deadline) = match call {
            Call::Health | Call::Rigs => (Method::GET, self.timeouts.quick),
            Call::AddRig => (Method::POST, self.timeouts.clone),
            Call::RemoveRig => (Method::DELETE, self.timeouts.remove),
            Call::Sync => (Method::POST, self.timeouts.sync),
        };
        let base = self
            .template
            .fill(&at.app, &at.machine)
            .map_err(|cause| SandboxError::Unreachable { cause: Box::new(cause) })?;
        let url = path.below(base);
        let secrets = [at.keys.as_slice(), &self.hidden].concat();
        for key in &at.keys {
            let reply = self.transport.send(at, key, method.clone(), url.clone(), body, deadline).await?;
            tracing::debug!(
                town.id = %at.town,
                machine.id = %at.machine,
                sandbox.call = ?call,
                sandbox.status = reply.status,
                "sandbox answered"
            );
            match classify(call, &reply, &secrets) {
                // The call had no effect. The machine may have a key from before a rotation.
                Err(SandboxError::Unauthorized) => {}
                outcome => return outcome.map(|()| reply),
            }
        }
        Err(SandboxError::Unauthorized)
    }
}

/// A path below the sandbox's base address.
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
        // An http address always has a path.
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
        self.healthy(at).await.map(drop)
    }

    async fn restored(&self, at: &SandboxAddress) -> Result<Option<DateTime<Utc>>, SandboxError> {
        let health = self.healthy(at).await?;
        Ok(health.restored_from)
    }

    async fn rigs(&self, at: &SandboxAddress) -> Result<Vec<SandboxRig>, SandboxError> {
        let reply = self.call(at, Call::Rigs, NO_BODY, Path::Rigs).await?;
        let rigs: Rigs = read(&reply)?;
        Ok(rigs.ours())
    }

    async fn add_rig(&self, at: &SandboxAddress, rig: &SandboxRig) -> Result<Option<Branch>, SandboxError> {
        let reply = self.call(at, Call::AddRig, Some(&Rig::from(rig)), Path::Rigs).await?;
        let added: SandboxRig = read::<Rig>(&reply)?.into();
        // Every web server may answer 200. Only a sandbox returns the rig.
        let same = added.name.folded() == rig.name.folded() && added.repo == rig.repo;
        if same { Ok(added.branch) } else { Err(wrong(InvalidAnswer::OtherRig)) }
    }

    async fn remove_rig(&self, at: &SandboxAddress, rig: &RigName, force: bool) -> Result<(), SandboxError> {
        self.call(at, Call::RemoveRig, NO_BODY, Path::Rig { name: rig, force }).await.map(drop)
    }

    async fn sync(&self, at: &SandboxAddress) -> Result<DateTime<Utc>, SandboxError> {
        let reply = self.call(at, Call::Sync, NO_BODY, Path::Sync).await?;
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
