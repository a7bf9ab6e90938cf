//! The names of a town's resources at the in-memory provider. A volume's name leaves out a part of the id.

use gastown_domain::{TownId, TownTag};
use uuid::Uuid;

/// The part of an id that a volume's name leaves out.
const LEFT_OUT: u128 = 0xffff_ffff;

pub(crate) fn machine_name(town: TownId) -> String {
    format!("town-{}", town.as_uuid().simple())
}

pub(crate) fn volume_name(town: TownId) -> String {
    format!("town_{:024x}", town.as_uuid().as_u128() >> LEFT_OUT.count_ones())
}

pub(crate) fn tag_of_machine_name(name: &str) -> Option<TownTag> {
    let town = u128::from_str_radix(name.strip_prefix("town-")?, 16).ok()?;
    Some(TownTag::Whole(TownId::new(Uuid::from_u128(town))))
}

pub(crate) fn tag_of_volume_name(name: &str) -> Option<TownTag> {
    let digits = u128::from_str_radix(name.strip_prefix("town_")?, 16).ok()?;
    let id = |number| TownId::new(Uuid::from_u128(number));
    let first = digits << LEFT_OUT.count_ones();
    Some(TownTag::Range { first: id(first), last: id(first | LEFT_OUT) })
}
