//! Replaces one port: the API inside each sandbox. Everything else is that of `Gastown::simulated`.
//!
//! `cargo run -p gastown --features sim --example own_sandbox`
#![expect(clippy::print_stdout, reason = "the output of the example")]

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use gastown::domain::{Branch, RigName, SandboxRig};
use gastown::ports::{AddRig, Clock as _, SandboxAddress, SandboxError, Sandboxes};
use gastown::{CancellationToken, CreateTown, Gastown, TownId, Towns, system::SystemClock, tokio};

/// Sandboxes that clone nothing. They only remember their rigs.
#[derive(Default)]
struct RememberedRigs(Mutex<HashMap<TownId, Vec<SandboxRig>>>);

impl RememberedRigs {
    /// Applies a change to the rigs of a town, which are never locked across an await.
    fn with<T>(&self, at: &SandboxAddress, change: impl FnOnce(&mut Vec<SandboxRig>) -> T) -> T {
        change(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(at.town).or_default())
    }
}

#[async_trait]
impl Sandboxes for RememberedRigs {
    async fn health(&self, _at: &SandboxAddress) -> Result<(), SandboxError> {
        Ok(())
    }

    async fn rigs(&self, at: &SandboxAddress) -> Result<Vec<SandboxRig>, SandboxError> {
        Ok(self.with(at, |rigs| rigs.clone()))
    }

    async fn add_rig(&self, at: &SandboxAddress, rig: &SandboxRig) -> Result<Option<Branch>, SandboxError> {
        self.with(at, |rigs| {
            rigs.retain(|known| known.name != rig.name);
            rigs.push(rig.clone());
        });
        Ok(rig.branch.clone())
    }

    async fn remove_rig(&self, at: &SandboxAddress, rig: &RigName, _force: bool) -> Result<(), SandboxError> {
        self.with(at, |rigs| rigs.retain(|known| known.name != *rig));
        Ok(())
    }

    async fn sync(&self, _at: &SandboxAddress) -> Result<DateTime<Utc>, SandboxError> {
        Ok(SystemClock.now())
    }
}

#[tokio::main(crate = "gastown::tokio")]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("{}", add_one_rig().await?);
    Ok(())
}

/// Creates a town with a rig. Returns what its sandbox was asked to work on.
async fn add_one_rig() -> Result<String, Box<dyn Error>> {
    let sandboxes = Arc::new(RememberedRigs::default());
    let gastown = Gastown::simulated().sandboxes(sandboxes.clone()).build().await?;
    let alice = gastown.add_user(&"alice".parse()?).await?.caller;
    let (towns, stop) = (gastown.towns(), CancellationToken::new());
    let running = tokio::spawn(gastown.run(stop.clone()));

    let town = towns.create_town(&alice, CreateTown::named("mill".parse()?)).await?.town;
    let rig = AddRig {
        town: town.id,
        name: "app".parse()?,
        repo: "https://github.com/acme/app".parse()?,
        branch: Some("main".parse()?),
        config: serde_json::Map::new(),
    };
    let rig = towns.add_rig(&alice, rig).await?.rig;

    stop.cancel();
    running.await?;
    let known = sandboxes.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&town.id).unwrap_or_default();
    let names: Vec<_> = known.iter().map(|rig| rig.name.to_string()).collect();
    Ok(format!("{} is {}, the sandbox has {}", rig.name, rig.status.as_str(), names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn rig_reaches_the_sandbox() {
        assert_eq!(add_one_rig().await.unwrap(), "app is active, the sandbox has app");
    }
}
