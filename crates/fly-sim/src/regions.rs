//! Fly's regions, with the names of the documentation and the coordinates of their cities.

/// A region.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Region {
    pub(crate) code: &'static str,
    pub(crate) name: &'static str,
    /// In degrees, north positive.
    pub(crate) latitude: f64,
    /// In degrees, east positive.
    pub(crate) longitude: f64,
    pub(crate) continent: &'static str,
    /// True if the region has a gateway for private networks.
    pub(crate) has_gateway: bool,
}

/// The region of a machine or volume that is created without one.
pub(crate) const DEFAULT: &str = "iad";

const AFRICA: &str = "africa";
const ASIA: &str = "asia_pacific";
const EUROPE: &str = "europe";
const NORTH_AMERICA: &str = "north_america";
const SOUTH_AMERICA: &str = "south_america";

/// The regions in Fly's documentation of autumn 2026.
pub(crate) const ALL: [Region; 18] = [
    region("ams", "Amsterdam, Netherlands", (52.37, 4.9), EUROPE),
    region("arn", "Stockholm, Sweden", (59.65, 17.92), EUROPE),
    region("bom", "Mumbai, India", (19.09, 72.87), ASIA),
    region("cdg", "Paris, France", (48.86, 2.35), EUROPE),
    region("dfw", "Dallas, Texas (US)", (32.78, -96.8), NORTH_AMERICA),
    region("ewr", "Secaucus, NJ (US)", (40.79, -74.06), NORTH_AMERICA),
    region("fra", "Frankfurt, Germany", (50.11, 8.68), EUROPE),
    region("gru", "Sao Paulo, Brazil", (-23.55, -46.63), SOUTH_AMERICA),
    region("iad", "Ashburn, Virginia (US)", (39.02, -77.54), NORTH_AMERICA),
    region("jnb", "Johannesburg, South Africa", (-26.2, 28.05), AFRICA),
    region("lax", "Los Angeles, California (US)", (34.05, -118.24), NORTH_AMERICA),
    region("lhr", "London, United Kingdom", (51.51, -0.13), EUROPE),
    region("nrt", "Tokyo, Japan", (35.62, 139.75), ASIA),
    region("ord", "Chicago, Illinois (US)", (41.89, -87.64), NORTH_AMERICA),
    region("sin", "Singapore, Singapore", (1.3, 103.85), ASIA),
    region("sjc", "San Jose, California (US)", (37.35, -121.96), NORTH_AMERICA),
    region("syd", "Sydney, Australia", (-33.87, 151.2), ASIA),
    region("yyz", "Toronto, Canada", (43.64, -79.43), NORTH_AMERICA),
];

const fn region(
    code: &'static str,
    name: &'static str,
    (latitude, longitude): (f64, f64),
    continent: &'static str,
) -> Region {
    Region { code, name, latitude, longitude, continent, has_gateway: true }
}

/// Returns true for the code of a region. Lists and aliases are not accepted, as for a volume.
pub(crate) fn is_code(code: &str) -> bool {
    ALL.iter().any(|region| region.code == code)
}

/// Returns the first known region of a machine's preference list. Aliases are resolved.
pub(crate) fn preferred(preferences: &str) -> Option<&'static str> {
    matching(preferences).into_iter().next()
}

/// Returns the known regions of a list of codes and aliases, in order of preference and each once.
pub(crate) fn matching(preferences: &str) -> Vec<&'static str> {
    let mut codes: Vec<&'static str> = Vec::new();
    for preference in preferences.split(',').map(str::trim) {
        let (first, group) = alias(preference);
        let found = ALL.iter().filter(|region| match group {
            Some(group) => group.is_empty() || region.continent == group,
            None => region.code == preference,
        });
        // The usual region of a group comes first.
        let mut found: Vec<&'static str> = found.map(|region| region.code).collect();
        found.sort_by_key(|code| *code != first);
        codes.extend(found.into_iter().filter(|code| !codes.contains(code)).collect::<Vec<_>>());
    }
    codes
}

/// Returns the usual region of an alias and the group that it stands for, which is empty for all regions.
fn alias(name: &str) -> (&'static str, Option<&'static str>) {
    match name {
        "eu" => ("fra", Some(EUROPE)),
        "na" | "us" | "usa" => (DEFAULT, Some(NORTH_AMERICA)),
        "sa" => ("gru", Some(SOUTH_AMERICA)),
        "apac" => ("sin", Some(ASIA)),
        "any" => (DEFAULT, Some("")),
        _ => ("", None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_region_is_first_known_preference() {
        for (preferences, want) in [("lhr", Some("lhr")), ("xxx,fra", Some("fra")), ("eu", Some("fra")), ("xxx", None)]
        {
            assert_eq!(preferred(preferences), want, "{preferences:?}");
        }
    }

    #[test]
    fn aliases_stand_for_all_their_regions_once() {
        assert_eq!(matching("lhr,eu"), ["lhr", "fra", "ams", "arn", "cdg"]);
        assert_eq!(matching("any").len(), ALL.len());
        assert_eq!(matching("any")[0], DEFAULT);
    }
}
