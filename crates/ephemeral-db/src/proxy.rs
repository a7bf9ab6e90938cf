//! A proxy in front of a database that loses a commit, or the answer to it, on request. It can also lead to another server, and
//! be a network that loses everything for a while.

mod cuts;
mod network;
mod relay;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::{JoinHandle, JoinSet};
use url::Url;

use self::cuts::CommitCuts;
pub use self::cuts::Cut;
use self::network::{Network, Route};
use self::relay::relay;
use crate::EphemeralDbError;

/// The default port of Postgres.
const POSTGRES_PORT: u16 = 5432;

/// A proxy between a program and its Postgres, on a port of its own, that cuts a commit on request.
///
/// The database's own URL bypasses the proxy, so a test can check the result there.
///
/// The proxy counts the commits of transactions that changed a row. Their `COMMIT` must be a message of its own, as sqlx
/// sends it. A prepared statement outside of a transaction that changed a row is a commit too. The proxy does not support
/// TLS on either side. Dropping it ends its connections.
///
/// ```no_run
/// # async fn example() -> Result<(), ephemeral_db::EphemeralDbError> {
/// use ephemeral_db::{Cut, PostgresProxy, TestDatabase};
///
/// let database = TestDatabase::empty_postgres().await?;
/// let proxy = PostgresProxy::in_front_of(database.url()).await?;
/// proxy.cut_nth_commit(1, Cut::Answer);
/// println!("{}", proxy.url()); // the next commit there succeeds, and its client sees a broken connection
/// # Ok(())
/// # }
/// ```
pub struct PostgresProxy {
    url: String,
    cuts: Arc<CommitCuts>,
    network: Arc<Network>,
    listener: JoinHandle<()>,
}

impl PostgresProxy {
    /// Starts a proxy in front of the database at this URL. It forwards everything until a cut is requested.
    pub async fn in_front_of(database: &str) -> Result<Self, EphemeralDbError> {
        let database = Url::parse(database).map_err(|error| EphemeralDbError::Url(Some(error)))?;
        let server = ServerAddress::of(&database)?;
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(EphemeralDbError::Listen)?;
        let port = listener.local_addr().map_err(EphemeralDbError::Listen)?.port();
        let cuts = Arc::<CommitCuts>::default();
        let network = Arc::new(Network::to(server));
        let listener = tokio::spawn(listen(listener, Arc::clone(&network), Arc::clone(&cuts)));
        Ok(Self { url: proxied_url(database, port)?, cuts, network, listener })
    }

    /// Returns the URL of the database through the proxy.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Leads new connections to the server at this URL. Existing ones stay where they are.
    pub fn redirect(&self, database: &str) -> Result<(), EphemeralDbError> {
        let database = Url::parse(database).map_err(|error| EphemeralDbError::Url(Some(error)))?;
        self.network.redirect(ServerAddress::of(&database)?);
        Ok(())
    }

    /// Ends all connections.
    pub fn disconnect(&self) {
        self.network.disconnect();
    }

    /// Cuts the network, or repairs it. Meanwhile nothing is forwarded and nothing ends, as if all packets were lost.
    pub fn set_network_cut(&self, is_cut: bool) {
        self.network.set_cut(is_cut);
    }

    /// Cuts the `nth` commit from now on any connection, counted from 1. This replaces an earlier request.
    pub fn cut_nth_commit(&self, nth: u32, cut: Cut) {
        self.cuts.arm(nth, cut);
    }

    /// Cancels the requested cut.
    pub fn cancel_cut(&self) {
        self.cuts.disarm();
    }

    /// Returns the number of commits so far, including those that were cut.
    pub fn commits(&self) -> u64 {
        self.cuts.commits()
    }

    /// Returns the number of statements so far, among them `BEGIN` and `COMMIT`.
    pub fn statements(&self) -> u64 {
        self.cuts.statements()
    }

    /// Returns how often a client has waited for the server so far. A ping and the preparation of a statement count too.
    pub fn round_trips(&self) -> u64 {
        self.cuts.round_trips()
    }

    /// Returns the number of commits that were cut. A cut of the answer counts once the server has committed.
    pub fn cuts(&self) -> u64 {
        self.cuts.cuts()
    }
}

