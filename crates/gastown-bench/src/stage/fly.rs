//! The simulated Fly of a run.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use gastown_secrets::SandboxKey;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;

use super::{program, seed};
use crate::measure::http1::Connection;

/// The app that all towns share, unless each user has one.
pub(super) const SHARED_APP: &str = "bench-towns";

/// The delays between a call and its effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timing {
    /// None: only the server and Postgres take time.
    Instant,
    /// Those of the real service.
    Fly,
}

/// The rate limits of the provider, and those that the server keeps to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limits {
    Fly,
    Off,
}

/// The settings of a simulated Fly.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FlySetup {
    pub(crate) timing: Timing,
    /// Milliseconds before each answer, instead of those of the timing.
    pub(crate) latency_ms: Option<u64>,
    pub(crate) limits: Limits,
}

/// A running simulator.
pub(crate) struct Fly {
    pub(crate) address: SocketAddr,
    /// The public key of its sandboxes.
    pub(crate) sandbox_key: String,
    pub(crate) limits: Limits,
    _process: Child,
}

impl Fly {
    pub(crate) async fn start(setup: FlySetup) -> anyhow::Result<Self> {
        let key = SandboxKey::generate();
        let mut command = program::command("gastown-fly-sim")?;
        command.args(["serve", "--listen", "0", "--quiet", "--unchecked", "--app", SHARED_APP]);
        // The journal must not forget calls, because they are counted.
        command.args(["--timing", setup.timing.name(), "--journal", "10000000"]);
        command.args(["--limits", setup.limits.name()]);
        command.arg("--app-secret").arg(format!("SANDBOX_PRIVATE_KEY={}", key.to_secret().expose_secret()));
        if let Some(latency) = setup.latency_ms {
            command.args(["--latency", &latency.to_string()]);
        }
        let mut process = command.stdout(Stdio::piped()).spawn().context("failed to run gastown-fly-sim")?;
        let output = process.stdout.take().context("fly-sim has no output")?;
        let url = BufReader::new(output).lines().next_line().await.ok().flatten().context("fly-sim did not start")?;
        let address = url.trim_start_matches("http://").parse();
        let address = address.with_context(|| format!("fly-sim printed no address: {url}"))?;
        Ok(Self { address, sandbox_key: key.public_key().to_string(), limits: setup.limits, _process: process })
    }

    /// Returns the names of the calls after the one with this number.
    pub(crate) async fn calls_after(&self, number: usize) -> anyhow::Result<Vec<String>> {
        let mut connection = Connection::open(self.address).await?;
        let request = format!("GET /_sim/calls/{number} HTTP/1.1\r\nhost: fly\r\n\r\n");
        let answer = connection.send(request.as_bytes()).await.context("failed to read the calls")?;
        let body: Value = serde_json::from_slice(answer.body).context("the calls are not JSON")?;
        let calls = body["calls"].as_array().context("fly-sim returned no calls")?;
        Ok(calls.iter().filter_map(|call| call["call"].as_str().map(str::to_owned)).collect())
    }

    /// Adds the machines and volumes of towns to the shared app, and returns the ids of both.
    pub(crate) async fn add_towns(&self, numbers: RangeInclusive<usize>) -> anyhow::Result<Vec<Resources>> {
        let mut connection = Connection::open(self.address).await?;
        let mut added = Vec::new();
        for number in numbers {
            let town = seed::town_id(number);
            let digits = town.replace('-', "");
            let volume = json!({ "app": SHARED_APP, "name": format!("town_{}", &digits[..24]), "age_seconds": 60 });
            let volume = create(&mut connection, "volumes", &volume).await?;
            let machine = json!({
                "app": SHARED_APP, "name": format!("town-{digits}"), "volume": volume, "age_seconds": 60,
                "metadata": { "gastown_town_id": town },
            });
            added.push(Resources { machine: create(&mut connection, "machines", &machine).await?, volume });
        }
        Ok(added)
    }
}

/// The ids of a town's resources.
pub(crate) struct Resources {
    pub(crate) machine: String,
    pub(crate) volume: String,
}

impl Timing {
    const fn name(self) -> &'static str {
        match self {
            Self::Instant => "instant",
            Self::Fly => "fly",
        }
    }
}

impl Limits {
    /// Returns the value of the simulator's option, and of `FLY_RATE_LIMITS`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Fly => "fly",
            Self::Off => "off",
        }
    }
}

async fn create(connection: &mut Connection, what: &str, body: &Value) -> anyhow::Result<String> {
    let body = body.to_string();
    let length = body.len();
    let request = format!("POST /_sim/{what} HTTP/1.1\r\nhost: fly\r\ncontent-length: {length}\r\n\r\n{body}");
    let answer = connection.send(request.as_bytes()).await?;
    let text = String::from_utf8_lossy(answer.body).into_owned();
    ensure!(answer.status == 201, "fly-sim did not create one of its {what}: {text}");
    let created: Value = serde_json::from_str(&text).context("fly-sim answered without JSON")?;
    created["id"].as_str().map(str::to_owned).context("fly-sim returned no id")
}
