//! Apps: the shared one is read, those of users are created, those of other organizations are not used.

use std::time::Duration;

use gastown_domain::ports::{Apps, Machines, ProviderError, Volumes};
use gastown_fly::api::Action;
use serde_json::json;

use crate::{
    script::Script,
    world::{app, machine_id, own_apps, shared, the_app, town, volume_spec},
};

#[tokio::test]
async fn a_shared_app_is_read_and_never_created() {
    let (fly, script) = Script::new().on_json(Action::GetApp, &the_app()).fly(shared());
    fly.ensure(&app()).await.unwrap();
    script.played();
    let (fly, _) = Script::new().on_error(Action::GetApp, 404, "app not found").fly(shared());
    let error = fly.ensure(&app()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Misconfigured { .. }), "{error:?}");
}

#[tokio::test]
async fn a_users_app_is_created_once_with_its_own_network() {
    let (fly, script) = Script::new()
        .on_error(Action::GetApp, 404, "app not found")
        .on(Action::CreateApp, 201, "")
        .on_json(Action::GetApp, &the_app())
        .fly(own_apps());
    fly.ensure(&app()).await.unwrap();
    assert!(script.played().contains(r#""network": "mill""#));
}

#[tokio::test]
async fn an_app_of_another_organization_is_not_used() {
    let taken = "Validation failed: Name has already been taken";
    let (fly, _) = Script::new()
        .on_error(Action::GetApp, 404, "app not found")
        .on_error(Action::CreateApp, 422, taken)
        .on_json(Action::GetApp, &the_app())
        .fly(own_apps());
    fly.ensure(&app()).await.unwrap();

    let mut foreign = the_app();
    foreign["organization"]["slug"] = json!("theirs");
    let (fly, _) = Script::new().on_json(Action::GetApp, &foreign).fly(own_apps());
    let error = fly.ensure(&app()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Misconfigured { .. }), "{error:?}");

    let (fly, _) = Script::new().on_error(Action::GetApp, 403, "unauthorized").fly(own_apps());
    let error = fly.ensure(&app()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Misconfigured { .. }), "{error:?}");
}

#[tokio::test]
async fn a_new_app_that_is_not_visible_yet_is_retried() {
    let (fly, _) = Script::new()
        .on_error(Action::GetApp, 404, "app not found")
        .on(Action::CreateApp, 201, "")
        .on_error(Action::GetApp, 401, "Authenticate: token validation error")
        .fly(own_apps());
    let error = fly.ensure(&app()).await.unwrap_err();
    assert!(matches!(error, ProviderError::NotNow { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn refusals_on_a_new_app_are_temporary_for_a_minute() {
    let refusals = [(404, "app not found"), (404, ""), (401, "Authenticate: token validation error")];
    let twice = || refusals.into_iter().chain(refusals);
    let new = Script::new()
        .on_error(Action::GetApp, 404, "app not found")
        .on(Action::CreateApp, 201, "")
        .on_json(Action::GetApp, &the_app());
    let script = twice().fold(new, |script, (status, text)| {
        script
            .on_error(Action::CreateVolume, status, text)
            .on_error(Action::ListMachines, status, text)
            .on_error(Action::GetMachine, 404, "machine not found")
            .on_error(Action::GetApp, status, text)
    });
    let (fly, script) = script.fly(own_apps());
    fly.ensure(&app()).await.unwrap();
    let refused = async || {
        [
            fly.create_volume(&volume_spec()).await.map(drop).unwrap_err(),
            fly.in_background().machines_of(&app(), town()).await.map(drop).unwrap_err(),
            fly.machine(&app(), &machine_id()).await.map(drop).unwrap_err(),
        ]
    };
    for _ in refusals {
        for error in refused().await {
            assert!(matches!(error, ProviderError::NotNow { .. }), "{error:?}");
        }
    }
    tokio::time::advance(Duration::from_secs(60)).await;
    for _ in refusals {
        for error in refused().await {
            assert!(matches!(error, ProviderError::Misconfigured { .. }), "{error:?}");
        }
    }
    script.played();
}

#[tokio::test]
async fn an_app_in_a_shared_network_is_not_used() {
    let in_network = |network: serde_json::Value| {
        let mut shown = the_app();
        shown["network"] = network;
        shown
    };
    for own in [in_network(json!("mill")), in_network(json!(null)), in_network(json!("")), the_app()] {
        let (fly, _) = Script::new().on_json(Action::GetApp, &own).fly(own_apps());
        fly.ensure(&app()).await.unwrap();
    }
    let others = in_network(json!("default"));
    let (fly, _) = Script::new().on_json(Action::GetApp, &others).fly(own_apps());
    let error = fly.ensure(&app()).await.unwrap_err();
    let ProviderError::Misconfigured { cause, .. } = &error else { panic!("{error:?}") };
    let text = cause.to_string();
    for word in ["mill", "default", "create it again"] {
        assert!(text.contains(word), "{text}");
    }
    // The operator chose the network of the shared app.
    let (fly, _) = Script::new().on_json(Action::GetApp, &others).fly(shared());
    fly.ensure(&app()).await.unwrap();
}
