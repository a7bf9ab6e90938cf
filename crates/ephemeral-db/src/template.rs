use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Weak};

use tokio::sync::Mutex;

use crate::EphemeralDbError;
use crate::server::Server;

/// The templates in use, by the type of the function that migrated them.
static IN_USE: LazyLock<Mutex<HashMap<TypeId, Weak<ServerDatabase>>>> = LazyLock::new(Mutex::default);

/// A database on a server, which is dropped with this value.
pub(crate) struct ServerDatabase {
    pub(crate) server: Server,
    pub(crate) name: String,
}

impl ServerDatabase {
    pub(crate) async fn empty(server: Server) -> Result<Self, EphemeralDbError> {
        let name = server.create().await?;
        Ok(Self { server, name })
    }

    pub(crate) fn url(&self) -> String {
        self.server.url_of(&self.name)
    }
}

impl Drop for ServerDatabase {
    fn drop(&mut self) {
        // The runtime of the test may be shutting down, so the statement runs on a runtime of its own.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
                    let _result = runtime.block_on(self.server.drop_database(&self.name));
                }
            });
        });
    }
}

/// Returns a copy of the database that `migrate` prepares, and that database.
///
/// It is migrated once and kept as the template as long as a copy exists.
pub(crate) async fn copy_of_migrated<F, Fut, E>(
    server: Server,
    migrate: F,
) -> Result<(ServerDatabase, Arc<ServerDatabase>), EphemeralDbError>
where
    F: FnOnce(String) -> Fut + 'static,
    Fut: Future<Output = Result<(), E>>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut in_use = IN_USE.lock().await;
    let template = if let Some(template) = in_use.get(&TypeId::of::<F>()).and_then(Weak::upgrade) {
        template
    } else {
        let template = ServerDatabase::empty(server.clone()).await?;
        migrate(template.url()).await.map_err(|error| EphemeralDbError::Migrate(error.into()))?;
        let template = Arc::new(template);
        in_use.insert(TypeId::of::<F>(), Arc::downgrade(&template));
        template
    };
    drop(in_use);
    let name = server.copy(&template.name).await?;
    Ok((ServerDatabase { server, name }, template))
}
