//! The bench: one Fly, one database, any number of processes; and what must hold when all is quiet.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use gastown_domain::ports::{CreateTown, TownError, Towns as _, WorkerId};
use gastown_domain::{Gigabytes, Guest, Power, RigStatus, Town, TownConfig, TownId, TownStatus, UserId};
use gastown_orchestrator::{
    AppPlacement, Chance, Keys, MachineTemplate, Outside, Policy, Ports, SandboxEnv, Settings, Store as StorePorts,
    TownService, Workers,
};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::faults::Process;
use crate::fly::{Fly, Line};
use crate::keys::{Counter, Derived, Middle, Mint, PausedClock, Wrapper};
use crate::store::{Connection, Store};

pub(crate) fn alice() -> UserId {
    "alice".parse().unwrap()
}

pub(crate) fn request(name: &str) -> CreateTown {
    CreateTown { name: name.parse().unwrap(), config: TownConfig::default(), region: None, key: None }
}

pub(crate) fn settings() -> Settings {
    Settings {
        apps: AppPlacement::Shared("gastown".parse().unwrap()),
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
        policy: Policy::production(),
    }
}

pub(crate) struct Bench {
    pub(crate) fly: Arc<Fly>,
    pub(crate) store: Arc<Store>,
    pub(crate) mint: Arc<Mint>,
    ids: Arc<Counter>,
    processes: AtomicU32,
}

/// One process of the control plane.
pub(crate) struct Replica {
    pub(crate) towns: TownService,
    pub(crate) workers: Workers,
    pub(crate) process: Process,
    pub(crate) stop: CancellationToken,
}

