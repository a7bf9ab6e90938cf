//! Constraints and defaults of the schema, tested with plain statements.

use sea_orm_migration::sea_orm::{DatabaseConnection, DbBackend};

use crate::database::{connect, each_migrated, execute, texts};

/// Ids are text. SQLite compares them as given, and Postgres parses them as UUIDs.
const TOWN: &str = "00000000-0000-4000-8000-000000000001";
const OTHER: &str = "00000000-0000-4000-8000-000000000002";
const NOW: &str = "2026-11-23T08:50:02.5+00:00";

async fn with_user(db: &DatabaseConnection) {
    execute(db, "INSERT INTO kilocode_users (id) VALUES ('u1')").await.unwrap();
}

fn town(id: &str, name: &str, sandbox: &str, status: &str, destroyed_at: &str) -> String {
    format!(
        "INSERT INTO gastown_towns (id, user_id, town_name, sandbox_id, status, created_at, destroyed_at) \
         VALUES ('{id}', 'u1', '{name}', '{sandbox}', '{status}', '{NOW}', {destroyed_at})"
    )
}

fn operation(id: &str, kind: &str, mark: &str) -> String {
    format!(
        "INSERT INTO gastown_operations \
         (town_id, id, kind, mark, requested_by, next_attempt_at, deadline_at, created_at, updated_at) \
         VALUES ('{TOWN}', '{id}', '{kind}', '{mark}', 'u1', '{NOW}', '{NOW}', '{NOW}', '{NOW}')"
    )
}

fn event(id: &str, actor: &str, key: &str) -> String {
    format!(
        "INSERT INTO gastown_town_events (id, town_id, actor, action, outcome, idempotency_key, at) \
         VALUES ('{id}', '{TOWN}', '{actor}', 'create', 'accepted', {key}, '{NOW}')"
    )
}

#[tokio::test]
async fn unknown_statuses_kinds_and_marks_are_refused() {
    for (name, database) in each_migrated().await {
        let db = connect(database.url()).await;
        with_user(&db).await;
        for status in ["provisioning", "running", "stopped", "destroyed"] {
            execute(&db, &town(TOWN, "mill", "s1", status, "NULL")).await.unwrap();
            execute(&db, "DELETE FROM gastown_towns").await.unwrap();
        }
        assert!(execute(&db, &town(TOWN, "mill", "s1", "paused", "NULL")).await.is_err(), "{name}");

        execute(&db, &town(TOWN, "mill", "s1", "running", "NULL")).await.unwrap();
        for kind in ["create", "start", "stop", "restart", "restore", "destroy", "roll_back", "undo_restore"] {
            execute(&db, &operation(OTHER, kind, "begun")).await.unwrap();
            execute(&db, "DELETE FROM gastown_operations").await.unwrap();
        }
        for mark in ["begun", "prepared", "settled"] {
            execute(&db, &operation(OTHER, "create", mark)).await.unwrap();
            execute(&db, "DELETE FROM gastown_operations").await.unwrap();
        }
        assert!(execute(&db, &operation(OTHER, "hibernate", "begun")).await.is_err(), "{name}");
        assert!(execute(&db, &operation(OTHER, "create", "done")).await.is_err(), "{name}");

        let rig = |status: &str| {
            format!(
                "INSERT INTO gastown_rigs (id, town_id, rig_name, repo_url, status, created_at) \
                 VALUES ('{OTHER}', '{TOWN}', 'r', 'https://example.org/r', '{status}', '{NOW}')"
            )
        };
        for status in ["pending", "active", "removing"] {
            execute(&db, &rig(status)).await.unwrap();
            execute(&db, "DELETE FROM gastown_rigs").await.unwrap();
        }
        assert!(execute(&db, &rig("gone")).await.is_err(), "{name}");
    }
}

#[tokio::test]
async fn name_is_free_after_a_destroy_and_sandbox_ids_stay_unique() {
    for (name, database) in each_migrated().await {
        let db = connect(database.url()).await;
        with_user(&db).await;
        execute(&db, &town(TOWN, "mill", "s1", "running", "NULL")).await.unwrap();
        assert!(execute(&db, &town(OTHER, "mill", "s2", "running", "NULL")).await.is_err(), "{name}: second living");
        assert!(execute(&db, &town(OTHER, "other", "s1", "running", "NULL")).await.is_err(), "{name}: same sandbox");
        execute(&db, &format!("UPDATE gastown_towns SET destroyed_at = '{NOW}'")).await.unwrap();
        assert!(
            execute(&db, &town(OTHER, "mill", "s1", "running", "NULL")).await.is_err(),
            "{name}: tombstone keeps it"
        );
        execute(&db, &town(OTHER, "mill", "s2", "running", "NULL")).await.unwrap();
    }
}

