//! The operations of one user, each awaited until the server answers.

use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::measure::http1::Connection;
use crate::measure::trpc;

/// An operation on a town.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Stop,
    Start,
    Destroy,
}

impl Operation {
    /// The life of a town, in order.
    pub(crate) const LIFE: [Self; 4] = [Self::Create, Self::Stop, Self::Start, Self::Destroy];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Stop => "stop",
            Self::Start => "start",
            Self::Destroy => "destroy",
        }
    }

    const fn procedure(self) -> &'static str {
        match self {
            Self::Create => "createTown",
            Self::Stop => "stopTown",
            Self::Start => "startTown",
            Self::Destroy => "destroyTown",
        }
    }

    /// The status of the town once the operation is done.
    const fn status(self) -> &'static str {
        match self {
            Self::Create | Self::Start => "running",
            Self::Stop => "stopped",
            Self::Destroy => "destroyed",
        }
    }
}

/// A user with a connection, and the town that it works on.
pub(crate) struct Owner {
    connection: Connection,
    token: String,
    town: Option<Value>,
    created: usize,
}

impl Owner {
    pub(crate) async fn connect(address: SocketAddr, token: &str) -> anyhow::Result<Self> {
        let connection = Connection::open(address).await?;
        Ok(Self { connection, token: token.to_owned(), town: None, created: 0 })
    }

    /// Runs an operation on the last town that was created. Fails if the answer shows that it is not done.
    pub(crate) async fn run(&mut self, operation: Operation) -> anyhow::Result<()> {
        let input = match &self.town {
            Some(town) if operation != Operation::Create => json!({ "townId": town }),
            _ => json!({ "townName": format!("town-{}", self.created) }),
        };
        let answer = trpc::mutate(&mut self.connection, operation.procedure(), &input, &self.token).await?;
        ensure!(answer["status"] == operation.status(), "{} is not done: {answer}", operation.name());
        if operation == Operation::Create {
            self.created += 1;
            self.town = Some(answer.get("townId").cloned().context("a created town has no id")?);
        }
        Ok(())
    }
}
