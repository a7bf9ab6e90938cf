//! A fake Fly: the provider ports on the `World`. Each call goes through the fault schedule.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use gastown_domain::ports::{
    Action, Apps, Awaited, Deletion, MachineSpec, Machines, ObservedMachine, ObservedVolume, ProviderError, VolumeSpec,
    Volumes,
};
use gastown_domain::{AppName, MachineId, Power, TownId, VolumeId};
use tokio::time::{Instant, sleep};

use crate::faults::{Call, Fault, FromFault, Process, Schedule};
use crate::process::HANG;
use crate::world::{BOOT, ListView, Phase, STOP, World};

const LATENCY: Duration = Duration::from_millis(50);
const REPLY_LOST_AFTER: Duration = Duration::from_secs(5);
const APPLIED_LATE_BY: Duration = Duration::from_secs(4);
/// Slightly less than a lease.
const APPLIED_MUCH_LATER_BY: Duration = Duration::from_secs(40);
/// The time until a created resource is visible.
const INVISIBLE_FOR: Duration = Duration::from_secs(3);
/// The time until an overloaded Fly responds.
const OVERLOADED_FOR: Duration = Duration::from_secs(20);
/// The longest time that the Fly adapter allows for a call.
const SLOW: Duration = Duration::from_secs(30);

/// The state of Fly, which outlives every process.
#[derive(Default)]
pub(crate) struct Fly {
    world: Mutex<World>,
    schedule: Mutex<Schedule>,
}

impl Fly {
    /// Returns the current state.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        let mut world = self.world.lock().unwrap();
        world.tick(Instant::now());
        world
    }

    pub(crate) fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap()
    }

    pub(crate) fn count(&self, action: Action) -> usize {
        self.schedule().count(Call::Fly(action))
    }
}

/// The client of one process for Fly and the sandboxes.
#[derive(Clone)]
pub(crate) struct FlyClient {
    pub(crate) fly: Arc<Fly>,
    pub(crate) process: Process,
}

impl FlyClient {
    /// Makes one call: waits for the latency, injects a scheduled fault, and applies the call or not.
    pub(crate) async fn call<T, E, F>(&self, call: Call, apply: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: FromFault + Send + 'static,
        F: FnOnce(&mut World) -> Result<T, E> + Send + 'static,
    {
        self.process.checkpoint().await;
        let fault = self.fly.schedule().inject(call);
        sleep(LATENCY).await;
        self.process.checkpoint().await;
        let result = match fault {
            None => apply(&mut self.fly.world()),
            Some(fault @ (Fault::StaleList | Fault::EmptyList)) => {
                let mut world = self.fly.world();
                world.list_view = if fault == Fault::StaleList { ListView::WithoutNewest } else { ListView::Empty };
                let result = apply(&mut world);
                world.list_view = ListView::Complete;
                result
            }
            // A sandbox handles one request at a time, so only calls to Fly can be applied late.
            Some(fault @ (Fault::AppliedLate | Fault::AppliedMuchLater)) if matches!(call, Call::Fly(_)) => {
                let fly = Arc::clone(&self.fly);
                tokio::spawn(async move {
                    sleep(if fault == Fault::AppliedLate { APPLIED_LATE_BY } else { APPLIED_MUCH_LATER_BY }).await;
                    let _ = apply(&mut fly.world());
                });
                Err(E::from_fault(fault, call))
            }
            Some(Fault::NotYetVisible) => {
                let mut world = self.fly.world();
                world.created_invisible_until = Some(Instant::now() + INVISIBLE_FOR);
                let result = apply(&mut world);
                world.created_invisible_until = None;
                result
            }
            Some(Fault::Status408) => {
                let _ = apply(&mut self.fly.world());
                Err(E::from_fault(Fault::Status408, call))
            }
            Some(Fault::Status503) => {
                sleep(OVERLOADED_FOR).await;
                Err(E::from_fault(Fault::Status503, call))
            }
            Some(Fault::ReplyLost | Fault::AppliedLate) => {
                let _ = apply(&mut self.fly.world());
                sleep(REPLY_LOST_AFTER).await;
                Err(E::from_fault(Fault::ReplyLost, call))
            }
            Some(Fault::Slow) if !matches!(call, Call::Fly(_)) => {
                let result = apply(&mut self.fly.world());
                sleep(SLOW).await;
                result
            }
            // The call continues if the caller disconnects.
            Some(Fault::Slow | Fault::OutlastsLease) => {
                let outlives_a_lease = fault == Some(Fault::OutlastsLease) && matches!(call, Call::Fly(_));
                let fly = Arc::clone(&self.fly);
                let applied = tokio::spawn(async move {
                    sleep(if outlives_a_lease { SLOW * 3 } else { SLOW }).await;
                    apply(&mut fly.world())
                });
                applied.await.unwrap()
            }
            Some(Fault::CrashBefore) => self.process.crash().await,
            Some(Fault::CrashAfter) => {
                let _ = apply(&mut self.fly.world());
                self.process.crash().await
            }
            Some(Fault::HangBefore) => {
                self.process.hang(HANG);
                self.process.checkpoint().await;
                apply(&mut self.fly.world())
            }
            Some(Fault::HangAfter) => {
                let result = apply(&mut self.fly.world());
                self.process.hang(HANG);
                result
            }
            Some(fault) => Err(E::from_fault(fault, call)),
        };
        self.process.checkpoint().await;
        result
    }

    async fn fly<T, F>(&self, action: Action, apply: F) -> Result<T, ProviderError>
    where
        T: Send + 'static,
        F: FnOnce(&mut World) -> Result<T, ProviderError> + Send + 'static,
    {
        self.call(Call::Fly(action), apply).await
    }
}

fn deletion_of(was_there: bool) -> Deletion {
    if was_there { Deletion::Accepted } else { Deletion::AlreadyAbsent }
}

fn not_now(action: Action) -> ProviderError {
    ProviderError::NotNow { action, cause: "the machine's state forbids it".into() }
}

#[async_trait]
impl Apps for FlyClient {
    async fn ensure(&self, app: &AppName) -> Result<(), ProviderError> {
        self.assert_app_matches(app, &"");
        self.fly(Action::EnsureApp, |_| Ok(())).await
    }
}

#[async_trait]
impl Volumes for FlyClient {
    async fn volume(&self, app: &AppName, id: &VolumeId) -> Result<Option<ObservedVolume>, ProviderError> {
        self.assert_app_matches(app, id);
        let id = id.clone();
        self.fly(Action::ReadVolume, move |world| {
            let volume = world.volume(&id).filter(|volume| volume.is_visible()).map(|volume| &*volume).cloned();
            Ok(volume.map(|volume| world.shown(&volume)))
        })
        .await
    }

