//! Answers of Fly and of sandboxes. An input is a status of three digits and a body.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use gastown_domain::ports::{
    Apps as _, Awaited, Inventory as _, Machines as _, ProviderError, SandboxAddress, SandboxError, Sandboxes as _,
    VolumeSpec, Volumes as _,
};
use gastown_domain::{AppPlacement, Gigabytes, Guest, SandboxRig};
use gastown_fly::api::Call;
use gastown_fly::{Fly, FlyClient, RateLimiting, Reply, Transport, TransportError};
use gastown_sandbox::{SandboxClient, Timeouts};

use super::{Outcome, Run, Target, hold};

const TOWN: &str = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
const KEY: &str = "the-key-of-this-town-0123456789";

/// Answers of Fly to each call.
pub(super) const FLY: Target = Target {
    name: "fly",
    start: fly,
    words: &[
        "200",
        "201",
        "400",
        "404",
        "412",
        "422",
        "429",
        "500",
        "\"id\":",
        "\"state\":",
        "\"started\"",
        "\"config\":",
        "\"error\":",
        "\"region\":",
        "\"volumes\":",
        "machine not found",
        "insufficient resources",
        "rate limit exceeded",
    ],
    memory: (256 * 1024, 512),
};

/// Answers of a sandbox to each call.
pub(super) const SANDBOX: Target = Target {
    name: "sandbox",
    start: sandbox,
    words: &[
        "200",
        "201",
        "204",
        "401",
        "404",
        "409",
        "422",
        "503",
        "\"code\":",
        "\"message\":",
        "\"inTheWay\":",
        "\"townId\":",
        "\"rigs\":",
        "\"repoUrl\":",
        "\"branch\":",
        "rig_refused",
        "rig_in_use",
        KEY,
    ],
    memory: (1024 * 1024, 512),
};

/// Returns the status and the body of an input.
fn parts(input: &[u8]) -> (u16, &[u8]) {
    let (status, body) = input.split_at(input.len().min(3));
    let status = std::str::from_utf8(status).ok().and_then(|status| status.parse().ok());
    (status.filter(|status| (200..600).contains(status)).unwrap_or(200), body)
}

/// Answers each call with the same status and body.
#[derive(Clone, Default)]
struct Same(Arc<Mutex<(u16, Vec<u8>)>>);

#[async_trait]
impl Transport for Same {
    async fn send(&self, _: &Call) -> Result<Reply, TransportError> {
        let (status, body) = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Reply { status, retry_after: None, request_id: None, body })
    }
}

fn fly() -> anyhow::Result<Run> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = Same::default();
    let app = "towns".parse().context("an app")?;
    let fly = Fly::new(FlyClient::over(Arc::new(answer.clone()), RateLimiting::Off), AppPlacement::Shared(app));
    Ok(Box::new(move |input| {
        let (status, body) = parts(input);
        *answer.0.lock().unwrap_or_else(PoisonError::into_inner) = (status, body.to_vec());
        runtime.block_on(calls_to_fly(&fly)).map_err(|error| error.to_string())
    }))
}

async fn calls_to_fly(fly: &Fly) -> anyhow::Result<String> {
    let app = "towns".parse().context("an app")?;
    let (machine, volume, town) = ("0123456789abcd".parse()?, "vol_0123456789abcd".parse()?, TOWN.parse()?);
    let region = "iad".parse().context("a region")?;
    let spec = VolumeSpec { app: "towns".parse()?, town, region, size: Gigabytes::TOWN, guest: Guest::TOWN };
    let wait = Duration::from_millis(1);
    let labels = [
        label(fly.ensure(&app).await.map(|()| 1)),
        label(fly.volume(&app, &volume).await.map(|found| usize::from(found.is_some()))),
        label(fly.volumes_of(&app, town).await.map(|found| found.len().min(2))),
        label(fly.create_volume(&spec).await.map(|_| 1)),
        label(fly.delete_volume(&app, &volume).await.map(|deletion| deletion as usize)),
        label(fly.machine(&app, &machine).await.map(|found| usize::from(found.is_some()))),
        label(fly.machines_of(&app, town).await.map(|found| found.len().min(2))),
        label(fly.start_machine(&app, &machine).await.map(|()| 1)),
        label(fly.stop_machine(&app, &machine).await.map(|()| 1)),
        label(fly.await_machine(&app, &machine, Awaited::Started, wait).await.map(usize::from)),
        label(fly.delete_machine(&app, &machine).await.map(|deletion| deletion as usize)),
        label(fly.list(&app).await.map(|_| 1)),
    ];
    Ok(labels.join(" "))
}

