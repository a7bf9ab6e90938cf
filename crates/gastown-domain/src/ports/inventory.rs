//! The inventory: everything at the provider that carries our names or metadata. The search for orphans reads it.

use async_trait::async_trait;

use super::ProviderError;
use crate::{AppName, InventoryItem};

/// Our machines and volumes in one app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppInventory {
    /// Machines and volumes with our names or metadata. Destroyed ones are left out.
    pub items: Vec<InventoryItem>,
    /// True if every entry of the lists could be read. Absence from a list proves nothing in either case.
    pub is_whole: bool,
}

/// The inventory. Its calls have background priority.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait Inventory: Send + Sync {
    /// Returns the apps that towns may be in: the shared one, or those of users in the organization.
    async fn apps(&self) -> Result<Vec<AppName>, ProviderError>;

    /// Returns our machines and volumes in an app. An entry that cannot be read is left out, and the result is not whole.
    async fn list(&self, app: &AppName) -> Result<AppInventory, ProviderError>;
}
