//! The test bench: one fake Fly, one database, and any number of processes.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use gastown_domain::ports::{
    AddRig, Caller, Clock as _, CreateTown, Jitter, KeptMetrics, TownError, Towns as _, WorkerId,
};
use gastown_domain::{
    AppPlacement, Gigabytes, Guest, HealthState, IdleMinutes, NewTown, RigStatus, Town, TownConfig, TownId, TownStatus,
};
use gastown_orchestrator::{
    DriftDetector, Env, HealthMonitor, IdleStopper, MachineTemplate, OrphanSweeper, Policy, Ports, Provider,
    RolloutDriver, SandboxEnv, Secrets, Settings, Store as StorePorts, TownService, Workers,
};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::env::{FakeMint, FakeSealer, FakeTownKeys, FixedJitter, PausedClock, SequentialIds};
use crate::faults::{InjectedFault, Process};
use crate::fly::{Fly, FlyClient};
use crate::inventory::the_app;
use crate::process::SkewedClock;
use crate::records::Use;
use crate::store::{Connection, Store};

/// The interval at which the workers sweep.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// The maximum number of sweeps until everything is quiet after the last fault.
///
/// It covers the longest backoff of ten minutes (120 sweeps), which applies after enough failures for an alert. It also
/// covers the lease of a dead process (45 s, 9 sweeps) and a minute or two of work.
pub(crate) const SWEEPS: usize = 160;

/// The users that the host application knows.
pub(crate) const USERS: [&str; 4] = ["alice", "bob", "carol", "dora"];

pub(crate) fn alice() -> Caller {
    Caller::Trusted("alice".parse().unwrap())
}

pub(crate) fn request(name: &str) -> CreateTown {
    CreateTown { name: name.parse().unwrap(), config: TownConfig::default(), region: None, key: None }
}

/// Returns a request for a rig.
pub(crate) fn engine(town: TownId) -> AddRig {
    AddRig {
        town,
        name: "engine".parse().unwrap(),
        repo: "https://github.com/acme/engine".parse().unwrap(),
        branch: Some("main".parse().unwrap()),
        config: serde_json::Map::new(),
    }
}

pub(crate) fn settings() -> Settings {
    Settings {
        apps: AppPlacement::Shared(the_app()),
        regions: ["iad", "ord"].map(|region| region.parse().unwrap()).to_vec(),
        machine: MachineTemplate {
            image: "registry.fly.io/gastown:1".parse().unwrap(),
            guest: Guest::TOWN,
            volume: Gigabytes::TOWN,
        },
        env: SandboxEnv {
            kilo_api_url: "https://kilo.example".to_owned(),
            r2_bucket: "bucket".to_owned(),
            r2_access_key: "r2-access".into(),
            r2_secret_key: Some("r2-secret".into()),
            r2_endpoint: None,
            gastown_cloud_url: None,
        },
        policy: Policy::production().validated().unwrap(),
    }
}

pub(crate) struct Bench {
    pub(crate) fly: Arc<Fly>,
    pub(crate) store: Arc<Store>,
    pub(crate) mint: Arc<FakeMint>,
    pub(crate) metrics: Arc<KeptMetrics>,
    /// The settings of processes that are created from now on.
    pub(crate) settings: Settings,
    ids: Arc<SequentialIds>,
    jitter: Arc<dyn Jitter>,
    processes: AtomicU32,
}

/// One process of the control plane.
pub(crate) struct Replica {
    pub(crate) towns: TownService,
    pub(crate) workers: Workers,
    pub(crate) drift_detector: DriftDetector,
    pub(crate) monitor: HealthMonitor,
    pub(crate) idle: IdleStopper,
    pub(crate) orphans: OrphanSweeper,
    pub(crate) rollouts: RolloutDriver,
    pub(crate) process: Process,
    pub(crate) stop: CancellationToken,
}

