//! Boots of the image: restart, bad environments, rotation of the private key.

use std::time::Duration;

use gastown_secrets::{CipherRefused, PREVIOUS_PRIVATE_KEY, PRIVATE_KEY, REQUIRED_VARIABLES, SandboxKey};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::sleep;
use url::Url;

use super::health::until_healthy;
use super::rigs::{APP, Rig, body, clear, list};
use crate::image::{Ending, Image, Running, Stopped};
use crate::options::{Options, Repositories};
use crate::probe::Probe;
use crate::report::Outcomes;
use crate::rules::{self, Rule};
use crate::run::{CheckError, Checker};
use crate::town::{Environment, Target, Town};

/// The pause between two looks at a sandbox that must not serve.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Stops a sandbox. Returns the observation if it had to be killed.
pub(crate) async fn stop(running: Box<dyn Running>, options: &Options) -> Option<String> {
    let limit = options.limits.stop;
    match running.stop(limit).await {
        Stopped::InTime => None,
        Stopped::Killed => Some(format!("it was killed, because it still ran {} s after SIGINT", limit.as_secs_f32())),
    }
}

/// The image, and the good environment of its town.
pub(crate) struct Boots<'a> {
    pub(crate) checker: &'a Checker,
    pub(crate) image: &'a dyn Image,
    pub(crate) environment: &'a Environment,
    pub(crate) town: &'a Town,
}