#[tokio::test]
async fn user_cannot_be_deleted_while_a_town_refers_to_it() {
    for (name, database) in each_migrated().await {
        let db = connect(database.url()).await;
        with_user(&db).await;
        assert!(execute(&db, &town(TOWN, "mill", "s1", "x", "NULL")).await.is_err());
        let stranger = town(TOWN, "mill", "s1", "running", "NULL").replace("'u1'", "'unknown'");
        assert!(execute(&db, &stranger).await.is_err(), "{name}: town of an unknown user");
        execute(&db, &town(TOWN, "mill", "s1", "destroyed", &format!("'{NOW}'"))).await.unwrap();
        assert!(execute(&db, "DELETE FROM kilocode_users").await.is_err(), "{name}");
        assert!(execute(&db, "UPDATE kilocode_users SET id = 'u2'").await.is_err(), "{name}");
        execute(&db, "DELETE FROM gastown_towns").await.unwrap();
        execute(&db, "DELETE FROM kilocode_users").await.unwrap();
    }
}

#[tokio::test]
async fn an_idempotency_key_is_unique_among_those_of_its_actor() {
    for (name, database) in each_migrated().await {
        let db = connect(database.url()).await;
        with_user(&db).await;
        execute(&db, &town(TOWN, "mill", "s1", "running", "NULL")).await.unwrap();
        let ids: Vec<String> = (1..=5).map(|n| format!("00000000-0000-4000-8000-00000000010{n}")).collect();
        execute(&db, &event(&ids[0], "u1", "'k'")).await.unwrap();
        assert!(execute(&db, &event(&ids[1], "u1", "'k'")).await.is_err(), "{name}");
        execute(&db, &event(&ids[2], "u2", "'k'")).await.unwrap();
        execute(&db, &event(&ids[3], "u1", "NULL")).await.unwrap();
        execute(&db, &event(&ids[4], "u1", "NULL")).await.unwrap();
    }
}

#[tokio::test]
async fn infinite_times_of_operations_are_refused() {
    let [(_, postgres), _] = each_migrated().await;
    let db = connect(postgres.url()).await;
    with_user(&db).await;
    execute(&db, &town(TOWN, "mill", "s1", "running", "NULL")).await.unwrap();
    execute(&db, &operation(OTHER, "start", "begun")).await.unwrap();
    for column in ["next_attempt_at", "deadline_at", "lease_expires_at", "created_at", "updated_at"] {
        for time in ["infinity", "-infinity"] {
            let refused = execute(&db, &format!("UPDATE gastown_operations SET {column} = '{time}'")).await;
            assert!(refused.is_err(), "{column} {time}");
        }
    }
    execute(&db, &format!("UPDATE gastown_operations SET lease_expires_at = '{NOW}'")).await.unwrap();
    execute(&db, "UPDATE gastown_operations SET lease_expires_at = NULL").await.unwrap();
}

#[tokio::test]
async fn towns_have_one_operation_and_columns_have_their_defaults() {
    for (name, database) in each_migrated().await {
        let db = connect(database.url()).await;
        with_user(&db).await;
        let id = if db.get_database_backend() == DbBackend::Postgres { "gen_random_uuid()" } else { "'x'" };
        let bare = format!(
            "INSERT INTO gastown_towns (id, user_id, town_name, sandbox_id, created_at) \
             VALUES ({id}, 'u1', 'bare', 's0', '{NOW}')"
        );
        execute(&db, &bare).await.unwrap();
        let filled = texts(&db, "SELECT status || ' ' || fly_region || ' ' || config FROM gastown_towns").await;
        assert_eq!(filled, ["provisioning iad {}"], "{name}");

        execute(&db, &town(TOWN, "mill", "s1", "running", "NULL")).await.unwrap();
        execute(&db, &operation(OTHER, "start", "begun")).await.unwrap();
        assert!(execute(&db, &operation(TOWN, "stop", "begun")).await.is_err(), "{name}: second operation");
        let counters = "SELECT fence || ' ' || attempt || ' ' || progress FROM gastown_operations";
        assert_eq!(texts(&db, counters).await, ["0 0 {}"], "{name}");
    }
}
