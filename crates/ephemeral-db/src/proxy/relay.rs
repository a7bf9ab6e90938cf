use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::orders::{Cut, Orders};
use super::wire::Framer;

/// How much is read at once, and so how much is held at most in either direction.
const CHUNK: usize = 16 * 1024;

/// What a client and its server talk.
struct Talk<'a> {
    orders: &'a Orders,
    heard: Mutex<Heard>,
}

/// What matters of it to both directions.
#[derive(Default)]
struct Heard {
    /// The transaction has written something.
    has_written: bool,
    /// The answer to the commit that was passed on is not to be.
    withheld: Option<Cut>,
    /// Nothing is passed on any more.
    is_silent: bool,
}

/// Passes on what both say until either ends or is struck. Both connections are dropped with it.
pub(super) async fn relay<C, S>(client: C, server: S, orders: &Orders)
where
    C: AsyncRead + AsyncWrite,
    S: AsyncRead + AsyncWrite,
{
    let (from_client, to_client) = tokio::io::split(client);
    let (from_server, to_server) = tokio::io::split(server);
    let talk = Talk { orders, heard: Mutex::default() };
    // That a connection broke off is news for its two ends only, and what ends one direction ends the other.
    let _ended = tokio::select! {
        ended = talk.requests(from_client, to_server) => ended,
        ended = talk.answers(from_server, to_client) => ended,
    };
}

impl Talk<'_> {
    async fn requests(
        &self,
        mut client: impl AsyncRead + Unpin,
        mut server: impl AsyncWrite + Unpin,
    ) -> std::io::Result<()> {
        let (mut framer, mut chunk) = (Framer::of_client(), vec![0; CHUNK]);
        loop {
            let read = client.read(&mut chunk).await?;
            let (mut input, mut output) = (&chunk[..read], Vec::with_capacity(read));
            while let Some(message) = framer.next(&mut input, &mut output) {
                if message.asks_for_commit() && self.is_cut() {
                    return Ok(());
                }
            }
            if read == 0 {
                return Ok(());
            }
            if !self.heard().is_silent {
                server.write_all(&output).await?;
            }
        }
    }

    async fn answers(
        &self,
        mut server: impl AsyncRead + Unpin,
        mut client: impl AsyncWrite + Unpin,
    ) -> std::io::Result<()> {
        let (mut framer, mut chunk) = (Framer::of_server(), vec![0; CHUNK]);
        loop {
            let read = server.read(&mut chunk).await?;
            let (mut input, mut output) = (&chunk[..read], Vec::with_capacity(read));
            while let Some(message) = framer.next(&mut input, &mut output) {
                if message.is_refusal() {
                    self.heard().withheld = None;
                }
                match message.completed().and_then(|tag| self.completed(tag)) {
                    Some(Cut::Silence) => return std::future::pending().await,
                    Some(_) => return Ok(()),
                    None => {}
                }
            }
            if read == 0 {
                return Ok(());
            }
            client.write_all(&output).await?;
        }
    }

    /// A commit is asked for: whether its request ends here.
    fn is_cut(&self) -> bool {
        let mut heard = self.heard();
        // What wrote nothing has nothing to lose.
        let cut = if heard.has_written { self.orders.next_commit() } else { None };
        if cut == Some(Cut::Request) {
            self.orders.struck();
            return true;
        }
        heard.withheld = cut;
        false
    }

    /// The server has completed a statement: how its answer is struck, if it is.
    fn completed(&self, tag: &str) -> Option<Cut> {
        let mut heard = self.heard();
        match tag {
            "BEGIN" => heard.has_written = false,
            // What was asked to commit and had failed before answers so.
            "ROLLBACK" => *heard = Heard::default(),
            "COMMIT" => {
                heard.has_written = false;
                let struck = heard.withheld.take();
                if struck.is_some() {
                    heard.is_silent = true;
                    self.orders.struck();
                }
                return struck;
            }
            _ => heard.has_written |= writes(tag),
        }
        None
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the statement that ended with this tag changed a row.
fn writes(tag: &str) -> bool {
    let mut words = tag.split(' ');
    let writes = matches!(words.next(), Some("INSERT" | "UPDATE" | "DELETE" | "MERGE"));
    writes && words.next_back().is_some_and(|rows| rows != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_a_row_has_something_to_lose() {
        for (tag, want) in [
            ("INSERT 0 1", true),
            ("INSERT 0 0", false),
            ("UPDATE 12", true),
            ("UPDATE 0", false),
            ("DELETE 1", true),
            ("SELECT 3", false),
            ("BEGIN", false),
        ] {
            assert_eq!(writes(tag), want, "{tag}");
        }
    }
}
