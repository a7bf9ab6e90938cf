//! The lifecycle as one table: from the goal, the phase and the observation to the next step.
//!
//! Pure. Every step is an *ensure*: what an earlier, half-finished attempt made is adopted by the observation, and "already
//! absent, proven" counts as done. So any process may ask the table again at any time.

use crate::ports::ObservedMachine;
use crate::{LocatedVolume, OperationKind, Phase, Power, Region, Seen, Step, VolumeState};

/// The observed state of one town.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observation {
    /// The town's machine.
    pub machine: Seen<ObservedMachine>,
    /// The town's volume.
    pub volume: Seen<LocatedVolume>,
    /// True while an unconfirmed create may still make something that is not observed here.
    pub create_pending: bool,
    /// True when the machine of a create or restore was there and is absent now. The provider's `launch_failed` ends that way.
    pub machine_lost: bool,
    /// True when a restart has tried its final sync, or skips it.
    pub sync_tried: bool,
    /// The region in which a volume would be created. `None` when every region has refused.
    pub next_region: Option<Region>,
}

/// Returns the next step towards `goal`.
///
/// ```
/// use gastown_domain::{LocatedVolume, Observation, OperationKind, Phase, Seen, Step, VolumeState, plan};
/// let (id, region): (gastown_domain::VolumeId, gastown_domain::Region) = ("vol_1".parse()?, "iad".parse()?);
/// let volume = LocatedVolume { id: id.clone(), region: Some(region.clone()), state: VolumeState::Ready };
/// let observation =
///     Observation { machine: Seen::Absent, volume: Seen::Present(volume), ..Observation::default() };
/// let step = plan(OperationKind::Create, Phase::Begun, &observation);
/// assert_eq!(step, Step::CreateMachine { volume: id, region });
/// // A lost answer proves no absence: no second machine.
/// let observation = Observation { machine: Seen::Unknown, ..observation };
/// assert_eq!(plan(OperationKind::Create, Phase::Begun, &observation), Step::ObserveAgain);
/// # Ok::<(), gastown_domain::Invalid>(())
/// ```
pub fn plan(goal: OperationKind, phase: Phase, observation: &Observation) -> Step {
    let step = match goal {
        OperationKind::Create => create(phase, observation),
        OperationKind::Start => start(phase, observation),
        OperationKind::Restart => restart(phase, observation),
        OperationKind::Stop => stop(phase, &observation.machine),
        OperationKind::Destroy => destroy(phase, observation),
        OperationKind::RollBack => roll_back(phase, observation),
        OperationKind::Restore => restore(phase, observation),
        OperationKind::UndoRestore => remove(observation),
    };
    // Nothing looks for a resource that appears after the end.
    if step == Step::Finish && observation.create_pending { Step::AwaitUnconfirmed } else { step }
}

/// Plans a create: volume, machine, sandbox. The volume holds no data yet, so a misplaced one may be deleted.
fn create(phase: Phase, observed: &Observation) -> Step {
    use Power::{Changing, Destroying, Failed, Off, On, Starting, Stopping};
    use Seen::{Absent, Present, Unknown};
    match (&observed.machine, &observed.volume) {
        (Absent, _) if observed.machine_lost => Step::GiveUpMachineFailed,
        (Unknown, _) | (Absent, Unknown) => Step::ObserveAgain,
        (Absent, Absent) => create_volume(observed),
        (Present(_), Absent) => Step::GiveUpVolumeLost,
        (Absent, Present(volume)) => match &volume.state {
            VolumeState::Ready => create_machine(volume),
            VolumeState::Misplaced => Step::DeleteVolume(volume.id.clone()),
            VolumeState::Surplus(surplus) => Step::DeleteSurplusVolume(surplus.clone()),
            VolumeState::Destroying => create_volume(observed),
        },
        (Present(_), Present(LocatedVolume { state: VolumeState::Destroying, .. })) => Step::GiveUpVolumeLost,
        (Present(_), Present(LocatedVolume { state: VolumeState::Surplus(surplus), .. })) => {
            Step::DeleteSurplusVolume(surplus.clone())
        }
        (Present(machine), volume) => match (machine.power, phase) {
            (Starting, _) => Step::AwaitStarted(machine.id.clone()),
            (On, Phase::Settled) => Step::Finish,
            (On, Phase::Begun | Phase::Prepared) => prepare_sandbox(machine, volume),
            (Off, _) => Step::StartMachine(machine.id.clone()),
            (Failed, _) => Step::GiveUpMachineFailed,
            (Stopping | Destroying | Changing, _) => Step::ObserveAgain,
        },
    }
}

