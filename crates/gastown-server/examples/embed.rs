//! Embeds the control plane in another program: creates, shows and destroys a town, without a network.
//!
//! `cargo run -p gastown-server --example embed`. The registry is SQLite in memory, Fly is the simulator. A real service
//! passes other addresses to the same adapters. `docs/embedding.md` explains the example.
#![expect(clippy::print_stdout, reason = "the output of the example")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use fly_sim::{FlySim, SimConfig};
use gastown_domain::ports::{Caller, CreateTown, DestroyTown, TownError, TownPage, TownState, Towns, WorkerId};
use gastown_domain::{AppPlacement, Gigabytes, Guest, TownConfig, UserId};
use gastown_fly::{Fly, FlyClient, RateLimiting, Timeouts};
use gastown_jwt::{TokenKeys, TokenMinter};
use gastown_orchestrator::{
    Delays, DriftDetector, Env, MachineTemplate, OrphanSweeper, Policy, Ports, Provider, SandboxEnv, Secrets, Settings,
    Store, TownService, ValidPolicy, Workers,
};
use gastown_persistence::{Database, DatabaseSettings};
use gastown_sandbox::SandboxClient;
use gastown_sandbox_sim::SimulatedSandboxes;
use gastown_secrets::{DerivedTownKeys, PublicSealingKey, SandboxKey};
use gastown_system::{RandomIds, SystemClock, ThreadJitter};
use tokio_util::sync::CancellationToken;

/// The Fly app of every town.
const APP: &str = "workshops";

type Failed = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failed> {
    for line in run_town_life().await? {
        println!("{line}");
    }
    Ok(())
}

/// Creates, shows and destroys a town. Returns the lines that a user sees.
async fn run_town_life() -> Result<Vec<String>, Failed> {
    let (simulator, sealing_key) = simulated_fly().await?;
    let database = Database::connect(&DatabaseSettings::at("sqlite::memory:")).await?;
    database.migrate().await?;
    // In a host application the users exist already.
    let alice: UserId = "alice".parse()?;
    database.make_user_known(&alice, &"pepper of alice".into()).await?;
    // The host has verified who is calling.
    let alice = Caller::Trusted(alice);

    let stop = CancellationToken::new();
    let worker = WorkerId(uuid::Uuid::from_u128(rand::random()).to_string());
    let (ports, settings) = (ports(&database, &simulator, sealing_key)?, Arc::new(settings()?));
    let towns = TownService::new(ports.clone(), Settings::clone(&settings), worker.clone(), stop.clone());
    let workers = Workers::new(towns.clone()).run(stop.clone());
    let drift_detector = DriftDetector::new(ports.clone(), settings.clone());
    let orphans = OrphanSweeper::new(ports, settings, worker);
    let ending = stop.clone();
    let background =
        tokio::spawn(async move { tokio::join!(workers, drift_detector.run(ending.clone()), orphans.run(ending)) });

    let opened = open_workshop(&towns, &alice).await?;
    let [TownState { town, .. }] =
        towns.list_towns(&alice, TownPage::default()).await?.try_into().map_err(|_| "not one town")?;
    let report = towns.town_status(&alice, town.id).await?;
    let shown = format!("{}: {}, {} rigs", report.town.name, report.town.status, report.rigs.len());
    let gone = towns.destroy_town(&alice, DestroyTown::until_gone(town.id)).await?.town;
    let left = simulator.machines().len() + simulator.volumes().len();
    let destroyed = format!("{}: {}, {left} machines and volumes are left", gone.name, gone.status);

    stop.cancel();
    towns.drained().await;
    background.await?;
    simulator.shutdown().await;
    Ok(vec![opened, shown, destroyed])
}

/// An example of the host's own code. It depends on the port, so its tests can pass a mock.
async fn open_workshop(towns: &dyn Towns, owner: &Caller) -> Result<String, Failed> {
    let request = CreateTown { name: "mill".parse()?, config: TownConfig::default(), region: None, key: None };
    match towns.create_town(owner, request).await {
        Ok(TownState { town, .. }) => Ok(format!("{} is {}", town.name, town.status)),
        Err(TownError::NameTaken) => Ok("mill exists already".to_owned()),
        Err(TownError::Failed { failure, .. }) => Ok(format!("no mill: {failure}")),
        Err(error) => Err(error.into()),
    }
}

