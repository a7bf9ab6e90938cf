use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::EphemeralDbError;
use crate::account::Account;
use crate::programs::Programs;
use crate::supervisor::Supervisor;

/// How long a loaded machine may take from start to ready.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// The longest path of a unix socket, less the socket's own name (`sun_path` has 108 bytes on Linux).
const LONGEST_DIRECTORY: usize = 80;

/// A Postgres server of its own, in a temporary directory, reachable through a socket there: no port, no clash.
///
/// It stops, and its directory goes, when the value is dropped or the process ends in whatever way. Nothing on it is
/// safe from a crash: it does not write through.
pub struct Cluster {
    url: String,
    _running: Supervisor,
}

impl Cluster {
    /// Finds the installed programs, makes a cluster and waits until it answers. As root it runs as `postgres` or
    /// `nobody`. Takes one to five seconds.
    pub async fn start() -> Result<Self, EphemeralDbError> {
        let programs = Programs::find()?;
        let account = Account::to_switch_to()?;
        let directory = make_directory(account)?;
        initdb(&programs, account, directory.path()).await?;
        let running = launch(&programs, account, directory).await?;
        Ok(running)
    }

    /// Where it is: the superuser `postgres` on the database `postgres`.
    pub fn url(&self) -> &str {
        &self.url
    }
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
) -> Result<Cluster, EphemeralDbError> {
    let (data, sockets) = (directory.path().join("data"), directory.path().to_string_lossy().into_owned());
    let url = format!("postgres://postgres@localhost/postgres?host={sockets}");
    let data_text = data.to_string_lossy();
    let mut arguments = vec!["-D", &*data_text, "-F", "-k", &*sockets];
    for setting in [
        "listen_addresses=",
        "max_connections=200",
        "synchronous_commit=off",
        "full_page_writes=off",
        "wal_level=minimal",
        "max_wal_senders=0",
        "autovacuum=off",
    ] {
        arguments.extend(["-c", setting]);
    }
    let started = Supervisor::start(directory.path(), account, &programs.postgres, &arguments);
    let mut running = started.map_err(|source| EphemeralDbError::Run { program: programs.postgres.clone(), source })?;
    // From here on the supervisor removes it, also when this process is killed.
    let _path = directory.keep();

    let ready = async {
        while !is_ready(&data) && !running.has_ended() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let _in_time = tokio::time::timeout(READY_WITHIN, ready).await;
    if is_ready(&data) && !running.has_ended() {
        return Ok(Cluster { url, _running: running });
    }
    Err(EphemeralDbError::NotReady { log: running.log() })
}

/// The eighth line of `postmaster.pid` says `ready` once connections are taken (Postgres 10 and later).
fn is_ready(data: &Path) -> bool {
    let pid_file = std::fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    pid_file.lines().nth(7).is_some_and(|status| status.trim() == "ready")
}
