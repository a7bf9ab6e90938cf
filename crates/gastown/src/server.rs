//! A server of its own for the router.

use std::net::SocketAddr;
use std::time::Duration;

use gastown_http::connections::{ConnectionLimits, ConnectionThreads};
use gastown_http::{HandlerRuntime, HttpParts};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::file_descriptors;
use crate::gastown::Gastown;
use crate::plan::Plan;

/// The time of an HTTP/2 stream beyond its call and the writing of its answer.
const STREAM_SLACK: Duration = Duration::from_secs(10);

impl Gastown {
    /// Serves the router on a bound port and runs the background work until `stop` is cancelled. Then it takes no new
    /// requests and no new claims, calls in progress finish, and operations release their claims. After the grace period the
    /// remaining calls are answered with the state of their operation.
    ///
    /// Connections have threads of their own. The handlers of calls and the background work run on the runtime of the caller.
    ///
    /// Errors: the listener's, and those of starting threads.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> std::io::Result<()> {
        let address = listener.local_addr()?;
        let handlers = HandlerRuntime::on(Handle::current());
        let app = gastown_http::router(HttpParts { handlers, ..self.http_parts() });
        let threads = ConnectionThreads::start()?;
        tracing::info!(%address, worker = %self.worker.0, "server started");
        let (calls, limits, metrics) = (self.calls.clone(), self.connections.clone(), self.http.metrics.clone());
        let stopping = stop.clone();
        let answered = async move {
            threads.serve(listener, app, limits, metrics, stopping).await?;
            calls.close();
            calls.wait().await;
            Ok(())
        };
        let result = self.run_until(answered, stop).await;
        tracing::info!("server stopped");
        result.unwrap_or(Ok(()))
    }
}

/// Returns the URL of a bound address for clients on this machine.
pub fn local_url(mut address: SocketAddr) -> String {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    match address.ip() {
        IpAddr::V4(any) if any.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(any) if any.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    format!("http://{address}")
}

impl Plan {
    /// Returns the limits of connections, within the limit of file descriptors.
    pub(crate) fn connection_limits(&self) -> ConnectionLimits {
        #[cfg(feature = "postgres")]
        let of_database = self.database.as_ref().map_or(0, |database| database.max_connections);
        #[cfg(not(feature = "postgres"))]
        let of_database = 0_u32;
        let of_database = usize::try_from(of_database).unwrap_or(usize::MAX);
        let limits = self.connections.clone();
        let stream_timeout = self.call_time_limit() + limits.write_timeout + STREAM_SLACK;
        file_descriptors::within(&ConnectionLimits { stream_timeout, ..limits }, of_database)
    }
}
