//! What at Fly belongs to whom: from what a thing says of itself and what the registry says, whether a row accounts for it.
//!
//! Pure. Nothing is an orphan by one sign alone, and nothing whose town is on its way is judged at all (FM-55).

use std::str::FromStr;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::text_enum::text_enum;
use crate::{Invalid, MachineId, TownId, TownStatus, VolumeId};

/// A machine or a volume.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ResourceId {
    /// A machine.
    Machine(MachineId),
    /// A volume.
    Volume(VolumeId),
}

impl ResourceId {
    /// `machine` or `volume`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Machine(_) => "machine",
            Self::Volume(_) => "volume",
        }
    }

    /// Fly's id.
    pub fn id(&self) -> &str {
        match self {
            Self::Machine(id) => id.as_str(),
            Self::Volume(id) => id.as_str(),
        }
    }
}

impl std::fmt::Display for ResourceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind(), self.id())
    }
}

/// Which town a thing says it is of. A volume's name has room for the first 24 of the id's 32 hex digits only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TownTag {
    /// Its whole id, from a machine's metadata or name.
    Whole(TownId),
    /// The lowest id that a volume of this name may be of.
    Prefix(TownId),
}

impl TownTag {
    /// What a machine's name says: `town-<32 hex>`.
    pub fn of_machine_name(name: &str) -> Option<Self> {
        let digits = hex(name.strip_prefix("town-")?, 32)?;
        Uuid::from_str(digits).ok().map(TownId::new).map(Self::Whole)
    }

    /// What a volume's name says: `town_<24 hex>`.
    pub fn of_volume_name(name: &str) -> Option<Self> {
        let digits = hex(name.strip_prefix("town_")?, 24)?;
        Uuid::from_str(&format!("{digits}00000000")).ok().map(TownId::new).map(Self::Prefix)
    }

    /// Whether a town may be the one.
    pub fn names(self, town: TownId) -> bool {
        let (first, last) = self.range();
        (first..=last).contains(&town.as_uuid())
    }

    /// The first and the last id that it may name.
    pub fn range(self) -> (Uuid, Uuid) {
        match self {
            Self::Whole(town) => (town.as_uuid(), town.as_uuid()),
            Self::Prefix(first) => {
                let first = first.as_uuid();
                (first, Uuid::from_u128(first.as_u128() | u128::from(u32::MAX)))
            }
        }
    }
}

/// Exactly so many lower-case hex digits.
fn hex(digits: &str, count: usize) -> Option<&str> {
    let fits = digits.len() == count && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    fits.then_some(digits)
}

impl FromStr for TownTag {
    type Err = Invalid;

    /// What the metadata `gastown_town_id` says.
    fn from_str(raw: &str) -> Result<Self, Invalid> {
        raw.parse().map(Self::Whole)
    }
}

/// A thing at Fly that carries our name or metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InventoryItem {
    /// What it is.
    pub resource: ResourceId,
    /// Its name at Fly.
    pub name: String,
    /// Every town it says it is of: by its metadata, by its name. Never empty.
    pub tags: Vec<TownTag>,
    /// When Fly made it, where it says so.
    pub made_at: Option<DateTime<Utc>>,
    /// Of a volume: the machine that holds it, as far as Fly says.
    pub held_by: Option<MachineId>,
    /// Its deletion is under way.
    pub destroying: bool,
}

/// What the registry says of a town.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TownRecord {
    /// The town.
    pub town: TownId,
    /// Where it stands.
    pub status: TownStatus,
    /// The machine its row names.
    pub machine: Option<MachineId>,
    /// The volume its row names.
    pub volume: Option<VolumeId>,
    /// Whether an operation is in flight: then whatever there is of the town is being seen to.
    pub in_flight: bool,
}

text_enum! {
    expected "a known reason";
    /// Why nobody accounts for a thing.
    pub enum OrphanReason {
        /// No town of the registry, living or destroyed, is the one it names.
        NoTown = "no_town",
        /// Its town was destroyed, and its row names it no more.
        TownDestroyed = "town_destroyed",
        /// Its town lives, with another machine or volume. Reported, never deleted by itself: it may hold data, or be an
        /// operator's.
        Second = "second",
    }
}

impl OrphanReason {
    /// Whether it may be deleted without an operator's word.
    pub const fn may_be_deleted(self) -> bool {
        matches!(self, Self::NoTown | Self::TownDestroyed)
    }
}

/// Whether a row accounts for a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ownership {
    /// A row names it, or an operation in flight sees to it.
    AccountedFor,
    /// It cannot be said: a living town that names none of its kind will find it by its name.
    Undecided,
    /// No row does.
    Orphan(OrphanReason),
}

/// Judges a thing by the accounts of every town that its tags may name.
pub fn ownership(item: &InventoryItem, accounts: &[TownRecord]) -> Ownership {
    let named = accounts.iter().filter(|account| item.tags.iter().any(|tag| tag.names(account.town)));
    // The kindest word counts: tags that name two towns are no reason to take a thing from either.
    named
        .map(|account| by_account(item, account))
        .min_by_key(|ownership| kindness(*ownership))
        .unwrap_or(Ownership::Orphan(OrphanReason::NoTown))
}

