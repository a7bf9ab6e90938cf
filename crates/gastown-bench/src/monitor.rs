//! `bench monitor`: one pass of the health monitor over many running towns, each figure beside its limit.
//!
//! The sandboxes are simulated by a thread of this program. Each answers with the id of its town. Then two replicas share a pass.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::time::{Instant, sleep};

use crate::Measured;
use crate::measure::latencies::number;
use crate::options::Options;
use crate::progress::say;
use crate::reads::INSTANT_FLY;
use crate::report::{Check, Limit, Unit};
use crate::stage::{Database, Fly, Postgres, ServerSetup, seed};

/// The numbers of towns, each with the name of its database.
const SIZES: [(usize, &str); 3] = [(1_000, "monitor_few"), (10_000, "monitor_more"), (100_000, "monitor_many")];
const SIZES_IF_QUICK: usize = 2;
/// The setting's default, which is the limit of a pass.
const PERIOD: Duration = Duration::from_secs(180);
const MAX_MEMORY_MIB: f64 = 300.0;
/// Two replicas share one pass. The sandboxes take a while to answer, so that this machine is not the limit.
const SHARED: Shared = Shared { towns: 20_000, period: Duration::from_secs(45) };
const SHARED_IF_QUICK: Shared = Shared { towns: 8_000, period: Duration::from_secs(20) };
const ANSWER_DELAY: Duration = Duration::from_millis(200);
/// The part of the time of one replica that two may need. They begin up to two seconds after each other.
const MAX_PART: f64 = 0.65;
/// The statements that write health.
const WRITES: &str = "^(INSERT INTO|UPDATE) \"?gastown_town_health";
/// The most that is waited for the begin of a pass, and for its end.
const TIMEOUT: Duration = Duration::from_secs(600);
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// The largest head of a request that a sandbox reads.
const MAX_HEAD: usize = 16 * 1024;

/// Measures the duration, the memory, and the writes of a pass for each number of towns.
pub(crate) async fn run(options: &Options) -> anyhow::Result<Measured> {
    let sizes = if options.quick { &SIZES[..SIZES_IF_QUICK] } else { &SIZES[..] };
    say("starting Postgres");
    let postgres = Postgres::start().await?;
    let fly = Fly::start(INSTANT_FLY).await?;
    let (mut checks, mut errors) = (Vec::new(), Vec::new());
    for (towns, name) in sizes.iter().copied() {
        say(format!("checking {towns} running towns"));
        match pass(&postgres, &fly, towns, name).await {
            Ok(measured) => checks.extend(measured.into_iter().map(|check| check.within(&format!("{towns} towns")))),
            Err(error) => errors.push(format!("{towns} towns: {error:#}")),
        }
    }
    let scale = if options.quick { SHARED_IF_QUICK } else { SHARED };
    say(format!("checking {} running towns with one replica and with two", scale.towns));
    match shared(&postgres, &fly, scale).await {
        Ok(measured) => checks.extend(measured.into_iter().map(|check| check.within("two replicas"))),
        Err(error) => errors.push(format!("two replicas: {error:#}")),
    }
    Ok(Measured::Checks { checks, errors })
}

/// The load of a pass that replicas share.
#[derive(Debug, Clone, Copy)]
struct Shared {
    towns: usize,
    /// Longer than a pass of one replica, so that no town is due twice.
    period: Duration,
}

/// Compares a pass of two replicas with a pass of one.
async fn shared(postgres: &Postgres, fly: &Fly, scale: Shared) -> anyhow::Result<Vec<Check>> {
    let (alone, _) = replicas(postgres, fly, scale, ("monitor_alone", 1)).await?;
    let (together, asked) = replicas(postgres, fly, scale, ("monitor_together", 2)).await?;
    let part = together.as_secs_f64() / alone.as_secs_f64();
    let longest = scale.period.as_secs_f64();
    Ok(vec![
        Check::new("a pass of one", Unit::Seconds, alone.as_secs_f64(), Limit::AtMost(longest)),
        Check::new("a pass of both", Unit::Seconds, together.as_secs_f64(), Limit::AtMost(longest)),
        Check::new("part of the time of one", Unit::Ratio, part, Limit::AtMost(MAX_PART)),
        Check::new("questions to each sandbox", Unit::Count, asked, Limit::AtMost(1.0)),
    ])
}

