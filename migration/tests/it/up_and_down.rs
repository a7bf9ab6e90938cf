use migration::{at_url, status};
use sea_orm_migration::sea_orm::DatabaseConnection;

use crate::database::{catalogue, connect, each_empty, each_migrated, execute, texts};

#[tokio::test]
async fn up_down_up_restores_the_schema() {
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
async fn each_migration_can_be_reverted() {
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
async fn status_reports_applied_migrations_and_writes_nothing() {
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
async fn status_of_a_missing_database_does_not_create_it() {
    let [(_, postgres), (_, sqlite)] = each_empty().await;
    let file = sqlite.url().strip_prefix("sqlite://").unwrap().split('?').next().unwrap().to_owned() + "x";
    let absent = postgres.url().replace("/gastown_test_", "/gastown_absent_");
    let nowhere = [format!("sqlite://{file}"), format!("sqlite://{file}?mode=rwc"), absent];
    for url in nowhere {
        for asked in [at_url::status(&url).await.map(|_| ()), at_url::down(&url, Some(1)).await] {
            assert!(matches!(asked, Err(migration::MigrateError::NoSuchDatabase(_))), "{url}: {asked:?}");
        }
        assert!(!std::path::Path::new(&file).exists(), "{url}");
    }
    at_url::up(&format!("sqlite://{file}")).await.unwrap();
    std::fs::remove_file(&file).unwrap();
}

#[tokio::test]
async fn health_survives_the_drift_columns_up_and_down() {
    for (name, database) in each_empty().await {
        let db = connect(database.url()).await;
        migration::up(&db).await.unwrap();
        down_to(&db, 6).await;
        let id = "00000000-0000-4000-8000-000000000001";
        insert_town(&db, id, "2026-11-23T08:50:02.5+00:00").await;
        execute(&db, &format!("INSERT INTO gastown_town_health (town_id, failures) VALUES ('{id}', 2)")).await.unwrap();

        migration::up(&db).await.unwrap();
        let known =
            "SELECT failures || ' ' || suspicion_looks || ' ' || COALESCE(drift, 'none') FROM gastown_town_health";
        assert_eq!(texts(&db, known).await, ["2 0 none"], "{name}");
        down_to(&db, 6).await;
        assert_eq!(texts(&db, "SELECT failures || '' FROM gastown_town_health").await, ["2"], "{name}");
    }
}

#[tokio::test]
async fn existing_rows_survive_new_checks() {
    for (name, database) in each_empty().await {
        let db = connect(database.url()).await;
        migration::up(&db).await.unwrap();
        down_to(&db, 9).await;
        let (id, now) = ("00000000-0000-4000-8000-000000000001", "2026-11-23T08:50:02.5+00:00");
        insert_town(&db, id, now).await;
        let operation = format!(
            "INSERT INTO gastown_operations \
             (town_id, id, kind, requested_by, next_attempt_at, deadline_at, created_at, updated_at) \
             VALUES ('{id}', '{id}', 'stop', 'u1', '{now}', 'infinity', '{now}', '{now}')"
        );
        execute(&db, &operation).await.unwrap();

        migration::up(&db).await.unwrap();
        let deadline = "SELECT CAST(deadline_at AS TEXT) FROM gastown_operations";
        assert_eq!(texts(&db, deadline).await, ["infinity"], "{name}");
    }
}

#[tokio::test]
async fn unknown_database_url_is_refused_without_showing_it() {
    let error = at_url::up("mysql://root:canary@localhost/db").await.unwrap_err();
    let migration::MigrateError::Address(mistake) = &error else { panic!("{error:?}") };
    assert_eq!(*mistake, migration::address::AddressError::UnknownDatabase);
    assert!(!format!("{error:?} {error}").contains("canary"));
}

#[tokio::test]
async fn schema_of_a_newer_version_is_accepted_and_not_changed() {
    for (name, database) in each_migrated().await {
        let db = connect(database.url()).await;
        let columns = "INSERT INTO gastown_migrations (version, applied_at) VALUES";
        execute(&db, &format!("{columns} ('m29991231_000099_newer', 1)")).await.unwrap();
        let before = catalogue(&db).await;

        migration::up(&db).await.unwrap();
        assert_eq!(catalogue(&db).await, before, "{name}");
        let states = status(&db).await.unwrap();
        assert!(states.iter().all(|state| state.applied), "{name}: {states:?}");
        assert_eq!(states.last().unwrap().name, "m29991231_000099_newer", "{name}");
        let refused = migration::down(&db, Some(1)).await.unwrap_err();
        assert!(matches!(refused, migration::MigrateError::Failed(_)), "{name}: {refused:?}");
        assert_eq!(catalogue(&db).await, before, "{name}");
    }
}

/// Inserts a town and its owner `u1`.
async fn insert_town(db: &DatabaseConnection, id: &str, now: &str) {
    execute(db, "INSERT INTO kilocode_users (id) VALUES ('u1')").await.unwrap();
    let town = format!(
        "INSERT INTO gastown_towns (id, user_id, town_name, sandbox_id, created_at) \
         VALUES ('{id}', 'u1', 'mill', 's1', '{now}')"
    );
    execute(db, &town).await.unwrap();
}

/// Reverts the latest migrations, so that this many remain.
async fn down_to(db: &DatabaseConnection, remaining: usize) {
    let applied = status(db).await.unwrap().iter().filter(|migration| migration.applied).count();
    let reverted = u32::try_from(applied - remaining).unwrap();
    migration::down(db, Some(reverted)).await.unwrap();
}

#[tokio::test]
async fn operations_survive_the_new_kind_and_a_revert_turns_restarts_into_starts() {
    for (name, database) in each_empty().await {
        let db = connect(database.url()).await;
        migration::up(&db).await.unwrap();
        down_to(&db, 14).await;
        let (id, now) = ("00000000-0000-4000-8000-000000000001", "2026-11-23T08:50:02.5+00:00");
        insert_town(&db, id, now).await;
        let operation = format!(
            "INSERT INTO gastown_operations \
             (town_id, id, kind, requested_by, fence, next_attempt_at, deadline_at, progress, created_at, updated_at) \
             VALUES ('{id}', '{id}', 'stop', 'u1', 7, '{now}', '{now}', '{{\"queued_ms\": 5}}', '{now}', '{now}')"
        );
        execute(&db, &operation).await.unwrap();
        let row = "SELECT kind || ' ' || fence || ' ' || requested_by || ' ' || CAST(progress AS TEXT) \
                   FROM gastown_operations";
        let before = texts(&db, row).await;

        migration::up(&db).await.unwrap();
        assert_eq!(texts(&db, row).await, before, "{name}");
        execute(&db, "UPDATE gastown_operations SET kind = 'restart'").await.unwrap();
        down_to(&db, 14).await;
        assert_eq!(texts(&db, "SELECT kind FROM gastown_operations").await, ["start"], "{name}");
        assert!(execute(&db, "UPDATE gastown_operations SET kind = 'restart'").await.is_err(), "{name}");
    }
}

#[tokio::test]
async fn restores_in_flight_prevent_the_revert_that_would_forget_them() {
    for (name, database) in each_empty().await {
        let db = connect(database.url()).await;
        migration::up(&db).await.unwrap();
        let (id, now) = ("0190a1b2-c3d4-7e5f-8a9b-000000000001", "2026-01-01T00:00:00+00:00");
        insert_town(&db, id, now).await;
        let operation = format!(
            "INSERT INTO gastown_operations \
             (town_id, id, kind, requested_by, next_attempt_at, deadline_at, created_at, updated_at) \
             VALUES ('{id}', '{id}', 'restore', 'u1', '{now}', '{now}', '{now}', '{now}')"
        );
        execute(&db, &operation).await.unwrap();
        let all = status(&db).await.unwrap();
        let at = all.iter().position(|migration| migration.name == "m20261201_000018_restores").unwrap();
        let reverted = u32::try_from(all.len() - at).unwrap();
        assert!(migration::down(&db, Some(reverted)).await.is_err(), "{name}");
        migration::up(&db).await.unwrap();
        assert_eq!(texts(&db, "SELECT kind FROM gastown_operations").await, ["restore"], "{name}");
        execute(&db, "DELETE FROM gastown_operations").await.unwrap();
        migration::down(&db, Some(reverted)).await.unwrap();
        assert!(execute(&db, &operation).await.is_err(), "{name}");
    }
}
