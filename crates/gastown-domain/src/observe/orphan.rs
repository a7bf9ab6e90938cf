//! The ownership rule: decides from a resource's own tags and the registry's records whether a row accounts for it.
//!
//! The rule is pure. No single sign makes a resource an orphan, and resources of a town with an operation in flight are
//! never orphans (FM-55).

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::text_enum::text_enum;
use crate::{MachineId, TownId, TownStatus, VolumeId};

/// The id of a machine or a volume.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ResourceId {
    /// A machine.
    Machine(MachineId),
    /// A volume.
    Volume(VolumeId),
}

impl ResourceId {
    /// Returns `machine` or `volume`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Machine(_) => "machine",
            Self::Volume(_) => "volume",
        }
    }

    /// Returns the provider's id.
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

/// A reference from a resource to its town, read from its metadata or name.
///
/// A name may be too short for a whole id. It then refers to a range of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TownTag {
    /// The whole id, from metadata or a name.
    Whole(TownId),
    /// The first and the last id that a shortened name matches.
    Range {
        /// The first id.
        first: TownId,
        /// The last id.
        last: TownId,
    },
}

impl TownTag {
    /// Returns true if the tag matches this town.
    pub fn names(self, town: TownId) -> bool {
        let (first, last) = self.range();
        (first..=last).contains(&town.as_uuid())
    }

    /// Returns the first and the last town id that the tag matches.
    pub fn range(self) -> (Uuid, Uuid) {
        match self {
            Self::Whole(town) => (town.as_uuid(), town.as_uuid()),
            Self::Range { first, last } => (first.as_uuid(), last.as_uuid()),
        }
    }
}

/// A machine or volume at the provider that carries our name or metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InventoryItem {
    /// The id of the resource.
    pub resource: ResourceId,
    /// The name at the provider.
    pub name: String,
    /// The towns that its metadata and its name refer to. Never empty.
    pub tags: Vec<TownTag>,
    /// The time of creation, if the provider reports it.
    pub made_at: Option<DateTime<Utc>>,
    /// The machine that a volume is attached to, if the provider reports one.
    pub held_by: Option<MachineId>,
    /// True while the provider deletes the resource.
    pub destroying: bool,
}

/// The part of a town's row that decides about ownership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TownRecord {
    /// The town.
    pub town: TownId,
    /// The status of the town.
    pub status: TownStatus,
    /// The machine that the row names.
    pub machine: Option<MachineId>,
    /// The volume that the row names.
    pub volume: Option<VolumeId>,
    /// True while an operation is in flight. The operation then owns every resource of the town.
    pub in_flight: bool,
}

text_enum! {
    expected "a known reason";
    /// The reason why no row accounts for a resource.
    pub enum OrphanReason {
        /// The registry has no town, live or destroyed, that the tags match.
        NoTown = "no_town",
        /// The town was destroyed and its row no longer names the resource.
        TownDestroyed = "town_destroyed",
        /// The town is live and has another machine or volume. The resource is reported but never deleted automatically.
        /// It may hold data, or an operator may have made it.
        Second = "second",
    }
}

impl OrphanReason {
    /// Returns true if the orphan may be deleted without an operator.
    pub const fn may_be_deleted(self) -> bool {
        matches!(self, Self::NoTown | Self::TownDestroyed)
    }
}

/// The verdict on a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ownership {
    /// A row names the resource, or an operation in flight owns it.
    AccountedFor,
    /// Not decided. A live town that names no resource of this kind may still find it by its name.
    Undecided,
    /// No row accounts for the resource.
    Orphan(OrphanReason),
}

/// Decides whether one of the records accounts for a resource. `records` holds every town that its tags may match.
pub fn ownership(item: &InventoryItem, records: &[TownRecord]) -> Ownership {
    let matching = records.iter().filter(|record| item.tags.iter().any(|tag| tag.names(record.town)));
    // The most protective verdict wins: tags of two towns must not take the resource from either.
    matching
        .map(|record| ownership_by(item, record))
        .min_by_key(|ownership| severity(*ownership))
        .unwrap_or(Ownership::Orphan(OrphanReason::NoTown))
}

