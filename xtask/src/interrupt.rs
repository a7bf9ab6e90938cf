//! Signals that end a command, such as Ctrl-C.

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// A request to end this program: Ctrl-C, a closed terminal, or a CI runner that cancels.
///
/// While a value exists, these signals do not end the program. It can then end its children and remove its files.
#[derive(Clone)]
pub(crate) struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    /// Starts to listen for the signals.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        let mut ctrl_c = listen(SignalKind::interrupt())?;
        let mut terminate = listen(SignalKind::terminate())?;
        let mut hang_up = listen(SignalKind::hangup())?;
        let (sender, receiver) = watch::channel(false);
        tokio::spawn(async move {
            tokio::select! {
                _ = ctrl_c.recv() => {}
                _ = terminate.recv() => {}
                _ = hang_up.recv() => {}
            }
            sender.send_replace(true);
        });
        Ok(Self(receiver))
    }

    /// Waits for a signal. Returns at once if there was one already.
    pub(crate) async fn wait(&self) {
        // The sender is dropped only after it has sent.
        let mut requested = self.0.clone();
        let _sent = requested.wait_for(|requested| *requested).await;
    }

    /// Returns true if there was a signal.
    pub(crate) fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Runs the work. A signal drops it and returns an error.
    pub(crate) async fn or<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        tokio::select! {
            done = work => done,
            () = self.wait() => anyhow::bail!("interrupted"),
        }
    }
}
