use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Notify;

use super::cuts::{CommitCuts, Cut};
use super::network::Route;
use super::wire::{FLUSH, Framer, SYNC};

/// The size of a read, and so the maximum that is buffered in either direction.
const CHUNK: usize = 16 * 1024;

/// A connection between a client and its server.
struct Connection<'a> {
    cuts: &'a CommitCuts,
    route: &'a Route,
    state: Mutex<ConnectionState>,
    /// Notified when the server has executed a held statement.
    executed: Notify,
}

/// The state of the connection that both directions share.
#[derive(Default)]
struct ConnectionState {
    /// Set once the transaction has changed a row.
    has_written: bool,
    /// The cut for the answer to the forwarded commit.
    pending_cut: Option<Cut>,
    /// Set once nothing is forwarded any more.
    is_silent: bool,
    /// Set while the client has a transaction.
    in_transaction: bool,
    batch: Batch,
}

/// The client's messages since its last sync.
#[derive(Default, PartialEq, Eq)]
enum Batch {
    /// No statement is executed.
    #[default]
    Prepares,
    /// A statement is executed.
    Executes,
    /// The sync is held until the statement has been executed.
    Held,
}

/// Forwards messages in both directions until either side ends or a commit is cut. Drops both connections at the end.
pub(super) async fn relay<C, S>(client: C, server: S, cuts: &CommitCuts, route: &Route)
where
    C: AsyncRead + AsyncWrite,
    S: AsyncRead + AsyncWrite,
{
    let (from_client, to_client) = tokio::io::split(client);
    let (from_server, to_server) = tokio::io::split(server);
    let connection = Connection { cuts, route, state: Mutex::default(), executed: Notify::new() };
    // Both ends notice a broken connection, so the error is ignored. The end of one direction ends the other.
    let _result = tokio::select! {
        result = connection.forward_requests(from_client, to_server) => result,
        result = connection.forward_answers(from_server, to_client) => result,
    };
}

impl Connection<'_> {
    async fn forward_requests(
        &self,
        mut client: impl AsyncRead + Unpin,
        mut server: impl AsyncWrite + Unpin,
    ) -> std::io::Result<()> {
        let (mut framer, mut chunk) = (Framer::of_client(), vec![0; CHUNK]);
        loop {
            let read = client.read(&mut chunk).await?;
            self.route.passable().await;
            let (mut input, mut output) = (&chunk[..read], Vec::with_capacity(read));
            while let Some(message) = framer.next(&mut input, &mut output) {
                if message.is_statement() {
                    self.cuts.record_statement();
                }
                if message.is_commit_request() && self.cuts_request() {
                    return Ok(());
                }
                if message.is_execute() {
                    self.state().batch = Batch::Executes;
                }
                if message.is_sync() && self.holds_sync() {
                    output.truncate(output.len() - SYNC.len());
                    output.extend(FLUSH);
                    server.write_all(&output).await?;
                    self.executed.notified().await;
                    if self.cuts_request() {
                        return Ok(());
                    }
                    output = SYNC.to_vec();
                }
            }
            if read == 0 {
                return Ok(());
            }
            if !self.state().is_silent {
                server.write_all(&output).await?;
            }
        }
    }

    async fn forward_answers(
        &self,
        mut server: impl AsyncRead + Unpin,
        mut client: impl AsyncWrite + Unpin,
    ) -> std::io::Result<()> {
        let (mut framer, mut chunk) = (Framer::of_server(), vec![0; CHUNK]);
        loop {
            let read = server.read(&mut chunk).await?;
            self.route.passable().await;
            let (mut input, mut output) = (&chunk[..read], Vec::with_capacity(read));
            while let Some(message) = framer.next(&mut input, &mut output) {
                if message.is_error() {
                    self.state().pending_cut = None;
                }
                let cut = message.command_tag().and_then(|tag| self.complete_statement(tag));
                if message.ends_execution() {
                    self.release_sync();
                }
                match cut.or_else(|| self.complete_batch(message.ready_outside_transaction()?)) {
                    Some(Cut::Silence) => return std::future::pending().await,
                    Some(Cut::Request | Cut::Answer) => return Ok(()),
                    None => {}
                }
            }
            if read == 0 {
                return Ok(());
            }
            client.write_all(&output).await?;
        }
    }

    /// Counts a requested commit. Returns true if its request is cut.
    fn cuts_request(&self) -> bool {
        let mut state = self.state();
        // The commit of a transaction that has changed nothing is never cut.
        let cut = if state.has_written { self.cuts.next_commit() } else { None };
        if cut == Some(Cut::Request) {
            self.cuts.record_cut();
            return true;
        }
        state.pending_cut = cut;
        false
    }

    /// Handles the completion of a statement and returns the cut for its answer.
    fn complete_statement(&self, tag: &str) -> Option<Cut> {
        let mut state = self.state();
        match tag {
            "BEGIN" => state.has_written = false,
            // It also answers the commit of a transaction that has failed before.
            "ROLLBACK" => *state = ConnectionState::default(),
            "COMMIT" => return self.committed(&mut state),
            _ => state.has_written |= changes_rows(tag),
        }
        None
    }

    /// Handles the end of a batch and returns the cut for the answer to a statement outside of a transaction.
    fn complete_batch(&self, is_outside_transaction: bool) -> Option<Cut> {
        self.cuts.record_round_trip();
        let mut state = self.state();
        state.in_transaction = !is_outside_transaction;
        if is_outside_transaction { self.committed(&mut state) } else { None }
    }

    /// Returns the cut for the answer to a commit that the server has made.
    fn committed(&self, state: &mut ConnectionState) -> Option<Cut> {
        state.has_written = false;
        let cut = state.pending_cut.take();
        if cut.is_some() {
            state.is_silent = true;
            self.cuts.record_cut();
        }
        cut
    }

    /// Returns true if a sync commits a statement outside of a transaction.
    ///
    /// It must be held until the statement has been executed, because only then it is known whether it changed a row.
    fn holds_sync(&self) -> bool {
        let mut state = self.state();
        let holds = state.batch == Batch::Executes && !state.in_transaction;
        state.batch = if holds { Batch::Held } else { Batch::Prepares };
        holds
    }

    /// Releases a held sync after the execution of its statement.
    fn release_sync(&self) {
        let mut state = self.state();
        if state.batch == Batch::Held {
            state.batch = Batch::Prepares;
            self.executed.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, ConnectionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns true if the statement with this command tag changed a row.
fn changes_rows(tag: &str) -> bool {
    let mut words = tag.split(' ');
    let may_change = matches!(words.next(), Some("INSERT" | "UPDATE" | "DELETE" | "MERGE"));
    may_change && words.next_back().is_some_and(|rows| rows != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tags_with_changed_rows_count_as_writes() {
        for (tag, want) in [
            ("INSERT 0 1", true),
            ("INSERT 0 0", false),
            ("UPDATE 12", true),
            ("UPDATE 0", false),
            ("DELETE 1", true),
            ("SELECT 3", false),
            ("BEGIN", false),
        ] {
            assert_eq!(changes_rows(tag), want, "{tag}");
        }
    }
}