impl Replica {
    /// What a call came to; `None` when the process died under it.
    pub(crate) async fn survives<T>(&self, call: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            result = call => Some(result),
            () = self.process.died() => None,
        }
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        let store = Store::new(PausedClock(Instant::now()));
        store.rows().users = ["alice", "bob"].map(|user| user.parse().unwrap()).into();
        Self {
            fly: Arc::default(),
            store: Arc::new(store),
            mint: Arc::default(),
            ids: Arc::default(),
            processes: AtomicU32::new(0),
        }
    }

    /// The ports of one process.
    pub(crate) fn ports(&self, process: &Process) -> Ports {
        let line = Arc::new(Line { fly: Arc::clone(&self.fly), process: process.clone() });
        let connection = Arc::new(Connection { store: Arc::clone(&self.store), process: process.clone() });
        Ports {
            store: StorePorts {
                registry: connection.clone(),
                rigs: connection.clone(),
                operations: connection.clone(),
                users: connection.clone(),
                inspections: connection.clone(),
                orphans: connection.clone(),
                passes: connection,
            },
            outside: Outside {
                apps: line.clone(),
                volumes: line.clone(),
                machines: line.clone(),
                sandboxes: line.clone(),
                inventory: line,
            },
            keys: Keys { mint: self.mint.clone(), sealer: Arc::new(Wrapper), towns: Arc::new(Derived) },
            chance: Chance { clock: Arc::new(self.store.clock), ids: self.ids.clone(), dice: Arc::new(Middle) },
        }
    }

    /// A fresh process.
    pub(crate) fn replica(&self) -> Replica {
        let process = Process::default();
        self.replica_on(self.ports(&process), process)
    }

    /// A fresh process on ports of the test's choice.
    pub(crate) fn replica_on(&self, ports: Ports, process: Process) -> Replica {
        let stop = CancellationToken::new();
        let number = self.processes.fetch_add(1, Ordering::Relaxed);
        let towns = TownService::new(ports, settings(), WorkerId(format!("worker {number}")), stop.clone());
        Replica { workers: Workers::new(towns.clone()), towns, process, stop }
    }

    /// A running town of alice.
    pub(crate) async fn running(&self, name: &str) -> Town {
        self.replica().towns.create_town(&alice(), request(name)).await.unwrap()
    }

    /// A stopped town of alice.
    pub(crate) async fn stopped(&self, name: &str) -> Town {
        let town = self.running(name).await;
        self.replica().towns.stop_town(&alice(), town.id).await.unwrap()
    }

    pub(crate) async fn create(&self, name: &str) -> Result<Town, TownError> {
        self.replica().towns.create_town(&alice(), request(name)).await
    }

    /// Sweeps with a fresh process until nothing is in flight and no rig is unsettled.
    pub(crate) async fn recover(&self) {
        self.recover_in("recovery").await;
    }

    pub(crate) async fn recover_in(&self, case: &str) {
        let replica = self.replica();
        for _ in 0..200 {
            // What was sent late has arrived by then.
            sleep(Duration::from_secs(5)).await;
            replica.workers.sweep().await.unwrap();
            replica.workers.idle().await;
            if self.is_quiet() {
                return;
            }
        }
        panic!("{case}: it never becomes quiet: {:?}", self.store.rows().operations);
    }

    fn is_quiet(&self) -> bool {
        let rows = self.store.rows();
        let settled = |town: &Town| {
            town.status != TownStatus::Running
                || rows.rigs.iter().all(|rig| rig.town != town.id || rig.status == RigStatus::Active)
        };
        rows.operations.is_empty() && rows.towns.values().all(settled)
    }

    /// What must hold whenever all is quiet.
    pub(crate) fn assert_invariants(&self, case: &str) {
        let (rows, world) = (self.store.rows(), self.fly.world());
        assert!(rows.operations.is_empty(), "{case}: an operation is left: {:?}", rows.operations);
        for town in rows.towns.values() {
            let machines = world.machines_of(town.id);
            let volumes = world.volumes_of(town.id);
            assert!(machines.len() <= 1, "{case}: machines of one town: {machines:?}");
            assert!(volumes.len() <= 1, "{case}: volumes of one town: {volumes:?}");
            let (machine, volume) = (machines.first(), volumes.first());
            assert_eq!(town.machine_id.as_ref(), machine.map(|it| &it.id), "{case}: the row's machine, {town:?}");
            assert_eq!(town.volume_id.as_ref(), volume.map(|it| &it.id), "{case}: the row's volume, {town:?}");
            let power = machine.map(|machine| machine.power());
            match town.status {
                TownStatus::Provisioning => panic!("{case}: provisioning for ever: {town:?}"),
                TownStatus::Running => assert_eq!(power, Some(Power::On), "{case}: {town:?}"),
                TownStatus::Stopped => assert!(matches!(power, None | Some(Power::Off)), "{case}: {power:?} {town:?}"),
                TownStatus::Destroyed => assert_eq!((power, volume.is_some()), (None, false), "{case}: {town:?}"),
            }
            assert_eq!(town.is_tombstone(), town.status == TownStatus::Destroyed, "{case}: {town:?}");
            let Some(volume) = volume else {
                assert!(town.is_tombstone(), "{case}: a living town without its volume: {town:?}");
                continue;
            };
            assert_eq!(town.region.as_ref(), Some(&volume.region), "{case}: the row's region");
            if let Some(machine) = machine {
                assert_eq!(machine.volume, volume.id, "{case}: the machine's volume");
                assert_eq!(machine.region, volume.region, "{case}: the machine's region");
            }
            if town.status == TownStatus::Running {
                let wished: BTreeSet<_> =
                    rows.rigs.iter().filter(|rig| rig.town == town.id).map(|rig| &rig.name).collect();
                let present: BTreeSet<_> = volume.rigs.iter().map(|rig| &rig.name).collect();
                assert_eq!(wished, present, "{case}: the rigs of the table and of the sandbox");
            }
        }
        let owned = |name: &str| rows.towns.keys().any(|id| name == id.machine_name() || name == id.volume_name());
        for machine in world.machines.iter().filter(|machine| !machine.is_gone()) {
            assert!(owned(&machine.name), "{case}: nobody's machine: {machine:?}");
        }
        for volume in world.volumes.iter().filter(|volume| !volume.gone) {
            assert!(owned(&volume.name), "{case}: nobody's volume: {volume:?}");
        }
    }

    /// That nothing of a town is left, and its row says so.
    pub(crate) fn assert_nothing_left(&self, town: TownId) {
        let row = self.store.town(town);
        assert!(row.is_tombstone(), "{row:?}");
        assert_eq!((row.machine_id, row.volume_id, row.status), (None, None, TownStatus::Destroyed));
        let world = self.fly.world();
        assert_eq!((world.machines_of(town).len(), world.volumes_of(town).len()), (0, 0));
    }

    /// The only town there is, living or not.
    pub(crate) fn only_town(&self) -> TownId {
        let rows = self.store.rows();
        assert_eq!(rows.towns.len(), 1);
        rows.towns.keys().next().copied().unwrap()
    }
}
