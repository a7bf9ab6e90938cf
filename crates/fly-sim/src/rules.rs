//! Fly's rules for names and machine sizes.

use serde_json::Value;

/// The memory of a shared CPU for which no memory is requested, in MB.
pub(crate) const MIN_MB_PER_SHARED_CPU: u64 = 256;
/// The memory of a dedicated CPU for which no memory is requested, in MB.
pub(crate) const MIN_MB_PER_CPU: u64 = 2048;

/// The intervals of `config.schedule`.
pub(crate) const SCHEDULES: [&str; 4] = ["hourly", "daily", "weekly", "monthly"];

/// The days for which Fly keeps the snapshots of a volume.
pub(crate) const SNAPSHOT_RETENTION_DAYS: std::ops::RangeInclusive<u64> = 1..=60;

/// Returns true for an app name: lowercase letters, digits and dashes, less than 63 characters.
pub(crate) fn is_app_name(name: &str) -> bool {
    (1..63).contains(&name.len()) && name.bytes().all(is_dashed_byte)
}

/// Returns true for a machine name: lowercase letters, digits and dashes, at most 63 characters.
///
/// Fly does not document its rule. Such names are known to work, so the simulator accepts no others.
pub(crate) fn is_machine_name(name: &str) -> bool {
    (1..=63).contains(&name.len()) && name.bytes().all(is_dashed_byte)
}

/// Returns true for a volume name: lowercase letters, digits and underscores, at most 30 characters.
pub(crate) fn is_volume_name(name: &str) -> bool {
    (1..=30).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Returns true for a secret name: the name of an environment variable.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// An invalid `guest`. The limits are those that flyctl checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GuestError {
    /// The CPU kind is neither shared nor performance.
    #[error("invalid config.guest.cpu_kind, must be 'shared' or 'performance'")]
    CpuKind,
    /// The number of CPUs is not available for the CPU kind.
    #[error("invalid config.guest.cpus, {0} is not allowed for this cpu_kind")]
    Cpus(u64),
    /// The memory is out of range for the number of CPUs, or not a multiple of the step.
    #[error("invalid config.guest.memory_mb, must be between {min} and {max} in steps of {step}")]
    Memory {
        /// The minimum for these CPUs, in MB.
        min: u64,
        /// The maximum for these CPUs, in MB.
        max: u64,
        /// The step, in MB.
        step: u64,
    },
}

/// Checks a `guest` object. Absent fields default to the smallest shared size.
pub(crate) fn check_guest(guest: &Value) -> Result<(), GuestError> {
    let number = |key: &str| guest.get(key).and_then(Value::as_u64);
    let kind = guest.get("cpu_kind").and_then(Value::as_str).unwrap_or("shared");
    let cpus = number("cpus").unwrap_or(1);
    let (counts, step, min, max): (&[u64], u64, u64, u64) = match kind {
        "shared" => (&[1, 2, 4, 6, 8], 256, MIN_MB_PER_SHARED_CPU, 2048),
        "performance" => (&[1, 2, 4, 6, 8, 10, 12, 14, 16, 32, 64, 128], 1024, MIN_MB_PER_CPU, 8192),
        _ => return Err(GuestError::CpuKind),
    };
    if !counts.contains(&cpus) {
        return Err(GuestError::Cpus(cpus));
    }
    let (min, max) = (min * cpus, max * cpus);
    let memory = number("memory_mb").unwrap_or(min);
    if memory % step != 0 || !(min..=max).contains(&memory) {
        return Err(GuestError::Memory { min, max, step });
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
    fn volume_names_allow_underscores_and_no_dashes() {
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
    fn app_and_machine_names_allow_dashes_and_no_underscores() {
        for (name, want) in [("my-app", true), ("my_app", false), ("", false), ("A", false)] {
            assert_eq!((is_app_name(name), is_machine_name(name)), (want, want), "{name:?}");
        }
        assert!(!is_app_name(&"a".repeat(63)) && is_machine_name(&"a".repeat(63)));
    }

    #[test]
    fn guests_that_flyctl_refuses_are_refused() {
        let memory = |min, max, step| Err(GuestError::Memory { min, max, step });
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
