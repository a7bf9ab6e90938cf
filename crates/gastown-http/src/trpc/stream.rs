//! The answer to a stream batch: one line with a placeholder for each call, then lines as calls settle.
//!
//! Written as `@trpc/server` 11 writes it: call, `result` and `data` are three placeholders, one inside the other.

use std::{convert::Infallible, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures::{
    StreamExt as _,
    future::BoxFuture,
    stream::{self, FuturesUnordered},
};
use tokio::time::timeout;

use super::{
    envelope::{Settled, bare},
    router::Written,
};

/// A call on its way, by its index in the request.
pub(super) type Running = BoxFuture<'static, (usize, Settled)>;

/// The body that writes itself while the calls settle. With `ping`, a space is sent whenever nothing else was for
/// that long, so that proxies keep the connection.
pub(super) fn body(calls: Vec<Running>, ping: Option<Duration>) -> Body {
    let lines =
        Lines { head: Some(head(calls.len())), next_chunk: calls.len(), running: calls.into_iter().collect(), ping };
    Body::from_stream(stream::unfold(lines, |mut lines| async move {
        let bytes = lines.next().await?;
        Some((Ok::<_, Infallible>(bytes), lines))
    }))
}

struct Lines {
    head: Option<String>,
    next_chunk: usize,
    running: FuturesUnordered<Running>,
    ping: Option<Duration>,
}

impl Lines {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(head) = self.head.take() {
            return Some(head.into());
        }
        let (index, settled) = match self.ping {
            None => self.running.next().await?,
            Some(idle) => match timeout(idle, self.running.next()).await {
                Ok(settled) => settled?,
                Err(_) => return Some(Bytes::from_static(b" ")),
            },
        };
        Some(self.chunks(index, &settled).into())
    }

    fn chunks(&mut self, index: usize, settled: &Settled) -> String {
        let data = match &settled.outcome {
            Ok(Written::Undefined) => String::new(),
            Ok(Written::Json(data)) => data.clone(),
            Err(error) => return format!("[{index},0,[[{}]]]\n", bare(error, Some(&settled.path))),
        };
        let (result, value) = (self.next_chunk, self.next_chunk + 1);
        self.next_chunk += 2;
        format!(
            "[{index},0,[[{{\"result\":0}}],[\"result\",0,{result}]]]\n\
             [{result},0,[[{{\"data\":0}}],[\"data\",0,{value}]]]\n\
             [{value},0,[[{data}]]]\n"
        )
    }
}

fn head(calls: usize) -> String {
    let entries: Vec<_> = (0..calls).map(|index| format!("\"{index}\":[[0],[null,0,{index}]]")).collect();
    format!("{{{}}}\n", entries.join(","))
}
