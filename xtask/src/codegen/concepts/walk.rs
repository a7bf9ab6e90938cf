//! The undisturbed course of each operation: the plan is asked, its step is carried out on a model, and it is asked again.

use anyhow::{Context, ensure};
use gastown_domain::ports::ObservedMachine;
use gastown_domain::{
    LocatedVolume, MachineId, Observation, OperationKind, Phase, Power, Region, Seen, Step, StepName, TownStatus,
    VolumeId, VolumeState, plan,
};

/// More steps than any operation takes without a disturbance.
const MAX_STEPS: usize = 20;

/// One step of a course, with the phase after it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) step: StepName,
    /// The phase, if the step changed it.
    pub(super) phase: Option<Phase>,
}

/// Returns the statuses of a town at which an operation of this kind may begin. An empty list means that it makes the town.
pub(super) const fn begins_at(kind: OperationKind) -> &'static [TownStatus] {
    use TownStatus::{Provisioning, Running, Stopped};
    match kind {
        OperationKind::Create => &[],
        OperationKind::Start | OperationKind::Restore | OperationKind::UndoRestore => &[Stopped],
        OperationKind::Stop | OperationKind::Restart => &[Running],
        OperationKind::Destroy => &[Provisioning, Running, Stopped],
        OperationKind::RollBack => &[Provisioning],
    }
}

/// Returns the steps of an operation that meets no fault, up to its end.
pub(super) fn course(kind: OperationKind) -> anyhow::Result<Vec<Taken>> {
    let mut world = World::before(kind)?;
    let mut taken = Vec::new();
    while taken.len() < MAX_STEPS {
        let step = plan(kind, world.phase, &world.observation);
        let phase = Phase::after(kind, step.name()).filter(|phase| *phase != world.phase);
        taken.push(Taken { step: step.name(), phase });
        if step == Step::Finish {
            return Ok(taken);
        }
        world.phase = phase.unwrap_or(world.phase);
        world.carry_out(&step).with_context(|| format!("the course of {kind}"))?;
    }
    anyhow::bail!("{kind} does not end within {MAX_STEPS} steps: {taken:?}")
}

/// The provider's side of one town, as an operation observes it.
struct World {
    phase: Phase,
    observation: Observation,
    volume: VolumeId,
    machine: MachineId,
    region: Region,
}

impl World {
    fn before(kind: OperationKind) -> anyhow::Result<Self> {
        let (volume, machine, region) = ("vol_1".parse()?, "machine".parse()?, "iad".parse::<Region>()?);
        let mut world = Self {
            phase: if kind == OperationKind::UndoRestore { Phase::Settled } else { Phase::Begun },
            observation: Observation { next_region: Some(region.clone()), ..Observation::default() },
            volume,
            machine,
            region,
        };
        world.remove_machine();
        world.observation.volume = Seen::Absent;
        match kind {
            OperationKind::Create => {}
            OperationKind::Start => world.has(Some(Power::Off)),
            OperationKind::Stop | OperationKind::Restart | OperationKind::Destroy => world.has(Some(Power::On)),
            // The volume is lost, and the machine that mounted it is left.
            OperationKind::Restore => world.power(Power::Off),
            // The machine did not come up.
            OperationKind::RollBack | OperationKind::UndoRestore => world.has(Some(Power::Failed)),
        }
        Ok(world)
    }

    fn has(&mut self, machine: Option<Power>) {
        let (id, region) = (self.volume.clone(), Some(self.region.clone()));
        self.observation.volume = Seen::Present(LocatedVolume { id, region, state: VolumeState::Ready });
        if let Some(power) = machine {
            self.power(power);
        }
    }

    fn power(&mut self, power: Power) {
        let (id, volume) = (self.machine.clone(), Some(self.volume.clone()));
        self.observation.machine = Seen::Present(ObservedMachine { id, power, volume });
    }

    fn remove_machine(&mut self) {
        self.observation.machine = Seen::Absent;
    }

    /// Does what the step asks for, at once and without a fault.
    fn carry_out(&mut self, step: &Step) -> anyhow::Result<()> {
        match step {
            Step::CreateVolume(_) => self.has(None),
            Step::CreateMachine { .. } | Step::StartMachine(_) => self.power(Power::Starting),
            Step::AwaitStarted(_) => self.power(Power::On),
            Step::FinalSync(_) => self.observation.sync_tried = true,
            Step::StopMachine(_) => self.power(Power::Stopping),
            Step::AwaitStopped(_) => self.power(Power::Off),
            Step::DeleteMachine(_) => self.power(Power::Destroying),
            Step::AwaitDestroyed(_) => self.remove_machine(),
            Step::DeleteVolume(_) => self.observation.volume = Seen::Absent,
            // The phase alone tells that they were taken.
            Step::UpdateMachine { .. } | Step::PrepareSandbox(_) | Step::SoftDelete | Step::Finish => {}
            Step::ObserveAgain
            | Step::DeleteSurplusVolume(_)
            | Step::AwaitUnconfirmed
            | Step::GiveUpVolumeLost
            | Step::GiveUpVolumeFound
            | Step::GiveUpMachineFailed
            | Step::GiveUpNoCapacity => ensure!(false, "an undisturbed course has no step {step:?}"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn courses_are_the_known_ones() {
        let words = |kind| {
            let taken = course(kind).unwrap();
            taken.iter().map(|taken| taken.step.as_str()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(words(OperationKind::Create), "ensure_volume ensure_machine await_on settle_sandbox finish");
        assert_eq!(words(OperationKind::Start), "refresh_machine power_on await_on settle_sandbox finish");
        assert_eq!(words(OperationKind::Stop), "final_sync power_off await_off finish");
        assert_eq!(words(OperationKind::Destroy), "final_sync hide drop_machine await_gone drop_volume finish");
        assert_eq!(
            words(OperationKind::Restore),
            "drop_machine await_gone ensure_volume ensure_machine await_on settle_sandbox finish"
        );
        assert_eq!(words(OperationKind::RollBack), "hide drop_machine await_gone drop_volume finish");
        assert_eq!(words(OperationKind::UndoRestore), "drop_machine await_gone drop_volume finish");
        assert_eq!(
            words(OperationKind::Restart),
            "final_sync power_off await_off refresh_machine power_on await_on settle_sandbox finish"
        );
    }
}
