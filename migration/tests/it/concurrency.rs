use std::time::Duration;

use ephemeral_db::TestDatabase;
use migration::at_url;
use sea_orm_migration::sea_orm::{ConnectOptions, ConnectionTrait as _, Database, TransactionTrait as _};

use crate::database::{catalogue, connect, each_empty, each_migrated};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_processes_may_migrate_one_database_at_once() {
    let [(_, postgres), (_, sqlite)] = each_migrated().await;
    let expected = [catalogue(&connect(postgres.url()).await).await, catalogue(&connect(sqlite.url()).await).await];
    for replicas in [2, 3] {
        for ((name, database), expected) in each_empty().await.into_iter().zip(&expected) {
            let mut running = tokio::task::JoinSet::new();
            for _ in 0..replicas {
                let url = database.url().to_owned();
                running.spawn(async move { at_url::up(&url).await });
            }
            for outcome in running.join_all().await {
                assert!(outcome.is_ok(), "{replicas} on {name}: {outcome:?}");
            }
            assert_eq!(&catalogue(&connect(database.url()).await).await, expected, "{replicas} on {name}");
        }
    }
}

#[tokio::test]
async fn pool_with_a_statement_timeout_waits_for_another_migration() {
    let database = TestDatabase::empty_postgres().await.unwrap();
    let mut options = ConnectOptions::new(database.url());
    options.statement_timeout(Duration::from_millis(300));
    let hasty = Database::connect(options).await.unwrap();
    let other = connect(database.url()).await.begin().await.unwrap();
    other.execute_unprepared("SELECT pg_advisory_xact_lock(x'676173746f776e'::bigint)").await.unwrap();

    let migrates = async {
        other.execute_unprepared("SELECT pg_sleep(1)").await.unwrap();
        other.commit().await.unwrap();
    };
    let (done, ()) = tokio::join!(migration::up(&hasty), migrates);
    done.unwrap();
}
