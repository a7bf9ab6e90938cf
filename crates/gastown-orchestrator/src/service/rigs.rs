//! Adding and removing rigs. The table holds the desired rigs, and the sandbox is reconciled with it.

use std::error::Error;
use std::future::Future;

use gastown_domain::ports::{
    AddRig, AddedRig, Caller, CallersTown, NewOperation, RemoveRig, RemovedRig, RigRemoval, SandboxAddress,
    SandboxError, TownError, TownState,
};
use gastown_domain::{IdleStop, OperationKind, Rig, RigStatus, SandboxRig, TownId, TownStatus, UserId};

use super::unless_written;
use crate::rigs::{address_of, confirm};
use crate::town_service::TownService;

impl TownService {
    pub(crate) async fn accept_rig(&self, caller: Caller, request: AddRig) -> Result<AddedRig, TownError> {
        let found = self.living_of(&caller, request.town).await?;
        if found.owner_is_blocked {
            return Err(TownError::Blocked);
        }
        self.admit_change(caller.user())?;
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
        let idle_stop = self.insert_rig(caller.user(), &rig, &found).await?;
        let before = found.state;
        let rig = match self.reachable_sandbox(&before).filter(|_| idle_stop.is_none()) {
            Some(sandbox) => self.add_at(&sandbox, rig).await?,
            None => rig,
        };
        Ok(AddedRig { rig, town: self.state_after(before).await, idle_stop })
    }

    /// Inserts a rig. Starts its town if it is stopped because it was idle, and returns that idle stop.
    async fn insert_rig(&self, owner: &UserId, rig: &Rig, town: &CallersTown) -> Result<Option<IdleStop>, TownError> {
        let (rigs, max_rigs) = (&self.ports.store.rigs, self.settings.policy.limits.rigs_per_town);
        let inserted = async { Ok(rigs.find(rig.town, rig.id).await?.map(drop)) };
        // The setting may have been turned off since the stop.
        if town.state.town.config.idle_stop_minutes.is_none() && town.idle_stop().is_none() {
            unless_written(rigs.insert(owner, rig, max_rigs).await, inserted).await?;
            return Ok(None);
        }
        let start = self.start_for_rig(rig, owner);
        // If the answer is lost, the start is found by the workers.
        let known = async { Ok(inserted.await?.map(|()| town.idle_stop())) };
        let ended = unless_written(rigs.insert_starting(owner, rig, max_rigs, &start).await, known).await?;
        if ended.is_some() {
            tracing::info!(town.id = %rig.town, op.id = %start.id, op.kind = %start.kind, "operation accepted");
            // Callers of an idle stop that was in flight get their answer now.
            self.completions.notify();
            self.count_preempted(town.state.operation.as_ref(), start.at);
            self.nudge(rig.town);
        }
        Ok(ended)
    }

    /// Returns the start of a town that gets a rig. It does not count as one of the owner's operations, because the rig is
    /// stored with it.
    fn start_for_rig(&self, rig: &Rig, owner: &UserId) -> NewOperation {
        self.ports.env.operation_of_service(
            (rig.town, owner),
            OperationKind::Start,
            Some(self.settings.policy.timeouts.start),
        )
    }

    async fn add_at(&self, sandbox: &SandboxAddress, rig: Rig) -> Result<Rig, TownError> {
        let rigs = &self.ports.store.rigs;
        match self.within_wait(self.ports.provider.sandboxes.add_rig(sandbox, &SandboxRig::from(&rig))).await {
            Ok(branch) => confirm(&self.ports, sandbox, &rig, branch).await?.ok_or(TownError::RigNotFound),
            Err(SandboxError::Refused { reason }) => {
                if rigs.refuse(rig.town, rig.id, &reason).await? {
                    return Err(TownError::RigRefused { reason });
                }
                // Another process made it active, or removed it.
                rigs.find(rig.town, rig.id).await?.ok_or(TownError::RigRefused { reason })
            }
            // The result is not known. The row stays, and the sandbox is reconciled later.
            Err(error) => {
                let error: &dyn Error = &error;
                tracing::warn!(town.id = %rig.town, rig.id = %rig.id, error, "rig not added yet");
                Ok(rig)
            }
        }
    }

    pub(crate) async fn accept_rig_removal(&self, caller: Caller, request: RemoveRig) -> Result<RemovedRig, TownError> {
        let before = self.living_of(&caller, request.town).await?.state;
        self.admit_change(caller.user())?;
        let rig = self.record_removal(&request).await?;
        let removal = match self.reachable_sandbox(&before) {
            Some(sandbox) => self.remove_at(&sandbox, &rig, request.force).await?,
            None => RigRemoval::Pending,
        };
        Ok(RemovedRig { removal, town: self.state_after(before).await })
    }

    async fn remove_at(&self, sandbox: &SandboxAddress, rig: &Rig, force: bool) -> Result<RigRemoval, TownError> {
        let rigs = &self.ports.store.rigs;
        match self.within_wait(self.ports.provider.sandboxes.remove_rig(sandbox, &rig.name, force)).await {
            Ok(()) => {
                // The rig is gone, also if another process has set it active again because it had work.
                let statuses = [RigStatus::Removing, RigStatus::Active];
                for from in statuses {
                    if rigs.remove(rig.town, rig.id, from).await? {
                        break;
                    }
                }
                Ok(RigRemoval::Removed)
            }
            Err(SandboxError::InTheWay { in_the_way }) => {
                rigs.set_status(rig.town, rig.id, RigStatus::Removing, RigStatus::Active).await?;
                Err(TownError::RigInUse { in_the_way })
            }
            Err(error) => {
                let error: &dyn Error = &error;
                tracing::warn!(town.id = %rig.town, rig.id = %rig.id, error, "rig not removed yet");
                Ok(RigRemoval::Pending)
            }
        }
    }

    /// Authorizes the caller and returns the living town, all with one statement. The call is a use of the town.
    pub(super) async fn living_of(&self, caller: &Caller, town: TownId) -> Result<CallersTown, TownError> {
        let found = self.ports.store.registry.callers_town(caller, town).await?;
        let found = found.filter(|found| !found.state.town.is_tombstone()).ok_or(TownError::NotFound)?;
        self.record_use(&found.state.town, found.use_is_recorded).await;
        Ok(found)
    }

    /// Returns the town after a change of its rigs. The change is stored, so a failed read is no failure of the call: then
    /// the answer has the town as it was before.
    async fn state_after(&self, before: TownState) -> TownState {
        self.state_of(before.town.id).await.unwrap_or(before)
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
    fn reachable_sandbox(&self, TownState { town, operation }: &TownState) -> Option<SandboxAddress> {
        let changes = operation.as_ref().is_some_and(|operation| operation.kind != OperationKind::Start);
        if town.status != TownStatus::Running || changes {
            return None;
        }
        address_of(&self.settings, self.ports.secrets.towns.as_ref(), town)
    }
}
