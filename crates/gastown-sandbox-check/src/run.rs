//! The order of the checks.

use std::sync::Arc;

use gastown_domain::TownId;
use gastown_domain::ports::Clock;
use gastown_secrets::CipherRefused;
use reqwest::{Client, redirect};
use url::Url;

use crate::checks::boot::{self, Boots};
use crate::checks::{health, home, keys, removal, rigs, sync};
use crate::home::Home;
use crate::image::{Image, ImageError};
use crate::options::Options;
use crate::probe::Probe;
use crate::report::{Outcomes, Report};
use crate::rules;
use crate::town::{InvalidTown, Target, Town, TownSecrets};

/// The check itself failed, which says nothing about the sandbox.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The HTTP client cannot be created.
    #[error("failed to create the HTTP client")]
    Client(#[source] reqwest::Error),
    /// The image cannot be started.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The secrets of the town cannot be sealed.
    #[error(transparent)]
    Seal(#[from] CipherRefused),
    /// The environment of the town cannot be read.
    #[error(transparent)]
    Town(#[from] InvalidTown),
}

/// Checks sandboxes and images. Clones are cheap and share the HTTP client, whose creation is expensive.
#[derive(Clone)]
pub struct Checker {
    pub(crate) client: Client,
    pub(crate) options: Options,
    clock: Arc<dyn Clock>,
}

impl Checker {
    /// Creates a checker with these choices.
    pub fn new(options: Options, clock: Arc<dyn Clock>) -> Result<Self, CheckError> {
        let client = Client::builder()
            .connect_timeout(options.limits.calls.connect)
            .redirect(redirect::Policy::none())
            .no_proxy()
            // A sandbox that serves one connection at a time is found by its own rule only.
            .pool_max_idle_per_host(0)
            .build()
            .map_err(CheckError::Client)?;
        Ok(Self { client, options, clock })
    }

    /// Returns a checker with other choices, apart from the time limit to connect.
    #[must_use]
    pub fn with(&self, options: Options) -> Self {
        Self { options, ..self.clone() }
    }

    /// Checks a sandbox that runs, or that starts within the limit.
    ///
    /// `home` is the control plane that the sandbox was started with. Without it, the rules about calls to it are skipped.
    pub async fn check_running(&self, target: &Target, home: Option<&Home>) -> Report {
        let mut outcomes = Outcomes::default();
        outcomes.skip(rules::OF_BOOT, "the check did not start the image: give its command");
        self.check_api(target, home, &mut outcomes).await;
        outcomes.finish()
    }

    /// Boots an image several times, and checks every rule.
    ///
    /// `address` is that of `home`, as the sandbox reaches it.
    pub async fn check_image(
        &self,
        image: &dyn Image,
        town: TownId,
        home: &Home,
        address: &Url,
    ) -> Result<Report, CheckError> {
        let mut outcomes = Outcomes::default();
        let environment = TownSecrets::generate(town, self.clock.now()).environment(Some(address))?;
        let pairs = environment.pairs().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let town = Town::from_environment(pairs)?;
        home.expect(&town);
        let running = image.boot(&environment).await?;
        let target = Target { url: running.url().clone(), machine: None, town };
        let serves = self.check_api(&target, Some(home), &mut outcomes).await;
        let mut stopped = boot::stop(running, &self.options).await;
        if serves {
            let boots = Boots { checker: self, image, environment: &environment, town: &target.town };
            if outcomes.passed(&rules::RIG_LISTED) {
                stopped = boots.restart(&mut outcomes).await?.or(stopped);
            }
            boots.refusals(&mut outcomes).await?;
            boots.rotation(&mut outcomes).await?;
        }
        outcomes.check(&rules::STOP, stopped.map_or(Ok(()), Err));
        Ok(outcomes.finish())
    }

    /// Checks the API and the calls home. Returns false if the sandbox is not healthy.
    async fn check_api(&self, target: &Target, calls: Option<&Home>, outcomes: &mut Outcomes) -> bool {
        let probe = Probe::new(self, target);
        let healthy = health::until_healthy(&probe, outcomes).await.is_some();
        if healthy {
            // Later checks run also if an earlier one has stopped at a broken rule.
            health::details(&probe, outcomes).await;
            keys::check(&probe, outcomes).await;
            rigs::check(&probe, outcomes).await;
            if outcomes.passed(&rules::RIGS_LIST) {
                removal::check(&probe, outcomes).await;
            }
            sync::check(&probe, self.clock.as_ref(), outcomes).await;
            health::while_busy(&probe, outcomes).await;
            match calls {
                Some(calls) => home::check(&probe, calls, outcomes).await,
                None => outcomes.skip(rules::OF_HOME, "the check was not the sandbox's control plane"),
            }
        }
        for (rule, seen) in probe.take_violations() {
            outcomes.fail(rule, seen);
        }
        if healthy {
            for rule in rules::OF_ALL_CALLS {
                outcomes.check(rule, Ok(()));
            }
        }
        healthy
    }
}

impl std::fmt::Debug for Checker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checker").field("options", &self.options).finish_non_exhaustive()
    }
}
