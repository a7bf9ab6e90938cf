//! Adding and removing rigs. The table holds the desired rigs, and the sandbox is reconciled with it.

use std::future::Future;

use gastown_domain::ports::{AddRig, Caller, RemoveRig, RigRemoval, SandboxAddress, SandboxError, TownError};
use gastown_domain::{OperationKind, Rig, RigStatus, SandboxRig, Town, TownStatus};

use super::unless_written;
use crate::rigs::{address_of, confirm};
use crate::town_service::TownService;

impl TownService {
    pub(crate) async fn accept_rig(&self, caller: Caller, request: AddRig) -> Result<Rig, TownError> {
        let caller = self.authorized(caller).await?;
        let store = &self.ports.store;
        let town = self.living(&caller, request.town).await?;
        let rig = Rig {
            id: self.ports.env.ids.rig(),
            town: request.town,
            name: request.name,
            repo: request.repo,
            branch: request.branch,
            status: RigStatus::Pending,
            config: request.config,
            created_at: self.ports.env.clock.now(),
        };
        let inserted = async { Ok(store.rigs.find(rig.town, rig.id).await?.map(drop)) };
        unless_written(store.rigs.insert(&caller, &rig, self.settings.policy.limits.rigs_per_town).await, inserted)
            .await?;
        let Some(sandbox) = self.reachable_sandbox(&town).await? else { return Ok(rig) };
        match self.within_wait(self.ports.provider.sandboxes.add_rig(&sandbox, &SandboxRig::from(&rig))).await {
            Ok(branch) => confirm(&self.ports, &sandbox, &rig, branch).await?.ok_or(TownError::RigNotFound),
            Err(SandboxError::Refused { reason }) => {
                if store.rigs.refuse(rig.town, rig.id, &reason).await? {
                    return Err(TownError::RigRefused { reason });
                }
                // Another process made it active, or removed it.
                store.rigs.find(rig.town, rig.id).await?.ok_or(TownError::RigRefused { reason })
            }
            // The result is not known. The row stays, and the sandbox is reconciled later.
            Err(error) => {
                tracing::warn!(
                    town.id = %rig.town,
                    rig.id = %rig.id,
                    error = &error as &dyn std::error::Error,
                    "rig not added yet"
                );
                Ok(rig)
            }
        }
    }

    pub(crate) async fn accept_rig_removal(&self, caller: Caller, request: RemoveRig) -> Result<RigRemoval, TownError> {
        let caller = self.authorized(caller).await?;
        let store = &self.ports.store;
        let town = self.living(&caller, request.town).await?;
        let rig = self.record_removal(&request).await?;
        let Some(sandbox) = self.reachable_sandbox(&town).await? else { return Ok(RigRemoval::Pending) };
        match self.within_wait(self.ports.provider.sandboxes.remove_rig(&sandbox, &rig.name, request.force)).await {
            Ok(()) => {
                // The rig is gone, also if another process has set it active again because it had work.
                let statuses = [RigStatus::Removing, RigStatus::Active];
                for from in statuses {
                    if store.rigs.remove(rig.town, rig.id, from).await? {
                        break;
                    }
                }
                Ok(RigRemoval::Removed)
            }
            Err(SandboxError::InTheWay { in_the_way }) => {
                store.rigs.set_status(rig.town, rig.id, RigStatus::Removing, RigStatus::Active).await?;
                Err(TownError::RigInUse { in_the_way })
            }
            Err(error) => {
                tracing::warn!(
                    town.id = %rig.town,
                    rig.id = %rig.id,
                    error = &error as &dyn std::error::Error,
                    "rig not removed yet"
                );
                Ok(RigRemoval::Pending)
            }
        }
    }

    /// Bounds a call to the sandbox. A clone may take minutes, and a caller waits for it no longer than for an operation. The
    /// next reconciliation finds the result.
    async fn within_wait<T>(&self, call: impl Future<Output = Result<T, SandboxError>>) -> Result<T, SandboxError> {
        match tokio::time::timeout(self.settings.policy.timeouts.caller, call).await {
            Ok(result) => result,
            Err(elapsed) => Err(SandboxError::Unreachable { cause: Box::new(elapsed) }),
        }
    }

    /// Records the removal. A concurrent change of the status, from `pending` to `active`, makes it try again.
    async fn record_removal(&self, request: &RemoveRig) -> Result<Rig, TownError> {
        let rigs = &self.ports.store.rigs;
        loop {
            let rig = rigs.find(request.town, request.rig).await?.ok_or(TownError::RigNotFound)?;
            let marked = rig.status == RigStatus::Removing
                || rigs.set_status(rig.town, rig.id, rig.status, RigStatus::Removing).await?;
            if marked {
                return Ok(rig);
            }
        }
    }

    /// Returns the address of the town's sandbox, or `None` while it is stopped or about to change.
    async fn reachable_sandbox(&self, town: &Town) -> Result<Option<SandboxAddress>, TownError> {
        if town.status != TownStatus::Running {
            return Ok(None);
        }
        let in_flight = self.ports.store.operations.current(town.id).await?;
        if in_flight.is_some_and(|operation| operation.kind != OperationKind::Start) {
            return Ok(None);
        }
        Ok(address_of(&self.settings, self.ports.secrets.towns.as_ref(), town))
    }
}
