//! Maps the domain's sizes to Fly's, and rejects those that Fly does not offer.

use gastown_domain::{CpuKind, Gigabytes, Guest, Invalid};

use crate::api::config;

/// The largest volume, in GB (Fly).
const MAX_VOLUME: u32 = 500;

/// Returns the size of a volume in GB: 1 to 500.
pub(crate) fn volume_size(size: Gigabytes) -> Result<u32, Invalid> {
    if size.get() <= MAX_VOLUME { Ok(size.get()) } else { Err(Invalid::Range { min: 1, max: MAX_VOLUME.into() }) }
}

/// Fly's rules for one kind of CPU (machines-api, `guest`).
struct Offer {
    cpu_kind: &'static str,
    cpus: &'static [u32],
    memory_step: u32,
    min_memory_per_cpu: u32,
    max_memory_per_cpu: u32,
}

const SHARED: Offer = Offer {
    cpu_kind: "shared",
    cpus: &[1, 2, 4, 6, 8],
    memory_step: 256,
    min_memory_per_cpu: 256,
    max_memory_per_cpu: 2048,
};

const PERFORMANCE: Offer = Offer {
    cpu_kind: "performance",
    cpus: &[1, 2, 4, 6, 8, 10, 12, 14, 16, 32, 64, 128],
    memory_step: 1024,
    min_memory_per_cpu: 2048,
    max_memory_per_cpu: 8192,
};

/// Returns the size of a machine.
pub(crate) fn guest(guest: Guest) -> Result<config::Guest, Invalid> {
    let offer = match guest.cpu_kind() {
        CpuKind::Shared => SHARED,
        CpuKind::Dedicated => PERFORMANCE,
    };
    let (cpus, memory_mb) = (guest.cpus(), guest.memory_mb());
    if !offer.cpus.contains(&cpus) {
        return Err(Invalid::Shape { expected: "a number of CPUs that Fly offers for this kind" });
    }
    let (min, max) = (offer.min_memory_per_cpu * cpus, offer.max_memory_per_cpu * cpus);
    if !(min..=max).contains(&memory_mb) {
        return Err(Invalid::Range { min: min.into(), max: max.into() });
    }
    if !memory_mb.is_multiple_of(offer.memory_step) {
        return Err(Invalid::Shape {
            expected: "a multiple of Fly's memory step (256 MB shared, 1024 MB performance)",
        });
    }
    Ok(config::Guest { cpu_kind: offer.cpu_kind, cpus, memory_mb })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_have_at_most_500_gb() {
        for (gb, ok) in [(1, true), (50, true), (500, true), (501, false)] {
            assert_eq!(volume_size(Gigabytes::try_from(gb).unwrap()).is_ok(), ok, "{gb}");
        }
    }

    #[test]
    fn machines_have_a_combination_that_fly_offers() {
        for (kind, cpus, memory, ok) in [
            (CpuKind::Shared, 2, 4096, true),
            (CpuKind::Shared, 3, 1024, false),
            (CpuKind::Shared, 1, 4096, false),
            (CpuKind::Shared, 1, 300, false),
            (CpuKind::Dedicated, 2, 4096, true),
            (CpuKind::Dedicated, 2, 2048, false),
        ] {
            assert_eq!(guest(Guest::new(kind, cpus, memory).unwrap()).is_ok(), ok, "{kind:?} {cpus} {memory}");
        }
        assert_eq!(guest(Guest::TOWN), Ok(config::Guest { cpu_kind: "shared", cpus: 2, memory_mb: 4096 }));
    }
}
