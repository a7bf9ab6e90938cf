//! Creating a town: one transaction inserts the town, its first rigs and its create operation.

use std::num::NonZeroU32;

use gastown_domain::ports::{
    Accepted, AcceptedCreate, Caller, CreateTown, KeyedRequest, NewCreate, NewOperation, StoreError, TownError,
    TownState,
};
use gastown_domain::{NewTown, OperationKind, Region, Rig, RigStatus, TownConfig, TownId, UserId};
use tokio::time::Instant;

use super::request::{failure_of, known};
use super::unless_written;
use crate::completion_notifier::{Completion, Until, Waiter};
use crate::town_service::TownService;

impl TownService {
    pub(crate) async fn accept_create(&self, caller: Caller, request: CreateTown) -> Result<TownState, TownError> {
        let caller = self.allowed(caller).await?;
        let mut create = self.new_create(caller, request)?;
        let rigs = u32::try_from(create.town.rigs.len()).unwrap_or(u32::MAX);
        self.admit_changes(&create.town.owner, NonZeroU32::MIN.saturating_add(rigs))?;
        let slot = self.reconciler.reserve_driver();
        if slot.is_some() {
            create.operation.claim = Some(self.reconciler.first_claim(&create.operation, Some(&create.town.row())));
        }
        let (town, operation) = (create.town.id, create.operation.id);
        let (waiter, asked) = (self.completions.expect(operation), Instant::now());
        let written = self.ports.store.registry.accept_create(&create).await;
        match unless_written(written, self.inserted(town)).await? {
            AcceptedCreate::Inserted(accepted) => {
                tracing::info!(town.id = %town, op.id = %operation, "create accepted");
                let is_driven_here = slot.is_some();
                let accepted = Accepted { operation: *accepted, town: create.town.row(), replaced: false };
                self.drive_accepted(slot, accepted, asked);
                self.created(town, &waiter, is_driven_here).await
            }
            // A repeat gets the answer of the first call, or waits with it.
            AcceptedCreate::Known { town, operation } => {
                self.created(town, &self.completions.expect(operation), false).await
            }
        }
    }

    /// Returns the create that was inserted although its answer was lost.
    async fn inserted(&self, town: TownId) -> Result<Option<AcceptedCreate>, StoreError> {
        let operation = self.ports.store.operations.current(town).await?;
        Ok(operation.map(|operation| AcceptedCreate::Inserted(Box::new(operation))))
    }

    fn new_create(&self, caller: UserId, request: CreateTown) -> Result<NewCreate, TownError> {
        let keyed = request.key.clone().map(|key| KeyedRequest { key, fingerprint: request.fingerprint() });
        let limit = self.settings.policy.limits.rigs_per_town;
        if request.config.rigs.len() > limit as usize {
            return Err(TownError::TooManyRigs { limit });
        }
        let region = self.region_for(request.region)?;
        let (id, at) = (self.ports.env.ids.town(), self.ports.env.clock.now());
        let operation = NewOperation {
            id: self.ports.env.ids.operation(),
            town: id,
            kind: OperationKind::Create,
            requested_by: caller.clone(),
            at,
            timeout: Some(self.settings.policy.timeouts.create),
            max_in_flight: Some(self.settings.policy.limits.operations_per_user),
            claim: None,
        };
        let rigs = self.first_rigs(id, &request.config, at);
        let town =
            NewTown { id, owner: caller, name: request.name, region, rigs, config: request.config, created_at: at };
        Ok(NewCreate { town, operation, keyed, max_towns: self.settings.policy.limits.towns_per_user })
    }

    fn first_rigs(&self, town: TownId, config: &TownConfig, at: chrono::DateTime<chrono::Utc>) -> Vec<Rig> {
        let rig = |first: &gastown_domain::FirstRig| Rig {
            id: self.ports.env.ids.rig(),
            town,
            name: first.rig_name.clone(),
            repo: first.repo_url.clone(),
            branch: first.branch.clone(),
            status: RigStatus::Pending,
            config: serde_json::Map::new(),
            created_at: at,
        };
        config.rigs.iter().map(rig).collect()
    }

    /// Returns the requested region if it is offered, or the first of the list.
    fn region_for(&self, requested: Option<Region>) -> Result<Region, TownError> {
        let regions = &self.settings.regions;
        match requested {
            Some(region) if regions.contains(&region) => Ok(region),
            Some(_) => Err(TownError::RegionNotOffered),
            None => regions.first().cloned().ok_or(TownError::RegionNotOffered),
        }
    }

    /// Waits for a create. Returns its town, or the cause of its roll back.
    async fn created(&self, town: TownId, waiter: &Waiter, is_driven_here: bool) -> Result<TownState, TownError> {
        let store = &self.ports.store;
        let failed = |failure| Err(TownError::Failed { kind: OperationKind::Create, failure });
        let timeout = self.settings.policy.timeouts.caller;
        match waiter.completion(store.operations.as_ref(), timeout, (is_driven_here, Until::Ended)).await? {
            Some(Completion { result: Err(rejection), .. }) => return failed(failure_of(&rejection)),
            Some(Completion { result: Ok(()), town: Some(town) }) => return Ok(town),
            Some(Completion { result: Ok(()), town: None }) => {}
            None => {
                let in_flight = store.operations.current(town).await?;
                let rolls_back = in_flight.filter(|operation| operation.kind == OperationKind::RollBack);
                // The create has failed. Its roll back goes on without the caller.
                if let Some(cause) = rolls_back.and_then(|operation| operation.cause) {
                    return failed(known(&cause));
                }
            }
        }
        self.state_of(town).await
    }
}
