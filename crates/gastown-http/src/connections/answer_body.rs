//! The body of an answer, which records whether it waits for the client.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

use super::activity::InFlight;

/// The largest part that is handed over at once. The rest waits here, where it is counted, until the client takes more.
const MAX_PART: usize = 64 * 1024;

pub(super) struct AnswerBody {
    body: Body,
    /// The rest of a large frame.
    rest: Bytes,
    request: InFlight,
}

impl AnswerBody {
    pub(super) fn new(body: Body, mut request: InFlight) -> Self {
        request.waits_for_client(true);
        Self { body, rest: Bytes::new(), request }
    }

    /// Returns at most one part, and keeps the rest.
    fn part(&mut self, mut data: Bytes) -> Frame<Bytes> {
        self.rest = data.split_off(data.len().min(MAX_PART));
        Frame::data(data)
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if !self.rest.is_empty() {
            self.request.waits_for_client(true);
            let rest = std::mem::take(&mut self.rest);
            return Poll::Ready(Some(Ok(self.part(rest))));
        }
        let frame = Pin::new(&mut self.body).poll_frame(context);
        self.request.waits_for_client(frame.is_ready());
        Poll::Ready(ready!(frame).map(|frame| {
            frame.map(|frame| match frame.into_data() {
                Ok(data) => self.part(data),
                Err(frame) => frame,
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, inner) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}
