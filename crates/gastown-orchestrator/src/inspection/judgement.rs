//! What to believe of a look, and what to write down. Pure.

use gastown_domain::ports::{TownChange, TownHealth};
use gastown_domain::{AgreeingObservations, Drift, DriftVerdict, Town, TownStatus, compare};

use super::look::Look;

/// What a look comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The town is as its row says, or has lost what it is known to have lost.
    Agrees,
    /// Nothing can be said.
    Undecided,
    /// It looks unlike its row.
    Suspects(Drift),
    /// It is unlike its row.
    Believes(Drift),
}

/// What is suspected and believed from now on, and what that changes in the row.
type ToWrite = (Option<AgreeingObservations>, Option<Drift>, TownChange);

/// A look, judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judgement {
    pub(super) kind: Kind,
    /// `None`: nothing is to be written.
    pub(super) outcome: Option<ToWrite>,
}

impl Judgement {
    /// Whether something would be called gone: what a wrong app, token or region looks like too (FM-33).
    pub(super) const fn is_absence(&self) -> bool {
        match self.kind {
            Kind::Suspects(drift) | Kind::Believes(drift) => {
                matches!(drift, Drift::MachineMissing | Drift::VolumeLost)
            }
            Kind::Agrees | Kind::Undecided => false,
        }
    }
}

/// Judges a look by what the row says and what was suspected and believed before.
pub(super) fn judge(town: &Town, health: &TownHealth, look: &Look, agreeing_observations: u32) -> Judgement {
    let known = health.drift.map(|(drift, _)| drift);
    let seen = compare(town.status, look.machine, look.volume);
    match seen {
        DriftVerdict::Undecided => Judgement { kind: Kind::Undecided, outcome: None },
        // It agrees only where the volume was seen; the other drifts stay for the owner to read until an operation ends.
        DriftVerdict::Agrees => as_known(health, known.filter(|drift| *drift != Drift::VolumeLost)),
        // There is no row to be told the truth.
        DriftVerdict::Differs(Drift::VolumeLost) if known == Some(Drift::VolumeLost) => as_known(health, known),
        DriftVerdict::Differs(drift) => {
            let suspicion = AgreeingObservations::after(health.suspicion, seen);
            if suspicion.is_some_and(|suspicion| suspicion.is_certain(agreeing_observations)) {
                let outcome = (None, Some(worse(known, drift)), change(drift, look));
                return Judgement { kind: Kind::Believes(drift), outcome: Some(outcome) };
            }
            let outcome = (suspicion, known, TownChange::default());
            Judgement { kind: Kind::Suspects(drift), outcome: Some(outcome) }
        }
    }
}

/// Nothing new: written only where something suspected or believed is over.
fn as_known(health: &TownHealth, drift: Option<Drift>) -> Judgement {
    let is_news = health.suspicion.is_some() || health.drift.map(|(known, _)| known) != drift;
    Judgement { kind: Kind::Agrees, outcome: is_news.then(|| (None, drift, TownChange::default())) }
}

/// A lost volume stays the worst of it whatever becomes of the machine; only the volume itself ends that.
const fn worse(known: Option<Drift>, news: Drift) -> Drift {
    match (known, news) {
        (Some(Drift::VolumeLost), Drift::VolumeMoved) => news,
        (Some(Drift::VolumeLost), _) => Drift::VolumeLost,
        (_, news) => news,
    }
}

/// The truth that a row is told.
fn change(drift: Drift, look: &Look) -> TownChange {
    let unchanged = TownChange::default();
    match drift {
        Drift::MachineStopped => TownChange { status: Some(TownStatus::Stopped), ..unchanged },
        Drift::MachineStarted => TownChange { status: Some(TownStatus::Running), ..unchanged },
        Drift::MachineMissing => TownChange { machine: Some(None), status: Some(TownStatus::Stopped), ..unchanged },
        // Whether it runs is for the next looks to say.
        Drift::MachineReplaced => {
            TownChange { machine: look.found.as_ref().map(|found| Some(found.id.clone())), ..unchanged }
        }
        Drift::VolumeMoved => match &look.moved_to {
            Some(to) => TownChange { volume: Some(Some(to.id.clone())), region: Some(to.region.clone()), ..unchanged },
            None => unchanged,
        },
        // The id is kept for whoever looks for the data (FM-22).
        Drift::VolumeLost => unchanged,
    }
}