impl Drop for PostgresProxy {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// The address of the server.
pub(crate) enum ServerAddress {
    Socket(PathBuf),
    Port(String, u16),
}

impl ServerAddress {
    /// Parses the address as drivers do. A `host=/directory` in the query overrides the host and means a socket there.
    pub(crate) fn of(url: &Url) -> Result<Self, EphemeralDbError> {
        let option =
            |key: &str| url.query_pairs().filter(|(name, _)| name == key).last().map(|(_, value)| value.into_owned());
        let port = option("port").and_then(|port| port.parse().ok()).or(url.port()).unwrap_or(POSTGRES_PORT);
        match option("host").or_else(|| url.host_str().map(ToOwned::to_owned)) {
            Some(directory) if directory.starts_with('/') => {
                Ok(Self::Socket(PathBuf::from(directory).join(format!(".s.PGSQL.{port}"))))
            }
            Some(host) => Ok(Self::Port(host, port)),
            None => Err(EphemeralDbError::Url(None)),
        }
    }
}

/// Returns the URL of the same database on a port of this machine.
fn proxied_url(mut url: Url, port: u16) -> Result<String, EphemeralDbError> {
    let is_replaced = |name: &str| ["host", "hostaddr", "port", "sslmode"].contains(&name);
    let kept: Vec<_> = url.query_pairs().into_owned().filter(|(name, _)| !is_replaced(name)).collect();
    url.query_pairs_mut().clear().extend_pairs(kept).append_pair("sslmode", "disable");
    url.set_host(Some("127.0.0.1")).map_err(|error| EphemeralDbError::Url(Some(error)))?;
    url.set_port(Some(port)).map_err(|()| EphemeralDbError::Url(None))?;
    Ok(url.into())
}

/// Accepts connections. They end with this task.
async fn listen(listener: TcpListener, network: Arc<Network>, cuts: Arc<CommitCuts>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(serve(client, network.route(), Arc::clone(&cuts)));
        while connections.try_join_next().is_some() {}
    }
}

/// Connects a client to the server. If the server is unreachable, the client's connection is closed.
async fn serve(client: TcpStream, route: Route, cuts: Arc<CommitCuts>) {
    // Messages are small, and none should wait for another. A failure only costs time.
    let _result = client.set_nodelay(true);
    route.passable().await;
    let relayed = async {
        match &*route.server() {
            ServerAddress::Socket(path) => {
                if let Ok(server) = UnixStream::connect(path).await {
                    relay(client, server, &cuts, &route).await;
                }
            }
            ServerAddress::Port(host, port) => {
                if let Ok(server) = TcpStream::connect((host.as_str(), *port)).await {
                    let _result = server.set_nodelay(true);
                    relay(client, server, &cuts, &route).await;
                }
            }
        }
    };
    tokio::select! {
        () = relayed => {}
        () = route.disconnected() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> String {
        match ServerAddress::of(&Url::parse(url).unwrap()).unwrap() {
            ServerAddress::Socket(path) => path.display().to_string(),
            ServerAddress::Port(host, port) => format!("{host}:{port}"),
        }
    }

    #[test]
    fn server_address_is_parsed_as_drivers_do() {
        for (url, want) in [
            ("postgres://postgres@localhost/a?host=/tmp/pg", "/tmp/pg/.s.PGSQL.5432"),
            ("postgres://postgres@localhost:6000/a?host=%2Ftmp%2Fpg", "/tmp/pg/.s.PGSQL.6000"),
            ("postgres://u:p@db.example.com:6000/a?sslmode=prefer", "db.example.com:6000"),
            ("postgres://u:p@db.example.com/a", "db.example.com:5432"),
        ] {
            assert_eq!(address(url), want, "{url}");
        }
    }

    #[test]
    fn proxied_url_keeps_everything_but_the_address() {
        let url = Url::parse("postgres://u:p@db.example.com:6000/a?host=/tmp/pg&application_name=x&sslmode=require");
        let proxied = proxied_url(url.unwrap(), 1234).unwrap();
        assert_eq!(proxied, "postgres://u:p@127.0.0.1:1234/a?application_name=x&sslmode=disable");
    }
}
