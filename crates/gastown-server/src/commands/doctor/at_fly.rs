//! Fly: its token, the app, and the key that the running machines have opened their values with.

use gastown_domain::ports::{Apps as _, Inventory as _, ProviderError};
use gastown_domain::{AppPlacement, Power};
use gastown_fly::Fly;

use crate::commands::fly_view::{self, FlyView};
use crate::config::{Config, OrphansConfig};
use crate::reports::Check;
use crate::settings_source::Source;

const ACCESS: &str = "Fly: token and app";
const KEY: &str = "sandboxes' key";

/// Adds the checks of Fly.
pub(super) async fn checks(source: &Source, config: Option<&Config>, checks: &mut Vec<Check>) {
    let Ok(settings) = OrphansConfig::read(source) else {
        checks.push(Check::skipped(ACCESS, "the settings of Fly have mistakes"));
        return;
    };
    let fly = match fly_view::fly(&settings) {
        Ok(fly) => fly,
        Err(error) => {
            checks.push(Check::failed(ACCESS, &format!("{error:#}"), "correct the settings of Fly"));
            return;
        }
    };
    with(&fly, &settings.fly.app, config, checks).await;
}

/// Adds the checks of this client of Fly.
pub(super) async fn with(fly: &Fly, placement: &AppPlacement, config: Option<&Config>, checks: &mut Vec<Check>) {
    match access(fly, placement).await {
        Ok(found) => checks.push(Check::ok(ACCESS, &found)),
        Err(error) => {
            checks.push(refused(error));
            return;
        }
    }
    match fly_view::read(fly).await {
        Ok(view) => checks.push(config.map_or_else(
            || Check::skipped(KEY, "the settings have mistakes"),
            |config| key(&view, &config.secrets.sealing_key.key_id().to_string()),
        )),
        Err(error) => checks.push(Check::failed(KEY, &format!("{error:#}"), "repeat it when Fly answers")),
    }
}

async fn access(fly: &Fly, placement: &AppPlacement) -> Result<String, ProviderError> {
    match placement {
        AppPlacement::Shared(app) => {
            fly.ensure(app).await?;
            Ok(format!("the app {app} answers"))
        }
        AppPlacement::PerUser { organization, .. } => {
            let apps = fly.apps().await?.len();
            Ok(format!("the organization {organization} has {apps} apps of users"))
        }
    }
}

fn refused(error: ProviderError) -> Check {
    let mend = match &error {
        ProviderError::Misconfigured { .. } => {
            "check FLY_API_TOKEN, and that the app or the organization exists and belongs to it"
        }
        ProviderError::NotSent { .. } => "check FLY_API_BASE_URL, and that it can be reached from here",
        ProviderError::NoCapacity { .. }
        | ProviderError::RegionRefused { .. }
        | ProviderError::HostFull { .. }
        | ProviderError::NameTaken { .. }
        | ProviderError::VolumeBound { .. }
        | ProviderError::VolumeMissing { .. }
        | ProviderError::MachineMissing { .. }
        | ProviderError::NotNow { .. }
        | ProviderError::Throttled { .. }
        | ProviderError::Refused { .. }
        | ProviderError::Unknown { .. } => "repeat it; if it fails again, look at Fly's status page",
    };
    Check::failed(ACCESS, &format!("{:#}", anyhow::Error::from(error)), mend)
}

/// Judges by the machines that run. They have opened their values, so their apps have the private key.
fn key(view: &FlyView, ours: &str) -> Check {
    let running = || view.machines.iter().filter(|machine| machine.power == Power::On);
    let count = |is_ours: bool| {
        running().filter(|machine| machine.sealed_for.as_ref().is_some_and(|key| (key == ours) == is_ours)).count()
    };
    match (count(true), count(false)) {
        (0, 0) => Check::skipped(KEY, "no machine runs that has sealed values; the first town will show it"),
        (0, others) => Check::warning(
            KEY,
            &format!("{others} machines run with another key, and none with {ours}"),
            "stop and start one town; if it fails, compare SANDBOX_PUBLIC_KEY with the app's secret SANDBOX_PRIVATE_KEY",
        ),
        (running, 0) => Check::ok(KEY, &format!("{running} machines run with the key {ours}")),
        (running, others) => Check::warning(
            KEY,
            &format!("{running} machines run with the key {ours}, and {others} with another one"),
            "stop and start the towns of `gastown town list --key old`, then end the rotation",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reports::State;

    fn view(keys: &[(&str, Power)]) -> FlyView {
        let machine = |(at, (key, power)): (usize, &(&str, Power))| gastown_fly::MachineDetails {
            id: format!("m{at}").parse().unwrap(),
            name: String::new(),
            town: None,
            power: *power,
            region: None,
            image: None,
            metadata: std::collections::BTreeMap::new(),
            volume: None,
            sealed_for: Some((*key).to_owned()),
            town_key_id: None,
            created_at: None,
        };
        FlyView { machines: keys.iter().enumerate().map(machine).collect(), ..FlyView::default() }
    }

    #[test]
    fn running_machines_prove_the_key() {
        for (machines, state) in [
            (&[][..], State::Skipped),
            (&[("ours", Power::Off)], State::Skipped),
            (&[("ours", Power::On)], State::Ok),
            (&[("other", Power::On)], State::Warning),
            (&[("ours", Power::On), ("other", Power::On)], State::Warning),
        ] {
            assert_eq!(key(&view(machines), "ours").state, state, "{machines:?}");
        }
    }
}