    async fn volumes_of(&self, app: &AppName, town: TownId) -> Result<Vec<ObservedVolume>, ProviderError> {
        self.assert_app_matches(app, &town);
        self.fly(Action::ListVolumes, move |world| {
            let shown = world.volumes_of(town).into_iter().filter(|volume| volume.is_visible());
            Ok(world.listed(shown).into_iter().map(|volume| world.shown(volume)).collect())
        })
        .await
    }

    async fn create_volume(&self, spec: &VolumeSpec) -> Result<ObservedVolume, ProviderError> {
        self.assert_app_matches(&spec.app, &spec.town);
        let spec = spec.clone();
        self.fly(Action::CreateVolume, move |world| Ok(world.add_volume_in(spec.app, spec.town, &spec.region))).await
    }

    async fn delete_volume(&self, app: &AppName, id: &VolumeId) -> Result<Deletion, ProviderError> {
        self.assert_app_matches(app, id);
        let id = id.clone();
        self.fly(Action::DeleteVolume, move |world| {
            if world.volume(&id).is_some_and(|volume| volume.held_by.is_some()) {
                return Err(ProviderError::VolumeBound { action: Action::DeleteVolume, cause: "bound".into() });
            }
            // Fly accepts the deletion of a volume that it has moved or deleted a short time ago.
            let deletion = deletion_of(world.volumes.iter().any(|volume| volume.id == id));
            world.delete_volume(&id, Instant::now());
            Ok(deletion)
        })
        .await
    }
}

#[async_trait]
impl Machines for FlyClient {
    async fn machine(&self, app: &AppName, id: &MachineId) -> Result<Option<ObservedMachine>, ProviderError> {
        self.assert_app_matches(app, id);
        let id = id.clone();
        self.fly(Action::ReadMachine, move |world| {
            let found = world.machine(&id).filter(|machine| machine.is_visible()).cloned();
            Ok(found.map(|machine| world.observe_machine(&machine)))
        })
        .await
    }

    async fn machines_of(&self, app: &AppName, town: TownId) -> Result<Vec<ObservedMachine>, ProviderError> {
        self.assert_app_matches(app, &town);
        self.fly(Action::ListMachines, move |world| {
            let shown = world.machines_of(town).into_iter().filter(|machine| machine.is_visible());
            Ok(world.listed(shown).into_iter().map(|it| world.observe_machine(it)).collect())
        })
        .await
    }

