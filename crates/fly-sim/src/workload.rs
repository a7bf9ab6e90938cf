//! The port for the programs in machines.
//!
//! Without a [`Workload`], the image of a machine serves nothing.

use std::{collections::BTreeMap, error::Error, fmt, net::SocketAddr};

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    program_call::ProgramCall,
    reply::{Content, Reply},
    world::{SharedWorld, World},
};

/// File contents by path, relative to the root of their file system.
pub type Files = BTreeMap<String, Vec<u8>>;

/// An error of a workload. Its text must contain no secrets, because it is logged.
pub type WorkloadError = Box<dyn Error + Send + Sync>;

/// The source of the programs that run in machines. A workload serves one simulator.
pub trait Workload: fmt::Debug + Send + Sync + 'static {
    /// Starts background work, such as calls that the programs send. It is called once, before the first boot.
    fn start(&self, _host: Host) -> Result<(), WorkloadError> {
        Ok(())
    }

    /// Starts the program of a machine that has booted.
    ///
    /// `None` is a program that runs and serves nothing. With an error, the process exits with code 1, and the restart
    /// policy of the machine applies. Dropping the program ends it.
    fn boot(&self, machine: Boot<'_>) -> Result<Option<Box<dyn Program>>, WorkloadError>;

    /// Returns the kind of a request to a program, so that faults can hit it and the journal shows it.
    fn classify(&self, _method: &str, _path: &str) -> ProgramCall {
        ProgramCall::OTHER
    }

    /// Returns all kinds that [`Workload::classify`] returns. A fault of another name is refused.
    fn kinds(&self) -> &[ProgramCall] {
        &[]
    }
}

/// A program in a started machine.
pub trait Program: fmt::Debug + Send {
    /// Answers a request that the proxy has routed to the machine.
    fn answer(&mut self, request: ProgramRequest<'_>) -> ProgramAnswer;

    /// Returns the address of the HTTP server that answers instead, such as that of a process.
    fn address(&self) -> Option<SocketAddr> {
        None
    }
}

/// A machine whose program is to start.
#[derive(Debug)]
pub struct Boot<'a> {
    /// The app.
    pub app: &'a str,
    /// The machine's id.
    pub machine: &'a str,
    /// The image in the machine's configuration.
    pub image: &'a str,
    /// The id of the mounted volume.
    pub volume: Option<&'a str>,
    /// The environment, which includes the app's secrets.
    pub env: BTreeMap<String, String>,
}

/// A request to a program.
#[derive(Debug)]
pub struct ProgramRequest<'a> {
    /// The HTTP method.
    pub method: &'a str,
    /// The path without its query, below the address of the program.
    pub path: &'a str,
    /// The decoded query.
    pub query: &'a [(String, String)],
    /// The headers.
    pub headers: &'a http::HeaderMap,
    /// The body.
    pub body: &'a [u8],
    /// The simulated time.
    pub now: DateTime<Utc>,
    /// The files of the mounted volume, if there is one.
    pub volume: Option<&'a mut Files>,
}

/// The answer of a program.
#[derive(Debug, Clone, PartialEq)]
pub struct ProgramAnswer {
    status: u16,
    content: Content,
}

impl ProgramAnswer {
    /// Returns an answer with a JSON body.
    pub fn json(status: u16, body: Value) -> Self {
        Self { status, content: Content::Json(body) }
    }

    /// Returns an answer with a text body.
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        Self { status, content: Content::Text(body.into()) }
    }

    /// Returns an answer without a body.
    pub fn empty(status: u16) -> Self {
        Self { status, content: Content::Empty }
    }
}

impl From<ProgramAnswer> for Reply {
    fn from(answer: ProgramAnswer) -> Self {
        Self { status: answer.status, content: answer.content, retry_after: None, fault: None }
    }
}

/// The simulator around a workload: its clock, and tasks that end with it.
#[derive(Debug, Clone)]
pub struct Host {
    world: SharedWorld,
    tracker: TaskTracker,
    cancel: CancellationToken,
}

impl Host {
    pub(crate) fn new(world: SharedWorld, tracker: TaskTracker, cancel: CancellationToken) -> Self {
        Self { world, tracker, cancel }
    }

    /// Returns the simulated time.
    pub fn now(&self) -> DateTime<Utc> {
        self.world.read(World::wall)
    }

    /// Returns what `read` makes of the files of a volume. `None` if there is no such volume.
    pub fn read_files<T>(&self, volume: &str, read: impl FnOnce(&Files) -> T) -> Option<T> {
        self.world.read(|world| world.volumes.get(volume).map(|volume| read(&volume.files)))
    }

    /// Runs a task until it ends or the simulator stops.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let cancel = self.cancel.clone();
        self.tracker.spawn(async move {
            tokio::select! {
                () = cancel.cancelled() => {}
                () = task => {}
            }
        });
    }
}
