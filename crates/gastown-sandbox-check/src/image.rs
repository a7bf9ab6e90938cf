//! The port to an image that can be booted.

use std::time::Duration;

use async_trait::async_trait;
use url::Url;

use crate::town::Environment;

/// An image with one volume. What a boot writes to the volume, the next boot finds.
#[async_trait]
pub trait Image: Send + Sync {
    /// Boots the image with this environment. Returns as soon as its process is started.
    async fn boot(&self, environment: &Environment) -> Result<Box<dyn Running>, ImageError>;
}

/// A started process of the image, which serves or has ended.
#[async_trait]
pub trait Running: Send + Sync {
    /// Returns the base address of its API.
    fn url(&self) -> &Url;

    /// Waits for the end of the process, without ending it.
    async fn ended(&mut self) -> Ending;

    /// Sends SIGINT, and kills the process if it has not ended within the limit.
    async fn stop(self: Box<Self>, limit: Duration) -> Stopped;
}

/// The end of a process without a signal from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The exit code was 0.
    Success,
    /// Any other end, with the exit code and the last output.
    Failure(String),
}

/// The end of a process after a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// It ended within the limit, or before.
    InTime,
    /// It had to be killed.
    Killed,
}

/// The process could not be started.
#[derive(Debug, thiserror::Error)]
#[error("failed to start the image")]
pub struct ImageError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
