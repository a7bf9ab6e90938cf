//! The images of `docs/deploy/Dockerfile` as processes: their program, their environment, their user, and nothing to write to.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use ephemeral_db::Cluster;
use tokio::process::Command;

use super::DOCKERFILE;
use crate::process::Gastown;

/// The user `nonroot` of the base image.
pub(super) const NONROOT: u32 = 65532;
/// The folder of programs in the images.
const PROGRAMS: &str = "/usr/local/bin/";

/// The last part of an image's build.
pub(super) struct Image {
    /// The program, without its folder.
    program: String,
    /// The arguments where the container has none.
    pub(super) arguments: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
}

/// Returns the image of a stage of the Dockerfile, by default of the last one.
pub(super) fn image(stage: Option<&str>) -> Image {
    let mut stages = DOCKERFILE.split("\nFROM ").skip(1);
    let text = match stage {
        Some(name) => stages.find(|text| text.lines().next().unwrap().ends_with(&format!(" AS {name}"))).unwrap(),
        None => stages.last().unwrap(),
    };
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let words = |name: &str| serde_json::from_str::<Vec<String>>(value(name).unwrap()).unwrap();
    let [program] = <[String; 1]>::try_from(words("ENTRYPOINT")).unwrap();
    assert_eq!((value("USER"), value("STOPSIGNAL")), (Some("nonroot"), Some("SIGTERM")));
    let pairs = value("ENV").unwrap_or_default().split_whitespace().map(|pair| pair.split_once('=').unwrap());
    Image {
        program: program.strip_prefix(PROGRAMS).unwrap().to_owned(),
        arguments: words("CMD"),
        environment: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
    }
}

/// The machine on which containers run as processes.
pub(super) struct Host {
    /// Links to the built programs, in a folder that another user may read.
    pub(super) programs: tempfile::TempDir,
    /// A folder that cannot be written.
    closed: tempfile::TempDir,
}

impl Host {
    /// Links the programs of all images. Those of another package are built if they are missing.
    pub(super) async fn new() -> Self {
        let host = Self { programs: tempfile::tempdir().unwrap(), closed: tempfile::tempdir().unwrap() };
        set_mode(host.programs.path(), 0o755);
        set_mode(host.closed.path(), 0o555);
        let built = Path::new(env!("CARGO_BIN_EXE_gastown")).parent().unwrap();
        let simulator = built.join("gastown-fly-sim");
        if !simulator.exists() {
            // The tests of the workspace have built it.
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["build", "--package", "gastown-sandbox-sim"]).current_dir(env!("CARGO_MANIFEST_DIR"));
            assert!(cargo.status().await.unwrap().success(), "the simulator does not build");
        }
        for program in [Path::new(env!("CARGO_BIN_EXE_gastown")), &simulator] {
            let copied = Command::new("/bin/sh")
                .args(["-c", r#"ln "$1" "$2" 2>/dev/null || cp "$1" "$2""#, "sh"])
                .args([program, host.programs.path()])
                .status();
            assert!(copied.await.unwrap().success(), "{}", program.display());
        }
        host
    }

    /// Starts a container. It has the environment of its image and its own, and another user if this process is root.
    pub(super) fn start(&self, image: &Image, arguments: &[String], environment: &BTreeMap<String, String>) -> Gastown {
        let mut command = Command::new(self.programs.path().join(&image.program));
        command.args(arguments).current_dir("/");
        if nix::unistd::geteuid().is_root() {
            command.uid(NONROOT).gid(NONROOT);
        }
        let all: BTreeMap<_, _> = image.environment.iter().chain(environment).collect();
        let mut settings: Vec<_> = all.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        settings.push(("TMPDIR".to_owned(), self.closed.path().to_str().unwrap().to_owned()));
        Gastown::start(command, &settings)
    }

    /// Returns a search path with the programs of the images and of Postgres.
    pub(super) fn search_path(&self) -> String {
        let postgres = Cluster::program("psql").expect("Postgres is not installed");
        format!("{}:{}:/usr/local/bin:/usr/bin:/bin", self.programs.path().display(), folder(&postgres).display())
    }
}

fn folder(program: &Path) -> PathBuf {
    program.parent().unwrap().to_owned()
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Returns a port of the loopback that nothing listens on.
pub(super) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Checks that a process has no file open for writing, and that it runs as the user of the image.
pub(super) fn assert_writes_no_file(process: &Gastown) {
    let folder = PathBuf::from(format!("/proc/{}", process.id()));
    // A file that the starter of the tests has left open to all of its children.
    let ours = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let inherited: BTreeSet<_> = ours.filter_map(|entry| std::fs::read_link(entry.path()).ok()).collect();
    for entry in std::fs::read_dir(folder.join("fd")).unwrap() {
        let entry = entry.unwrap();
        // A descriptor may be closed meanwhile.
        let Ok(target) = std::fs::read_link(entry.path()) else { continue };
        let flags = std::fs::read_to_string(folder.join("fdinfo").join(entry.file_name())).unwrap_or_default();
        let is_written = flags.lines().any(|line| line.starts_with("flags:") && !line.ends_with('0'));
        let is_file = target.is_absolute() && !target.starts_with("/dev") && !inherited.contains(&target);
        assert!(!(is_file && is_written), "{} is open for writing", target.display());
    }
    let status = std::fs::read_to_string(folder.join("status")).unwrap();
    let user: u32 =
        status.lines().find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().next()).unwrap().parse().unwrap();
    assert_ne!(user, 0, "it runs as root");
}

/// Returns the Postgres of a container: its superuser has the name and the password of the file, and must give it.
pub(super) async fn postgres(user: &str, database: &str, password: &str, port: u16) -> (Cluster, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    set_mode(folder.path(), 0o755);
    let rules = folder.path().join("pg_hba.conf");
    std::fs::write(&rules, "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n").unwrap();
    let settings =
        ["listen_addresses=127.0.0.1".to_owned(), format!("port={port}"), format!("hba_file={}", rules.display())];
    let cluster = Cluster::start_configured(&settings.each_ref().map(String::as_str)).await.unwrap();
    let url = cluster.url().replace("@localhost/", &format!("@localhost:{port}/"));
    let rows = crate::rows::Rows::of(&url).await;
    rows.execute(&format!("CREATE ROLE {user} SUPERUSER LOGIN PASSWORD '{password}'")).await;
    rows.execute(&format!("CREATE DATABASE {database} OWNER {user}")).await;
    (cluster, folder)
}
