//! `bench fly-sim`: the simulator of Fly as a tool of its own. It needs neither Postgres nor a server.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;
use tokio::time::Instant;

use crate::Measured;
use crate::measure::http1::Connection;
use crate::measure::latencies::{median, millis};
use crate::measure::process_tree::peak_mib;
use crate::options::Options;
use crate::progress::say;
use crate::report::{Check, Limit, Unit};
use crate::stage::program;

/// The app of all machines and volumes.
const APP: &str = "mill";
/// The machines and volumes of the small world, and of the large one.
const FEW: usize = 10;
const MANY: usize = 10_000;
const MANY_IF_QUICK: usize = 1_000;
/// The starts of which the median counts.
const STARTS: usize = 9;
/// The repeats of a group of calls, of which the fastest counts.
const REPEATS: usize = 200;
/// A debug build is so many times slower. Its run proves only that the measurement works.
const DEBUG_FACTOR: f64 = if cfg!(debug_assertions) { 20.0 } else { 1.0 };

const MAX_START_MS: f64 = 100.0;
const MAX_LIST_SECONDS: f64 = 1.0;
const MAX_MEMORY_MIB: f64 = 200.0;
const MAX_CALL_RATIO: f64 = 2.0;

/// A running simulator.
struct Sim {
    process: Child,
    connection: Connection,
}

/// Measures the start, the lists, the memory and the cost of one call.
pub(crate) async fn run(options: &Options) -> anyhow::Result<Measured> {
    let folder = tempfile::tempdir()?;
    let many = if options.quick { MANY_IF_QUICK } else { MANY };
    say(format!("starting {STARTS} times"));
    let start = start_ms().await?;
    say(format!("calls with {FEW} machines and volumes"));
    let mut small = Sim::start(Some(&seed(folder.path(), FEW)?)).await?;
    let at_few = small.fastest_calls().await?;
    drop(small);

    say(format!("calls and lists with {many} machines and volumes"));
    let mut large = Sim::start(Some(&seed(folder.path(), many)?)).await?;
    let machines = large.list_seconds("machines", many, options.rounds).await?;
    let volumes = large.list_seconds("volumes", many, options.rounds).await?;
    let at_many = large.fastest_calls().await?;
    let memory = peak_mib(large.process.id().context("fly-sim has ended")?);
    ensure!(memory > 0.0, "the memory of fly-sim cannot be read");

    let at_most = |name: String, unit, value, limit| Check::new(name, unit, value, Limit::AtMost(limit));
    let seconds = MAX_LIST_SECONDS * DEBUG_FACTOR;
    let checks = vec![
        at_most("start until ready".to_owned(), Unit::Milliseconds, start, MAX_START_MS * DEBUG_FACTOR),
        at_most(format!("list of {many} machines"), Unit::Seconds, machines, seconds),
        at_most(format!("list of {many} volumes"), Unit::Seconds, volumes, seconds),
        at_most("largest memory".to_owned(), Unit::Mebibytes, memory, MAX_MEMORY_MIB),
        at_most(
            format!("calls at {many} machines and volumes, beside {FEW}"),
            Unit::Ratio,
            at_many / at_few,
            MAX_CALL_RATIO,
        ),
    ];
    Ok(Measured::Checks { checks, errors: Vec::new() })
}

/// Returns the median time from the start of the program until it answers, without a seed.
async fn start_ms() -> anyhow::Result<f64> {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let begun = Instant::now();
        let mut sim = Sim::start(None).await?;
        sim.call("GET", "/_sim/health", None).await?;
        times.push(millis(begun.elapsed()));
    }
    Ok(median(&times))
}

/// Writes a seed with volumes, and machines that mount them.
fn seed(folder: &Path, count: usize) -> anyhow::Result<std::path::PathBuf> {
    let mut text = format!("[[apps]]\nname = \"{APP}\"\n");
    for at in 0..count {
        write!(text, "[[apps.volumes]]\nname = \"data_{at}\"\n")?;
        let metadata = format!("{{ role = \"worker\", number = \"{at}\" }}");
        write!(text, "[[apps.machines]]\nname = \"m-{at}\"\nvolume = \"data_{at}\"\nmetadata = {metadata}\n")?;
    }
    let path = folder.join(format!("{count}.toml"));
    std::fs::write(&path, text).context("failed to write the seed")?;
    Ok(path)
}

impl Sim {
    /// Starts the program with its default settings, apart from the delays.
    async fn start(seed: Option<&Path>) -> anyhow::Result<Self> {
        let mut command = program::command("fly-sim")?;
        command.args(["serve", "--listen", "0", "--quiet", "--timing", "instant"]);
        if let Some(seed) = seed {
            command.arg("--seed-file").arg(seed);
        }
        let mut process = command.stdout(Stdio::piped()).spawn().context("failed to run fly-sim")?;
        let output = process.stdout.take().context("fly-sim has no output")?;
        let url = BufReader::new(output).lines().next_line().await?.context("fly-sim did not start")?;
        let address = url.trim_start_matches("http://").parse();
        let address = address.with_context(|| format!("fly-sim printed no address: {url}"))?;
        Ok(Self { process, connection: Connection::open(address).await? })
    }

    async fn call(&mut self, method: &str, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: fly\r\nauthorization: Bearer any\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = self.connection.send(request.as_bytes()).await?;
        let text = String::from_utf8_lossy(answer.body);
        ensure!((200..300).contains(&answer.status), "{method} {path} answered {}: {text}", answer.status);
        if text.is_empty() { Ok(Value::Null) } else { serde_json::from_str(&text).context("an answer is not JSON") }
    }

    /// Returns the median time of a list, which must have so many entries.
    async fn list_seconds(&mut self, what: &str, count: usize, rounds: u32) -> anyhow::Result<f64> {
        let mut times = Vec::new();
        for _ in 0..rounds {
            let request =
                format!("GET /v1/apps/{APP}/{what} HTTP/1.1\r\nhost: fly\r\nauthorization: Bearer any\r\n\r\n");
            let begun = Instant::now();
            let answer = self.connection.send(request.as_bytes()).await?;
            times.push(begun.elapsed().as_secs_f64());
            let listed: Vec<Value> = serde_json::from_slice(answer.body).context("a list is not JSON")?;
            ensure!(listed.len() == count, "the list of {what} has {} entries instead of {count}", listed.len());
        }
        Ok(median(&times))
    }

    /// Returns the shortest time of a group of calls that leaves the world as it was, apart from a destroyed machine.
    async fn fastest_calls(&mut self) -> anyhow::Result<f64> {
        let app = format!("/v1/apps/{APP}");
        let create = json!({ "config": { "image": "registry.fly.io/mill:1" } });
        let first = self.call("POST", &format!("{app}/machines"), Some(create.clone())).await?;
        let kept = format!("{app}/machines/{}", id(&first)?);
        let mut fastest = Duration::MAX;
        for _ in 0..REPEATS {
            let begun = Instant::now();
            self.call("GET", &app, None).await?;
            self.call("GET", &kept, None).await?;
            let made = self.call("POST", &format!("{app}/machines"), Some(create.clone())).await?;
            let made = format!("{app}/machines/{}", id(&made)?);
            self.call("POST", &format!("{made}/stop"), None).await?;
            self.call("DELETE", &format!("{made}?force=true"), None).await?;
            fastest = fastest.min(begun.elapsed());
        }
        Ok(millis(fastest))
    }
}

fn id(created: &Value) -> anyhow::Result<&str> {
    created["id"].as_str().context("fly-sim returned no id")
}
