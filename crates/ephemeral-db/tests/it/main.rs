//! Tests of the databases: isolation, migration and cleanup.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod proxy;
mod standby;

use std::convert::Infallible;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ephemeral_db::{Cluster, TestDatabase};
use sqlx::{Connection, Executor, PgConnection, Row};

static MIGRATED: AtomicUsize = AtomicUsize::new(0);

async fn migrate(url: String) -> Result<(), sqlx::Error> {
    MIGRATED.fetch_add(1, Ordering::SeqCst);
    let mut connection = PgConnection::connect(&url).await?;
    connection.execute("CREATE TABLE boxes (id int PRIMARY KEY)").await?;
    connection.close().await
}

async fn database_names(url: &str) -> Vec<String> {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let rows = connection.fetch_all("SELECT datname FROM pg_database").await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

fn name_in(url: &str) -> String {
    url.split('?').next().unwrap().rsplit_once('/').unwrap().1.to_owned()
}

#[tokio::test]
async fn each_database_is_a_copy_of_one_template_and_is_removed_on_drop() {
    let one = TestDatabase::postgres(migrate).await.unwrap();
    let two = TestDatabase::postgres(migrate).await.unwrap();
    assert_eq!(MIGRATED.load(Ordering::SeqCst), 1);
    let mut connection = PgConnection::connect(one.url()).await.unwrap();
    connection.execute("INSERT INTO boxes VALUES (1)").await.unwrap();
    let mut other = PgConnection::connect(two.url()).await.unwrap();
    let row = other.fetch_one("SELECT count(*) FROM boxes").await.unwrap();
    assert_eq!(row.get::<i64, _>(0), 0);

    let observer = TestDatabase::empty_postgres().await.unwrap();
    let name = name_in(one.url());
    assert!(database_names(observer.url()).await.contains(&name));
    drop(one); // a connection is still open
    assert!(!database_names(observer.url()).await.contains(&name));
}

#[tokio::test]
async fn sqlite_file_is_removed_on_drop() {
    let database = TestDatabase::sqlite(|_| async { Ok::<_, Infallible>(()) }).await.unwrap();
    let pool = sqlx::SqlitePool::connect(database.url()).await.unwrap();
    pool.execute("CREATE TABLE boxes (id int PRIMARY KEY)").await.unwrap();
    pool.close().await;
    let path = database.url().strip_prefix("sqlite://").unwrap().strip_suffix("?mode=rwc").unwrap().to_owned();
    assert!(std::path::Path::new(&path).exists());
    drop(database);
    assert!(!std::path::Path::new(&path).exists());
}

fn directory_of(url: &str) -> std::path::PathBuf {
    url.split_once("?host=").unwrap().1.into()
}

#[tokio::test]
async fn dropped_cluster_leaves_no_process_and_no_directory() {
    let cluster = Cluster::start().await.unwrap();
    let directory = directory_of(cluster.url());
    let pid = server_pid(&directory);
    assert!(is_alive(&pid));
    drop(cluster);
    assert!(!is_alive(&pid));
    assert!(!directory.exists());
}

#[tokio::test]
async fn crash_safe_cluster_keeps_commits_and_url_after_crash() {
    let mut cluster = Cluster::start_crash_safe().await.unwrap();
    let (url, directory) = (cluster.url().to_owned(), directory_of(cluster.url()));
    let before = server_pid(&directory);
    let mut connection = PgConnection::connect(&url).await.unwrap();
    connection.execute("CREATE TABLE boxes (id int PRIMARY KEY)").await.unwrap();
    connection.execute("INSERT INTO boxes VALUES (1)").await.unwrap();
    connection.execute("BEGIN; INSERT INTO boxes VALUES (2)").await.unwrap();

    cluster.crash().await.unwrap();
    assert!(!is_alive(&before));
    assert!(connection.fetch_one("SELECT 1").await.is_err(), "the connection is broken");
    assert!(PgConnection::connect(&url).await.is_err(), "the server is down");

    cluster.start_again().await.unwrap();
    assert_ne!(server_pid(&directory), before);
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let row = connection.fetch_one("SELECT array_agg(id) FROM boxes").await.unwrap();
    assert_eq!(row.get::<Vec<i32>, _>(0), [1]);
}

#[tokio::test]
async fn crashed_and_restarted_clusters_leave_nothing_on_drop() {
    for starts_again in [false, true] {
        let mut cluster = Cluster::start_crash_safe().await.unwrap();
        let directory = directory_of(cluster.url());
        cluster.crash().await.unwrap();
        if starts_again {
            cluster.start_again().await.unwrap();
        }
        let pid = std::fs::read_to_string(directory.join("data/postmaster.pid")).ok();
        assert_eq!(pid.is_some(), starts_again);
        drop(cluster);
        assert!(!pid.is_some_and(|file| is_alive(file.lines().next().unwrap())));
        assert!(!directory.exists());
    }
}

/// Runs in a child process of the next test, and does nothing otherwise.
#[tokio::test]
async fn hold_a_cluster_until_killed() {
    #[expect(clippy::disallowed_methods, reason = "the parent test passes the path in the environment")]
    let Ok(report_to) = std::env::var("HOLD_A_CLUSTER") else { return };
    let cluster = Cluster::start().await.unwrap();
    std::fs::write(&report_to, cluster.url()).unwrap();
    std::future::pending::<()>().await;
}

#[test]
fn cluster_ends_with_a_killed_process() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("url");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["hold_a_cluster_until_killed", "--exact"])
        .env("HOLD_A_CLUSTER", &report)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the cluster is up", || std::fs::read_to_string(&report).is_ok_and(|url| !url.is_empty()));
    let directory = directory_of(&std::fs::read_to_string(&report).unwrap());
    let pid = server_pid(&directory);
    assert!(is_alive(&pid));
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("the server has ended", || !is_alive(&pid));
    eventually("its directory is removed", || !directory.exists());
}

fn server_pid(directory: &std::path::Path) -> String {
    let file = std::fs::read_to_string(directory.join("data/postmaster.pid")).unwrap();
    file.lines().next().unwrap().to_owned()
}

fn is_alive(pid: &str) -> bool {
    std::path::Path::new("/proc").join(pid).join("exe").symlink_metadata().is_ok()
}

fn eventually(description: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(60), "timed out: {description}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