fn by_account(item: &InventoryItem, account: &TownRecord) -> Ownership {
    let (is_named, names_another) = match &item.resource {
        ResourceId::Machine(id) => (account.machine.as_ref() == Some(id), account.machine.is_some()),
        ResourceId::Volume(id) => (account.volume.as_ref() == Some(id), account.volume.is_some()),
    };
    match account.status {
        _ if is_named || account.in_flight => Ownership::AccountedFor,
        TownStatus::Destroyed => Ownership::Orphan(OrphanReason::TownDestroyed),
        TownStatus::Provisioning => Ownership::Undecided,
        TownStatus::Running | TownStatus::Stopped if names_another => Ownership::Orphan(OrphanReason::Second),
        TownStatus::Running | TownStatus::Stopped => Ownership::Undecided,
    }
}

const fn kindness(ownership: Ownership) -> u8 {
    match ownership {
        Ownership::AccountedFor => 0,
        Ownership::Undecided => 1,
        Ownership::Orphan(OrphanReason::Second) => 2,
        Ownership::Orphan(OrphanReason::TownDestroyed | OrphanReason::NoTown) => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn town() -> TownId {
        "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b".parse().unwrap()
    }

    fn machine(id: &str) -> InventoryItem {
        let tags = vec![TownTag::Whole(town())];
        let resource = ResourceId::Machine(id.parse().unwrap());
        InventoryItem { resource, name: town().machine_name(), tags, made_at: None, held_by: None, destroying: false }
    }

    fn volume(id: &str) -> InventoryItem {
        let tags = vec![TownTag::of_volume_name(&town().volume_name()).unwrap()];
        let resource = ResourceId::Volume(id.parse().unwrap());
        InventoryItem { resource, name: town().volume_name(), tags, made_at: None, held_by: None, destroying: false }
    }

    fn account(status: TownStatus, machine: Option<&str>, volume: Option<&str>) -> TownRecord {
        let machine = machine.map(|id| id.parse().unwrap());
        let volume = volume.map(|id| id.parse().unwrap());
        TownRecord { town: town(), status, machine, volume, in_flight: false }
    }

    #[test]
    fn names_at_fly_lead_back_to_their_town() {
        assert_eq!(TownTag::of_machine_name(&town().machine_name()), Some(TownTag::Whole(town())));
        let tag = TownTag::of_volume_name(&town().volume_name()).unwrap();
        assert!(tag.names(town()));
        let neighbour: TownId = "0190a1b2-c3d4-7e5f-8a9b-0c1e00000000".parse().unwrap();
        assert!(!tag.names(neighbour));
        for foreign in ["town-", "town-xyz", "townhall", "town_0190", "TOWN_0190a1b2c3d47e5f8a9b0c1d", "mill"] {
            assert_eq!(
                (TownTag::of_machine_name(foreign), TownTag::of_volume_name(foreign)),
                (None, None),
                "{foreign}"
            );
        }
    }

    #[test]
    fn what_a_row_names_is_accounted_for() {
        let running = account(TownStatus::Running, Some("m1"), Some("vol_1"));
        assert_eq!(ownership(&machine("m1"), std::slice::from_ref(&running)), Ownership::AccountedFor);
        assert_eq!(ownership(&volume("vol_1"), std::slice::from_ref(&running)), Ownership::AccountedFor);
        // A tombstone that names it is still removing it.
        let destroying = account(TownStatus::Destroyed, Some("m1"), None);
        assert_eq!(ownership(&machine("m1"), &[destroying]), Ownership::AccountedFor);
    }

    #[test]
    fn what_no_row_names_is_an_orphan() {
        assert_eq!(ownership(&machine("m1"), &[]), Ownership::Orphan(OrphanReason::NoTown));
        let destroyed = account(TownStatus::Destroyed, None, None);
        assert_eq!(ownership(&volume("vol_1"), &[destroyed]), Ownership::Orphan(OrphanReason::TownDestroyed));
        let running = account(TownStatus::Running, Some("m1"), Some("vol_1"));
        let second = Ownership::Orphan(OrphanReason::Second);
        assert_eq!(ownership(&machine("m2"), std::slice::from_ref(&running)), second);
        assert_eq!(ownership(&volume("vol_2"), &[running]), second);
        assert!(!OrphanReason::Second.may_be_deleted());
    }

    #[test]
    fn a_town_that_something_happens_to_is_not_judged() {
        for status in TownStatus::ALL {
            let busy = TownRecord { in_flight: true, ..account(status, None, None) };
            assert_eq!(ownership(&machine("m1"), &[busy]), Ownership::AccountedFor, "{status}");
        }
        let coming = account(TownStatus::Provisioning, None, None);
        assert_eq!(ownership(&machine("m1"), &[coming]), Ownership::Undecided);
        let without = account(TownStatus::Stopped, None, Some("vol_1"));
        assert_eq!(ownership(&machine("m1"), &[without]), Ownership::Undecided);
    }

    #[test]
    fn of_two_towns_that_a_thing_names_the_kinder_word_counts() {
        let other: TownId = "0190a1b2-0000-7e5f-8a9b-0c1d2e3f4a5b".parse().unwrap();
        let mut item = machine("m1");
        item.tags.push(TownTag::Whole(other));
        let destroyed = account(TownStatus::Destroyed, None, None);
        let living = TownRecord { town: other, ..account(TownStatus::Running, Some("m1"), None) };
        assert_eq!(ownership(&item, &[destroyed, living]), Ownership::AccountedFor);
    }
}
