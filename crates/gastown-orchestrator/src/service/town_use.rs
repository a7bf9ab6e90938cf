//! The use of towns by their owners, recorded where idle stops are on.

use std::error::Error;

use gastown_domain::Town;

use crate::town_service::TownService;

impl TownService {
    /// Records that the owner uses a town, unless a recorded use stands for it. Costs nothing for a town without idle stops.
    ///
    /// The call of the owner goes on if it cannot be recorded: without the registry nothing is stopped either.
    pub(crate) async fn record_use(&self, town: &Town, is_recorded: bool) {
        let Some(minutes) = town.config.idle_stop_minutes.filter(|_| !is_recorded) else { return };
        if let Err(error) = self.ports.store.registry.record_use(town.id, minutes).await {
            tracing::warn!(town.id = %town.id, error = &error as &dyn Error, "failed to record use of town");
        }
    }
}
