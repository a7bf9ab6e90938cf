//! Sizes, each with its unit in the type. The provider's adapter knows the sizes that the provider offers.

use crate::Invalid;

/// The size of a volume in GB, at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gigabytes(u32);

impl Gigabytes {
    /// The default size of a town's volume.
    pub const TOWN: Self = Self(50);

    /// Returns the number of GB.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl Default for Gigabytes {
    /// Returns the size of a town's volume.
    fn default() -> Self {
        Self::TOWN
    }
}

impl TryFrom<u32> for Gigabytes {
    type Error = Invalid;

    fn try_from(raw: u32) -> Result<Self, Invalid> {
        at_least_one(raw).map(Self)
    }
}

/// The way in which a machine has its CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CpuKind {
    /// Shared with other machines.
    Shared,
    /// Dedicated to the machine.
    Dedicated,
}

/// The CPUs and the memory of a machine, at least one CPU and 1 MB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guest {
    cpu_kind: CpuKind,
    cpus: u32,
    memory_mb: u32,
}

impl Guest {
    /// The default size of a town's machine: two shared CPUs, 4096 MB.
    pub const TOWN: Self = Self { cpu_kind: CpuKind::Shared, cpus: 2, memory_mb: 4096 };

    /// Returns this combination. The adapter checks whether the provider offers it.
    pub fn new(cpu_kind: CpuKind, cpus: u32, memory_mb: u32) -> Result<Self, Invalid> {
        Ok(Self { cpu_kind, cpus: at_least_one(cpus)?, memory_mb: at_least_one(memory_mb)? })
    }

    /// Returns the kind of the CPUs.
    pub const fn cpu_kind(self) -> CpuKind {
        self.cpu_kind
    }

    /// Returns the number of CPUs.
    pub const fn cpus(self) -> u32 {
        self.cpus
    }

    /// Returns the memory in MB.
    pub const fn memory_mb(self) -> u32 {
        self.memory_mb
    }
}

impl Default for Guest {
    /// Returns the size of a town's machine.
    fn default() -> Self {
        Self::TOWN
    }
}

fn at_least_one(raw: u32) -> Result<u32, Invalid> {
    if raw == 0 { Err(Invalid::Range { min: 1, max: u32::MAX.into() }) } else { Ok(raw) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_at_least_one() {
        for (gb, ok) in [(0, false), (1, true), (501, true)] {
            assert_eq!(Gigabytes::try_from(gb).is_ok(), ok, "{gb}");
        }
        for (cpus, memory, ok) in [(2, 4096, true), (0, 4096, false), (2, 0, false)] {
            assert_eq!(Guest::new(CpuKind::Shared, cpus, memory).is_ok(), ok, "{cpus} {memory}");
        }
        assert_eq!(Guest::new(CpuKind::Shared, 2, 4096), Ok(Guest::TOWN));
    }
}
