use migration::at_url;

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
