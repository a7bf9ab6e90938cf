//! The reachability of sandboxes: some running towns are asked for their health.

use gastown_domain::TownStatus;
use gastown_domain::ports::{ListedTown, Operator as _, SandboxAddress, Sandboxes as _, TownFilter, TownKeys as _};
use gastown_persistence::Database;
use gastown_sandbox::{SandboxClient, Timeouts};
use gastown_secrets::DerivedTownKeys;

use crate::config::Config;
use crate::reports::Check;

const NAME: &str = "sandboxes";
/// The number of towns that are asked.
const ASKED: u32 = 3;

/// Adds the check of the sandboxes.
pub(super) async fn check(config: Option<&Config>, database: Option<&Database>, checks: &mut Vec<Check>) {
    let (Some(config), Some(database)) = (config, database) else {
        checks.push(Check::skipped(NAME, "settings or database cannot be used"));
        return;
    };
    checks.push(match ask(config, database).await {
        Ok(check) => check,
        Err(error) => Check::failed(NAME, &format!("{error:#}"), "repair what the checks above name first"),
    });
}

async fn ask(config: &Config, database: &Database) -> anyhow::Result<Check> {
    let filter = TownFilter { status: Some(TownStatus::Running), ..TownFilter::default() };
    let towns = database.towns(&filter, ASKED).await?;
    let client = SandboxClient::new(config.sandbox_url.clone(), Timeouts::default())?;
    let keys = keys(config)?;
    let (mut asked, mut failures) = (0_usize, Vec::new());
    for ListedTown { town, .. } in towns.into_iter().flatten() {
        let (Ok(app), Some(machine)) = (config.fly.app.app_of(&town.owner), town.machine_id) else { continue };
        let address = SandboxAddress { app, machine, town: town.id, keys: keys.keys_of(town.id) };
        asked += 1;
        if let Err(error) = client.health(&address).await {
            failures.push(format!("{}/{}: {:#}", town.owner, town.name, anyhow::Error::from(error)));
        }
    }
    Ok(match (asked, failures.as_slice()) {
        (0, _) => Check::skipped(NAME, "no town runs"),
        (asked, []) => Check::ok(NAME, &format!("{asked} of {asked} running towns that were asked are healthy")),
        (_, failures) => Check::failed(
            NAME,
            &failures.join("; "),
            "check SANDBOX_URL from here, the app's address, INTERNAL_API_SECRET, and the machines' logs at Fly",
        ),
    })
}

fn keys(config: &Config) -> anyhow::Result<DerivedTownKeys> {
    let keys = DerivedTownKeys::new(&config.secrets.town_secret)?;
    Ok(match &config.secrets.previous_town_secret {
        Some(previous) => keys.accepting_previous(previous)?,
        None => keys,
    })
}