/// Returns the verdict according to one town.
fn ownership_by(item: &InventoryItem, record: &TownRecord) -> Ownership {
    let (is_named, names_another) = match &item.resource {
        ResourceId::Machine(id) => (record.machine.as_ref() == Some(id), record.machine.is_some()),
        ResourceId::Volume(id) => (record.volume.as_ref() == Some(id), record.volume.is_some()),
    };
    match record.status {
        _ if is_named || record.in_flight => Ownership::AccountedFor,
        TownStatus::Destroyed => Ownership::Orphan(OrphanReason::TownDestroyed),
        TownStatus::Provisioning => Ownership::Undecided,
        TownStatus::Running | TownStatus::Stopped if names_another => Ownership::Orphan(OrphanReason::Second),
        TownStatus::Running | TownStatus::Stopped => Ownership::Undecided,
    }
}

/// Orders verdicts, the most protective first.
const fn severity(ownership: Ownership) -> u8 {
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
        InventoryItem { resource, name: "machine".to_owned(), tags, made_at: None, held_by: None, destroying: false }
    }

    fn volume(id: &str) -> InventoryItem {
        let [first, last] = ["00000000", "ffffffff"].map(|end| format!("0190a1b2-c3d4-7e5f-8a9b-0c1d{end}"));
        let tags = vec![TownTag::Range { first: first.parse().unwrap(), last: last.parse().unwrap() }];
        let resource = ResourceId::Volume(id.parse().unwrap());
        InventoryItem { resource, name: "volume".to_owned(), tags, made_at: None, held_by: None, destroying: false }
    }

    fn record(status: TownStatus, machine: Option<&str>, volume: Option<&str>) -> TownRecord {
        let machine = machine.map(|id| id.parse().unwrap());
        let volume = volume.map(|id| id.parse().unwrap());
        TownRecord { town: town(), status, machine, volume, in_flight: false }
    }

    #[test]
    fn tag_of_a_shortened_name_matches_every_town_in_its_range() {
        let tag = volume("vol_1").tags[0];
        assert!(tag.names(town()));
        let neighbour: TownId = "0190a1b2-c3d4-7e5f-8a9b-0c1e00000000".parse().unwrap();
        assert!(!tag.names(neighbour));
    }

    #[test]
    fn resource_that_a_row_names_is_accounted_for() {
        let running = record(TownStatus::Running, Some("m1"), Some("vol_1"));
        assert_eq!(ownership(&machine("m1"), std::slice::from_ref(&running)), Ownership::AccountedFor);
        assert_eq!(ownership(&volume("vol_1"), std::slice::from_ref(&running)), Ownership::AccountedFor);
        // A tombstone keeps an id until the resource is deleted.
        let destroying = record(TownStatus::Destroyed, Some("m1"), None);
        assert_eq!(ownership(&machine("m1"), &[destroying]), Ownership::AccountedFor);
    }

    #[test]
    fn resource_that_no_row_names_is_an_orphan() {
        assert_eq!(ownership(&machine("m1"), &[]), Ownership::Orphan(OrphanReason::NoTown));
        let destroyed = record(TownStatus::Destroyed, None, None);
        assert_eq!(ownership(&volume("vol_1"), &[destroyed]), Ownership::Orphan(OrphanReason::TownDestroyed));
        let running = record(TownStatus::Running, Some("m1"), Some("vol_1"));
        let second = Ownership::Orphan(OrphanReason::Second);
        assert_eq!(ownership(&machine("m2"), std::slice::from_ref(&running)), second);
        assert_eq!(ownership(&volume("vol_2"), &[running]), second);
        assert!(!OrphanReason::Second.may_be_deleted());
    }

    #[test]
    fn resources_of_a_busy_or_incomplete_town_are_no_orphans() {
        for status in TownStatus::ALL {
            let busy = TownRecord { in_flight: true, ..record(status, None, None) };
            assert_eq!(ownership(&machine("m1"), &[busy]), Ownership::AccountedFor, "{status}");
        }
        let coming = record(TownStatus::Provisioning, None, None);
        assert_eq!(ownership(&machine("m1"), &[coming]), Ownership::Undecided);
        let without = record(TownStatus::Stopped, None, Some("vol_1"));
        assert_eq!(ownership(&machine("m1"), &[without]), Ownership::Undecided);
    }

    #[test]
    fn most_protective_verdict_wins_when_tags_match_two_towns() {
        let other: TownId = "0190a1b2-0000-7e5f-8a9b-0c1d2e3f4a5b".parse().unwrap();
        let mut item = machine("m1");
        item.tags.push(TownTag::Whole(other));
        let destroyed = record(TownStatus::Destroyed, None, None);
        let living = TownRecord { town: other, ..record(TownStatus::Running, Some("m1"), None) };
        assert_eq!(ownership(&item, &[destroyed, living]), Ownership::AccountedFor);
    }
}