impl Boots<'_> {
    /// Adds a rig, boots the image again, once as it is and once to restore, and looks for the rig each time. Returns an
    /// observation of [`stop`].
    pub(crate) async fn restart(&self, outcomes: &mut Outcomes) -> Result<Option<String>, CheckError> {
        let restoring = self.environment.with("R2_RESTORE", "1");
        let again = [(&rules::RIGS_SURVIVE, self.environment), (&rules::RESTORE_KEEPS, &restoring)];
        let (mut seen, mut stopped) = self.boot_with(self.environment, None).await?;
        for (rule, environment) in again {
            let (found, late) = self.boot_with(environment, Some(rule)).await?;
            stopped = late.or(stopped);
            seen = seen.and(found);
            outcomes.check(rule, seen.clone());
            if seen.is_err() {
                break;
            }
        }
        Ok(stopped)
    }

    /// Boots the image. Adds the rig without a rule, and looks for it with one. Returns what was seen, and an observation of
    /// [`stop`].
    async fn boot_with(
        &self,
        environment: &Environment,
        rule: Option<&Rule>,
    ) -> Result<(Result<(), String>, Option<String>), CheckError> {
        let running = self.image.boot(environment).await?;
        let target = Target { url: running.url().clone(), machine: None, town: self.town.clone() };
        let probe = Probe::new(self.checker, &target);
        let is_healthy = until_healthy(&probe, &mut Outcomes::default()).await.is_some();
        let seen = if !is_healthy {
            Err("the sandbox is not healthy after a restart".to_owned())
        } else if rule.is_some() {
            let rigs = list(&probe).await.unwrap_or_else(|| Err("the list was not answered".to_owned()));
            rigs.and_then(|rigs| survived(&rigs))
        } else {
            let Repositories { good, branch, .. } = &self.checker.options.repositories;
            probe.send(probe.add(body(APP, good, Some(branch)))).await;
            Ok(())
        };
        if is_healthy && (seen.is_err() || rule == Some(&rules::RESTORE_KEEPS)) {
            clear(&probe).await;
        }
        Ok((seen, stop(running, &self.checker.options).await))
    }

    /// Boots the image with environments that must end the boot.
    pub(crate) async fn refusals(&self, outcomes: &mut Outcomes) -> Result<(), CheckError> {
        for (rule, environments) in bad_environments(self.environment)? {
            let mut result = Ok(());
            for (what, environment) in environments {
                let refused = self.refuses(&environment).await?;
                result = refused.map_err(|seen| format!("{what}: {seen}"));
                if result.is_err() {
                    break;
                }
            }
            outcomes.check(rule, result);
        }
        Ok(())
    }

    /// Requires that the process ends with a failure and never serves.
    async fn refuses(&self, environment: &Environment) -> Result<Result<(), String>, CheckError> {
        let mut running = self.image.boot(environment).await?;
        let url = running.url().clone();
        let seen = tokio::select! {
            ending = running.ended() => match ending {
                Ending::Failure(_) => Ok(()),
                Ending::Success => Err("it ended with the exit code 0".to_owned()),
            },
            () = self.until_it_serves(url) => Err("it serves".to_owned()),
            () = sleep(self.checker.options.limits.start) => Err("it neither ends nor serves".to_owned()),
        };
        stop(running, &self.checker.options).await;
        Ok(seen)
    }

    /// Waits until the sandbox answers as one that has booted. A proxy in front of it may answer before.
    async fn until_it_serves(&self, url: Url) {
        let target = Target { url, machine: None, town: self.town.clone() };
        let probe = Probe::new(self.checker, &target);
        while !probe.fetch(&probe.get("health")).await.is_ok_and(|answer| matches!(answer.status, 200 | 401)) {
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Boots the image with a new private key, and with the previous one for the sealed values.
    pub(crate) async fn rotation(&self, outcomes: &mut Outcomes) -> Result<(), CheckError> {
        let new = SandboxKey::generate().to_secret();
        let old = self.environment.get(PRIVATE_KEY);
        let rotated = self.environment.with(PREVIOUS_PRIVATE_KEY, old).with(PRIVATE_KEY, new.expose_secret());
        let mut running = self.image.boot(&rotated).await?;
        let target = Target { url: running.url().clone(), machine: None, town: self.town.clone() };
        let probe = Probe::new(self.checker, &target);
        let mut unused = Outcomes::default();
        let seen = tokio::select! {
            healthy = until_healthy(&probe, &mut unused) =>
                healthy.ok_or_else(|| "the sandbox is not healthy".to_owned()),
            ending = running.ended() => Err(match ending {
                Ending::Success => "it ended".to_owned(),
                Ending::Failure(how) => format!("it ended: {how}"),
            }),
        };
        outcomes.check(&rules::BOOT_PREVIOUS, seen);
        stop(running, &self.checker.options).await;
        Ok(())
    }
}

fn survived(rigs: &[Rig]) -> Result<(), String> {
    if rigs.iter().any(|rig| rig.name == APP) { Ok(()) } else { Err(format!("the list has {rigs:?}")) }
}

type Bad = (&'static Rule, Vec<(String, Environment)>);

/// Returns the environments that break each rule, with a description.
fn bad_environments(good: &Environment) -> Result<Vec<Bad>, CipherRefused> {
    let other = SandboxKey::generate();
    let foreign = other.public_key().seal(&SecretString::from("foreign"))?.to_text();
    let required = || REQUIRED_VARIABLES.into_iter().chain([PRIVATE_KEY]);
    let missing = required().map(|name| (format!("without {name}"), good.without(name)));
    let empty = required().map(|name| (format!("with an empty {name}"), good.with(name, "")));
    let token = good.get("KILO_JWT");
    let versioned = token.replacen("nacl:v1:", "nacl:v2:", 1);
    let one = |what: &str, environment| vec![(what.to_owned(), environment)];
    Ok(vec![
        (&rules::BOOT_MISSING, missing.chain(empty).collect()),
        (&rules::BOOT_KEY, one("KILO_JWT is sealed for another key", good.with("KILO_JWT", &foreign))),
        (&rules::BOOT_ALTERED, one("the box of KILO_JWT is altered", good.with("KILO_JWT", &altered(token)))),
        (&rules::BOOT_VERSION, one("KILO_JWT begins with nacl:v2:", good.with("KILO_JWT", &versioned))),
        (&rules::BOOT_EVERY, one("OTHER_SECRET is sealed for another key", good.with("OTHER_SECRET", &foreign))),
    ])
}

/// Returns a sealed value with one changed character in the middle of its box.
fn altered(sealed: &str) -> String {
    let at = sealed.len() - 20;
    let other = if sealed[at..].starts_with('A') { "B" } else { "A" };
    format!("{}{other}{}", &sealed[..at], &sealed[at + 1..])
}
