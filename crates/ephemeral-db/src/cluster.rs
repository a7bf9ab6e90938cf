mod standby;

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::EphemeralDbError;
use crate::account::Account;
use crate::programs::Programs;
use crate::supervisor::{DOWN, EndBy, Supervisor};

/// The timeout of a start or a crash, for a loaded machine.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// The maximum length of the directory, which leaves room for the socket's name (`sun_path` has 108 bytes on Linux).
const MAX_DIRECTORY_LENGTH: usize = 80;

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The settings for speed. A crash of the server loses the most recent commits.
const FAST: &[&str] = &["synchronous_commit=off", "full_page_writes=off"];
/// The settings with which commits survive a crash of the server, but not one of the machine.
const CRASH_SAFE: &[&str] = &["synchronous_commit=on", "full_page_writes=on"];

/// A Postgres server in a temporary directory. It listens on a socket there, so no port can conflict.
///
/// When the value is dropped or the process ends in any way, the server stops and its directory is removed. The server
/// does not sync to disk, so its data do not survive a crash of the machine.
pub struct Cluster {
    url: String,
    directory: PathBuf,
    server: Supervisor,
}

impl Cluster {
    /// Starts a cluster from the installed programs and waits until it is ready. This takes one to five seconds.
    ///
    /// If this process is root, the cluster runs as the account `postgres` or another unprivileged one.
    pub async fn start() -> Result<Self, EphemeralDbError> {
        Self::start_with(FAST).await
    }

    /// Starts a cluster whose commits survive a crash of the server. It is slower than one of [`Cluster::start`].
    pub async fn start_crash_safe() -> Result<Self, EphemeralDbError> {
        Self::start_with(CRASH_SAFE).await
    }

    /// Starts a cluster like [`Cluster::start`], with further settings as `name=value`. They override the usual ones.
    pub async fn start_configured(settings: &[&str]) -> Result<Self, EphemeralDbError> {
        Self::start_with(&[FAST, settings].concat()).await
    }

    async fn start_with(durability: &[&str]) -> Result<Self, EphemeralDbError> {
        let programs = Programs::find()?;
        let account = Account::to_switch_to()?;
        let directory = create_directory(account)?;
        initdb(&programs, account, directory.path()).await?;
        launch(&programs, account, directory, durability).await
    }

    /// Returns the URL of the database `postgres` for the superuser `postgres`. It does not change after a crash.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the process id of the server, which is the parent of its other processes.
    pub fn process_id(&self) -> Option<u32> {
        let text = std::fs::read_to_string(pid_file(&self.directory.join("data"))).ok()?;
        text.lines().next()?.trim().parse().ok()
    }

    /// Returns the directory of the server's socket, for the option `-h` of Postgres' programs.
    pub fn socket_directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the path of another program of the same installation, such as `pgbench`, if it is installed.
    pub fn program(name: &str) -> Option<PathBuf> {
        let folder = Programs::find().ok()?.postgres.parent()?.to_owned();
        Some(folder.join(name)).filter(|program| program.is_file())
    }

    /// Crashes the server (`pg_ctl stop -m immediate`), which breaks its connections.
    ///
    /// The data are kept for [`Cluster::start_again`].
    pub async fn crash(&mut self) -> Result<(), EphemeralDbError> {
        self.toggle()?;
        let down = self.directory.join(DOWN);
        if !wait_until(|| down.exists()).await {
            return Err(EphemeralDbError::NotEnded { log: self.server.log() });
        }
        // A stale file would make the next start look ready. The server usually removes it.
        let _result = std::fs::remove_file(pid_file(&self.directory.join("data")));
        Ok(())
    }

    /// Starts the server again after [`Cluster::crash`], at the same URL, and waits until it has recovered.
    pub async fn start_again(&mut self) -> Result<(), EphemeralDbError> {
        self.toggle()?;
        self.wait_until_ready().await
    }

    fn toggle(&mut self) -> Result<(), EphemeralDbError> {
        // The pipe is broken if the server has ended without a request, because its supervisor ends with it.
        self.server.toggle().map_err(|_broken| EphemeralDbError::NotReady { log: self.server.log() })
    }

