//! The service: passes each request to the file of its operation, and owns the tasks that execute it.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use gastown_domain::ports::{
    Accepted, AddRig, AddedRig, Caller, CreateTown, DestroyTown, EventPage, RemoveRig, RemovedRig, RestoreTown,
    RestoredTown, StartedTown, StoreError, TownChanges, TownError, TownListChanges, TownPage, TownReport, TownState,
    TownSummary, Towns, UpdateTown,
};
use gastown_domain::{HistoryEvent, ListPosition, Region, Rig, RigId, TownId, UserId, WatchPosition};
use governor::Quota;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, Span};

use crate::completion_notifier::CompletionNotifier;
use crate::heartbeats::{HeartbeatWriter, WaitingHeartbeats};
use crate::keyed_rate::KeyedRate;
use crate::ports::{Ports, Store};
use crate::reconcile::{DriverSlot, Reconciler};
use crate::sandbox_calls::RecentCalls;
use crate::settings::Settings;
use crate::watch::WatchHub;

/// The operations on towns. Cheap to clone; clones share their tasks.
#[derive(Clone)]
pub struct TownService {
    pub(crate) ports: Ports,
    pub(crate) settings: Arc<Settings>,
    pub(crate) reconciler: Reconciler,
    pub(crate) completions: CompletionNotifier,
    pub(crate) tasks: TaskTracker,
    pub(crate) sandbox_calls: Arc<RecentCalls>,
    pub(crate) heartbeats: Arc<WaitingHeartbeats>,
    /// The changes of each user.
    pub(crate) changes: Arc<KeyedRate<UserId>>,
    pub(crate) watchers: WatchHub,
}

impl TownService {
    /// Returns a service on these ports. When `stop` is cancelled, each operation releases its claim after its step, and
    /// waiting callers get the present state of their town.
    pub fn new(
        ports: Ports,
        settings: Settings,
        worker: gastown_domain::ports::WorkerId,
        stop: CancellationToken,
    ) -> Self {
        let settings = Arc::new(settings);
        let (completions, watchers) = (CompletionNotifier::new(stop.clone()), WatchHub::new(stop.clone()));
        let reconciler = Reconciler::new(ports.clone(), Arc::clone(&settings), worker, completions.clone(), stop);
        let sandbox_calls = Arc::new(RecentCalls::new(&settings.policy));
        let heartbeats = Arc::new(WaitingHeartbeats::new(settings.policy.limits.waiting_heartbeats));
        let changes = Arc::new(KeyedRate::new(Quota::per_minute(settings.policy.limits.changes_per_minute)));
        let tasks = TaskTracker::new();
        Self { ports, settings, reconciler, completions, tasks, sandbox_calls, heartbeats, changes, watchers }
    }

    /// Returns the reconciler, for the workers.
    pub fn reconciler(&self) -> &Reconciler {
        &self.reconciler
    }

    /// Returns the hub of those who watch towns. Run it, so that they hear of changes.
    pub fn watch_hub(&self) -> WatchHub {
        self.watchers.clone()
    }

    /// Returns the same service with other ports to the registry, for work that no caller waits for.
    pub(crate) fn storing_in(&self, store: Store) -> Self {
        let reconciler = self.reconciler.storing_in(store.clone());
        Self { ports: Ports { store, ..self.ports.clone() }, reconciler, ..self.clone() }
    }

