use crate::database::{catalogue, connect, each_empty, execute, texts};

const HOSTS_OWN: &str = "CREATE TABLE kilocode_users (
    id text NOT NULL PRIMARY KEY, email text NOT NULL, api_token_pepper text, is_admin boolean DEFAULT false)";

#[tokio::test]
async fn host_users_are_unchanged_by_up_and_down() {
    for (name, database) in each_empty().await {
        let db = connect(database.url()).await;
        execute(&db, HOSTS_OWN).await.unwrap();
        execute(&db, "INSERT INTO kilocode_users (id, email) VALUES ('u1', 'one@example.org')").await.unwrap();
        let before = catalogue(&db).await;

        migration::up(&db).await.unwrap();
        let lines = |text: &str| text.lines().filter(|l| l.contains("kilocode_users.")).collect::<Vec<_>>().join("\n");
        assert_eq!(lines(&catalogue(&db).await), lines(&before), "{name}");

        migration::down(&db, None).await.unwrap();
        assert_eq!(lines(&catalogue(&db).await), lines(&before), "{name}");
        let rows = texts(&db, "SELECT id || ' ' || email FROM kilocode_users").await;
        assert_eq!(rows, ["u1 one@example.org"], "{name}");
    }
}

#[tokio::test]
async fn a_table_of_migrations_of_the_host_is_left_alone() {
    for (name, database) in each_empty().await {
        let db = connect(database.url()).await;
        let hosts = "CREATE TABLE seaql_migrations (version text PRIMARY KEY, applied_at bigint NOT NULL)";
        execute(&db, hosts).await.unwrap();
        execute(&db, "INSERT INTO seaql_migrations VALUES ('m1_of_the_host', 0)").await.unwrap();
        migration::up(&db).await.unwrap();
        let rows = texts(&db, "SELECT version FROM seaql_migrations").await;
        assert_eq!(rows, ["m1_of_the_host"], "{name}");
    }
}
