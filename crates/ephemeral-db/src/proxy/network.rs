//! The way from a proxy to its server, which can change and be cut.

use std::sync::Arc;

use tokio::sync::watch;

use super::ServerAddress;

/// The network behind a proxy.
pub(super) struct Network(watch::Sender<State>);

struct State {
    server: Arc<ServerAddress>,
    /// Raised when all connections end.
    disconnects: u64,
    is_cut: bool,
}

impl Network {
    pub(super) fn to(server: ServerAddress) -> Self {
        Self(watch::Sender::new(State { server: Arc::new(server), disconnects: 0, is_cut: false }))
    }

    pub(super) fn redirect(&self, server: ServerAddress) {
        self.0.send_modify(|state| state.server = Arc::new(server));
    }

    pub(super) fn disconnect(&self) {
        self.0.send_modify(|state| state.disconnects += 1);
    }

    pub(super) fn set_cut(&self, is_cut: bool) {
        self.0.send_modify(|state| state.is_cut = is_cut);
    }

    /// Returns the way of a new connection.
    pub(super) fn route(&self) -> Route {
        let state = self.0.subscribe();
        let disconnects = state.borrow().disconnects;
        Route { state, disconnects }
    }
}

/// The way of one connection.
pub(super) struct Route {
    state: watch::Receiver<State>,
    /// The number of disconnects before it.
    disconnects: u64,
}

impl Route {
    pub(super) fn server(&self) -> Arc<ServerAddress> {
        Arc::clone(&self.state.borrow().server)
    }

    /// Waits while the network is cut.
    pub(super) async fn passable(&self) {
        self.wait(|state| !state.is_cut).await;
    }

    /// Waits until all connections of this time are ended.
    pub(super) async fn disconnected(&self) {
        self.wait(|state| state.disconnects != self.disconnects).await;
    }

    async fn wait(&self, reached: impl FnMut(&State) -> bool) {
        let mut state = self.state.clone();
        // The sender is dropped only with the proxy, whose task ends this one.
        let _reached = state.wait_for(reached).await;
    }
}
