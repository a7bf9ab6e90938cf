//! The control plane that runs offline.

use gastown::fly_sim::{Call, Effect, Fault};
use gastown::{CancellationToken, CreateTown, Gastown, TownStatus, Towns as _};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answer_of_the_simulated_fly_makes_no_second_machine() {
    let gastown = Gastown::simulated().build().await.unwrap();
    let alice = gastown.add_user(&"alice".parse().unwrap()).await.unwrap().caller;
    gastown.simulator().unwrap().inject(Fault::at(Call::CreateMachine, Effect::DropAnswer));

    let created = gastown.towns().create_town(&alice, CreateTown::named("mill".parse().unwrap())).await.unwrap().town;

    assert_eq!(created.status, TownStatus::Running);
    assert_eq!(gastown.simulator().unwrap().machines().len(), 1);
    let stop = CancellationToken::new();
    stop.cancel();
    gastown.run(stop).await;
}

#[cfg(feature = "server")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_answers_until_it_is_stopped() {
    let gastown = Gastown::simulated().build().await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = gastown::local_url(listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let serving = tokio::spawn(gastown.serve(listener, stop.clone()));

    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let ready = client.get(format!("{url}/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), 200);

    stop.cancel();
    serving.await.unwrap().unwrap();
    assert!(client.get(format!("{url}/healthz")).send().await.is_err());
}
