//! Reading a town.

use gastown_domain::ports::{Caller, EventPage, TownError, TownPage, TownReport, TownSummary};
use gastown_domain::{HistoryEvent, Region, Rig, RigId, TownId};

use crate::town_service::TownService;

impl TownService {
    pub(crate) async fn read_status(&self, caller: &Caller, town: TownId) -> Result<TownReport, TownError> {
        let report = self.ports.store.registry.report(caller, town).await?.ok_or(TownError::NotFound)?;
        self.record_use(&report.town, report.use_is_recorded).await;
        Ok(report)
    }

    pub(crate) async fn read_events(&self, caller: &Caller, page: EventPage) -> Result<Vec<HistoryEvent>, TownError> {
        self.ports.store.registry.events(caller, page).await?.ok_or(TownError::NotFound)
    }

    pub(crate) async fn read_towns(&self, caller: &Caller, page: TownPage) -> Result<Vec<TownSummary>, TownError> {
        Ok(page_of(self.ports.store.registry.list(caller).await?, page))
    }

    pub(crate) async fn read_regions(&self, caller: &Caller) -> Result<Vec<Region>, TownError> {
        self.authorized(caller.clone()).await?;
        Ok(self.settings.regions.clone())
    }

    pub(crate) async fn read_rig(&self, caller: &Caller, town: TownId, rig: RigId) -> Result<Rig, TownError> {
        self.living_of(caller, town).await?;
        self.ports.store.rigs.find(town, rig).await?.ok_or(TownError::RigNotFound)
    }
}

/// Returns a page of a list, which is in order and short, because the towns of a user are limited.
///
/// Ids begin with a time. If the last town of the previous page is gone, the page begins after the towns with smaller ids.
fn page_of(mut towns: Vec<TownSummary>, page: TownPage) -> Vec<TownSummary> {
    if let Some(after) = page.after {
        match towns.iter().position(|summary| summary.state.town.id == after) {
            Some(at) => drop(towns.drain(..=at)),
            None => towns.retain(|summary| summary.state.town.id > after),
        }
    }
    towns.truncate(page.limit.map_or(usize::MAX, |limit| limit as usize));
    towns
}
