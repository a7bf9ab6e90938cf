use async_trait::async_trait;
use gastown_domain::UserId;
use gastown_domain::ports::{Readiness, StoreError, User, Users};
use sea_orm::sea_query::Expr;
use sea_orm::{ConnectionTrait as _, EntityTrait as _, QueryTrait as _};

use crate::Database;
use crate::entity::kilocode_users;
use crate::reads::{BLOCKED, is_blocked};
use crate::row::decoded;

#[async_trait]
impl Users for Database {
    async fn user(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        let mut find = kilocode_users::Entity::find_by_id(id.as_str()).into_query();
        let blocked = self.blocked.as_ref().map_or_else(|| "0".to_owned(), |column| column.sql("kilocode_users"));
        find.expr_as(Expr::cust(blocked), BLOCKED);
        let Some(row) = self.read(self.connection.query_one(&find)).await? else { return Ok(None) };
        let is_blocked = is_blocked(&row)?;
        decoded::<kilocode_users::Entity, kilocode_users::Model>(&row, "")?.into_user(is_blocked).map(Some)
    }
}

#[async_trait]
impl Readiness for Database {
    /// Fails if the registry cannot be read, or not be written.
    async fn ready(&self) -> Result<(), StoreError> {
        self.in_time(self.probe.ready()).await
    }
}
