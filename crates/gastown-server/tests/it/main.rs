//! Tests of the whole control plane on a real socket, a real database and a simulated Fly, on SQLite and on Postgres.
//!
//! Start reading at `stage.rs`. A test gets a [`stage::Setup`], starts a stage from it and returns the stage. Then the
//! invariants are checked: every operation has ended, and every machine and volume belongs to exactly one town.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

/// Runs each of these tests on both databases, and checks the invariants afterwards.
macro_rules! on_both {
    ($($test:ident,)+) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test($crate::stage::Setup::sqlite()).await.check_invariants().await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test($crate::stage::Setup::postgres()).await.check_invariants().await;
            })+
        }
    };
}

mod adopt;
mod apps;
mod bad_input;
mod blocked;
mod browser;
mod canary;
mod capacity;
mod client;
mod commands;
mod connections;
mod console;
mod costs;
mod create;
mod cut_commits;
mod dashboard;
mod declared_reasons;
mod deploy;
mod destroy;
mod dev;
mod disaster;
mod doctor;
mod drift;
mod entry;
mod enumerated;
mod env;
mod failures;
mod figures;
mod foreign;
mod heartbeat;
mod idle_stops;
mod inspection;
mod invariants;
mod keys;
mod life;
mod life_of_a_town;
mod losses;
mod lost_answers;
mod max_operations;
mod max_towns;
mod metrics;
mod monitor;
mod newer_versions;
mod operator;
mod operator_api;
mod operator_lists;
mod operator_wire;
mod orphans;
mod pages;
mod probes;
mod process;
mod races;
mod remote_commands;
mod replica;
mod rigs;
mod rolling_upgrade;
mod rollouts;
mod rotations;
mod rows;
mod sandbox_check;
mod serve;
mod smoke;
mod stage;
mod storm;
mod stranded;
mod takeover;
mod takeover_binary;
mod tenancy;
mod tools;
mod traces;
mod typescript;
mod watch;
