//! An image that is started by a command of the shell.

use std::collections::hash_map::RandomState;
use std::fs::{self, File};
use std::hash::BuildHasher as _;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use nix::sys::signal::Signal;
use process_wrap::tokio::{ChildWrapper, CommandWrap, ProcessGroup};
use tempfile::TempDir;
use tokio::process::Command;
use url::Url;

use crate::image::{Ending, Image, ImageError, Running, Stopped};
use crate::town::Environment;

/// Variables of the caller that the command needs.
const PASSED_ON: [&str; 3] = ["PATH", "HOME", "DOCKER_HOST"];
/// The ports that images get.
const PORTS: Range<u16> = 20_000..32_000;
/// The ports that are tried.
const TRIES: u64 = 100;
/// The most bytes of the output in a report.
const MAX_SHOWN: usize = 400;

/// A command that runs the image in the foreground, with one folder as its volume.
///
/// The command gets the environment of the sandbox, `PORT`, and `DATA_DIR`. In the text of the command, `{port}` and
/// `{data}` stand for these two, and `{env_file}` for a file with the environment, as `docker run --env-file` reads it.
#[derive(Debug)]
pub struct CommandImage {
    command: String,
    passed_on: Vec<(String, String)>,
    folder: TempDir,
}

/// The folder of the volume could not be created.
#[derive(Debug, thiserror::Error)]
#[error("failed to create a folder for the volume")]
pub struct CommandImageError(#[source] std::io::Error);

impl CommandImage {
    /// Creates an image with an empty volume. `environment` is that of the caller, of which only `PATH`, `HOME` and
    /// `DOCKER_HOST` are passed on.
    pub fn new(
        command: String,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, CommandImageError> {
        let folder = tempfile::Builder::new().prefix("sandbox-check-").tempdir().map_err(CommandImageError)?;
        fs::create_dir(folder.path().join("data")).map_err(CommandImageError)?;
        let passed_on = environment.into_iter().filter(|(name, _)| PASSED_ON.contains(&name.as_str())).collect();
        Ok(Self { command, passed_on, folder })
    }

    fn start(&self, environment: &Environment) -> std::io::Result<Process> {
        let port = free_port()?;
        let data = self.folder.path().join("data");
        let (env_file, log) = (self.folder.path().join("environment"), self.folder.path().join("output"));
        let lines = environment.pairs().map(|(name, value)| format!("{name}={value}\n"));
        fs::write(&env_file, lines.collect::<String>() + &format!("PORT={port}\n"))?;
        let script = self.command.replace("{port}", &port.to_string());
        let script = script.replace("{data}", &data.to_string_lossy());
        let script = script.replace("{env_file}", &env_file.to_string_lossy());
        let output = File::create(&log)?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &script]).env_clear().envs(self.passed_on.iter().map(|(name, value)| (name, value)));
        command.envs(environment.pairs()).env("PORT", port.to_string()).env("DATA_DIR", &data);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = CommandWrap::from(command).wrap(ProcessGroup::leader()).spawn()?;
        let url = Url::parse(&format!("http://127.0.0.1:{port}/")).map_err(std::io::Error::other)?;
        Ok(Process { child, url, log })
    }
}

#[async_trait]
impl Image for CommandImage {
    async fn boot(&self, environment: &Environment) -> Result<Box<dyn Running>, ImageError> {
        let process = self.start(environment).map_err(|cause| ImageError(Box::new(cause)))?;
        Ok(Box::new(process))
    }
}

/// Returns a port that was free a moment ago.
///
/// The system chooses ports above [`PORTS`] for other sockets. So none of them takes it before the image listens, which a busy
/// machine delays by seconds.
fn free_port() -> std::io::Result<u16> {
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok();
    let first = RandomState::new().hash_one(std::process::id());
    let count = u64::from(PORTS.end - PORTS.start);
    let candidates = (0..TRIES).filter_map(|n| u16::try_from(first.wrapping_add(n) % count).ok());
    match candidates.map(|offset| PORTS.start + offset).find(is_free) {
        Some(port) => Ok(port),
        None => Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port()),
    }
}

/// A process group of the command. It is killed on drop.
#[derive(Debug)]
struct Process {
    child: Box<dyn ChildWrapper>,
    url: Url,
    log: PathBuf,
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.start_kill());
    }
}

#[async_trait]
impl Running for Process {
    fn url(&self) -> &Url {
        &self.url
    }

    async fn ended(&mut self) -> Ending {
        match self.child.wait().await {
            Ok(status) if status.success() => Ending::Success,
            Ok(status) => Ending::Failure(format!("{status}: {}", end_of(&self.log))),
            Err(error) => Ending::Failure(error.to_string()),
        }
    }

    async fn stop(mut self: Box<Self>, limit: Duration) -> Stopped {
        // A process that has ended cannot be signalled, and `wait` returns at once.
        drop(self.child.signal(Signal::SIGINT as i32));
        if tokio::time::timeout(limit, self.child.wait()).await.is_ok() {
            return Stopped::InTime;
        }
        drop(self.child.start_kill());
        drop(self.child.wait().await);
        Stopped::Killed
    }
}

/// Returns the last part of the output, on one line.
fn end_of(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text[text.len().saturating_sub(MAX_SHOWN)..]).into_owned();
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_and_not_those_that_the_system_gives_to_others() {
        let ports: Vec<_> = (0..50).map(|_| free_port().unwrap()).collect();
        assert!(ports.iter().all(|port| PORTS.contains(port)), "{ports:?}");
        let given = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        assert!(!PORTS.contains(&given), "the system gives {given}");
    }
}
