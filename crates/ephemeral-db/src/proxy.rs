//! A way to a database that loses a commit, or the answer to it, when told so.

mod orders;
mod relay;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::{JoinHandle, JoinSet};
use url::Url;

pub use self::orders::Cut;
use self::orders::Orders;
use self::relay::relay;
use crate::EphemeralDbError;

/// Where a URL names no port.
const POSTGRES_PORT: u16 = 5432;

/// Stands between a program and its Postgres, on a port of its own, and strikes a commit where it is told to. Whoever is to
/// see what became of it takes the database's own URL.
///
/// Commits are those of transactions that changed a row and end with a `COMMIT` of their own message, as sqlx sends it;
/// statements outside of a transaction pass. It speaks no TLS, on either side. Everything of it ends when it is dropped.
///
/// ```no_run
/// # async fn example() -> Result<(), ephemeral_db::EphemeralDbError> {
/// use ephemeral_db::{Cut, PostgresProxy, TestDatabase};
///
/// let database = TestDatabase::empty_postgres().await?;
/// let proxy = PostgresProxy::before(database.url()).await?;
/// proxy.cut_nth_commit(1, Cut::Answer);
/// println!("{}", proxy.url()); // whoever writes there writes, and is told that the connection broke
/// # Ok(())
/// # }
/// ```
pub struct PostgresProxy {
    url: String,
    orders: Arc<Orders>,
    listening: JoinHandle<()>,
}

impl PostgresProxy {
    /// A proxy before the database of this URL. It forwards until it is told more.
    pub async fn before(database: &str) -> Result<Self, EphemeralDbError> {
        let database = Url::parse(database).map_err(|error| EphemeralDbError::Url(Some(error)))?;
        let server = Place::of(&database)?;
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(EphemeralDbError::Listen)?;
        let port = listener.local_addr().map_err(EphemeralDbError::Listen)?.port();
        let orders = Arc::<Orders>::default();
        let listening = tokio::spawn(listen(listener, server, Arc::clone(&orders)));
        Ok(Self { url: seen_through(database, port)?, orders, listening })
    }

    /// How to reach the database through it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Strikes the commit that comes as the `nth` from now, counted from 1, of whatever connection. What it was told before
    /// and has not done yet is forgotten.
    pub fn cut_nth_commit(&self, nth: u32, cut: Cut) {
        self.orders.arm(nth, cut);
    }

    /// Strikes nothing any more.
    pub fn spare(&self) {
        self.orders.disarm();
    }

    /// The commits it has seen so far, those that were struck included.
    pub fn commits(&self) -> u64 {
        self.orders.commits()
    }

    /// The commits that were struck. One whose answer was struck is counted once the server has committed.
    pub fn strokes(&self) -> u64 {
        self.orders.strokes()
    }
}

impl Drop for PostgresProxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// Where the server listens.
enum Place {
    Socket(PathBuf),
    Port(String, u16),
}

impl Place {
    /// As the drivers read it: a `host=/directory` in the query goes before the host, and means a socket there.
    fn of(url: &Url) -> Result<Self, EphemeralDbError> {
        let asked =
            |key: &str| url.query_pairs().filter(|(name, _)| name == key).last().map(|(_, value)| value.into_owned());
        let port = asked("port").and_then(|port| port.parse().ok()).or(url.port()).unwrap_or(POSTGRES_PORT);
        match asked("host").or_else(|| url.host_str().map(ToOwned::to_owned)) {
            Some(directory) if directory.starts_with('/') => {
                Ok(Self::Socket(PathBuf::from(directory).join(format!(".s.PGSQL.{port}"))))
            }
            Some(host) => Ok(Self::Port(host, port)),
            None => Err(EphemeralDbError::Url(None)),
        }
    }
}

/// The same database on a port of this machine.
fn seen_through(mut url: Url, port: u16) -> Result<String, EphemeralDbError> {
    let elsewhere = |name: &str| ["host", "hostaddr", "port", "sslmode"].contains(&name);
    let kept: Vec<_> = url.query_pairs().into_owned().filter(|(name, _)| !elsewhere(name)).collect();
    url.query_pairs_mut().clear().extend_pairs(kept).append_pair("sslmode", "disable");
    url.set_host(Some("127.0.0.1")).map_err(|error| EphemeralDbError::Url(Some(error)))?;
    url.set_port(Some(port)).map_err(|()| EphemeralDbError::Url(None))?;
    Ok(url.into())
}

/// The connections end with this task.
async fn listen(listener: TcpListener, server: Place, orders: Arc<Orders>) {
    let (server, mut connections) = (Arc::new(server), JoinSet::new());
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(connected(client, Arc::clone(&server), Arc::clone(&orders)));
        while connections.try_join_next().is_some() {}
    }
}

/// A server that is not there is told to its client by the end of the connection.
async fn connected(client: TcpStream, server: Arc<Place>, orders: Arc<Orders>) {
    // Small messages go back and forth; none is to wait for another.
    let _slower_without = client.set_nodelay(true);
    match &*server {
        Place::Socket(path) => {
            if let Ok(server) = UnixStream::connect(path).await {
                relay(client, server, &orders).await;
            }
        }
        Place::Port(host, port) => {
            if let Ok(server) = TcpStream::connect((host.as_str(), *port)).await {
                let _slower_without = server.set_nodelay(true);
                relay(client, server, &orders).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str) -> String {
        match Place::of(&Url::parse(url).unwrap()).unwrap() {
            Place::Socket(path) => path.display().to_string(),
            Place::Port(host, port) => format!("{host}:{port}"),
        }
    }

    #[test]
    fn a_server_is_found_where_the_drivers_find_it() {
        for (url, want) in [
            ("postgres://postgres@localhost/a?host=/tmp/pg", "/tmp/pg/.s.PGSQL.5432"),
            ("postgres://postgres@localhost:6000/a?host=%2Ftmp%2Fpg", "/tmp/pg/.s.PGSQL.6000"),
            ("postgres://u:p@db.example.com:6000/a?sslmode=prefer", "db.example.com:6000"),
            ("postgres://u:p@db.example.com/a", "db.example.com:5432"),
        ] {
            assert_eq!(place(url), want, "{url}");
        }
    }

    #[test]
    fn everything_but_the_place_stays() {
        let url = Url::parse("postgres://u:p@db.example.com:6000/a?host=/tmp/pg&application_name=x&sslmode=require");
        let seen = seen_through(url.unwrap(), 1234).unwrap();
        assert_eq!(seen, "postgres://u:p@127.0.0.1:1234/a?application_name=x&sslmode=disable");
    }
}
