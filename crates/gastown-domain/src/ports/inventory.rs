//! Everything at Fly that carries our names or metadata, for whoever looks for what no row accounts for.

use async_trait::async_trait;

use super::ProviderError;
use crate::{AppName, InventoryItem};

/// What an app holds of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppInventory {
    /// Machines and volumes with our names or metadata; those that are gone for good are left out.
    pub items: Vec<InventoryItem>,
    /// Whether the lists were whole. Absence from a list proves nothing either way.
    pub is_whole: bool,
}

/// The inventory. Its calls wait behind those that somebody waits for.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait Inventory: Send + Sync {
    /// The apps that towns may live in: the shared one, or those of the organization that carry our prefix.
    async fn apps(&self) -> Result<Vec<AppName>, ProviderError>;

    /// What an app holds of ours. What cannot be read in it is left out and makes it not whole.
    async fn stock(&self, app: &AppName) -> Result<AppInventory, ProviderError>;
}
