//! Sizes, each with its unit in the type.

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// A volume's size in GB: 1 to 500 (Fly).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Gigabytes(u32);

impl Gigabytes {
    /// What a town's volume has where nothing else is configured.
    pub const TOWN: Self = Self(50);

    /// The number of GB.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Gigabytes {
    type Error = Invalid;

    fn try_from(raw: u32) -> Result<Self, Invalid> {
        if (1..=500).contains(&raw) { Ok(Self(raw)) } else { Err(Invalid::Range { min: 1, max: 500 }) }
    }
}

impl From<Gigabytes> for u32 {
    fn from(size: Gigabytes) -> u32 {
        size.0
    }
}

/// How a machine's CPUs are shared (Fly: `cpu_kind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CpuKind {
    /// Shared CPUs.
    Shared,
    /// Dedicated CPUs.
    Performance,
}

/// What a machine has: CPUs and memory, in a combination that Fly accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Guest {
    cpu_kind: CpuKind,
    cpus: u32,
    memory_mb: u32,
}

impl Guest {
    /// What a town has where nothing else is configured: two shared CPUs, 4096 MB.
    pub const TOWN: Self = Self { cpu_kind: CpuKind::Shared, cpus: 2, memory_mb: 4096 };

    /// Checks the combination against Fly's rules (machines-api, `guest`).
    pub fn new(cpu_kind: CpuKind, cpus: u32, memory_mb: u32) -> Result<Self, Invalid> {
        let (counts, step, least, most): (&[u32], u32, u32, u32) = match cpu_kind {
            CpuKind::Shared => (&[1, 2, 4, 6, 8], 256, 256, 2048),
            CpuKind::Performance => (&[1, 2, 4, 6, 8, 10, 12, 14, 16, 32, 64, 128], 1024, 2048, 8192),
        };
        if !counts.contains(&cpus) {
            return Err(Invalid::Shape { expected: "a number of CPUs that Fly offers for this kind" });
        }
        let (min, max) = (least * cpus, most * cpus);
        if !(min..=max).contains(&memory_mb) {
            return Err(Invalid::Range { min: min.into(), max: max.into() });
        }
        if memory_mb.is_multiple_of(step) {
            Ok(Self { cpu_kind, cpus, memory_mb })
        } else {
            Err(Invalid::Shape { expected: "a multiple of Fly's memory step (256 MB shared, 1024 MB performance)" })
        }
    }

    /// How the CPUs are shared.
    pub const fn cpu_kind(self) -> CpuKind {
        self.cpu_kind
    }

    /// Number of CPUs.
    pub const fn cpus(self) -> u32 {
        self.cpus
    }

    /// Memory in MB.
    pub const fn memory_mb(self) -> u32 {
        self.memory_mb
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_keep_flys_limits() {
        for (gb, ok) in [(0, false), (1, true), (50, true), (500, true), (501, false)] {
            assert_eq!(Gigabytes::try_from(gb).is_ok(), ok, "{gb}");
        }
        for (kind, cpus, memory, ok) in [
            (CpuKind::Shared, 2, 4096, true),
            (CpuKind::Shared, 3, 1024, false),
            (CpuKind::Shared, 1, 4096, false),
            (CpuKind::Shared, 1, 300, false),
            (CpuKind::Performance, 2, 4096, true),
            (CpuKind::Performance, 2, 2048, false),
        ] {
            assert_eq!(Guest::new(kind, cpus, memory).is_ok(), ok, "{kind:?} {cpus} {memory}");
        }
        assert_eq!(Guest::new(CpuKind::Shared, 2, 4096), Ok(Guest::TOWN));
    }
}
