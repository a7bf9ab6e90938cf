//! Towns that lose their volume, and setups that notice it at once.

use std::time::Duration;

use crate::rows::Town;
use crate::stage::{Setup, Stage, until};

/// Returns the setup with a fast drift detection.
pub(crate) fn watched(mut setup: Setup) -> Setup {
    setup.policy.drift.every = Duration::from_millis(60);
    setup
}

/// Saves the data of alice's running town and loses its volume. Waits until the town can be restored.
pub(crate) async fn lose_saved(stage: &Stage, town: &Town) {
    stage.on_town("stopTown", town.id).await.unwrap();
    assert!(stage.sim.lose_volume(town.volume()));
    until("the loss is recorded", async || {
        stage.on_town("getTownStatus", town.id).await.unwrap()["restoreAvailable"] == true
    })
    .await;
    // An operator must act, so a loss is an error.
    let errors: Vec<_> = stage.replicas.iter().flat_map(|replica| replica.log.take_errors()).collect();
    assert!(errors.iter().all(|line| line.contains("volume lost")), "{errors:?}");
}
