//! Ctrl-C and its relatives.

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Whether somebody wants this program to end: Ctrl-C, a closed terminal, a CI runner that gives up.
///
/// While one exists the signals do not end the program, so that it can end its children and remove its files.
#[derive(Clone)]
pub(crate) struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    /// Takes the signals over.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        let mut ctrl_c = listen(SignalKind::interrupt())?;
        let mut terminate = listen(SignalKind::terminate())?;
        let mut hang_up = listen(SignalKind::hangup())?;
        let (tell, hear) = watch::channel(false);
        tokio::spawn(async move {
            tokio::select! {
                _ = ctrl_c.recv() => {}
                _ = terminate.recv() => {}
                _ = hang_up.recv() => {}
            }
            tell.send_replace(true);
        });
        Ok(Self(hear))
    }

    /// Ends when somebody does, at once where that was before.
    pub(crate) async fn wait(&self) {
        // The sender goes only after it has spoken.
        let mut wanted = self.0.clone();
        let _spoken = wanted.wait_for(|wanted| *wanted).await;
    }

    /// Does the work, unless somebody interrupts; then it is dropped and the answer is an error.
    pub(crate) async fn or<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        tokio::select! {
            done = work => done,
            () = self.wait() => anyhow::bail!("interrupted"),
        }
    }
}