    async fn wait_until_ready(&mut self) -> Result<(), EphemeralDbError> {
        let data = self.directory.join("data");
        let ready_or_ended = wait_until(|| is_ready(&data) || self.server.has_ended()).await;
        if ready_or_ended && !self.server.has_ended() {
            return Ok(());
        }
        Err(EphemeralDbError::NotReady { log: self.server.log() })
    }
}

/// Waits for a condition. Returns false after [`READY_TIMEOUT`].
pub(crate) async fn wait_until(mut condition: impl FnMut() -> bool) -> bool {
    let polling = async {
        while !condition() {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    tokio::time::timeout(READY_TIMEOUT, polling).await.is_ok()
}

pub(crate) fn create_directory(account: Option<Account>) -> Result<TempDir, EphemeralDbError> {
    // Another account may not have access to a private TMPDIR, and a long one leaves no room for the socket's name.
    let mut parent = std::env::temp_dir();
    if account.is_some() || parent.as_os_str().len() > MAX_DIRECTORY_LENGTH - 20 {
        parent = PathBuf::from("/tmp");
    }
    let failed = |source| EphemeralDbError::Prepare { path: parent.clone(), source };
    let directory = tempfile::Builder::new().prefix("gastown-pg-").tempdir_in(&parent).map_err(failed)?;
    if let Some(Account { uid, gid }) = account {
        chown(directory.path(), Some(uid), Some(gid)).map_err(failed)?;
    }
    Ok(directory)
}

async fn initdb(programs: &Programs, account: Option<Account>, directory: &Path) -> Result<(), EphemeralDbError> {
    let mut command = tokio::process::Command::new(&programs.initdb);
    command.arg("-D").arg(directory.join("data")).args(["-U", "postgres", "-A", "trust", "-E", "UTF8"]);
    command.args(["--locale=C", "--no-sync", "--wal-segsize=1"]);
    initialized(command, &programs.initdb, account).await
}

/// Runs a program that creates the directory of the data.
async fn initialized(
    mut command: tokio::process::Command,
    program: &Path,
    account: Option<Account>,
) -> Result<(), EphemeralDbError> {
    command.current_dir("/").kill_on_drop(true);
    if let Some(Account { uid, gid }) = account {
        command.uid(uid).gid(gid);
    }
    let run = command.output().await;
    let output = run.map_err(|source| EphemeralDbError::Run { program: program.to_owned(), source })?;
    if output.status.success() {
        return Ok(());
    }
    let output = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(EphemeralDbError::Initialize { program: program.to_owned(), output })
}

async fn launch(
    programs: &Programs,
    account: Option<Account>,
    directory: TempDir,
    durability: &[&str],
) -> Result<Cluster, EphemeralDbError> {
    let (data, sockets) = (directory.path().join("data"), directory.path().to_string_lossy().into_owned());
    let url = format!("postgres://postgres@localhost/postgres?host={sockets}");
    let data_text = data.to_string_lossy();
    let mut arguments = vec!["-D", &*data_text, "-F", "-k", &*sockets];
    for setting in
        ["listen_addresses=", "max_connections=200", "wal_level=minimal", "max_wal_senders=0", "autovacuum=off"]
            .iter()
            .chain(durability)
    {
        arguments.extend(["-c", setting]);
    }
    let started = Supervisor::start(directory.path(), account, EndBy::Quit, &programs.postgres, &arguments);
    let server = started.map_err(|source| EphemeralDbError::Run { program: programs.postgres.clone(), source })?;
    // From now on the supervisor removes the directory, even if this process is killed.
    let mut cluster = Cluster { url, directory: directory.keep(), server };
    cluster.wait_until_ready().await?;
    Ok(cluster)
}

fn pid_file(data: &Path) -> PathBuf {
    data.join("postmaster.pid")
}

/// Returns true if the server accepts connections: line 8 of `postmaster.pid` is then `ready`, or `standby` for a hot standby
/// (since Postgres 10).
fn is_ready(data: &Path) -> bool {
    let status = std::fs::read_to_string(pid_file(data)).unwrap_or_default();
    status.lines().nth(7).is_some_and(|status| matches!(status.trim(), "ready" | "standby"))
}
