//! Creating a town.

use gastown_domain::ports::{
    AcceptedCreate, CreateTown, KeyedRequest, NewCreate, NewOperation, OperationResult, TownError,
};
use gastown_domain::{
    Failure, NewTown, OperationId, OperationKind, Region, Rejection, Rig, RigStatus, Town, TownId, UserId,
};

use super::unless_written;
use crate::town_service::TownService;

impl TownService {
    pub(crate) async fn accept_create(&self, caller: UserId, request: CreateTown) -> Result<Town, TownError> {
        let keyed = request.key.clone().map(|key| KeyedRequest { key, fingerprint: request.fingerprint() });
        let region = self.region_for(request.region)?;
        let (ids, at) = (&self.ports.env.ids, self.ports.env.clock.now());
        let id = ids.town();
        let rigs = request.config.rigs.iter().map(|first| Rig {
            id: ids.rig(),
            town: id,
            name: first.rig_name.clone(),
            repo: first.repo_url.clone(),
            branch: first.branch.clone(),
            status: RigStatus::Pending,
            config: serde_json::Map::new(),
            created_at: at,
        });
        let town = NewTown {
            id,
            owner: caller.clone(),
            name: request.name,
            region,
            rigs: rigs.collect(),
            config: request.config,
            created_at: at,
        };
        let operation = NewOperation {
            id: ids.operation(),
            town: id,
            kind: OperationKind::Create,
            requested_by: caller,
            at,
            patience: self.settings.policy.create_timeout,
        };
        let operation_id = operation.id;
        let create = NewCreate { town, operation, keyed, max_towns: self.settings.policy.max_towns };
        let registry = &self.ports.store.registry;
        let inserted = async { Ok(registry.load(id).await?.map(|_| AcceptedCreate::Inserted)) };
        match unless_written(registry.accept_create(&create).await, inserted).await? {
            AcceptedCreate::Inserted => {
                tracing::info!(town.id = %id, op.id = %operation_id, "create accepted");
                self.nudge(id);
                self.created(id, operation_id).await
            }
            // A repeat is answered as the first was, or waits with it.
            AcceptedCreate::Known { town, operation } => self.created(town, operation).await,
        }
    }

    /// The wished region where it is offered, else the first of the list.
    fn region_for(&self, wished: Option<Region>) -> Result<Region, TownError> {
        let regions = &self.settings.regions;
        match wished {
            Some(region) if regions.contains(&region) => Ok(region),
            Some(_) => Err(TownError::RegionNotOffered),
            None => regions.first().cloned().ok_or(TownError::RegionNotOffered),
        }
    }

    /// Waits for a create and answers its town, or why it was rolled back.
    async fn created(&self, town: TownId, operation: OperationId) -> Result<Town, TownError> {
        let store = &self.ports.store;
        let patience = self.settings.policy.caller_wait;
        let failed = |failure| Err(TownError::Failed { kind: OperationKind::Create, failure });
        let outcome: Option<OperationResult> =
            self.endings.outcome_of(store.operations.as_ref(), operation, patience).await?;
        match outcome {
            Some(Err(Rejection::Failed(failure) | Rejection::RolledBack(failure))) => return failed(failure),
            Some(Err(Rejection::Preempted)) => return failed(Failure::Preempted),
            Some(Ok(())) => {}
            None => {
                let in_flight = store.operations.current(town).await?;
                // It will not be: the rest of the roll back goes on without the caller.
                if let Some(cause) = in_flight.filter(|op| op.kind == OperationKind::RollBack).and_then(|op| op.cause) {
                    return failed(cause);
                }
            }
        }
        store.registry.load(town).await?.ok_or(TownError::NotFound)
    }
}
