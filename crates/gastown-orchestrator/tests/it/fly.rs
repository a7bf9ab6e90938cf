//! An in-memory Fly: the ports on the `World`, each call through the schedule of faults.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use gastown_domain::ports::{
    Action, Apps, Awaited, MachineSpec, Machines, ObservedMachine, ObservedVolume, ProviderError, VolumeSpec, Volumes,
};
use gastown_domain::{AppName, MachineId, Power, TownId, VolumeId};
use tokio::time::{Instant, sleep};

use crate::faults::{Call, Fault, Process, Schedule, Struck};
use crate::process::HANG;
use crate::world::{BOOT, Lists, Phase, STOP, World};

const LATENCY: Duration = Duration::from_millis(50);
const LOST_AFTER: Duration = Duration::from_secs(5);
const LATE_BY: Duration = Duration::from_secs(4);
/// Just within a lease.
const MUCH_LATER_BY: Duration = Duration::from_secs(40);
/// What was made shows a few seconds after Fly said so.
const UNSEEN_FOR: Duration = Duration::from_secs(3);
/// Until an overloaded Fly says so.
const BUSY_FOR: Duration = Duration::from_secs(20);
/// As long as the Fly adapter lets a call take.
const SLOW: Duration = Duration::from_secs(30);

/// Fly itself, which outlives every process.
#[derive(Default)]
pub(crate) struct Fly {
    world: Mutex<World>,
    schedule: Mutex<Schedule>,
}

impl Fly {
    /// What there is now.
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

/// One process's line to Fly and to the sandboxes.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) fly: Arc<Fly>,
    pub(crate) process: Process,
}