/// Creates the adapters, as the ports that they implement.
fn ports(database: &Database, simulator: &FlySim, sealing_key: PublicSealingKey) -> Result<Ports, Failed> {
    let database = Arc::new(database.clone());
    let client = FlyClient::new(simulator.url().parse()?, &"fly-token".into(), Timeouts::default(), RateLimiting::Off)?;
    let fly = Arc::new(Fly::new(client, AppPlacement::Shared(APP.parse()?)));
    let timeouts = gastown_sandbox::Timeouts::default();
    let sandboxes = SandboxClient::new(simulator.machine_url_template().parse()?, timeouts)?;
    let tokens = TokenKeys::new(&"a secret of at least thirty-two bytes".into())?;
    Ok(Ports {
        store: Store {
            registry: database.clone(),
            rigs: database.clone(),
            operations: database.clone(),
            drift_checks: database.clone(),
            orphans: database.clone(),
            jobs: database.clone(),
            users: database,
        },
        provider: Provider {
            apps: fly.clone(),
            volumes: fly.clone(),
            machines: fly.clone(),
            turns: Some(fly.clone()),
            inventory: fly,
            sandboxes: Arc::new(sandboxes),
        },
        secrets: Secrets {
            mint: Arc::new(TokenMinter::new(tokens, Arc::new(SystemClock))),
            sealer: Arc::new(sealing_key),
            towns: Arc::new(DerivedTownKeys::new(&"another secret of thirty-two bytes".into())?),
        },
        env: Env { clock: Arc::new(SystemClock), ids: Arc::new(RandomIds), jitter: Arc::new(ThreadJitter) },
    })
}

/// The choices of an operator.
fn settings() -> Result<Settings, Failed> {
    Ok(Settings {
        apps: AppPlacement::Shared(APP.parse()?),
        regions: vec!["iad".parse()?, "ord".parse()?],
        machine: MachineTemplate {
            image: "registry.example.com/gastown-sandbox:1".parse()?,
            guest: Guest::TOWN,
            volume: Gigabytes::TOWN,
        },
        env: SandboxEnv {
            kilo_api_url: "https://kilo.example.com".to_owned(),
            r2_bucket: "towns".to_owned(),
            r2_access_key: "access key".into(),
            r2_secret_key: None,
            r2_endpoint: None,
            gastown_cloud_url: None,
        },
        policy: policy()?,
    })
}

/// Returns the policy of production with a shorter poll interval, because the simulator is faster than Fly.
fn policy() -> Result<ValidPolicy, Failed> {
    let policy = Policy::production();
    let backoff = Delays { poll_interval: Duration::from_millis(100), ..policy.backoff };
    Ok(Policy { backoff, ..policy }.validated()?)
}

/// Starts a simulated Fly with one app. Returns the key that seals values for its sandboxes.
async fn simulated_fly() -> Result<(FlySim, PublicSealingKey), Failed> {
    let workload = SimulatedSandboxes::default().into_workload();
    let simulator = FlySim::start(SimConfig { workload, ..SimConfig::fast() }).await?;
    simulator.create_app(APP)?;
    let key = SandboxKey::generate();
    simulator.set_app_secret(APP, "SANDBOX_PRIVATE_KEY", key.to_secret())?;
    Ok((simulator, key.public_key().clone()))
}

#[cfg(test)]
mod tests {
    use gastown_domain::ports::MockTowns;

    use super::*;

    #[tokio::test]
    async fn taken_name_is_reported() {
        let mut towns = MockTowns::new();
        towns.expect_create_town().once().returning(|_, _| Err(TownError::NameTaken));
        let answer = open_workshop(&towns, &Caller::Trusted("alice".parse().unwrap())).await.unwrap();
        assert_eq!(answer, "mill exists already");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn destroyed_town_leaves_nothing_behind() {
        let lines = run_town_life().await.unwrap();
        assert_eq!(
            lines,
            ["mill is running", "mill: running, 0 rigs", "mill: destroyed, 0 machines and volumes are left"]
        );
    }

    /// The documentation quotes this file, so that its code compiles and runs.
    #[test]
    fn embedding_page_quotes_this_file() {
        let here = include_str!("embed.rs");
        let page = include_str!("../../../docs/embedding.md");
        let lines = |text: &str| text.lines().map(str::trim).collect::<Vec<_>>().join("\n");
        let quotes: Vec<_> = page.split("```rust\n").skip(1).filter_map(|rest| rest.split_once("```")).collect();
        assert!(!quotes.is_empty());
        for (quote, _) in quotes {
            assert!(lines(here).contains(lines(quote).trim()), "not in embed.rs:\n{quote}");
        }
    }
}