impl Replica {
    /// Returns the result of the call, or `None` if the process died during it.
    pub(crate) async fn unless_crashed<T>(&self, call: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            result = call => Some(result),
            () = self.process.died() => None,
        }
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with_jitter(Arc::new(FixedJitter))
    }

    pub(crate) fn with_jitter(jitter: Arc<dyn Jitter>) -> Self {
        let store = Store::new(PausedClock(Instant::now()));
        store.rows().users = USERS.map(|user| user.parse().unwrap()).into();
        let fly = Arc::<Fly>::default();
        fly.world().set_clock(store.clock);
        fly.world().apps.insert(the_app());
        Self {
            fly,
            store: Arc::new(store),
            mint: Arc::default(),
            metrics: Arc::default(),
            settings: settings(),
            ids: Arc::default(),
            jitter,
            processes: AtomicU32::new(0),
        }
    }

    /// Places the towns of each user in an app of their own from now on.
    pub(crate) fn change_policy(&mut self, change: impl FnOnce(&mut Policy)) {
        self.settings.policy = self.settings.policy.changed(change).unwrap();
    }

    pub(crate) fn give_each_user_an_app(&mut self) {
        self.settings.apps = AppPlacement::PerUser { organization: "acme".to_owned(), prefix: the_app() };
        let app_of = |user: &str| self.settings.apps.app_of(&user.parse().unwrap()).unwrap();
        self.fly.world().apps = USERS.into_iter().map(app_of).collect();
    }

    /// Returns the ports of one process.
    pub(crate) fn ports(&self, process: &Process) -> Ports {
        let client = Arc::new(FlyClient { fly: Arc::clone(&self.fly), process: process.clone() });
        let connection = Arc::new(Connection { store: Arc::clone(&self.store), process: process.clone() });
        Ports {
            store: StorePorts {
                registry: connection.clone(),
                rigs: connection.clone(),
                operations: connection.clone(),
                users: connection.clone(),
                drift_checks: connection.clone(),
                health_checks: connection.clone(),
                orphans: connection.clone(),
                jobs: connection.clone(),
                rollouts: connection,
            },
            provider: Provider {
                apps: client.clone(),
                volumes: client.clone(),
                machines: client.clone(),
                sandboxes: client.clone(),
                inventory: client,
                turns: None,
            },
            secrets: Secrets { mint: self.mint.clone(), sealer: Arc::new(FakeSealer), towns: Arc::new(FakeTownKeys) },
            env: Env {
                clock: Arc::new(SkewedClock { process: process.clone(), true_clock: self.store.clock }),
                ids: self.ids.clone(),
                jitter: self.jitter.clone(),
                metrics: self.metrics.clone(),
            },
        }
    }

    /// Creates a process.
    pub(crate) fn replica(&self) -> Replica {
        let process = Process::default();
        self.replica_on(self.ports(&process), process)
    }

    /// Creates a process with the given ports.
    pub(crate) fn replica_on(&self, ports: Ports, process: Process) -> Replica {
        let stop = CancellationToken::new();
        let number = self.processes.fetch_add(1, Ordering::Relaxed);
        let worker = WorkerId(format!("worker {number}"));
        let towns = TownService::new(ports.clone(), self.settings.clone(), worker.clone(), stop.clone());
        Replica {
            workers: Workers::new(towns.clone()),
            drift_detector: DriftDetector::new(ports.clone(), self.settings.clone().into()),
            monitor: HealthMonitor::new(towns.clone(), ports.clone(), self.settings.clone().into()),
            idle: IdleStopper::new(&towns, ports.clone(), self.settings.clone().into()),
            orphans: OrphanSweeper::new(ports.clone(), self.settings.clone().into(), worker.clone()),
            rollouts: RolloutDriver::new(ports, self.settings.clone().into(), worker),
            towns,
            process,
            stop,
        }
    }

    /// Creates a running town of alice.
    pub(crate) async fn running(&self, name: &str) -> Town {
        self.replica().towns.create_town(&alice(), request(name)).await.unwrap().town
    }

    /// Creates a stopped town of alice.
    pub(crate) async fn stopped(&self, name: &str) -> Town {
        let town = self.running(name).await;
        self.replica().towns.stop_town(&alice(), town.id).await.unwrap().town
    }

    /// Sets a town up as one that is stopped after thirty minutes, and that was neither used nor at work for an hour.
    pub(crate) fn make_idle(&self, town: TownId) {
        let (now, mut rows) = (self.store.clock.now(), self.store.rows());
        let hour_ago = Some(now - TimeDelta::hours(1));
        rows.towns.get_mut(&town).unwrap().config.idle_stop_minutes = IdleMinutes::new(30);
        rows.records.health.entry(town).or_default().state = HealthState::Healthy.into();
        // Its sandbox is heard of during the whole test.
        let heard_at = Some(now + TimeDelta::days(30));
        let uses = Use { used_at: hour_ago, heard_at, active_polecats: Some(0), idle_since: hour_ago };
        rows.records.uses.insert(town, uses);
    }

    pub(crate) async fn create(&self, name: &str) -> Result<Town, TownError> {
        self.replica().towns.create_town(&alice(), request(name)).await.map(|created| created.town)
    }

    /// Sweeps with a new process until no operation is in flight and no rig is pending. Returns the number of sweeps.
    pub(crate) async fn recover(&self) -> usize {
        self.recover_in("recovery").await
    }

    pub(crate) async fn recover_in(&self, case: &str) -> usize {
        let sweeps = self.until_quiet().await;
        sweeps.unwrap_or_else(|| {
            panic!("{case}: not quiet after {SWEEPS} sweeps: {:?}", self.store.rows().operations);
        })
    }

    /// Sweeps like `recover`, but returns `None` if operations or rigs remain after the last sweep.
    pub(crate) async fn until_quiet(&self) -> Option<usize> {
        let mut replica = self.replica();
        for sweep in 1..=SWEEPS {
            // Calls that are applied late have been applied by then.
            sleep(SWEEP_EVERY).await;
            // After a failed sweep or a crash, the next sweep continues.
            let swept = async {
                let _ = replica.workers.sweep().await;
                replica.workers.idle().await;
            };
            if replica.unless_crashed(swept).await.is_none() {
                replica = self.replica();
            }
            if self.is_quiet() {
                return Some(sweep);
            }
        }
        None
    }

    fn is_quiet(&self) -> bool {
        let rows = self.store.rows();
        let settled = |town: &Town| {
            town.status != TownStatus::Running
                || rows.rigs.iter().all(|rig| rig.town != town.id || rig.status == RigStatus::Active)
        };
        rows.operations.is_empty() && rows.towns.values().all(settled)
    }

    /// Returns every fault that was injected.
    pub(crate) fn all_injected_faults(&self) -> Vec<InjectedFault> {
        [self.fly.schedule().injected.clone(), self.store.schedule().injected.clone()].concat()
    }

    /// Asserts that no resource of the town is left and that its row is an empty tombstone.
    pub(crate) fn assert_nothing_left(&self, town: TownId) {
        let row = self.store.town(town);
        assert!(row.is_tombstone(), "{row:?}");
        assert_eq!((row.machine_id, row.volume_id, row.status), (None, None, TownStatus::Destroyed));
        let world = self.fly.world();
        assert_eq!((world.machines_of(town).len(), world.volumes_of(town).len()), (0, 0));
    }

    /// Returns the id of the only town, which may be a tombstone.
    pub(crate) fn only_town(&self) -> TownId {
        let rows = self.store.rows();
        assert_eq!(rows.towns.len(), 1);
        rows.towns.keys().next().copied().unwrap()
    }

    /// Inserts a tombstone without machine and volume ids.
    pub(crate) fn add_tombstone(&self, town: TownId) {
        let created_at = self.store.clock.now();
        let living = NewTown {
            id: town,
            owner: alice().user().clone(),
            name: "barn".parse().unwrap(),
            region: "iad".parse().unwrap(),
            config: TownConfig::default(),
            rigs: Vec::new(),
            created_at,
        }
        .row();
        let sandbox_id = living.sandbox_id.tombstone(town);
        let destroyed_at = Some(created_at);
        let tombstone = Town { sandbox_id, status: TownStatus::Destroyed, destroyed_at, ..living };
        self.store.rows().towns.insert(town, tombstone);
    }
}
