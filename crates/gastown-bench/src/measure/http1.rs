//! A client for one keep-alive connection. It does so little that it leaves the CPU to the server under test.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A connection that carries one request at a time.
pub(crate) struct Connection {
    stream: TcpStream,
    /// The bytes of the current answer.
    received: Vec<u8>,
}

/// An answer, whose body borrows from the connection.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) head: &'a [u8],
    pub(crate) body: &'a [u8],
}

/// The parts of an answer's head that matter.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    /// The length of the head with its empty line.
    length: usize,
    body_length: usize,
}

impl Answer<'_> {
    /// Returns the value of a header, if the answer has it.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = std::str::from_utf8(self.head).ok()?.split("\r\n");
        let mut headers = lines.filter_map(|line| line.split_once(':'));
        headers.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// Returns the bytes of head and body.
    pub(crate) fn bytes(&self) -> usize {
        self.head.len() + self.body.len()
    }
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("failed to connect to {address}"))?;
        stream.set_nodelay(true).context("failed to configure a socket")?;
        Ok(Self { stream, received: Vec::with_capacity(16 << 10) })
    }

    /// Sends a request and reads its whole answer.
    pub(crate) async fn send(&mut self, request: &[u8]) -> anyhow::Result<Answer<'_>> {
        self.stream.write_all(request).await.context("failed to send a request")?;
        self.received.clear();
        let head = loop {
            if let Some(head) = parse_head(&self.received)? {
                break head;
            }
            self.receive().await?;
        };
        let end = head.length + head.body_length;
        while self.received.len() < end {
            self.receive().await?;
        }
        let (head_bytes, rest) = self.received.split_at(head.length);
        let body = rest.get(..head.body_length).context("an answer is longer than its length")?;
        Ok(Answer { status: head.status, head: head_bytes, body })
    }

    async fn receive(&mut self) -> anyhow::Result<()> {
        match self.stream.read_buf(&mut self.received).await.context("failed to receive an answer")? {
            0 => bail!("the server closed a connection without an answer"),
            _ => Ok(()),
        }
    }
}

/// Parses the head of an answer. Returns `None` while it is incomplete.
fn parse_head(received: &[u8]) -> anyhow::Result<Option<Head>> {
    const EMPTY_LINE: &[u8] = b"\r\n\r\n";
    let Some(at) = received.windows(EMPTY_LINE.len()).position(|window| window == EMPTY_LINE) else { return Ok(None) };
    let head = std::str::from_utf8(&received[..at]).context("the head of an answer is not text")?;
    let (status_line, headers) = head.split_once("\r\n").unwrap_or((head, ""));
    let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.with_context(|| format!("not an answer: {status_line}"))?;
    let length = headers.split("\r\n").find_map(content_length);
    let body_length = match status {
        204 | 304 => 0,
        _ => length.with_context(|| format!("an answer has no content-length: {head}"))?,
    };
    Ok(Some(Head { status, length: at + EMPTY_LINE.len(), body_length }))
}

fn content_length(header: &str) -> Option<usize> {
    let (name, value) = header.split_once(':')?;
    name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn head_is_parsed_once_it_is_complete() {
        let answer = b"HTTP/1.1 200 OK\r\nx: y\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(parse_head(&answer[..30]).unwrap(), None);
        let want = Head { status: 200, length: answer.len() - 3, body_length: 3 };
        assert_eq!(parse_head(answer).unwrap(), Some(want));
        assert_eq!(parse_head(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap().unwrap().body_length, 0);
    }

    #[test]
    fn answers_without_a_length_or_a_status_are_errors() {
        assert!(parse_head(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
        assert!(parse_head(b"nonsense\r\n\r\n").is_err());
    }

    #[tokio::test]
    async fn one_connection_carries_several_requests() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serve = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            for part in ["HTTP/1.1 200 OK\r\nconte", "nt-length: 2\r\n\r\no", "k"] {
                let mut request = [0; 64];
                if part.starts_with("HTTP") {
                    assert!(socket.read(&mut request).await.unwrap() > 0);
                }
                socket.write_all(part.as_bytes()).await.unwrap();
                tokio::task::yield_now().await;
            }
            let mut request = [0; 64];
            assert!(socket.read(&mut request).await.unwrap() > 0);
            socket.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        };
        let call = async {
            let mut connection = Connection::open(address).await.unwrap();
            let first = connection.send(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            assert_eq!((first.status, first.body), (200, b"ok".as_slice()));
            assert_eq!((first.header("Content-Length"), first.header("x")), (Some("2"), None));
            let second = connection.send(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            assert_eq!((second.status, second.body), (404, b"".as_slice()));
        };
        tokio::join!(serve, call);
    }
}