impl Line {
    /// One call: under way for a while, struck by the schedule, applied or not.
    pub(crate) async fn call<T, E, F>(&self, call: Call, apply: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: Struck + Send + 'static,
        F: FnOnce(&mut World) -> Result<T, E> + Send + 'static,
    {
        self.process.breathe().await;
        let fault = self.fly.schedule().strike(call);
        sleep(LATENCY).await;
        self.process.breathe().await;
        let result = match fault {
            None => apply(&mut self.fly.world()),
            Some(fault @ (Fault::StaleList | Fault::EmptyList)) => {
                let mut world = self.fly.world();
                world.lists = if fault == Fault::StaleList { Lists::MissNewest } else { Lists::Empty };
                let result = apply(&mut world);
                world.lists = Lists::Whole;
                result
            }
            // A sandbox does one thing at a time: what it answers comes after what it was asked before.
            Some(fault @ (Fault::LateApplied | Fault::MuchLater)) if matches!(call, Call::Fly(_)) => {
                let fly = Arc::clone(&self.fly);
                tokio::spawn(async move {
                    sleep(if fault == Fault::LateApplied { LATE_BY } else { MUCH_LATER_BY }).await;
                    let _ = apply(&mut fly.world());
                });
                Err(E::by(fault, call))
            }
            Some(Fault::Unseen) => {
                let mut world = self.fly.world();
                world.made_unseen_until = Some(Instant::now() + UNSEEN_FOR);
                let result = apply(&mut world);
                world.made_unseen_until = None;
                result
            }
            Some(Fault::Status408) => {
                let _ = apply(&mut self.fly.world());
                Err(E::by(Fault::Status408, call))
            }
            Some(Fault::Status503) => {
                sleep(BUSY_FOR).await;
                Err(E::by(Fault::Status503, call))
            }
            Some(Fault::ReplyLost | Fault::LateApplied) => {
                let _ = apply(&mut self.fly.world());
                sleep(LOST_AFTER).await;
                Err(E::by(Fault::ReplyLost, call))
            }
            Some(Fault::Slow) if !matches!(call, Call::Fly(_)) => {
                let result = apply(&mut self.fly.world());
                sleep(SLOW).await;
                result
            }
            // Whoever hangs up meanwhile does not stop it.
            Some(Fault::Slow | Fault::LandsLate) => {
                let outlives_a_lease = fault == Some(Fault::LandsLate) && matches!(call, Call::Fly(_));
                let fly = Arc::clone(&self.fly);
                let applied = tokio::spawn(async move {
                    sleep(if outlives_a_lease { SLOW * 3 } else { SLOW }).await;
                    apply(&mut fly.world())
                });
                applied.await.unwrap()
            }
            Some(Fault::CrashBefore) => self.process.die().await,
            Some(Fault::CrashAfter) => {
                let _ = apply(&mut self.fly.world());
                self.process.die().await
            }
            Some(Fault::HangBefore) => {
                self.process.hang(HANG);
                self.process.breathe().await;
                apply(&mut self.fly.world())
            }
            Some(Fault::HangAfter) => {
                let result = apply(&mut self.fly.world());
                self.process.hang(HANG);
                result
            }
            Some(fault) => Err(E::by(fault, call)),
        };
        self.process.breathe().await;
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

fn not_now(action: Action) -> ProviderError {
    ProviderError::NotNow { action, cause: "its state does not allow it".into() }
}

#[async_trait]
impl Apps for Line {
    async fn ensure(&self, app: &AppName) -> Result<(), ProviderError> {
        self.is_asked_in(app, &"");
        self.fly(Action::EnsureApp, |_| Ok(())).await
    }
}

#[async_trait]
impl Volumes for Line {
    async fn volume(&self, app: &AppName, id: &VolumeId) -> Result<Option<ObservedVolume>, ProviderError> {
        self.is_asked_in(app, id);
        let id = id.clone();
        self.fly(Action::ReadVolume, move |world| {
            Ok(world.volume(&id).filter(|volume| volume.is_shown()).map(|volume| volume.sighting()))
        })
        .await
    }

    async fn volumes_of(&self, app: &AppName, town: TownId) -> Result<Vec<ObservedVolume>, ProviderError> {
        self.is_asked_in(app, &town);
        self.fly(Action::ListVolumes, move |world| {
            let shown = world.volumes_of(town).into_iter().filter(|volume| volume.is_shown());
            Ok(world.listed(shown).into_iter().map(crate::world::Volume::sighting).collect())
        })
        .await
    }

    async fn create_volume(&self, spec: &VolumeSpec) -> Result<ObservedVolume, ProviderError> {
        self.is_asked_in(&spec.app, &spec.town);
        let spec = spec.clone();
        self.fly(Action::CreateVolume, move |world| Ok(world.add_volume_in(spec.app, spec.town, &spec.region))).await
    }

    async fn delete_volume(&self, app: &AppName, id: &VolumeId) -> Result<(), ProviderError> {
        self.is_asked_in(app, id);
        let id = id.clone();
        self.fly(Action::DeleteVolume, move |world| {
            if world.volume(&id).is_some_and(|volume| volume.held_by.is_some()) {
                return Err(ProviderError::VolumeBound { action: Action::DeleteVolume, cause: "bound".into() });
            }
            world.bury_volume(&id, Instant::now());
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl Machines for Line {
    async fn machine(&self, app: &AppName, id: &MachineId) -> Result<Option<ObservedMachine>, ProviderError> {
        self.is_asked_in(app, id);
        let id = id.clone();
        self.fly(Action::ReadMachine, move |world| {
            let found = world.machine(&id).filter(|machine| machine.is_shown()).cloned();
            Ok(found.map(|machine| world.sight_machine(&machine)))
        })
        .await
    }

    async fn machines_of(&self, app: &AppName, town: TownId) -> Result<Vec<ObservedMachine>, ProviderError> {
        self.is_asked_in(app, &town);
        self.fly(Action::ListMachines, move |world| {
            let shown = world.machines_of(town).into_iter().filter(|machine| machine.is_shown());
            Ok(world.listed(shown).into_iter().map(|it| world.sight_machine(it)).collect())
        })
        .await
    }

    async fn create_machine(&self, spec: &MachineSpec) -> Result<ObservedMachine, ProviderError> {
        const ACTION: Action = Action::CreateMachine;
        self.is_asked_in(&spec.app, &spec.town);
        let spec = spec.clone();
        self.fly(ACTION, move |world| {
            if let Some(holder) = world.machines_of(spec.town).first() {
                return match holder.power() {
                    Power::Destroying => Err(not_now(ACTION)),
                    _ => Ok(world.sight_machine(holder)),
                };
            }
            if world.machines_refused {
                return Err(ProviderError::Refused { action: ACTION, cause: "no such image".into() });
            }
            if world.full.contains(&spec.region) {
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

    async fn update_machine(&self, id: &MachineId, spec: &MachineSpec) -> Result<(), ProviderError> {
        const ACTION: Action = Action::UpdateMachine;
        self.is_asked_in(&spec.app, &spec.town);
        let (id, spec) = (id.clone(), spec.clone());
        self.fly(ACTION, move |world| {
            let has_volume = world.volume(&spec.volume).is_some();
            match world.machine(&id) {
                None => Err(ProviderError::MachineMissing { action: ACTION }),
                Some(_) if !has_volume => {
                    Err(ProviderError::VolumeMissing { action: ACTION, cause: "no such volume".into() })
                }
                Some(machine) if matches!(machine.power(), Power::Off | Power::Failed) => {
                    machine.env = spec.env;
                    machine.metadata = spec.metadata;
                    // Fly passes over another mount.
                    Ok(())
                }
                Some(_) => Err(not_now(ACTION)),
            }
        })
        .await
    }

    async fn start_machine(&self, app: &AppName, id: &MachineId) -> Result<(), ProviderError> {
        const ACTION: Action = Action::StartMachine;
        self.is_asked_in(app, id);
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
        self.is_asked_in(app, id);
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
        patience: Duration,
    ) -> Result<bool, ProviderError> {
        self.is_asked_in(app, id);
        let id = id.clone();
        let until = Instant::now() + patience;
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
                self.process.breathe().await;
                return Ok(reached);
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn delete_machine(&self, app: &AppName, id: &MachineId) -> Result<(), ProviderError> {
        self.is_asked_in(app, id);
        let id = id.clone();
        self.fly(Action::DeleteMachine, move |world| {
            if !world.deletes_are_ignored {
                world.bury_machine(&id, Instant::now());
            }
            Ok(())
        })
        .await
    }
}
