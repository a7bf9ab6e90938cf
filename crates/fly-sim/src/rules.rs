//! What Fly accepts: names, regions, machine sizes. Pure.

use serde_json::Value;

/// The regions of Fly's documentation, autumn 2026.
pub(crate) const REGIONS: [&str; 18] = [
    "ams", "arn", "bom", "cdg", "dfw", "ewr", "fra", "gru", "iad", "jnb", "lax", "lhr", "nrt", "ord", "sin", "sjc",
    "syd", "yyz",
];

/// Where a machine or volume goes that names no region.
pub(crate) const DEFAULT_REGION: &str = "iad";

/// App: lowercase letters, digits, dashes, under 63 characters.
pub(crate) fn is_app_name(name: &str) -> bool {
    (1..63).contains(&name.len()) && name.bytes().all(is_dashed_byte)
}

/// Machine: not documented by Fly; lowercase letters, digits and dashes up to 63 are known to work, so the simulator
/// takes nothing else.
pub(crate) fn is_machine_name(name: &str) -> bool {
    (1..=63).contains(&name.len()) && name.bytes().all(is_dashed_byte)
}

/// Volume: lowercase letters, digits, underscore, at most 30 characters.
pub(crate) fn is_volume_name(name: &str) -> bool {
    (1..=30).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Secret: the name of an environment variable.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether `code` is a region; lists and aliases are not (volumes take none).
pub(crate) fn is_region(code: &str) -> bool {
    REGIONS.contains(&code)
}

/// The first region of a machine's preference list, aliases resolved.
pub(crate) fn preferred_region(preference: &str) -> Option<&'static str> {
    preference.split(',').map(str::trim).find_map(|wish| {
        let code = match wish {
            "eu" => "fra",
            "na" | "us" | "usa" | "any" => "iad",
            "sa" => "gru",
            "apac" => "sin",
            code => code,
        };
        REGIONS.into_iter().find(|known| *known == code)
    })
}

/// What is wrong with a `guest`; the limits are those flyctl checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GuestError {
    /// Neither shared nor performance.
    #[error("invalid config.guest.cpu_kind, must be 'shared' or 'performance'")]
    CpuKind,
    /// A count that is not sold.
    #[error("invalid config.guest.cpus, {0} is not allowed for this cpu_kind")]
    Cpus(u64),
    /// Not a multiple, too little or too much for the CPUs.
    #[error("invalid config.guest.memory_mb, must be between {least} and {most} in steps of {step}")]
    Memory {
        /// Smallest memory for these CPUs, MB.
        least: u64,
        /// Largest memory for these CPUs, MB.
        most: u64,
        /// Memory comes in multiples of this, MB.
        step: u64,
    },
}

/// Checks a `guest` object; absent fields are the smallest shared size.
pub(crate) fn check_guest(guest: &Value) -> Result<(), GuestError> {
    let number = |key: &str| guest.get(key).and_then(Value::as_u64);
    let kind = guest.get("cpu_kind").and_then(Value::as_str).unwrap_or("shared");
    let cpus = number("cpus").unwrap_or(1);
    let (counts, step, least, most): (&[u64], u64, u64, u64) = match kind {
        "shared" => (&[1, 2, 4, 6, 8], 256, 256, 2048),
        "performance" => (&[1, 2, 4, 6, 8, 10, 12, 14, 16, 32, 64, 128], 1024, 2048, 8192),
        _ => return Err(GuestError::CpuKind),
    };
    if !counts.contains(&cpus) {
        return Err(GuestError::Cpus(cpus));
    }
    let (least, most) = (least * cpus, most * cpus);
    let memory = number("memory_mb").unwrap_or(least);
    if memory % step != 0 || !(least..=most).contains(&memory) {
        return Err(GuestError::Memory { least, most, step });
    }
    Ok(())
}

fn is_dashed_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn volume_names_take_underscores_and_no_dashes() {
        for (name, want) in [
            ("town_0af", true),
            ("a", true),
            ("", false),
            ("town-0af", false),
            ("Town", false),
            (&"a".repeat(30), true),
            (&"a".repeat(31), false),
        ] {
            assert_eq!(is_volume_name(name), want, "{name:?}");
        }
    }

    #[test]
    fn app_and_machine_names_take_dashes_and_no_underscores() {
        for (name, want) in [("my-app", true), ("my_app", false), ("", false), ("A", false)] {
            assert_eq!((is_app_name(name), is_machine_name(name)), (want, want), "{name:?}");
        }
        assert!(!is_app_name(&"a".repeat(63)) && is_machine_name(&"a".repeat(63)));
    }

    #[test]
    fn a_machines_region_is_the_first_known_of_its_list() {
        for (wish, want) in [("lhr", Some("lhr")), ("xxx,fra", Some("fra")), ("eu", Some("fra")), ("xxx", None)] {
            assert_eq!(preferred_region(wish), want, "{wish:?}");
        }
    }

    #[test]
    fn guests_are_refused_where_flyctl_refuses_them() {
        let memory = |least, most, step| Err(GuestError::Memory { least, most, step });
        for (guest, want) in [
            (json!({}), Ok(())),
            (json!({"cpu_kind": "shared", "cpus": 2, "memory_mb": 4096}), Ok(())),
            (json!({"cpu_kind": "performance", "cpus": 2, "memory_mb": 4096}), Ok(())),
            (json!({"cpu_kind": "shared", "cpus": 3}), Err(GuestError::Cpus(3))),
            (json!({"cpu_kind": "dedicated"}), Err(GuestError::CpuKind)),
            (json!({"cpus": 1, "memory_mb": 4096}), memory(256, 2048, 256)),
            (json!({"cpus": 1, "memory_mb": 300}), memory(256, 2048, 256)),
            (json!({"cpu_kind": "performance", "cpus": 1, "memory_mb": 1024}), memory(2048, 8192, 1024)),
        ] {
            assert_eq!(check_guest(&guest), want, "{guest}");
        }
    }
}
