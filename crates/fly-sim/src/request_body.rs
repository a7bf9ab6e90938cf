//! The reading of a request's body, with bounds on its size and its duration.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body;

use crate::{api_error::ApiError, reply::Reply};

/// The maximum size of a body, in bytes. Larger bodies are refused with 413.
pub(crate) const MAX_BODY: usize = 4 << 20;
/// The maximum size of a body of the control API, which may be a whole world.
pub(crate) const MAX_CONTROL_BODY: usize = 256 << 20;
/// The maximum that is read and discarded of a larger body, so that its sender reads the refusal.
const MAX_DISCARDED: usize = 64 << 20;
/// The maximum time for which a body may arrive.
pub(crate) const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads a body, or returns the answer that refuses it.
pub(crate) async fn receive<B: Body<Data = Bytes> + Unpin>(body: B, max: usize) -> Result<Bytes, Reply> {
    match tokio::time::timeout(BODY_TIMEOUT, read(body, max)).await {
        Ok(read) => read.map_err(Reply::from),
        Err(_) => Err(ApiError::BodyTimeout.into()),
    }
}

async fn read<B: Body<Data = Bytes> + Unpin>(mut body: B, max: usize) -> Result<Bytes, ApiError> {
    let (mut kept, mut size) = (BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Err(ApiError::invalid("the body ended early")) };
        let Some(data) = frame.data_ref() else { continue };
        size += data.len();
        if size <= max {
            kept.extend_from_slice(data);
        } else if size > max.saturating_add(MAX_DISCARDED) {
            return Err(ApiError::BodyTooLarge);
        }
    }
    if size > max { Err(ApiError::BodyTooLarge) } else { Ok(kept.freeze()) }
}
