//! The size of answers: of one request, and of what a caller has not taken yet.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

use super::{
    error::CallError,
    per_caller::{Held, PerCaller},
};
use crate::reason::Reason;

/// The time after which a caller with too many untaken bytes may try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The bytes that are left for the outputs of one request.
pub(super) struct AnswerBudget {
    max: usize,
    left: AtomicUsize,
}

impl AnswerBudget {
    pub(super) fn new(max: usize) -> Self {
        Self { max, left: AtomicUsize::new(max) }
    }

    /// Returns the most that one more output may have.
    pub(super) fn left(&self) -> usize {
        self.left.load(Ordering::Relaxed)
    }

    /// Takes the bytes of an output.
    pub(super) fn take(&self, bytes: usize) -> Result<(), CallError> {
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        taken.map(drop).map_err(|_| self.too_large())
    }

    /// Returns the error of an output that does not fit.
    pub(super) fn too_large(&self) -> CallError {
        let message = format!("The answer would exceed {} bytes; request less at once", self.max);
        Reason::AnswerTooLarge.error(message).with_detail("maxBytes", self.max.into())
    }
}

/// A writer of JSON that stops at a limit, before it allocates more.
pub(super) struct LimitedWriter {
    pub(super) bytes: Vec<u8>,
    limit: usize,
}

impl LimitedWriter {
    pub(super) fn new(limit: usize) -> Self {
        Self { bytes: Vec::with_capacity(limit.min(128)), limit }
    }
}

impl io::Write for LimitedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The bytes of outputs that callers have not taken yet. Small ones count too, because a batch has many of them.
#[derive(Clone)]
pub(super) struct UntakenBytes {
    max: usize,
    bytes: PerCaller,
}

/// An output that is counted until it is dropped.
pub(super) type Untaken = Held;

impl UntakenBytes {
    pub(super) fn new(max: usize) -> Self {
        Self { max, bytes: PerCaller::default() }
    }

    /// Checks that the caller has taken enough of its earlier outputs.
    ///
    /// Errors: `TOO_MANY_REQUESTS` if the untaken bytes have reached the limit.
    pub(super) fn check(&self, caller: u64) -> Result<(), CallError> {
        if self.bytes.of(caller) >= self.max { Err(too_many_untaken()) } else { Ok(()) }
    }

    /// Counts an output until the returned value is dropped. `None`: it is empty.
    ///
    /// Errors: `TOO_MANY_REQUESTS` if the output exceeds the limit.
    pub(super) fn add_within_limit(&self, caller: u64, bytes: usize) -> Result<Option<Untaken>, CallError> {
        self.count(caller, bytes, |own| if own + bytes > self.max { Err(too_many_untaken()) } else { Ok(()) })
    }

    /// Counts an output as [`Self::add_within_limit`] does, also beyond the limit.
    pub(super) fn add(&self, caller: u64, bytes: usize) -> Option<Untaken> {
        match self.count(caller, bytes, |_| Ok::<_, Infallible>(())) {
            Ok(counted) => counted,
        }
    }

    fn count<E>(
        &self,
        caller: u64,
        bytes: usize,
        check: impl FnOnce(usize) -> Result<(), E>,
    ) -> Result<Option<Untaken>, E> {
        if bytes == 0 {
            return Ok(None);
        }
        self.bytes.add(caller, bytes, |own, _| check(own)).map(Some)
    }
}

fn too_many_untaken() -> CallError {
    let message = "You have not read your earlier answers yet; read them before you request more";
    Reason::AnswersNotRead.error(message).retry_after(RETRY_AFTER)
}

/// Returns a body whose outputs count as untaken until it is dropped.
pub(super) fn body(text: String, untaken: Vec<Untaken>) -> Body {
    if untaken.is_empty() { text.into() } else { Body::new(CountedBody { body: text.into(), _untaken: untaken }) }
}

struct CountedBody {
    body: Body,
    _untaken: Vec<Untaken>,
}

impl HttpBody for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
