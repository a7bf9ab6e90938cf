//! The limits of connections, as settings of the binary.

use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::client;
use crate::process::Gastown;
use crate::stage::{ALICE, Setup, Stage, TIMEOUT, until};

on_both! {
    probes_are_answered_when_descriptors_are_few,
    silent_connection_is_closed_after_its_setting,
}

async fn connect(url: &str) -> TcpStream {
    TcpStream::connect(url.trim_start_matches("http://")).await.unwrap()
}

/// Connects from another address of this machine.
async fn connect_from(address: [u8; 4], url: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((address, 0).into()).unwrap();
    socket.connect(url.trim_start_matches("http://").parse().unwrap()).await.unwrap()
}

async fn probes_are_answered_when_descriptors_are_few(setup: Setup) -> Stage {
    let mut stage = setup.start().await;
    stage.replicas.pop().unwrap().stop().await;
    let mut process = Gastown::serve_with_descriptors(256, &stage.settings);
    let url = process.served_url().await;
    let mut held = Vec::new();
    // No address alone can take all places.
    for host in [2, 3, 4] {
        for _ in 0..100 {
            held.push(connect_from([127, 0, 0, host], &url).await);
        }
    }
    for path in ["healthz", "readyz", "healthz"] {
        let probe = client::http().get(format!("{url}/{path}")).send();
        let answer = timeout(Duration::from_secs(5), probe).await.expect("no answer").unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }
    let call = client::http().get(format!("{url}/trpc/gastown.listTowns")).bearer_auth(stage.token(ALICE));
    let refused = call.send().await.unwrap();
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    let envelope: Value = refused.json().await.unwrap();
    assert_eq!(envelope["error"]["data"]["code"], "SERVICE_UNAVAILABLE");
    drop(held);
    until("calls are answered again", async || {
        let call = client::http().get(format!("{url}/trpc/gastown.listTowns")).bearer_auth(stage.token(ALICE));
        call.send().await.is_ok_and(|answer| answer.status() == 200)
    })
    .await;
    let log = process.err();
    assert!(log.contains("connections limited by file descriptors") && log.contains("connections refused"), "{log}");
    assert!(!log.contains("failed to accept connection"), "{log}");
    process.kill().await;
    stage.add_replica().await;
    stage
}

async fn silent_connection_is_closed_after_its_setting(setup: Setup) -> Stage {
    let mut stage = setup.start().await;
    stage.replicas.pop().unwrap().stop().await;
    let mut settings = stage.settings.clone();
    settings.push(("HTTP_HEAD_SECONDS".to_owned(), "1".to_owned()));
    let mut process = Gastown::spawn(&["serve"], &settings);
    let url = process.served_url().await;
    let mut silent = connect(&url).await;
    let mut nothing = Vec::new();
    let read = timeout(TIMEOUT, silent.read_to_end(&mut nothing)).await.expect("the connection stays open");
    assert_eq!(read.unwrap(), 0);
    process.kill().await;
    stage.add_replica().await;
    stage
}
