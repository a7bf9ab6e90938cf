//! The names of a town's resources, and the formats that Fly accepts.

use std::str::FromStr;

use gastown_domain::{AppName, Invalid, Region, TownId, TownTag};
use uuid::Uuid;

/// The metadata key that names a machine's town.
pub(crate) const TOWN_TAG: &str = "gastown_town_id";

const MACHINE_PREFIX: &str = "town-";
const VOLUME_PREFIX: &str = "town_";
/// Number of hex digits of a town's id in a volume's name. Fly accepts at most 30 of `a-z 0-9 _`.
const VOLUME_DIGITS: usize = 24;
/// The bits of a town's id that a volume's name leaves out: 8 hex digits.
const BITS_LEFT_OUT: u32 = 32;

/// Returns the name of a town's machine, `town-<32 hex>`.
///
/// Names are unique among the living machines of an app, so a repeated create cannot make a second machine.
pub fn machine_name(town: TownId) -> String {
    format!("{MACHINE_PREFIX}{}", town.as_uuid().simple())
}

/// Returns the name of a town's volume, `town_<24 hex>`. Names of volumes are not unique.
pub fn volume_name(town: TownId) -> String {
    let digits = format!("{:032x}", town.as_uuid().as_u128());
    format!("{VOLUME_PREFIX}{}", digits.split_at(VOLUME_DIGITS).0)
}

/// Returns the tag in a machine's name.
pub fn tag_of_machine_name(name: &str) -> Option<TownTag> {
    let town = hex_number(name.strip_prefix(MACHINE_PREFIX)?, 32)?;
    Some(TownTag::Whole(town_id(town)))
}

/// Returns the tag in a volume's name.
pub fn tag_of_volume_name(name: &str) -> Option<TownTag> {
    let digits = hex_number(name.strip_prefix(VOLUME_PREFIX)?, VOLUME_DIGITS)?;
    let first = digits << BITS_LEFT_OUT;
    let last = first | ((1 << BITS_LEFT_OUT) - 1);
    Some(TownTag::Range { first: town_id(first), last: town_id(last) })
}

/// Returns the tag in a machine's metadata.
pub(crate) fn tag_of_metadata(value: &str) -> Result<TownTag, Invalid> {
    value.parse().map(TownTag::Whole)
}

fn town_id(number: u128) -> TownId {
    TownId::new(Uuid::from_u128(number))
}

/// Reads exactly `count` lower-case hex digits.
fn hex_number(digits: &str, count: usize) -> Option<u128> {
    let is_digit = |digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    let fits = digits.len() == count && digits.bytes().all(is_digit);
    u128::from_str_radix(digits, 16).ok().filter(|_| fits)
}

/// A name that Fly accepts for an app: 1 to 62 of `a-z 0-9 -`.
///
/// Fly: "under 63 chars using numbers, lowercase letters and dashes".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlyAppName(AppName);

impl FromStr for FlyAppName {
    type Err = Invalid;

    fn from_str(raw: &str) -> Result<Self, Invalid> {
        app_name(raw, 62).map(Self)
    }
}

impl From<FlyAppName> for AppName {
    fn from(name: FlyAppName) -> Self {
        name.0
    }
}

/// A prefix of users' apps: 1 to 40 of `a-z 0-9 -`. A dash and 20 hex digits follow it in the app's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlyAppPrefix(AppName);

impl FromStr for FlyAppPrefix {
    type Err = Invalid;

    fn from_str(raw: &str) -> Result<Self, Invalid> {
        app_name(raw, 40).map(Self)
    }
}

impl From<FlyAppPrefix> for AppName {
    fn from(prefix: FlyAppPrefix) -> Self {
        prefix.0
    }
}

/// The code of a Fly region: three of `a-z`, such as `iad`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlyRegion(Region);

impl FromStr for FlyRegion {
    type Err = Invalid;

    fn from_str(raw: &str) -> Result<Self, Invalid> {
        if raw.len() != 3 || !raw.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return Err(Invalid::Shape { expected: "a region code of three letters, such as 'iad'" });
        }
        raw.parse().map(Self)
    }
}

impl From<FlyRegion> for Region {
    fn from(region: FlyRegion) -> Self {
        region.0
    }
}

fn app_name(raw: &str, max: usize) -> Result<AppName, Invalid> {
    let got = raw.chars().count();
    if got > max {
        return Err(Invalid::TooLong { got, max });
    }
    match raw.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
        Some(bad) => Err(Invalid::Character { bad, allowed: "a-z, 0-9 and '-'" }),
        None if raw.starts_with('-') || raw.ends_with('-') => Err(Invalid::Edge),
        None => raw.parse(),
    }
}

#[cfg(test)]
mod tests {
    use gastown_domain::{AppPlacement, UserId};

    use super::*;

    fn town() -> TownId {
        "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b".parse().unwrap()
    }

    #[test]
    fn names_are_derived_from_the_town_id() {
        assert_eq!(machine_name(town()), "town-0190a1b2c3d47e5f8a9b0c1d2e3f4a5b");
        assert_eq!(volume_name(town()), "town_0190a1b2c3d47e5f8a9b0c1d");
        assert!(volume_name(town()).len() <= 30);
    }

    #[test]
    fn tags_are_read_from_names() {
        assert_eq!(tag_of_machine_name(&machine_name(town())), Some(TownTag::Whole(town())));
        let tag = tag_of_volume_name(&volume_name(town())).unwrap();
        let [first, last] = ["00000000", "ffffffff"].map(|end| format!("0190a1b2-c3d4-7e5f-8a9b-0c1d{end}"));
        assert_eq!(tag, TownTag::Range { first: first.parse().unwrap(), last: last.parse().unwrap() });
        assert!(tag.names(town()));
        assert!(!tag.names("0190a1b2-c3d4-7e5f-8a9b-0c1e00000000".parse().unwrap()));
        for foreign in ["town-", "town-xyz", "townhall", "town_0190", "TOWN_0190a1b2c3d47e5f8a9b0c1d", "mill"] {
            assert_eq!((tag_of_machine_name(foreign), tag_of_volume_name(foreign)), (None, None), "{foreign}");
        }
    }

    #[test]
    fn app_names_have_flys_format() {
        let (longest, too_long) = ("a".repeat(62), "a".repeat(63));
        for (raw, ok) in [
            ("kilo-dev", true),
            (longest.as_str(), true),
            ("", false),
            ("Kilo", false),
            ("-x", false),
            ("x-", false),
            ("a_b", false),
            (&too_long, false),
        ] {
            assert_eq!(raw.parse::<FlyAppName>().is_ok(), ok, "{raw:?}");
        }
    }

    #[test]
    fn the_app_of_a_user_with_the_longest_prefix_has_flys_format() {
        let prefix: FlyAppPrefix = "a".repeat(40).parse().unwrap();
        let placement = AppPlacement::PerUser { organization: "acme".to_owned(), prefix: prefix.into() };
        let app = placement.app_of(&"user_abc123".parse::<UserId>().unwrap()).unwrap();
        assert!(app.as_str().parse::<FlyAppName>().is_ok(), "{app}");
        assert_eq!("a".repeat(41).parse::<FlyAppPrefix>(), Err(Invalid::TooLong { got: 41, max: 40 }));
    }

    #[test]
    fn a_region_has_three_lower_case_letters() {
        for (raw, ok) in [("iad", true), ("IAD", false), ("ia", false), ("iads", false), ("", false), ("i-d", false)] {
            assert_eq!(raw.parse::<FlyRegion>().is_ok(), ok, "{raw:?}");
        }
    }
}
