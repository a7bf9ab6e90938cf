use async_trait::async_trait;
use gastown_domain::UserId;
use gastown_domain::ports::{Readiness, StoreError, User, Users};
use sea_orm::EntityTrait as _;

use crate::Database;
use crate::entity::kilocode_users;

#[async_trait]
impl Users for Database {
    async fn user(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        let row = self.read(kilocode_users::Entity::find_by_id(id.as_str()).one(&self.connection)).await?;
        row.map(kilocode_users::Model::into_user).transpose()
    }
}

#[async_trait]
impl Readiness for Database {
    /// Fails if the registry cannot be read, or not be written.
    async fn ready(&self) -> Result<(), StoreError> {
        self.in_time(self.probe.ready()).await
    }
}