    async fn create_machine(&self, spec: &MachineSpec) -> Result<ObservedMachine, ProviderError> {
        const ACTION: Action = Action::CreateMachine;
        self.assert_app_matches(&spec.app, &spec.town);
        let spec = spec.clone();
        self.fly(ACTION, move |world| {
            if let Some(holder) = world.machines_of(spec.town).first() {
                return match holder.power() {
                    Power::Destroying => Err(not_now(ACTION)),
                    _ => Ok(world.observe_machine(holder)),
                };
            }
            if world.machines_refused {
                return Err(ProviderError::Refused { action: ACTION, cause: "no such image".into() });
            }
            if world.full_regions.contains(&spec.region) {
                return Err(ProviderError::NoCapacity { action: ACTION, cause: "full".into() });
            }
            match world.volume(&spec.volume) {
                None => Err(ProviderError::VolumeMissing { action: ACTION, cause: "no such volume".into() }),
                Some(volume) if volume.held_by.is_some() => {
                    Err(ProviderError::VolumeBound { action: ACTION, cause: "bound".into() })
                }
                Some(_) => {
                    let id = world.add_machine(&spec, Instant::now());
                    Ok(ObservedMachine { id, power: Power::Starting, volume: Some(spec.volume) })
                }
            }
        })
        .await
    }

    async fn update_machine(&self, id: &MachineId, spec: &MachineSpec) -> Result<ObservedMachine, ProviderError> {
        const ACTION: Action = Action::UpdateMachine;
        self.assert_app_matches(&spec.app, &spec.town);
        let (id, spec) = (id.clone(), spec.clone());
        self.fly(ACTION, move |world| {
            if world.missing_images.contains(&spec.image) {
                return Err(ProviderError::Misconfigured { action: ACTION, cause: "no such image".into() });
            }
            if world.refused_images.contains(&spec.image) {
                return Err(ProviderError::Refused {
                    action: ACTION,
                    cause: "the image is not one of this app".into(),
                });
            }
            let has_volume = world.volume(&spec.volume).is_some();
            match world.machine(&id) {
                None => Err(ProviderError::MachineMissing { action: ACTION }),
                Some(_) if !has_volume => {
                    Err(ProviderError::VolumeMissing { action: ACTION, cause: "no such volume".into() })
                }
                Some(machine) if matches!(machine.power(), Power::Off | Power::Failed) => {
                    machine.image = spec.image;
                    machine.env = spec.env;
                    machine.metadata = spec.metadata;
                    // Fly ignores a changed mount.
                    let machine = machine.clone();
                    Ok(world.observe_machine(&machine))
                }
                Some(_) => Err(not_now(ACTION)),
            }
        })
        .await
    }

    async fn start_machine(&self, app: &AppName, id: &MachineId) -> Result<(), ProviderError> {
        const ACTION: Action = Action::StartMachine;
        self.assert_app_matches(app, id);
        let id = id.clone();
        self.fly(ACTION, move |world| {
            let machine = world.machine(&id).ok_or(ProviderError::MachineMissing { action: ACTION })?;
            match machine.power() {
                Power::Off | Power::Failed => machine.phase = Phase::Starting(Instant::now() + BOOT),
                Power::Starting | Power::On => {}
                _ => return Err(not_now(ACTION)),
            }
            Ok(())
        })
        .await
    }

    async fn stop_machine(&self, app: &AppName, id: &MachineId) -> Result<(), ProviderError> {
        const ACTION: Action = Action::StopMachine;
        self.assert_app_matches(app, id);
        let id = id.clone();
        self.fly(ACTION, move |world| {
            let machine = world.machine(&id).ok_or(ProviderError::MachineMissing { action: ACTION })?;
            match machine.power() {
                Power::On | Power::Starting => machine.phase = Phase::Stopping(Instant::now() + STOP),
                Power::Stopping | Power::Off | Power::Failed => {}
                _ => return Err(not_now(ACTION)),
            }
            Ok(())
        })
        .await
    }

    async fn await_machine(
        &self,
        app: &AppName,
        id: &MachineId,
        state: Awaited,
        timeout: Duration,
    ) -> Result<bool, ProviderError> {
        self.assert_app_matches(app, id);
        let id = id.clone();
        let until = Instant::now() + timeout;
        self.fly(Action::AwaitMachine, |_| Ok(())).await?;
        loop {
            let phase = self.fly.world().machines.iter().find(|machine| machine.id == id).map(|machine| machine.phase);
            let Some(phase) = phase else { return Err(ProviderError::MachineMissing { action: Action::AwaitMachine }) };
            let reached = match state {
                Awaited::Started => matches!(phase, Phase::On(_)),
                Awaited::Stopped => phase == Phase::Off,
                Awaited::Destroyed => matches!(phase, Phase::Gone(_)),
            };
            if reached || Instant::now() >= until {
                self.process.checkpoint().await;
                return Ok(reached);
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn delete_machine(&self, app: &AppName, id: &MachineId) -> Result<Deletion, ProviderError> {
        self.assert_app_matches(app, id);
        let id = id.clone();
        self.fly(Action::DeleteMachine, move |world| {
            let deletion = deletion_of(world.machine(&id).is_some());
            if !world.deletes_are_ignored {
                world.delete_machine(&id, Instant::now());
            }
            Ok(deletion)
        })
        .await
    }
}