    /// Waits until every task of the service has ended. Call it after `stop` is cancelled.
    pub async fn drained(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Accepts no more heartbeats, and writes those that wait. Call it once no call comes any more.
    pub async fn close_heartbeats(&self) {
        HeartbeatWriter::new(self, Arc::clone(&self.ports.store.registry)).close().await;
    }

    /// Runs work in a task of its own, so that a caller that disconnects cancels nothing. Its log lines keep the caller's span.
    async fn detached<T, F>(&self, work: F) -> Result<T, TownError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, TownError>> + Send + 'static,
    {
        match self.tasks.spawn(work.instrument(Span::current())).await {
            Ok(result) => result,
            Err(cause) => Err(TownError::Store(StoreError::Unavailable { cause: Box::new(cause) })),
        }
    }

    /// Drives an accepted operation in a task of its own. Without a slot any worker takes it.
    pub(crate) fn drive_accepted(&self, slot: Option<DriverSlot>, accepted: Accepted, asked: Instant) {
        let Some(slot) = slot else { return self.nudge(accepted.town.id) };
        let reconciler = self.reconciler.clone();
        let drive = async move { reconciler.reconcile_accepted(slot, accepted, asked).await };
        self.tasks.spawn(drive.instrument(Span::current()));
    }

    /// Starts to drive the town's operation in a task of its own.
    pub(crate) fn nudge(&self, town: TownId) {
        let Some(slot) = self.reconciler.reserve_foreground_slot() else { return };
        let reconciler = self.reconciler.clone();
        let drive = async move {
            reconciler.reconcile_for_caller(town).await;
            drop(slot);
        };
        self.tasks.spawn(drive.instrument(Span::current()));
    }
}

#[async_trait]
impl Towns for TownService {
    async fn create_town(&self, caller: &Caller, request: CreateTown) -> Result<TownState, TownError> {
        let (service, caller) = (self.clone(), caller.clone());
        self.detached(async move { service.accept_create(caller, request).await }).await
    }

    async fn destroy_town(&self, caller: &Caller, request: DestroyTown) -> Result<TownState, TownError> {
        let (service, caller) = (self.clone(), caller.clone());
        self.detached(async move { service.accept_destroy(caller, request).await }).await
    }

    async fn stop_town(&self, caller: &Caller, town: TownId) -> Result<TownState, TownError> {
        let (service, caller) = (self.clone(), caller.clone());
        self.detached(async move { service.accept_stop(caller, town).await }).await
    }

    async fn start_town(&self, caller: &Caller, town: TownId) -> Result<StartedTown, TownError> {
        let (service, caller) = (self.clone(), caller.clone());
        self.detached(async move { service.accept_start(caller, town).await }).await
    }

    async fn restore_town(&self, caller: &Caller, request: RestoreTown) -> Result<RestoredTown, TownError> {
        let (service, caller) = (self.clone(), caller.clone());
        self.detached(async move { service.accept_restore(caller, request).await }).await
    }

    async fn update_town(&self, caller: &Caller, request: UpdateTown) -> Result<TownState, TownError> {
        let (service, caller) = (self.clone(), caller.clone());
        self.detached(async move { service.accept_update(caller, request).await }).await
    }

    async fn rig(&self, caller: &Caller, town: TownId, rig: RigId) -> Result<Rig, TownError> {
        self.read_rig(caller, town, rig).await
    }

    async fn add_rig(&self, caller: &Caller, request: AddRig) -> Result<AddedRig, TownError> {
        let (service, caller) = (self.clone(), caller.clone());
        self.detached(async move { service.accept_rig(caller, request).await }).await
    }

    async fn remove_rig(&self, caller: &Caller, request: RemoveRig) -> Result<RemovedRig, TownError> {
        let (service, caller) = (self.clone(), caller.clone());
        self.detached(async move { service.accept_rig_removal(caller, request).await }).await
    }

    async fn town_status(&self, caller: &Caller, town: TownId) -> Result<TownReport, TownError> {
        self.read_status(caller, town).await
    }

    async fn list_towns(&self, caller: &Caller, page: TownPage) -> Result<Vec<TownSummary>, TownError> {
        self.read_towns(caller, page).await
    }

    async fn town_events(&self, caller: &Caller, page: EventPage) -> Result<Vec<HistoryEvent>, TownError> {
        self.read_events(caller, page).await
    }

    async fn watch_town(
        &self,
        caller: &Caller,
        town: TownId,
        after: Option<WatchPosition>,
    ) -> Result<Box<dyn TownChanges>, TownError> {
        self.start_watching(caller, town, after).await
    }

    async fn watch_towns(
        &self,
        caller: &Caller,
        after: Option<ListPosition>,
    ) -> Result<Box<dyn TownListChanges>, TownError> {
        self.start_watching_list(caller, after).await
    }

    async fn regions(&self, caller: &Caller) -> Result<Vec<Region>, TownError> {
        self.read_regions(caller).await
    }
}
