//! The calls that the orchestrator makes to each port, and its reaction to each result. Tests use mocks, one port at a
//! time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use gastown_domain::ports::{
    Action, HomeCalls as _, HomeError, MockApps, MockMachines, MockRegistry, MockSandboxes, MockSealer, MockTokenMint,
    MockTownKeys, MockVolumes, ObservedVolume, ProviderError, SandboxError, SealError, TownError, Towns as _,
};
use gastown_domain::{Failure, Gigabytes, OperationKind, SandboxReport, TownStatus};
use tokio::time::Instant;

use crate::bench::{Bench, alice, request};
use crate::faults::Process;

#[tokio::test(start_paused = true)]
async fn wrong_key_makes_no_registry_call() {
    let bench = Bench::new();
    let mut ports = bench.ports(&Process::default());
    let mut keys = MockTownKeys::new();
    keys.expect_verify().times(2).return_const(false);
    ports.secrets.towns = Arc::new(keys);
    ports.secrets.mint = Arc::new(MockTokenMint::new());
    ports.store.registry = Arc::new(MockRegistry::new());
    let towns = bench.replica_on(ports, Process::default()).towns;
    let town = gastown_domain::TownId::new(uuid::Uuid::nil());

    let beat = towns.heartbeat(town, "guess".into(), SandboxReport::default(), None).await;
    assert!(matches!(beat, Err(HomeError::Unauthorized)), "{beat:?}");
    assert!(matches!(towns.refresh_token(town, "guess".into()).await, Err(HomeError::Unauthorized)));
}

#[tokio::test(start_paused = true)]
async fn create_ensures_app_then_creates_one_volume_of_configured_size() {
    let bench = Bench::new();
    let mut ports = bench.ports(&Process::default());
    let mut order = mockall::Sequence::new();
    let mut apps = MockApps::new();
    apps.expect_ensure().withf(|app| app.as_str() == "gastown").times(1).in_sequence(&mut order).returning(|_| Ok(()));
    let mut volumes = MockVolumes::new();
    volumes
        .expect_create_volume()
        .withf(|spec| spec.size == Gigabytes::TOWN && spec.region.as_str() == "iad" && spec.app.as_str() == "gastown")
        .times(1)
        .in_sequence(&mut order)
        .returning(|_| Err(ProviderError::Refused { action: Action::CreateVolume, cause: "no".into() }));
    // The rollback makes no calls, because a volume that was refused permanently does not exist.
    (ports.provider.apps, ports.provider.volumes) = (Arc::new(apps), Arc::new(volumes));

    let error = bench.replica_on(ports, Process::default()).towns.create_town(&alice(), request("mill")).await;

    assert!(matches!(error, Err(TownError::Failed { failure: Failure::VolumeRefused, .. })), "{error:?}");
    bench.assert_nothing_left(bench.only_town());
}

