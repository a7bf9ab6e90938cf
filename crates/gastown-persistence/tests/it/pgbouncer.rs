//! The registry behind a real PgBouncer in session mode. Other modes are refused.

use ephemeral_db::{PgBouncer, PoolMode, TestDatabase};
use gastown_persistence::{Database, DatabaseSettings};

use crate::bed::Bed;

/// Runs tests of other modules behind a PgBouncer.
macro_rules! behind_pgbouncer {
    ($($module:ident::$test:ident,)+) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            crate::$module::$test(Bed::behind_pgbouncer().await).await;
        })+
    };
}

behind_pgbouncer! {
    claims::each_of_many_operations_is_claimed_once,
    claims::expired_lease_is_taken_over_and_the_old_holder_writes_nothing,
    creates::parallel_repeats_with_one_key_return_one_town,
    creates::parallel_creates_do_not_exceed_the_limit,
    drift_rounds::no_town_is_taken_twice_in_a_round,
    requests::one_of_parallel_requests_is_accepted_and_the_others_name_it,
    requests::destroy_preempts_and_keeps_the_progress,
    recording::step_and_town_are_recorded_together,
    rigs::one_of_twenty_parallel_rigs_of_one_name_wins,
    rigs::rigs_are_inserted_changed_and_removed,
    shares::replicas_share_due_operations_and_none_is_claimed_twice,
    singleton_jobs::one_of_parallel_replicas_claims_the_job,
    connections::slow_changes_delay_no_read,
    connections::many_reads_delay_no_change,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transaction_mode_is_refused_with_its_name() {
    let place = TestDatabase::empty_postgres().await.unwrap();
    for mode in [PoolMode::Transaction, PoolMode::Statement] {
        for connections in [1, 20] {
            let pooler = PgBouncer::in_front_of(place.url(), mode, connections, &[]).await.unwrap();
            let error = Database::connect(&DatabaseSettings::at(pooler.url())).await.unwrap_err();
            assert!(error.to_string().contains("pool_mode of PgBouncer"), "{mode:?}, {connections}: {error:?}");
        }
    }
}
