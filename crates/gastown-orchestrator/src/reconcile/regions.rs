//! The regions in which a create may place its volume. Pure.

use gastown_domain::{Failure, Progress, Region};

use super::retry_policy::RegionRefusal;

/// The candidate regions of one town.
#[derive(Debug, Clone, Copy)]
pub(super) struct Regions<'a> {
    /// The town's region, tried first.
    pub(super) wished: Option<&'a Region>,
    /// The configured regions, in order of preference.
    pub(super) offered: &'a [Region],
}

/// A region to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NextRegion {
    /// The region.
    pub(super) region: Region,
    /// The progress once it is tried.
    pub(super) progress: Progress,
}

impl Regions<'_> {
    /// Returns the next region that has not refused. After the last one, the regions in which only one host was full are
    /// tried once more, because another host may have capacity (FM-06).
    pub(super) fn next(self, progress: &Progress) -> Option<NextRegion> {
        if let Some(region) = self.not_refused(progress) {
            return Some(NextRegion { region, progress: progress.clone() });
        }
        if !may_try_again(progress) {
            return None;
        }
        let mut again = Progress { second_round: true, full_hosts: Vec::new(), ..progress.clone() };
        again.refused_regions.retain(|region| !progress.full_hosts.contains(region));
        let region = self.not_refused(&again)?;
        Some(NextRegion { region, progress: again })
    }

    /// Returns the progress after `region` refused a create.
    ///
    /// Errors: the failure of the create when no region is left to try. It is a lack of capacity unless the provider offers
    /// none of them, because capacity may return.
    pub(super) fn after_refusal(
        self,
        progress: Progress,
        region: &Region,
        refusal: RegionRefusal,
    ) -> Result<Progress, Failure> {
        let mut progress = progress;
        match refusal {
            RegionRefusal::HostFull if !progress.second_round => progress.full_hosts.push(region.clone()),
            RegionRefusal::Retired if !progress.retired_regions.contains(region) => {
                progress.retired_regions.push(region.clone());
            }
            RegionRefusal::Full | RegionRefusal::HostFull | RegionRefusal::Retired => {}
        }
        if !progress.refused_regions.contains(region) {
            progress.refused_regions.push(region.clone());
        }
        if self.not_refused(&progress).is_some() || may_try_again(&progress) {
            return Ok(progress);
        }
        let offers_none = progress.refused_regions.iter().all(|refused| progress.retired_regions.contains(refused));
        Err(if offers_none { Failure::ProviderMisconfigured } else { Failure::NoCapacity })
    }

    fn not_refused(self, progress: &Progress) -> Option<Region> {
        let mut candidates = self.wished.into_iter().chain(self.offered);
        candidates.find(|region| !progress.refused_regions.contains(region)).cloned()
    }
}

const fn may_try_again(progress: &Progress) -> bool {
    !progress.second_round && !progress.full_hosts.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(name: &str) -> Region {
        name.parse().unwrap()
    }

    fn next(regions: Regions<'_>, progress: &Progress) -> Option<String> {
        regions.next(progress).map(|next| next.region.to_string())
    }

    #[test]
    fn regions_are_tried_in_order_and_full_hosts_once_more() {
        let (wished, offered) = (region("ams"), [region("iad"), region("ams"), region("lhr")]);
        let regions = Regions { wished: Some(&wished), offered: &offered };
        let mut progress = Progress::default();
        let mut tried = Vec::new();
        while let Some(next) = regions.next(&progress) {
            tried.push(next.region.to_string());
            let refusal = if next.region == region("lhr") { RegionRefusal::Full } else { RegionRefusal::HostFull };
            match regions.after_refusal(next.progress, &next.region, refusal) {
                Ok(after) => progress = after,
                Err(_) => break,
            }
        }
        assert_eq!(tried, ["ams", "iad", "lhr", "ams", "iad"]);
    }

    #[test]
    fn no_region_is_left_once_all_are_full() {
        let offered = [region("iad")];
        let regions = Regions { wished: None, offered: &offered };
        assert_eq!(next(regions, &Progress::default()).as_deref(), Some("iad"));
        let after = regions.after_refusal(Progress::default(), &region("iad"), RegionRefusal::Full);
        assert_eq!(after, Err(Failure::NoCapacity));
        let refused = Progress { refused_regions: vec![region("iad")], ..Progress::default() };
        assert_eq!(next(regions, &refused), None);
    }

    #[test]
    fn create_fails_for_capacity_unless_the_provider_offers_no_region() {
        use RegionRefusal::{Full, HostFull, Retired};
        let offered = [region("yul"), region("iad")];
        let regions = Regions { wished: None, offered: &offered };
        for (first, second, failure) in [
            (Retired, Retired, Failure::ProviderMisconfigured),
            (Retired, Full, Failure::NoCapacity),
            (Full, Retired, Failure::NoCapacity),
            (Full, Full, Failure::NoCapacity),
        ] {
            let after = regions.after_refusal(Progress::default(), &offered[0], first).unwrap();
            assert_eq!(next(regions, &after).as_deref(), Some("iad"));
            assert_eq!(regions.after_refusal(after, &offered[1], second), Err(failure), "{first:?} {second:?}");
        }
        // A retired region is not tried a second time, and a full host is.
        let after = regions.after_refusal(Progress::default(), &offered[0], Retired).unwrap();
        let after = regions.after_refusal(after, &offered[1], HostFull).unwrap();
        assert_eq!(next(regions, &after).as_deref(), Some("iad"));
    }
}