fn label(result: Result<usize, ProviderError>) -> String {
    match result {
        Ok(found) => found.to_string(),
        Err(error) => format!("{error:?}").split([' ', '{', '(']).next().unwrap_or_default().to_owned(),
    }
}

fn sandbox() -> anyhow::Result<Run> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let answer = Same::default();
    let template = format!("http://{}/{{app}}/{{machine_id}}", listener.local_addr()?);
    let served = answer.clone();
    std::thread::spawn(move || serve(&listener, &served));
    let long = Duration::from_secs(5);
    let timeouts = Timeouts { connect: long, quick: long, remove: long, clone: long, sync: long };
    let client = SandboxClient::new(template.parse()?, timeouts)?;
    let at = SandboxAddress {
        app: "towns".parse()?,
        machine: "0123456789abcd".parse()?,
        town: TOWN.parse()?,
        keys: vec![KEY.into()],
    };
    let rig = SandboxRig { name: "app".parse()?, repo: "https://github.com/acme/app".parse()?, branch: None };
    Ok(Box::new(move |input| {
        let (status, body) = parts(input);
        *answer.0.lock().unwrap_or_else(PoisonError::into_inner) = (status, body.to_vec());
        runtime.block_on(calls_to_sandbox(&client, &at, &rig))
    }))
}

/// Answers each connection once.
fn serve(listener: &TcpListener, answer: &Same) {
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { continue };
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        while !is_whole(&request) {
            match stream.read(&mut buffer) {
                Ok(read @ 1..) => request.extend_from_slice(&buffer[..read]),
                Ok(0) | Err(_) => break,
            }
        }
        let (status, body) = answer.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let body = if matches!(status, 204 | 304) { Vec::new() } else { body };
        let head = format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
        // A client that has enough closes early.
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
    }
}

/// Returns true if a request has its head and as many bytes of a body as that says.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
    body.len() >= length.unwrap_or(0)
}

async fn calls_to_sandbox(client: &SandboxClient, at: &SandboxAddress, rig: &SandboxRig) -> Outcome {
    let labels = [
        checked(client.health(at).await.map(|()| 1))?,
        checked(client.rigs(at).await.map(|rigs| rigs.len().min(2)))?,
        checked(client.add_rig(at, rig).await.map(|branch| usize::from(branch.is_some())))?,
        checked(client.remove_rig(at, &rig.name, false).await.map(|()| 1))?,
        checked(client.sync(at).await.map(|_| 1))?,
    ];
    Ok(labels.join(" "))
}

/// Checks the texts that the owner of a town is shown.
fn checked(result: Result<usize, SandboxError>) -> Outcome {
    let error = match result {
        Ok(found) => return Ok(found.to_string()),
        Err(error) => error,
    };
    let texts = match &error {
        SandboxError::Refused { reason } => vec![reason.clone()],
        SandboxError::InTheWay { in_the_way } => in_the_way.clone(),
        _ => Vec::new(),
    };
    hold(texts.len() <= 10, "too many texts")?;
    for text in texts {
        hold(text.chars().count() <= 200 && !text.contains(char::is_control), "a text is not sanitized")?;
        hold(!text.to_lowercase().contains(KEY), "a text has the town's key")?;
    }
    Ok(format!("{error:?}").split([' ', '{']).next().unwrap_or_default().to_owned())
}
