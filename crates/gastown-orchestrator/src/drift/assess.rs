//! Assessing a comparison: what to record, and what to change in the row. Pure.

use gastown_domain::ports::{TownChange, TownHealth};
use gastown_domain::{AgreeingObservations, Drift, DriftVerdict, Recorded, Town, TownStatus, compare};

use super::compare_town::TownComparison;

/// The changes that an assessment records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Changes {
    /// The agreeing observations so far.
    pub(super) agreeing: Option<AgreeingObservations>,
    /// The drift that the owner reads.
    pub(super) drift: Option<Recorded<Drift>>,
    /// The correction of the row.
    pub(super) town: TownChange,
}

/// An assessed comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assessment {
    /// The verdict. A town that lost what it is known to have lost agrees.
    pub(super) verdict: DriftVerdict,
    /// True once enough observations agree on the drift.
    pub(super) confirmed: bool,
    /// The changes to record. `None` if there are none.
    pub(super) changes: Option<Changes>,
}

impl Assessment {
    /// Returns true if something appears to be gone, which a wrong app, token or region looks like too (FM-33).
    pub(super) const fn is_absence(&self) -> bool {
        match self.verdict {
            DriftVerdict::Differs(Drift::MachineMissing | Drift::VolumeLost) => true,
            DriftVerdict::Differs(
                Drift::MachineStopped | Drift::MachineStarted | Drift::MachineReplaced | Drift::VolumeMoved,
            )
            | DriftVerdict::Agrees
            | DriftVerdict::Undecided => false,
        }
    }
}

/// Assesses a comparison by the town's row and the earlier observations.
pub(super) fn assess(
    town: &Town,
    health: &TownHealth,
    compared: &TownComparison,
    agreeing_observations: u32,
) -> Assessment {
    let known = health.drift.as_ref().map(|(drift, _)| drift);
    let is_lost = known.and_then(Recorded::known) == Some(Drift::VolumeLost);
    let verdict = compare(town.status, compared.machine, compared.volume);
    let drift = match verdict {
        DriftVerdict::Undecided => return Assessment { verdict, confirmed: false, changes: None },
        // The volume was observed. Other drifts, also of a newer version, stay for the owner to read until an operation ends.
        DriftVerdict::Agrees => return as_known(health, known.filter(|_| !is_lost)),
        // Nothing in the row is wrong.
        DriftVerdict::Differs(Drift::VolumeLost) if is_lost => return as_known(health, known),
        DriftVerdict::Differs(drift) => drift,
    };
    let agreeing = AgreeingObservations::after(health.suspicion, verdict);
    let confirmed = agreeing.is_some_and(|agreeing| agreeing.is_certain(agreeing_observations));
    let changes = if confirmed {
        let worst = worse(is_lost, drift);
        Changes { agreeing: None, drift: Some(worst.into()), town: correction(drift, compared) }
    } else {
        Changes { agreeing, drift: known.cloned(), town: TownChange::default() }
    };
    Assessment { verdict, confirmed, changes: Some(changes) }
}

/// Returns the assessment of a town without news. Something is recorded only if an earlier observation or drift is over.
fn as_known(health: &TownHealth, drift: Option<&Recorded<Drift>>) -> Assessment {
    let is_news = health.suspicion.is_some() || health.drift.as_ref().map(|(known, _)| known) != drift;
    let changes = is_news.then(|| Changes { agreeing: None, drift: drift.cloned(), town: TownChange::default() });
    Assessment { verdict: DriftVerdict::Agrees, confirmed: false, changes }
}

/// A lost volume stays the worst drift, whatever happens to the machine. Only a move of the volume replaces it.
const fn worse(is_lost: bool, news: Drift) -> Drift {
    match news {
        Drift::VolumeMoved => news,
        Drift::MachineStopped
        | Drift::MachineStarted
        | Drift::MachineMissing
        | Drift::MachineReplaced
        | Drift::VolumeLost => {
            if is_lost {
                Drift::VolumeLost
            } else {
                news
            }
        }
    }
}

/// Returns the correction of the row.
fn correction(drift: Drift, compared: &TownComparison) -> TownChange {
    let unchanged = TownChange::default();
    match drift {
        Drift::MachineStopped => TownChange { status: Some(TownStatus::Stopped), ..unchanged },
        Drift::MachineStarted => TownChange { status: Some(TownStatus::Running), ..unchanged },
        Drift::MachineMissing => TownChange { machine: Some(None), status: Some(TownStatus::Stopped), ..unchanged },
        // The next observations tell if it runs.
        Drift::MachineReplaced => {
            TownChange { machine: compared.found.as_ref().map(|found| Some(found.id.clone())), ..unchanged }
        }
        Drift::VolumeMoved => match &compared.moved_to {
            Some(to) => TownChange { volume: Some(Some(to.id.clone())), region: Some(to.region.clone()), ..unchanged },
            None => unchanged,
        },
        // The id leads to the lost data (FM-22).
        Drift::VolumeLost => unchanged,
    }
}
