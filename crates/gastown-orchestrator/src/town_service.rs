//! The service: takes requests, hands each to the file of its operation, and owns the tasks that carry them out.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use gastown_domain::ports::{AddRig, CreateTown, RemoveRig, RigRemoval, StoreError, TownError, TownReport, Towns};
use gastown_domain::{Rig, Town, TownId, UserId};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::driver::Reconciler;
use crate::ports::Ports;
use crate::settings::Settings;
use crate::wait::CompletionNotifier;

/// The eight operations. Cheap to clone; every clone is the same service.
#[derive(Clone)]
pub struct TownService {
    pub(crate) ports: Ports,
    pub(crate) settings: Arc<Settings>,
    pub(crate) driver: Reconciler,
    pub(crate) endings: CompletionNotifier,
    pub(crate) tasks: TaskTracker,
}

impl TownService {
    /// A service on these ports. Operations end when `stop` is cancelled: each gives its claim back after its step,
    /// and callers that wait are answered how their town stands.
    pub fn new(
        ports: Ports,
        settings: Settings,
        worker: gastown_domain::ports::WorkerId,
        stop: CancellationToken,
    ) -> Self {
        let settings = Arc::new(settings);
        let endings = CompletionNotifier::new(stop.clone());
        let driver = Reconciler::new(ports.clone(), Arc::clone(&settings), worker, endings.clone(), stop);
        Self { ports, settings, driver, endings, tasks: TaskTracker::new() }
    }

    /// The driver, for the workers.
    pub fn driver(&self) -> &Reconciler {
        &self.driver
    }

    /// Waits until every task of the service has ended. To be called after `stop` was cancelled.
    pub async fn drained(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Runs work to its end in a task of its own: a caller that hangs up cancels nothing.
    async fn detached<T, F>(&self, work: F) -> Result<T, TownError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, TownError>> + Send + 'static,
    {
        match self.tasks.spawn(work).await {
            Ok(result) => result,
            Err(cause) => Err(TownError::Store(StoreError::Unavailable { cause: Box::new(cause) })),
        }
    }

    /// Drives the town's operation in a task of its own.
    pub(crate) fn nudge(&self, town: TownId) {
        let Some(place) = self.driver.place_for_caller() else { return };
        let driver = self.driver.clone();
        self.tasks.spawn(async move {
            driver.drive_for_caller(town).await;
            drop(place);
        });
    }
}

#[async_trait]
impl Towns for TownService {
    async fn create_town(&self, caller: &UserId, request: CreateTown) -> Result<Town, TownError> {
        let (service, caller) = (self.clone(), caller.clone());
        self.detached(async move { service.accept_create(caller, request).await }).await
    }

    async fn destroy_town(&self, caller: &UserId, town: TownId) -> Result<Town, TownError> {
        let (service, caller) = (self.clone(), caller.clone());
        self.detached(async move { service.accept_destroy(caller, town).await }).await
    }

    async fn stop_town(&self, caller: &UserId, town: TownId) -> Result<Town, TownError> {
        let (service, caller) = (self.clone(), caller.clone());
        self.detached(async move { service.accept_stop(caller, town).await }).await
    }

    async fn start_town(&self, caller: &UserId, town: TownId) -> Result<Town, TownError> {
        let (service, caller) = (self.clone(), caller.clone());
        self.detached(async move { service.accept_start(caller, town).await }).await
    }

    async fn add_rig(&self, caller: &UserId, request: AddRig) -> Result<Rig, TownError> {
        let (service, caller) = (self.clone(), caller.clone());
        self.detached(async move { service.accept_rig(caller, request).await }).await
    }

    async fn remove_rig(&self, caller: &UserId, request: RemoveRig) -> Result<RigRemoval, TownError> {
        let (service, caller) = (self.clone(), caller.clone());
        self.detached(async move { service.accept_rig_removal(caller, request).await }).await
    }

    async fn town_status(&self, caller: &UserId, town: TownId) -> Result<TownReport, TownError> {
        self.read_status(caller, town).await
    }

    async fn list_towns(&self, caller: &UserId) -> Result<Vec<Town>, TownError> {
        Ok(self.ports.store.registry.list(caller).await?)
    }
}
