//! A control plane of which every port is given by the host: it needs no adapter.

use std::sync::Arc;

use gastown::domain::AppPlacement;
use gastown::ports::{
    MockApps, MockClock, MockDriftChecks, MockHealthChecks, MockHistory, MockIds, MockInventory, MockJitter,
    MockMachines, MockOperations, MockOrphans, MockReadiness, MockRegistry, MockRigs, MockRollouts, MockSandboxes,
    MockSealer, MockSingletonJobs, MockTokenMint, MockTownKeys, MockUserTokens, MockUserTurns, MockUsers, MockVolumes,
};
use gastown::{BuildError, Gastown, GastownBuilder, SandboxEnv};

fn all_ports() -> GastownBuilder {
    Gastown::builder()
        .registry(Arc::new(MockRegistry::new()))
        .rigs(Arc::new(MockRigs::new()))
        .operations(Arc::new(MockOperations::new()))
        .users(Arc::new(MockUsers::new()))
        .drift_checks(Arc::new(MockDriftChecks::new()))
        .health_checks(Arc::new(MockHealthChecks::new()))
        .rollouts(Arc::new(MockRollouts::new()))
        .orphans(Arc::new(MockOrphans::new()))
        .jobs(Arc::new(MockSingletonJobs::new()))
        .history(Arc::new(MockHistory::new()))
        .readiness(Arc::new(MockReadiness::new()))
        .apps(Arc::new(MockApps::new()))
        .volumes(Arc::new(MockVolumes::new()))
        .machines(Arc::new(MockMachines::new()))
        .inventory(Arc::new(MockInventory::new()))
        .turns(Arc::new(MockUserTurns::new()))
        .sandboxes(Arc::new(MockSandboxes::new()))
        .token_mint(Arc::new(MockTokenMint::new()))
        .sealer(Arc::new(MockSealer::new()))
        .town_keys(Arc::new(MockTownKeys::new()))
        .user_tokens(Arc::new(MockUserTokens::new()))
        .clock(Arc::new(MockClock::new()))
        .ids(Arc::new(MockIds::new()))
        .jitter(Arc::new(MockJitter::new()))
        .image("registry.example.com/gastown-sandbox:1")
        .sandbox_env(SandboxEnv::new("https://kilo.example.com", "towns", "key"))
}

#[tokio::test]
async fn ports_of_the_host_replace_every_adapter() {
    let placement = AppPlacement::Shared("towns".parse().unwrap());
    let gastown = all_ports().placement(placement).build().await.unwrap();
    assert!(gastown.token_minter().is_none());
    #[cfg(feature = "postgres")]
    assert!(gastown.database().is_none());
}

#[tokio::test]
async fn one_absent_setting_of_a_foreign_provider_is_named() {
    let error = all_ports().build().await.err().unwrap();
    assert!(matches!(&error, BuildError::Invalid(mistakes) if mistakes.0.len() == 1), "{error}");
    assert!(error.to_string().ends_with("placement is missing, the apps that towns are in"), "{error}");
}
