//! Clients that create and destroy towns in a closed loop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::Context as _;
use tokio::task::JoinSet;

use super::operations::{Operation, Owner};
use crate::stage::{Database, seed, tokens};

/// Running clients, one for each token.
pub(crate) struct Clients {
    tasks: JoinSet<anyhow::Result<()>>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    is_stopping: AtomicBool,
    /// Towns that were created and destroyed.
    pairs: AtomicUsize,
}

/// Inserts `count` users after the first `known` ones, and returns their tokens.
pub(crate) async fn ready_clients(database: &Database, known: usize, count: usize) -> anyhow::Result<Vec<String>> {
    seed::users(database, known + 1, known + count).await?;
    tokens(known + 1..=known + count)
}

impl Clients {
    pub(crate) fn start(address: SocketAddr, tokens: &[String]) -> Self {
        let (mut tasks, shared) = (JoinSet::new(), Arc::new(Shared::default()));
        for token in tokens {
            tasks.spawn(create_and_destroy(address, token.clone(), shared.clone()));
        }
        Self { tasks, shared }
    }

    /// Returns how many towns were created and destroyed so far.
    pub(crate) fn pairs(&self) -> usize {
        self.shared.pairs.load(Ordering::Relaxed)
    }

    /// Lets each client finish its town. Fails if an operation of any client has failed.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.shared.is_stopping.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.context("a client panicked")??;
        }
        Ok(())
    }
}

async fn create_and_destroy(address: SocketAddr, token: String, shared: Arc<Shared>) -> anyhow::Result<()> {
    let mut owner = Owner::connect(address, &token).await?;
    while !shared.is_stopping.load(Ordering::Relaxed) {
        owner.run(Operation::Create).await?;
        owner.run(Operation::Destroy).await?;
        shared.pairs.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
