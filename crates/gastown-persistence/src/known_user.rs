//! Inserts users, for `gastown dev` and tests. In production the host application owns its users.

use gastown_domain::UserId;
use gastown_domain::ports::StoreError;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, EntityTrait as _};
use secrecy::{ExposeSecret as _, SecretString};

use crate::Database;
use crate::entity::kilocode_users::{ActiveModel, Column, Entity};

impl Database {
    /// Inserts a user, or sets the pepper of an existing one.
    ///
    /// Errors: `Refused` if the host's own table requires more columns than ours.
    pub async fn make_user_known(&self, id: &UserId, pepper: &SecretString) -> Result<(), StoreError> {
        self.in_tx("make_user_known", move |tx| async move {
            let user = ActiveModel {
                id: Set(id.as_str().to_owned()),
                api_token_pepper: Set(Some(pepper.expose_secret().to_owned())),
            };
            let known = OnConflict::column(Column::Id).update_column(Column::ApiTokenPepper).to_owned();
            Entity::insert(user).on_conflict(known).exec_without_returning(&*tx).await?;
            Ok(())
        })
        .await
    }
}