/// Plans a start: the volume has data, and the machine's token may be stale. A second volume of the town's name stays,
/// because its origin and content are not known.
fn start(phase: Phase, observed: &Observation) -> Step {
    use Power::{Changing, Destroying, Failed, Off, On, Starting, Stopping};
    let (machine, volume) = match machine_with_data(observed) {
        Ok(found) => found,
        Err(step) => return step,
    };
    match (machine.power, phase) {
        (Starting, _) => Step::AwaitStarted(machine.id.clone()),
        (On, Phase::Settled) => Step::Finish,
        (On, Phase::Begun | Phase::Prepared) => prepare_sandbox(machine, &observed.volume),
        (Stopping, _) => Step::AwaitStopped(machine.id.clone()),
        (Off | Failed, Phase::Begun) => update_machine(machine, volume),
        (Off | Failed, Phase::Prepared | Phase::Settled) => Step::StartMachine(machine.id.clone()),
        (Destroying | Changing, _) => Step::ObserveAgain,
    }
}

/// Plans a restart: stop, then start. The machine is on both before and after, so the phase tells which. It leaves `begun`
/// only while the machine is off, or with a new machine.
fn restart(phase: Phase, observed: &Observation) -> Step {
    use Power::{Changing, Destroying, Failed, Off, On, Starting, Stopping};
    let (machine, _) = match machine_with_data(observed) {
        Ok(found) => found,
        Err(step) => return step,
    };
    match (machine.power, phase) {
        (On, Phase::Begun) if !observed.sync_tried => Step::FinalSync(machine.id.clone()),
        (On | Starting, Phase::Begun) => Step::StopMachine(machine.id.clone()),
        (On | Starting, Phase::Prepared | Phase::Settled) | (Stopping | Off | Failed | Destroying | Changing, _) => {
            start(phase, observed)
        }
    }
}

/// Returns the machine of a town that has data, with its volume. Otherwise returns the step without them.
fn machine_with_data(observed: &Observation) -> Result<(&ObservedMachine, &LocatedVolume), Step> {
    let volume = match &observed.volume {
        Seen::Unknown => return Err(Step::ObserveAgain),
        Seen::Absent | Seen::Present(LocatedVolume { state: VolumeState::Destroying, .. }) => {
            return Err(Step::GiveUpVolumeLost);
        }
        Seen::Present(volume) => volume,
    };
    match &observed.machine {
        Seen::Unknown => Err(Step::ObserveAgain),
        Seen::Absent => Err(create_machine(volume)),
        Seen::Present(machine) => Ok((machine, volume)),
    }
}

/// Plans a stop. The volume does not matter.
fn stop(phase: Phase, machine: &Seen<ObservedMachine>) -> Step {
    use Power::{Changing, Destroying, Failed, Off, On, Starting, Stopping};
    let machine = match machine {
        Seen::Unknown => return Step::ObserveAgain,
        Seen::Absent => return Step::Finish,
        Seen::Present(machine) => machine,
    };
    match (machine.power, phase) {
        (On, Phase::Begun) => Step::FinalSync(machine.id.clone()),
        (On, Phase::Prepared | Phase::Settled) => Step::StopMachine(machine.id.clone()),
        (Starting, _) => Step::StopMachine(machine.id.clone()),
        (Stopping, _) => Step::AwaitStopped(machine.id.clone()),
        (Off | Failed, _) => Step::Finish,
        (Destroying | Changing, _) => Step::ObserveAgain,
    }
}

