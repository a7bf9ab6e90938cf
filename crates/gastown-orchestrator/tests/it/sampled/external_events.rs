//! Changes at Fly that the control plane did not make.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use gastown_domain::ports::Clock as _;
use gastown_domain::{OperationKind, Power, Rejection, TownId, TownStatus};
use tokio::time::Instant;
use uuid::Uuid;

use super::run::Run;
use super::steps::ExternalEvent;
use crate::store::Rows;
use crate::world::{BOOT, Phase, STOP, World};

/// The maximum number of missing machines and volumes. More of them would look like a wrong app or token, and drift
/// detection would ignore them (FM-33).
const MAX_LOSSES: usize = 3;

/// The events so far.
#[derive(Debug, Clone, Default)]
pub(super) struct EventLog {
    pub(super) counts: BTreeMap<&'static str, usize>,
    losses: usize,
    /// The towns whose operation row was deleted, and with it the record of unconfirmed calls to Fly.
    pub(super) lost_operations: BTreeSet<TownId>,
    /// The towns whose volume Fly has moved.
    pub(super) moved_volumes: BTreeSet<TownId>,
}

impl Run {
    pub(super) fn apply_event(&mut self, event: ExternalEvent) {
        let applied = self.try_apply(event);
        if applied {
            *self.events.counts.entry(event.name()).or_default() += 1;
        }
    }

    /// Applies the event. Returns false if there is nothing to apply it to.
    fn try_apply(&mut self, event: ExternalEvent) -> bool {
        let now = Instant::now();
        let bench = &self.bench;
        let town = event.town().and_then(|number| self.numbered(number));
        let mut world = bench.fly.world();
        match event {
            ExternalEvent::StopMachine { .. } => set_phase(town, &mut world, Power::On, Phase::Stopping(now + STOP)),
            // A machine cannot start without its volume.
            ExternalEvent::StartMachine { .. } => {
                let mounted = town.and_then(|town| world.present_machine(town)).map(|machine| machine.volume.clone());
                mounted.is_some_and(|volume| world.volume(&volume).is_some())
                    && set_phase(town, &mut world, Power::Off, Phase::Starting(now + BOOT))
            }
            ExternalEvent::FailMachine { .. } => set_phase(town, &mut world, Power::On, Phase::Failed),
            ExternalEvent::DestroyMachine { .. } => {
                let Some(town) = town.filter(|_| self.events.losses < MAX_LOSSES) else { return false };
                // Without the machine, nothing links a moved volume to the town any more.
                let row = bench.store.town(town);
                let Some(machine) = world.present_machine(town) else { return false };
                if row.volume_id.is_some_and(|named| named != machine.volume) {
                    return false;
                }
                machine.phase = Phase::Gone(now);
                self.events.losses += 1;
                true
            }
            ExternalEvent::MoveVolume { .. } => town.is_some_and(|town| {
                let is_moved = world.move_volume(town);
                self.events.moved_volumes.extend(is_moved.then_some(town));
                is_moved
            }),
            ExternalEvent::LoseVolume { .. } => {
                let Some(town) = town.filter(|_| self.events.losses < MAX_LOSSES) else { return false };
                // Until a town has run, its volume may be replaced.
                let has_data = bench.store.town(town).status != TownStatus::Provisioning;
                let lost = has_data && world.lose_volume(town);
                self.events.losses += usize::from(lost);
                lost
            }
            ExternalEvent::OccupyRig { name } => world.busy_rigs.insert(["engine", "wheel"][name].to_owned()),
            ExternalEvent::FreeRigs => std::mem::take(&mut world.busy_rigs).pop_first().is_some(),
            ExternalEvent::LoseOperation { .. } => {
                let Some(town) =
                    town.filter(|town| lose_operation(&mut bench.store.rows(), *town, bench.store.clock.now()))
                else {
                    return false;
                };
                self.events.lost_operations.insert(town);
                true
            }
            ExternalEvent::RefuseRig { name } => world.refused_rigs.insert(["engine", "wheel"][name].to_owned()),
            ExternalEvent::LeaveOrphans if self.events.counts.contains_key(event.name()) => false,
            ExternalEvent::LeaveOrphans => {
                world.add_orphans(TownId::new(Uuid::from_u128(u128::MAX >> 1)), now);
                true
            }
            ExternalEvent::Fill => world.full_regions.insert("iad".parse().unwrap()),
            ExternalEvent::Empty => std::mem::take(&mut world.full_regions).pop_first().is_some(),
            ExternalEvent::LoseHosts => !std::mem::replace(&mut world.unreachable_hosts, true),
            ExternalEvent::FindHosts => std::mem::replace(&mut world.unreachable_hosts, false),
        }
    }

    /// Ends the events that are temporary.
    pub(super) fn end_external_events(&mut self) {
        for event in [ExternalEvent::FreeRigs, ExternalEvent::Empty, ExternalEvent::FindHosts] {
            self.try_apply(event);
        }
    }
}

impl ExternalEvent {
    const fn town(self) -> Option<usize> {
        match self {
            Self::StopMachine { town } | Self::StartMachine { town } | Self::FailMachine { town } => Some(town),
            Self::DestroyMachine { town } | Self::MoveVolume { town } | Self::LoseVolume { town } => Some(town),
            Self::LoseOperation { town } => Some(town),
            Self::OccupyRig { .. } | Self::FreeRigs | Self::RefuseRig { .. } | Self::LeaveOrphans => None,
            Self::Fill | Self::Empty | Self::LoseHosts | Self::FindHosts => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::StopMachine { .. } => "machine stopped",
            Self::StartMachine { .. } => "machine started",
            Self::FailMachine { .. } => "machine failed",
            Self::DestroyMachine { .. } => "machine destroyed",
            Self::MoveVolume { .. } => "volume moved",
            Self::LoseVolume { .. } => "volume lost",
            Self::OccupyRig { .. } => "rig in use",
            Self::FreeRigs => "rigs no longer in use",
            Self::LoseOperation { .. } => "operation lost",
            Self::RefuseRig { .. } => "rig refused",
            Self::LeaveOrphans => "orphans added",
            Self::Fill => "region full",
            Self::Empty => "region has capacity",
            Self::LoseHosts => "hosts unreachable",
            Self::FindHosts => "hosts reachable",
        }
    }
}

fn set_phase(town: Option<TownId>, world: &mut World, from: Power, to: Phase) -> bool {
    let machine = town.and_then(|town| world.present_machine(town)).filter(|machine| machine.power() == from);
    machine.map(|machine| machine.phase = to).is_some()
}

/// Deletes the operation row, as a manual change of the table would. The ledger counts the operation as pre-empted.
fn lose_operation(rows: &mut Rows, town: TownId, now: DateTime<Utc>) -> bool {
    let Some(row) = rows.operations.get(&town) else { return false };
    // For other kinds, the row matches the town before the operation as well as after it.
    if !matches!(row.operation.kind, OperationKind::Create | OperationKind::Destroy) {
        return false;
    }
    let id = row.operation.id;
    rows.operations.remove(&town);
    rows.end(id, Err(Rejection::Preempted), now);
    true
}