/// Returns the time of a pass of this many replicas, and the questions to each sandbox.
async fn replicas(
    postgres: &Postgres,
    fly: &Fly,
    scale: Shared,
    (name, count): (&'static str, usize),
) -> anyhow::Result<(Duration, f64)> {
    let database = postgres.create(name).await?;
    due_towns(&database, scale.towns).await?;
    let sandboxes = Sandboxes::start(ANSWER_DELAY)?;
    let setup = ServerSetup { settings: sandboxes.settings(scale.period), ..ServerSetup::new(&database, fly) };
    let mut servers = Vec::new();
    for _ in 0..count {
        servers.push(setup.start().await?);
    }
    let elapsed = checked(&database, scale.towns).await?;
    for server in servers {
        server.stop().await?;
    }
    Ok((elapsed, sandboxes.asked() / number(scale.towns)))
}

/// Inserts running towns whose check is due.
async fn due_towns(database: &Database, towns: usize) -> anyhow::Result<()> {
    seed::towns(database, 1, towns).await?;
    database.execute("UPDATE gastown_town_health SET next_check_at = now()").await?;
    database.execute("VACUUM ANALYZE gastown_town_health").await
}

/// Waits until all towns are checked. Returns the time since the first of them was.
async fn checked(database: &Database, towns: usize) -> anyhow::Result<Duration> {
    let begun_with = wait_while(database, towns, |left| left == towns).await?;
    ensure!(begun_with < towns, "no town was checked within {TIMEOUT:?}");
    // The pass began after the last look that saw no checked town.
    let begun = Instant::now() - POLL_INTERVAL;
    let left = wait_while(database, begun_with, |left| left > 0).await?;
    ensure!(left == 0, "{left} towns were not checked within {TIMEOUT:?}");
    Ok(begun.elapsed())
}

async fn pass(postgres: &Postgres, fly: &Fly, towns: usize, name: &'static str) -> anyhow::Result<Vec<Check>> {
    let database = postgres.create(name).await?;
    let has_statistics = postgres.count_statements_of(&database).await?;
    due_towns(&database, towns).await?;
    let sandboxes = Sandboxes::start(Duration::ZERO)?;
    let setup = ServerSetup { settings: sandboxes.settings(PERIOD), ..ServerSetup::new(&database, fly) };
    let server = setup.start().await?;
    server.forget_peak()?;
    let elapsed = checked(&database, towns).await?;
    let mut checks = vec![
        Check::new("a pass", Unit::Seconds, elapsed.as_secs_f64(), Limit::AtMost(PERIOD.as_secs_f64())),
        Check::new("memory of the server", Unit::Mebibytes, server.peak_mib(), Limit::AtMost(MAX_MEMORY_MIB)),
        Check::new("questions to each sandbox", Unit::Count, sandboxes.asked() / number(towns), Limit::AtMost(1.0)),
    ];
    if has_statistics {
        let per_500 = number(postgres.calls_of(&database, WRITES).await?) * 500.0 / number(towns);
        checks.push(Check::new("writing statements per 500 towns", Unit::Count, per_500, Limit::AtMost(1.0)));
    } else {
        say("pg_stat_statements is not installed, so statements are not counted");
    }
    server.stop().await?;
    Ok(checks)
}

/// Waits while the number of towns that were not checked meets the condition. Returns that number.
async fn wait_while(database: &Database, mut left: usize, goes_on: impl Fn(usize) -> bool) -> anyhow::Result<usize> {
    let begun = Instant::now();
    while goes_on(left) && begun.elapsed() < TIMEOUT {
        sleep(POLL_INTERVAL).await;
        let count = database.count("SELECT count(*) FROM gastown_town_health WHERE state IS DISTINCT FROM 'healthy'");
        left = usize::try_from(count.await?).context("a count is negative")?;
    }
    Ok(left)
}

/// Simulated sandboxes. Their machines are named by the numbers of their towns.
struct Sandboxes {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Sandboxes {
    /// Starts sandboxes that answer after this delay.
    fn start(delay: Duration) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("failed to listen")?;
        let (address, asked) = (listener.local_addr()?, Arc::<AtomicUsize>::default());
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let count = Arc::clone(&count);
                // One for each connection of the server, which asks at most 128 sandboxes at once.
                std::thread::spawn(move || serve(stream, &count, delay));
            }
        });
        Ok(Self { address, asked })
    }

    /// Returns the settings of a server that checks them in this period.
    fn settings(&self, period: Duration) -> Vec<(&'static str, String)> {
        vec![
            ("SANDBOX_URL", format!("http://{}/{{app}}/{{machine_id}}", self.address)),
            ("MONITOR_SECONDS", period.as_secs().to_string()),
        ]
    }

    fn asked(&self) -> f64 {
        number(self.asked.load(Ordering::Relaxed))
    }
}

/// Answers the requests of a connection until it ends.
fn serve(mut stream: TcpStream, asked: &AtomicUsize, delay: Duration) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut buffer).ok().filter(|read| *read > 0)?;
        head.extend_from_slice(&buffer[..read]);
        if head.ends_with(b"\r\n\r\n") {
            asked.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(delay);
            stream.write_all(answer(&head)?.as_bytes()).ok()?;
            head.clear();
        }
        if head.len() > MAX_HEAD {
            return None;
        }
    }
}

/// Returns the answer to `GET /<app>/machine<number>/health`.
fn answer(head: &[u8]) -> Option<String> {
    let path = std::str::from_utf8(head).ok()?.split(' ').nth(1)?;
    let number = path.split('/').nth(2)?.strip_prefix("machine")?.parse().ok()?;
    let body = serde_json::json!({ "status": "ok", "townId": seed::town_id(number) }).to_string();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length:";
    Some(format!("{head} {}\r\n\r\n{body}", body.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sandbox_answers_with_the_id_of_the_town_of_its_machine() {
        let answer = answer(b"GET /bench-towns/machine17/health HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with(&format!(r#"{{"status":"ok","townId":"{}"}}"#, seed::town_id(17))), "{answer}");
        assert_eq!(super::answer(b"GET /health HTTP/1.1\r\n\r\n"), None);
    }
}