/// Plans a destroy: final sync, then the row, then the machine, then the volume.
fn destroy(phase: Phase, observed: &Observation) -> Step {
    use Power::{Changing, Destroying, Failed, Off, On, Starting, Stopping};
    match (phase, &observed.machine) {
        (Phase::Begun, Seen::Unknown) => Step::ObserveAgain,
        (Phase::Begun, Seen::Absent) => Step::SoftDelete,
        (Phase::Begun, Seen::Present(machine)) => match machine.power {
            Changing => Step::ObserveAgain,
            On => Step::FinalSync(machine.id.clone()),
            Starting | Stopping | Off | Failed | Destroying => Step::SoftDelete,
        },
        (Phase::Prepared, _) => Step::SoftDelete,
        (Phase::Settled, _) => remove(observed),
    }
}

/// Plans the roll back of a create. There is nothing to sync.
fn roll_back(phase: Phase, observed: &Observation) -> Step {
    match phase {
        Phase::Begun | Phase::Prepared => Step::SoftDelete,
        Phase::Settled => remove(observed),
    }
}

/// Plans a restore: the loss is proven again, the old machine is deleted, and then it is a create. A volume that exists is
/// never replaced (FM-22).
fn restore(phase: Phase, observed: &Observation) -> Step {
    use Seen::{Absent, Present, Unknown};
    match phase {
        Phase::Prepared | Phase::Settled => return create(phase, observed),
        Phase::Begun => {}
    }
    match &observed.volume {
        Unknown => return Step::ObserveAgain,
        Present(volume) => match volume.state {
            VolumeState::Ready | VolumeState::Misplaced | VolumeState::Surplus(_) => return Step::GiveUpVolumeFound,
            VolumeState::Destroying => {}
        },
        Absent => {}
    }
    match &observed.machine {
        Unknown => Step::ObserveAgain,
        Present(ObservedMachine { id, power: Power::Destroying, .. }) => Step::AwaitDestroyed(id.clone()),
        Present(machine) => Step::DeleteMachine(machine.id.clone()),
        Absent => create_volume(observed),
    }
}

/// Plans a removal: the machine first, because it holds the volume (FM-05). Each step ends with a proof of absence.
fn remove(observed: &Observation) -> Step {
    use Seen::{Absent, Present, Unknown};
    match (&observed.machine, &observed.volume) {
        (Unknown, _) => Step::ObserveAgain,
        (Present(ObservedMachine { id, power: Power::Destroying, .. }), _) => Step::AwaitDestroyed(id.clone()),
        (Present(machine), _) => Step::DeleteMachine(machine.id.clone()),
        (Absent, Unknown) => Step::ObserveAgain,
        (Absent, Absent) => Step::Finish,
        (Absent, Present(volume)) => match &volume.state {
            VolumeState::Destroying => Step::ObserveAgain,
            VolumeState::Surplus(surplus) => Step::DeleteSurplusVolume(surplus.clone()),
            VolumeState::Ready | VolumeState::Misplaced => Step::DeleteVolume(volume.id.clone()),
        },
    }
}

fn create_volume(observed: &Observation) -> Step {
    observed.next_region.clone().map_or(Step::GiveUpNoCapacity, Step::CreateVolume)
}

/// Plans a machine beside its volume. While the volume's region is not known, there is no place for it.
fn create_machine(volume: &LocatedVolume) -> Step {
    volume.region.clone().map_or(Step::ObserveAgain, |region| Step::CreateMachine { volume: volume.id.clone(), region })
}

fn update_machine(machine: &ObservedMachine, volume: &LocatedVolume) -> Step {
    volume.region.clone().map_or(Step::ObserveAgain, |region| Step::UpdateMachine {
        machine: machine.id.clone(),
        volume: volume.id.clone(),
        region,
    })
}

/// Plans the sandbox's part. A town never runs on a volume that is not its own (FM-25). The machine may have been changed from
/// outside, or the provider may be moving it.
fn prepare_sandbox(machine: &ObservedMachine, volume: &Seen<LocatedVolume>) -> Step {
    match volume {
        Seen::Present(volume) if machine.volume.as_ref() != Some(&volume.id) => Step::ObserveAgain,
        Seen::Present(_) | Seen::Absent | Seen::Unknown => Step::PrepareSandbox(machine.id.clone()),
    }
}

#[cfg(test)]
mod tests;
