//! Creating a town: one transaction inserts the town, its first rigs and its create operation.

use gastown_domain::ports::{AcceptedCreate, Caller, CreateTown, KeyedRequest, NewCreate, NewOperation, TownError};
use gastown_domain::{NewTown, OperationId, OperationKind, Region, Rig, RigStatus, Town, TownConfig, TownId, UserId};

use super::request::{failure_of, known};
use super::unless_written;
use crate::town_service::TownService;

impl TownService {
    pub(crate) async fn accept_create(&self, caller: Caller, request: CreateTown) -> Result<Town, TownError> {
        let caller = self.authorized(caller).await?;
        let create = self.new_create(caller, request)?;
        let (town, operation) = (create.town.id, create.operation.id);
        let registry = &self.ports.store.registry;
        let inserted = async { Ok(registry.load(town).await?.map(|_| AcceptedCreate::Inserted)) };
        match unless_written(registry.accept_create(&create).await, inserted).await? {
            AcceptedCreate::Inserted => {
                tracing::info!(town.id = %town, op.id = %operation, "create accepted");
                self.nudge(town);
                self.created(town, operation).await
            }
            // A repeat gets the answer of the first call, or waits with it.
            AcceptedCreate::Known { town, operation } => self.created(town, operation).await,
        }
    }

    fn new_create(&self, caller: UserId, request: CreateTown) -> Result<NewCreate, TownError> {
        let keyed = request.key.clone().map(|key| KeyedRequest { key, fingerprint: request.fingerprint() });
        let region = self.region_for(request.region)?;
        let (id, at) = (self.ports.env.ids.town(), self.ports.env.clock.now());
        let operation = NewOperation {
            id: self.ports.env.ids.operation(),
            town: id,
            kind: OperationKind::Create,
            requested_by: caller.clone(),
            at,
            timeout: Some(self.settings.policy.timeouts.create),
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
    async fn created(&self, town: TownId, operation: OperationId) -> Result<Town, TownError> {
        let store = &self.ports.store;
        let failed = |failure| Err(TownError::Failed { kind: OperationKind::Create, failure });
        let timeout = self.settings.policy.timeouts.caller;
        match self.completions.result_of(store.operations.as_ref(), operation, timeout).await? {
            Some(Err(rejection)) => return failed(failure_of(&rejection)),
            Some(Ok(())) => {}
            None => {
                let in_flight = store.operations.current(town).await?;
                let rolls_back = in_flight.filter(|operation| operation.kind == OperationKind::RollBack);
                // The create has failed. Its roll back goes on without the caller.
                if let Some(cause) = rolls_back.and_then(|operation| operation.cause) {
                    return failed(known(&cause));
                }
            }
        }
        store.registry.load(town).await?.ok_or(TownError::NotFound)
    }
}