#[tokio::test(start_paused = true)]
async fn throttled_call_is_not_retried_before_retry_after() {
    let bench = Bench::new();
    let mut ports = bench.ports(&Process::default());
    let (retry_after, calls) = (Duration::from_secs(17), Arc::new(std::sync::Mutex::new(Vec::new())));
    let times = Arc::clone(&calls);
    let mut apps = MockApps::new();
    apps.expect_ensure().times(2).returning(move |_| {
        let mut times = times.lock().unwrap();
        times.push(Instant::now());
        match times.len() {
            1 => Err(ProviderError::Throttled { action: Action::EnsureApp, retry_after: Some(retry_after) }),
            _ => Ok(()),
        }
    });
    ports.provider.apps = Arc::new(apps);

    let town = bench.replica_on(ports, Process::default()).towns.create_town(&alice(), request("mill")).await.unwrap();

    assert_eq!(town.town.status, TownStatus::Running);
    let calls = calls.lock().unwrap();
    assert!(calls[1] - calls[0] >= retry_after, "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn excessive_retry_after_is_capped() {
    for retry_after in [Duration::from_secs(365 * 24 * 60 * 60), Duration::MAX] {
        let bench = Bench::new();
        let mut ports = bench.ports(&Process::default());
        let (calls, mut apps) = (Arc::new(AtomicU32::new(0)), MockApps::new());
        let times = Arc::clone(&calls);
        apps.expect_ensure().returning(move |_| match times.fetch_add(1, Ordering::Relaxed) {
            0 => Err(ProviderError::Throttled { action: Action::EnsureApp, retry_after: Some(retry_after) }),
            _ => Ok(()),
        });
        ports.provider.apps = Arc::new(apps);

        let _in_time = bench.replica_on(ports, Process::default()).towns.create_town(&alice(), request("mill")).await;
        bench.recover().await;

        assert_eq!(bench.store.town(bench.only_town()).status, TownStatus::Running, "{retry_after:?}");
        assert_eq!(calls.load(Ordering::Relaxed), 2, "{retry_after:?}: retried by the process that waited");
    }
}

#[tokio::test(start_paused = true)]
async fn failed_sealing_creates_no_machine() {
    let bench = Bench::new();
    let mut ports = bench.ports(&Process::default());
    let mut sealer = MockSealer::new();
    sealer.expect_seal().times(1).returning(|_| Err(SealError { cause: "no key".into() }));
    ports.secrets.sealer = Arc::new(sealer);

    let error = bench.replica_on(ports, Process::default()).towns.create_town(&alice(), request("mill")).await;

    assert!(matches!(error, Err(TownError::Failed { failure: Failure::SecretsUnavailable, .. })), "{error:?}");
    assert_eq!(bench.fly.count(Action::CreateMachine), 0);
}

#[tokio::test(start_paused = true)]
async fn lost_volume_is_confirmed_by_two_reads_and_never_recreated() {
    let bench = Bench::new();
    let town = bench.stopped("mill").await;
    bench.fly.world().volumes[0].gone = true;
    let mut ports = bench.ports(&Process::default());
    let mut volumes = MockVolumes::new();
    let lost = town.volume_id.clone().unwrap();
    volumes.expect_volume().withf(move |_, id| *id == lost).times(1).returning(|_, _| Ok(None));
    volumes.expect_volumes_of().withf(move |_, of| *of == town.id).times(1).returning(|_, _| Ok(Vec::new()));
    volumes.expect_create_volume().never();
    ports.provider.volumes = Arc::new(volumes);

    let error = bench.replica_on(ports, Process::default()).towns.start_town(&alice(), town.id).await;

    let expected = (OperationKind::Start, Failure::VolumeLost);
    assert!(matches!(error, Err(TownError::Failed { kind, failure }) if (kind, failure) == expected), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn hanging_or_failed_sync_does_not_delay_stop_and_is_not_recorded() {
    for hangs in [false, true] {
        let bench = Bench::new();
        let town = bench.running("mill").await.id;
        let mut ports = bench.ports(&Process::default());
        ports.provider.sandboxes = if hangs { Arc::new(Hanging) } else { Arc::new(failing_sync()) };

        let stopped = bench.replica_on(ports, Process::default()).towns.stop_town(&alice(), town).await.unwrap();

        assert_eq!((stopped.town.status, stopped.town.last_r2_sync_at), (TownStatus::Stopped, None), "hangs: {hangs}");
    }
}

fn failing_sync() -> MockSandboxes {
    let mut sandboxes = MockSandboxes::new();
    sandboxes
        .expect_sync()
        .times(1)
        .returning(|_| Err(SandboxError::Unhealthy { reason: gastown_domain::HealthReason::NotReady }));
    sandboxes
}

/// A sandbox that never responds.
struct Hanging;

#[async_trait::async_trait]
impl gastown_domain::ports::Sandboxes for Hanging {
    async fn health(&self, _: &gastown_domain::ports::SandboxAddress) -> Result<(), SandboxError> {
        std::future::pending().await
    }

    async fn rigs(
        &self,
        _: &gastown_domain::ports::SandboxAddress,
    ) -> Result<Vec<gastown_domain::SandboxRig>, SandboxError> {
        std::future::pending().await
    }

    async fn add_rig(
        &self,
        _: &gastown_domain::ports::SandboxAddress,
        _: &gastown_domain::SandboxRig,
    ) -> Result<Option<gastown_domain::Branch>, SandboxError> {
        std::future::pending().await
    }

    async fn remove_rig(
        &self,
        _: &gastown_domain::ports::SandboxAddress,
        _: &gastown_domain::RigName,
        _: bool,
    ) -> Result<(), SandboxError> {
        std::future::pending().await
    }

    async fn sync(
        &self,
        _: &gastown_domain::ports::SandboxAddress,
    ) -> Result<chrono::DateTime<chrono::Utc>, SandboxError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn failed_read_creates_nothing() {
    let bench = Bench::new();
    let town = bench.stopped("mill").await;
    let mut ports = bench.ports(&Process::default());
    let mut machines = MockMachines::new();
    let unknown = || ProviderError::Unknown { action: Action::ReadMachine, cause: "504".into() };
    machines.expect_update_machine().times(1).returning(move |_, _| Err(unknown()));
    machines.expect_machine().times(2..).returning(move |_, _| Err(unknown()));
    machines.expect_create_machine().never();
    machines.expect_start_machine().never();
    let mut volumes = MockVolumes::new();
    volumes.expect_volume().returning(|_, id| {
        Ok(Some(ObservedVolume {
            id: id.clone(),
            region: Some("iad".parse().unwrap()),
            destroying: false,
            bound_to: None,
        }))
    });
    (ports.provider.machines, ports.provider.volumes) = (Arc::new(machines), Arc::new(volumes));

    let waiting = bench.replica_on(ports, Process::default()).towns.start_town(&alice(), town.id).await.unwrap().town;

    assert_eq!(waiting.town.status, TownStatus::Stopped);
    assert_eq!(bench.store.rows().operations[&town.id].operation.last_error, Some(Failure::ProviderUnavailable.into()));
}
