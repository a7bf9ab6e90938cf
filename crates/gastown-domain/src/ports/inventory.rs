//! The inventory: everything in an app at the provider, in few calls. The search for orphans and the drift checks read it.

use async_trait::async_trait;

use super::{ObservedMachine, ObservedVolume, ProviderError};
use crate::{AppName, InventoryItem};

/// Our machines and volumes in one app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppInventory {
    /// Machines and volumes with our names or metadata. Destroyed ones are left out.
    pub items: Vec<InventoryItem>,
    /// True if every entry of the lists could be read. Absence from a list proves nothing in either case.
    pub is_whole: bool,
}

/// The machines and volumes of one app whose state its lists show for certain.
///
/// Everything else is left out: entries that cannot be read, and machines and volumes on hosts that may not answer. A list
/// may be stale, too. So absence from it proves nothing (FM-32).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppLists {
    /// The machines, each with the volume it mounts.
    pub machines: Vec<ObservedMachine>,
    /// The volumes.
    pub volumes: Vec<ObservedVolume>,
}

/// The inventory. Its calls have background priority.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait Inventory: Send + Sync {
    /// Returns the apps that towns may be in: the shared one, or those of users in the organization.
    async fn apps(&self) -> Result<Vec<AppName>, ProviderError>;

    /// Returns our machines and volumes in an app. An entry that cannot be read is left out, and the result is not whole.
    async fn list(&self, app: &AppName) -> Result<AppInventory, ProviderError>;

    /// Returns the machines and volumes of an app as its lists show them, with one short list of each.
    async fn lists(&self, app: &AppName) -> Result<AppLists, ProviderError>;
}
