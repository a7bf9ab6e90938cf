//! Many clients at once, whose requests may be refused.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::progress::say;

use super::closed_loop::Requests;
use super::http1::Connection;
use super::latencies::Latencies;
use super::random::Random;
use super::refusal::{self, Kind};

/// The most that is waited for an answer.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The time in which a client opens its connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Texts of wrong answers that are kept by each client.
const KEPT_TEXTS: usize = 1;

/// Clients that send until a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crowd {
    pub(crate) address: SocketAddr,
    pub(crate) clients: usize,
    pub(crate) until: Instant,
    /// The time between two requests of a client, which does not wait for the answer. `None`: the next request follows the
    /// answer at once.
    pub(crate) interval: Option<Duration>,
}

/// The answers that a crowd got.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    answered: Vec<Duration>,
    refused: Vec<Duration>,
    broken: usize,
    texts: Vec<String>,
}

impl Crowd {
    /// Sends requests until the end, and waits for the last answers.
    pub(crate) async fn send(self, requests: &impl Requests) -> anyhow::Result<Tally> {
        let mut clients = JoinSet::new();
        for seed in 1..=self.clients {
            clients.spawn(client(self, seed as u64, requests.clone()));
        }
        let mut all = Tally::default();
        while let Some(ended) = clients.join_next().await {
            all.merge(ended.context("a client panicked")?);
        }
        all.say_example();
        Ok(all)
    }
}

async fn client(crowd: Crowd, seed: u64, requests: impl Requests) -> Tally {
    let (mut tally, mut random, mut request) = (Tally::default(), Random::seeded(seed), String::new());
    let mut connection = None;
    // Clients do not send in step.
    let mut next = Instant::now() + crowd.interval.unwrap_or_default().mul_f64(random.unit());
    while Instant::now() < crowd.until {
        if let Some(interval) = crowd.interval {
            sleep_until(next.min(crowd.until)).await;
            next += interval;
        }
        requests.write_next(&mut random, &mut request);
        let sent = Instant::now();
        match send(crowd.address, &mut connection, &request).await {
            Ok(Kind::Answered) => tally.answered.push(sent.elapsed()),
            Ok(Kind::Refused) => tally.refused.push(sent.elapsed()),
            Err(error) => {
                connection = None;
                tally.add_broken(&error);
            }
        }
    }
    tally
}

async fn send(address: SocketAddr, connection: &mut Option<Connection>, request: &str) -> anyhow::Result<Kind> {
    let connection = if let Some(connection) = connection {
        connection
    } else {
        let opened = timeout(CONNECT_TIMEOUT, Connection::open(address)).await;
        connection.insert(opened.map_err(|_| anyhow!("no connection within {CONNECT_TIMEOUT:?}"))??)
    };
    let answer = timeout(TIMEOUT, connection.send(request.as_bytes())).await;
    refusal::judge(&answer.map_err(|_| anyhow!("no answer within {TIMEOUT:?}"))??)
}

impl Tally {
    fn add_broken(&mut self, error: &anyhow::Error) {
        self.broken += 1;
        if self.texts.len() < KEPT_TEXTS {
            self.texts.push(format!("{error:#}"));
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.answered.extend(other.answered);
        self.refused.extend(other.refused);
        self.broken += other.broken;
        self.texts.extend(other.texts);
    }

    /// Returns the requests that got any answer, or none.
    pub(crate) fn sent(&self) -> usize {
        self.answered.len() + self.refused.len() + self.broken
    }

    pub(crate) fn answered(&self) -> usize {
        self.answered.len()
    }

    pub(crate) fn refused(&self) -> usize {
        self.refused.len()
    }

    /// Returns the requests whose answer was neither 200 nor a refusal in its form.
    pub(crate) fn broken(&self) -> usize {
        self.broken
    }

    /// Prints an example of a broken request.
    fn say_example(&self) {
        if let Some(example) = self.example() {
            say(format!("{} wrong answers, such as: {example}", self.broken));
        }
    }

    /// Returns an example of a broken request.
    pub(crate) fn example(&self) -> Option<&str> {
        self.texts.first().map(String::as_str)
    }

    pub(crate) fn latencies_of_answered(&self) -> Latencies {
        Latencies::new(self.answered.clone())
    }

    pub(crate) fn latencies_of_refused(&self) -> Latencies {
        Latencies::new(self.refused.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[derive(Clone)]
    struct Always(Arc<str>);

    impl Requests for Always {
        fn write_next(&self, _: &mut Random, request: &mut String) {
            request.clear();
            request.push_str(&self.0);
        }
    }

    #[tokio::test]
    async fn answers_and_broken_requests_are_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            for answer in
                ["HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"]
            {
                let (mut socket, _) = listener.accept().await.unwrap();
                assert!(socket.read(&mut [0; 64]).await.unwrap() > 0);
                socket.write_all(answer.as_bytes()).await.unwrap();
            }
            drop(listener);
        });
        let until = Instant::now() + Duration::from_millis(300);
        let crowd = Crowd { address, clients: 1, until, interval: Some(Duration::from_millis(20)) };
        let tally = crowd.send(&Always("GET / HTTP/1.1\r\n\r\n".into())).await.unwrap();
        assert_eq!((tally.answered(), tally.refused()), (1, 0));
        assert!(tally.broken() > 1 && tally.sent() == 1 + tally.broken(), "{tally:?}");
        assert!(tally.example().is_some());
    }
}
