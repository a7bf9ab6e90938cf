//! The answer to a stream batch: one line with a placeholder for each call, then the lines of each call when it ends.
//!
//! The format is that of `@trpc/server` 11: call, `result` and `data` are three nested placeholders.

use std::{convert::Infallible, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures::{
    StreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use tokio::time::timeout;

use super::{
    answer::Untaken,
    envelope::{CallOutcome, bare},
    router::Written,
};

/// A running call, by its index in the request.
pub(super) type Running = BoxFuture<'static, (usize, CallOutcome)>;

/// Returns the body, which is produced as the calls end. With `ping`, a space is sent after each silence of that length,
/// so that proxies keep the connection. `concurrency` calls run at a time.
pub(super) fn body(calls: Vec<Running>, concurrency: usize, ping: Option<Duration>) -> Body {
    let count = calls.len();
    let running = stream::iter(calls).buffer_unordered(concurrency.max(1)).boxed();
    let lines = StreamBody { head: Some(head(count)), next_chunk: count, running, ping, untaken: None };
    Body::from_stream(stream::unfold(lines, |mut lines| async move {
        let bytes = lines.next().await?;
        Some((Ok::<_, Infallible>(bytes), lines))
    }))
}

struct StreamBody {
    head: Option<String>,
    next_chunk: usize,
    running: BoxStream<'static, (usize, CallOutcome)>,
    ping: Option<Duration>,
    /// The part of the last output that the caller has not taken yet.
    untaken: Option<Untaken>,
}

impl StreamBody {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(head) = self.head.take() {
            return Some(head.into());
        }
        let (index, outcome) = match self.ping {
            None => self.running.next().await?,
            Some(idle) => match timeout(idle, self.running.next()).await {
                Ok(outcome) => outcome?,
                Err(_) => return Some(Bytes::from_static(b" ")),
            },
        };
        let chunks = self.chunks(index, &outcome);
        self.untaken = outcome.untaken;
        Some(chunks.into())
    }

    fn chunks(&mut self, index: usize, call: &CallOutcome) -> String {
        let data = match &call.outcome {
            Ok(Written::Undefined) => String::new(),
            Ok(Written::Json(data)) => data.clone(),
            Err(error) => return format!("[{index},0,[[{}]]]\n", bare(error, Some(&call.path))),
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
