//! The five routes, against a correct sandbox.

use gastown_domain::{
    SandboxRig,
    ports::{SandboxError, Sandboxes},
};
use secrecy::SecretString;

use crate::double::{KEY, MACHINE, address, sandbox};

fn rig(name: &str, repo: &str) -> SandboxRig {
    SandboxRig { name: name.parse().unwrap(), repo: repo.parse().unwrap(), branch: Some("main".parse().unwrap()) }
}

#[tokio::test]
async fn each_route_is_called_as_specified_and_pinned_to_the_machine() {
    let (client, memory) = sandbox().await;
    let at = address();
    let app = rig("app", "https://github.com/a/b");
    client.health(&at).await.unwrap();
    client.add_rig(&at, &app).await.unwrap();
    assert_eq!(client.rigs(&at).await.unwrap(), std::slice::from_ref(&app));
    assert_eq!(client.sync(&at).await.unwrap().to_rfc3339(), "2026-11-23T13:45:00.500+00:00");
    client.remove_rig(&at, &app.name, false).await.unwrap();
    assert_eq!(client.rigs(&at).await.unwrap(), []);
    let want = ["GET /health", "POST /rigs", "GET /rigs", "POST /sync", "DELETE /rigs/app?force=false", "GET /rigs"]
        .map(|line| format!("{line} pin={MACHINE}"));
    assert_eq!(memory.lock().unwrap().requests, want);
}

#[tokio::test]
async fn adding_a_rig_again_succeeds_and_another_repository_is_refused() {
    let (client, _) = sandbox().await;
    let at = address();
    for _ in 0..2 {
        client.add_rig(&at, &rig("app", "https://github.com/a/b")).await.unwrap();
    }
    let error = client.add_rig(&at, &rig("app", "https://github.com/a/c")).await.unwrap_err();
    let SandboxError::Refused { reason } = error else { panic!("{error:?}") };
    assert_eq!(reason, "the name is taken by another repository");
    let error = client.add_rig(&at, &rig("x", "https://github.com/a/missing")).await.unwrap_err();
    let SandboxError::Refused { reason } = error else { panic!("{error:?}") };
    assert_eq!(reason, "the repository does not exist");
}

#[tokio::test]
async fn remove_lists_the_obstacles_and_force_ignores_them() {
    let (client, memory) = sandbox().await;
    let at = address();
    let busy = rig("app", "https://github.com/a/busy");
    client.add_rig(&at, &busy).await.unwrap();
    let error = client.remove_rig(&at, &busy.name, false).await.unwrap_err();
    let SandboxError::InTheWay { in_the_way } = error else { panic!("{error:?}") };
    assert_eq!(in_the_way, ["2 commits not pushed", "a session"]);
    client.remove_rig(&at, &busy.name, true).await.unwrap();
    client.remove_rig(&at, &busy.name, false).await.unwrap();
    assert_eq!(memory.lock().unwrap().rigs.len(), 0);
}

#[tokio::test]
async fn wrong_key_is_unauthorized_on_every_route() {
    let (client, _) = sandbox().await;
    for key in ["", "another key", "a key\nthat fits no header"] {
        let mut at = address();
        at.keys = vec![SecretString::from(key)];
        let app = rig("app", "https://github.com/a/b");
        let errors = [
            client.health(&at).await.unwrap_err(),
            client.rigs(&at).await.unwrap_err(),
            client.add_rig(&at, &app).await.unwrap_err(),
            client.remove_rig(&at, &app.name, true).await.unwrap_err(),
            client.sync(&at).await.unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, SandboxError::Unauthorized), "{key:?}: {error:?}");
        }
    }
}

#[tokio::test]
async fn debug_of_client_and_address_shows_no_key() {
    let (client, _) = sandbox().await;
    client.health(&address()).await.unwrap();
    let printed = format!("{client:?} {:?}", address());
    assert!(!printed.contains(KEY), "{printed}");
}
