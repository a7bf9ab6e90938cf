use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::EphemeralDbError;
use crate::account::Account;
use crate::programs::Programs;
use crate::supervisor::{DOWN, Supervisor};

/// How long a loaded machine may take from start to ready.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// The longest path of a unix socket, less the socket's own name (`sun_path` has 108 bytes on Linux).
const LONGEST_DIRECTORY: usize = 80;

/// Between two looks whether it is where it was told to be.
const LOOK: Duration = Duration::from_millis(20);

/// For tests that want speed: what was committed in the last moments before a crash of the server is lost.
const FAST: &[&str] = &["synchronous_commit=off", "full_page_writes=off"];
/// What is committed has left the server's memory. As the machine does not crash, it need not reach the disk.
const CRASH_SAFE: &[&str] = &["synchronous_commit=on", "full_page_writes=on"];

/// A Postgres server of its own, in a temporary directory, reachable through a socket there: no port, no clash.
///
/// It stops, and its directory goes, when the value is dropped or the process ends in whatever way. Nothing on it is
/// safe from a crash of the machine: it does not write through.
pub struct Cluster {
    url: String,
    directory: PathBuf,
    running: Supervisor,
}

impl Cluster {
    /// Finds the installed programs, makes a cluster and waits until it answers. As root it runs as `postgres` or
    /// `nobody`. Takes one to five seconds.
    pub async fn start() -> Result<Self, EphemeralDbError> {
        Self::start_with(FAST).await
    }

    /// The same with a server that keeps what it has committed when it crashes, and is slower for it.
    pub async fn start_crash_safe() -> Result<Self, EphemeralDbError> {
        Self::start_with(CRASH_SAFE).await
    }

    async fn start_with(durability: &[&str]) -> Result<Self, EphemeralDbError> {
        let programs = Programs::find()?;
        let account = Account::to_switch_to()?;
        let directory = make_directory(account)?;
        initdb(&programs, account, directory.path()).await?;
        launch(&programs, account, directory, durability).await
    }

    /// Where it is: the superuser `postgres` on the database `postgres`. The same after a crash and a new start.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Ends the server as a crash would (`pg_ctl stop -m immediate`): nothing is tidied up, connections break off. Its
    /// data stay for [`Cluster::start_again`].
    pub async fn crash(&mut self) -> Result<(), EphemeralDbError> {
        self.ask()?;
        let down = self.directory.join(DOWN);
        if !within(READY_WITHIN, || down.exists()).await {
            return Err(EphemeralDbError::NotEnded { log: self.running.log() });
        }
        // Where the server has left it behind, it would look as if it were ready.
        let _usually_gone = std::fs::remove_file(pid_file(&self.directory.join("data")));
        Ok(())
    }

    /// Starts the server again after [`Cluster::crash`], at the same address, and waits until it has recovered.
    pub async fn start_again(&mut self) -> Result<(), EphemeralDbError> {
        self.ask()?;
        self.until_ready().await
    }

    fn ask(&mut self) -> Result<(), EphemeralDbError> {
        // The pipe is broken where the server has ended by itself, and its supervisor with it.
        self.running.ask().map_err(|_broken| EphemeralDbError::NotReady { log: self.running.log() })
    }

    async fn until_ready(&mut self) -> Result<(), EphemeralDbError> {
        let data = self.directory.join("data");
        let ended_or_ready = within(READY_WITHIN, || is_ready(&data) || self.running.has_ended()).await;
        if ended_or_ready && !self.running.has_ended() {
            return Ok(());
        }
        Err(EphemeralDbError::NotReady { log: self.running.log() })
    }
}

/// Whether it holds before the time is over.
async fn within(time: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let wait = async {
        while !holds() {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(time, wait).await.is_ok()
}

fn make_directory(account: Option<Account>) -> Result<TempDir, EphemeralDbError> {
    // Another account cannot pass through a private TMPDIR, and a long one leaves no room for the socket's name.
    let mut parent = std::env::temp_dir();
    if account.is_some() || parent.as_os_str().len() > LONGEST_DIRECTORY - 20 {
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
    command.args(["--locale=C", "--no-sync", "--wal-segsize=1"]).current_dir("/").kill_on_drop(true);
    if let Some(Account { uid, gid }) = account {
        command.uid(uid).gid(gid);
    }
    let run = command.output().await;
    let output = run.map_err(|source| EphemeralDbError::Run { program: programs.initdb.clone(), source })?;
    if output.status.success() {
        return Ok(());
    }
    Err(EphemeralDbError::Initdb { output: String::from_utf8_lossy(&output.stderr).trim().to_owned() })
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
    let started = Supervisor::start(directory.path(), account, &programs.postgres, &arguments);
    let running = started.map_err(|source| EphemeralDbError::Run { program: programs.postgres.clone(), source })?;
    // From here on the supervisor removes it, also when this process is killed.
    let mut cluster = Cluster { url, directory: directory.keep(), running };
    cluster.until_ready().await?;
    Ok(cluster)
}

fn pid_file(data: &Path) -> PathBuf {
    data.join("postmaster.pid")
}

/// The eighth line of `postmaster.pid` says `ready` once connections are taken (Postgres 10 and later).
fn is_ready(data: &Path) -> bool {
    let status = std::fs::read_to_string(pid_file(data)).unwrap_or_default();
    status.lines().nth(7).is_some_and(|status| status.trim() == "ready")
}
