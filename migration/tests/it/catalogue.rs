//! The complete catalogue of a migrated database, as a reviewed snapshot.

use crate::database::{catalogue, connect, each_migrated};

#[tokio::test]
async fn the_catalogue_is_the_contract() {
    for (name, database) in each_migrated().await {
        insta::assert_snapshot!(name, catalogue(&connect(database.url()).await).await);
    }
}
