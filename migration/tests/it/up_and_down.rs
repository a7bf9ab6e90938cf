use migration::{at_url, status};

use crate::database::{catalogue, connect, each_empty, execute};

#[tokio::test]
async fn up_down_and_up_again_end_where_the_first_up_ended() {
    for (name, database) in each_empty().await {
        let db = connect(database.url()).await;
        migration::up(&db).await.unwrap();
        let first = catalogue(&db).await;
        assert!(first.contains("gastown_town_events"), "{name}: {first}");

        migration::down(&db, None).await.unwrap();
        let emptied = catalogue(&db).await;
        assert!(!emptied.contains("gastown_towns") && !emptied.contains("kilocode_users"), "{name}: {emptied}");

        migration::up(&db).await.unwrap();
        assert_eq!(catalogue(&db).await, first, "{name}");
    }
}

#[tokio::test]
async fn each_migration_can_be_taken_back_alone() {
    for (name, database) in each_empty().await {
        let db = connect(database.url()).await;
        migration::up(&db).await.unwrap();
        let count = status(&db).await.unwrap().len();
        for taken_back in 1..=count {
            migration::down(&db, Some(1)).await.unwrap();
            let applied = status(&db).await.unwrap().iter().filter(|m| m.applied).count();
            assert_eq!(applied, count - taken_back, "{name}");
        }
    }
}

#[tokio::test]
async fn a_failing_migration_leaves_nothing_behind() {
    for (name, database) in each_empty().await {
        let db = connect(database.url()).await;
        execute(&db, "CREATE TABLE gastown_operations (in_the_way int)").await.unwrap();
        let before = catalogue(&db).await;
        let error = migration::up(&db).await.unwrap_err();
        assert!(matches!(error, migration::MigrateError::Failed(_)), "{name}: {error:?}");
        assert_eq!(catalogue(&db).await, before, "{name}");
    }
}

#[tokio::test]
async fn status_tells_what_is_applied_and_writes_nothing() {
    for (name, database) in each_empty().await {
        let db = connect(database.url()).await;
        assert!(at_url::status(database.url()).await.unwrap().iter().all(|m| !m.applied), "{name}");
        assert!(!catalogue(&db).await.contains("gastown_migrations"), "{name}");
        migration::up(&db).await.unwrap();
        let states = status(&db).await.unwrap();
        assert!(states.iter().all(|m| m.applied), "{name}: {states:?}");
        assert_eq!(states[0].name, "m20261123_000001_users", "{name}");
    }
}

#[tokio::test]
async fn an_address_of_another_kind_of_database_is_refused_without_being_repeated() {
    let error = at_url::up("mysql://root:canary@localhost/db").await.unwrap_err();
    assert!(matches!(error, migration::MigrateError::UnknownDatabase));
    assert!(!format!("{error:?} {error}").contains("canary"));
}
