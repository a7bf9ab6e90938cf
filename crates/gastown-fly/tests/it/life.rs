//! The ports against the simulator, which checks every request against Fly's own OpenAPI document.

use std::time::Duration;

use fly_sim::{Call, Capacity, Effect, Fault};
use gastown_domain::{
    Power, Region, VolumeId,
    ports::{Action, Apps, Awaited, Machines, ProviderError, Volumes},
};
use gastown_fly::{Fly, FlyClient, RateLimiting, Timeouts};
use secrecy::SecretString;

use crate::{
    stage::{TIMEOUT, World, spec},
    world::{OTHER_TOWN, app, own_apps, shared, town, volume_spec},
};

/// Repeats a call that is refused for now, as the reconciler does.
macro_rules! retried {
    ($call:expr) => {{
        let mut tries = 0;
        loop {
            match $call.await {
                Err(ProviderError::NotNow { .. } | ProviderError::VolumeBound { .. }) if tries < 400 => {
                    tries += 1;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                other => break other,
            }
        }
    }};
}

#[tokio::test]
async fn a_town_is_created_stopped_updated_started_and_deleted() {
    let world = World::new().await;
    let (fly, at) = (&world.fly, app());
    fly.ensure(&at).await.unwrap();

    let volume = fly.create_volume(&volume_spec()).await.unwrap();
    assert_eq!(
        (volume.region.as_ref().map(Region::as_str), volume.destroying, &volume.bound_to),
        (Some("iad"), false, &None)
    );
    let spec = spec(volume.id.clone());
    let made = fly.create_machine(&spec).await.unwrap();
    assert_eq!((made.power, &made.volume), (Power::Starting, &Some(volume.id.clone())));
    assert!(fly.await_machine(&at, &made.id, Awaited::Started, TIMEOUT).await.unwrap());
    assert_eq!(fly.machine(&at, &made.id).await.unwrap().unwrap().power, Power::On);
    assert_eq!(fly.machines_of(&at, town()).await.unwrap().len(), 1);
    assert_eq!(fly.volume(&at, &volume.id).await.unwrap().unwrap().bound_to, Some(made.id.clone()));

    fly.stop_machine(&at, &made.id).await.unwrap();
    assert!(fly.await_machine(&at, &made.id, Awaited::Stopped, TIMEOUT).await.unwrap());
    fly.stop_machine(&at, &made.id).await.unwrap();

    let mut fresh = spec.clone();
    fresh.env.insert("KILO_JWT".to_owned(), "e30.e30.ZnJlc2g".to_owned());
    retried!(fly.update_machine(&made.id, &fresh)).unwrap();
    retried!(fly.start_machine(&at, &made.id)).unwrap();
    assert!(fly.await_machine(&at, &made.id, Awaited::Started, TIMEOUT).await.unwrap());
    fly.start_machine(&at, &made.id).await.unwrap();
    assert_eq!(world.sim.machines()[0].env["KILO_JWT"], "e30.e30.ZnJlc2g");
    assert_eq!(world.sim.machines()[0].volume.as_deref(), Some(volume.id.as_str()));

    let bound = fly.delete_volume(&at, &volume.id).await.unwrap_err();
    assert!(matches!(bound, ProviderError::VolumeBound { .. }), "{bound:?}");
    fly.delete_machine(&at, &made.id).await.unwrap();
    assert!(fly.await_machine(&at, &made.id, Awaited::Destroyed, TIMEOUT).await.unwrap());
    assert_eq!(fly.machine(&at, &made.id).await.unwrap(), None);
    fly.delete_machine(&at, &made.id).await.unwrap();
    retried!(fly.delete_volume(&at, &volume.id)).unwrap();
    fly.delete_volume(&at, &volume.id).await.unwrap();
    assert_eq!(fly.volume(&at, &volume.id).await.unwrap(), None);
    assert_eq!(fly.volumes_of(&at, town()).await.unwrap(), []);
    assert_eq!(fly.machines_of(&at, town()).await.unwrap(), []);
    assert_eq!((world.sim.machines().len(), world.sim.volumes().len()), (0, 0));
    world.assert_lawful();
}

#[tokio::test]
async fn a_create_with_a_lost_answer_is_adopted_by_the_next() {
    let world = World::new().await;
    let spec = world.spec().await;
    for effect in [
        Effect::DropAnswer,
        Effect::ApplyThenAnswer { status: 500, body: "oops".into() },
        Effect::ApplyThenAnswer { status: 200, body: "<html>".into() },
        Effect::ApplyThenAnswer { status: 408, body: serde_json::Value::Null },
    ] {
        world.sim.inject(Fault::at(Call::CreateMachine, effect.clone()));
        let lost = world.fly.create_machine(&spec).await.unwrap_err();
        assert!(lost.may_be_applied(), "{effect:?}: {lost:?}");
        let adopted = world.fly.create_machine(&spec).await.unwrap();
        assert_eq!(world.sim.machines().len(), 1, "{effect:?}");
        assert_eq!(world.sim.machines()[0].id, adopted.id.as_str());
        assert_eq!(world.fly.machines_of(&app(), town()).await.unwrap().len(), 1);
        world.fly.delete_machine(&app(), &adopted.id).await.unwrap();
        assert!(world.fly.await_machine(&app(), &adopted.id, Awaited::Destroyed, TIMEOUT).await.unwrap());
        retried!(async {
            match world.fly.volume(&app(), &spec.volume).await?.and_then(|volume| volume.bound_to) {
                Some(_) => Err(ProviderError::VolumeBound { action: Action::ReadVolume, cause: "still bound".into() }),
                None => Ok(()),
            }
        })
        .unwrap();
    }
}

#[tokio::test]
async fn a_volume_with_a_lost_answer_is_found_by_its_name() {
    let world = World::new().await;
    world.sim.inject(Fault::at(Call::CreateVolume, Effect::DropAnswer));
    let lost = world.fly.create_volume(&volume_spec()).await.unwrap_err();
    assert!(lost.may_be_applied(), "{lost:?}");
    let found = world.fly.volumes_of(&app(), town()).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].id.as_str(), world.sim.volumes()[0].id);
    world.assert_lawful();
}

#[tokio::test]
async fn a_machine_of_another_town_is_neither_found_nor_adopted() {
    let world = World::new().await;
    let (_, made) = world.running().await;
    world.set_town_tag(&made.id, OTHER_TOWN).await;
    assert_eq!(world.fly.machines_of(&app(), town()).await.unwrap(), []);
    let second = spec(world.fly.create_volume(&volume_spec()).await.unwrap().id);
    let error = world.fly.create_machine(&second).await.unwrap_err();
    assert!(matches!(&error, ProviderError::NameTaken { by, .. } if *by == made.id), "{error:?}");
    assert_eq!(world.sim.machines()[0].metadata["gastown_town_id"], OTHER_TOWN);
    world.assert_lawful();
}

#[tokio::test]
async fn a_volume_in_use_cannot_be_mounted_twice() {
    let world = World::new().await;
    let (spec, _) = world.running().await;
    let mut second = spec.clone();
    second.town = OTHER_TOWN.parse().unwrap();
    let error = world.fly.create_machine(&second).await.unwrap_err();
    assert!(matches!(error, ProviderError::VolumeBound { .. }), "{error:?}");
    let mut nowhere = second.clone();
    nowhere.volume = "vol_nosuchvolume".parse().unwrap();
    let error = world.fly.create_machine(&nowhere).await.unwrap_err();
    assert!(matches!(error, ProviderError::VolumeMissing { .. }), "{error:?}");
    world.assert_lawful();
}

#[tokio::test]
async fn every_answer_for_a_lack_of_capacity_is_recognised() {
    let world = World::new().await;
    let spec = world.spec().await;
    for capacity in Capacity::ALL {
        let (call, host) = match capacity {
            Capacity::Region | Capacity::Quota => (Call::CreateMachine, false),
            Capacity::VolumeHost
            | Capacity::Host
            | Capacity::HostAddresses
            | Capacity::HostResources
            | Capacity::HostGoverned
            | Capacity::HostDisabled => (Call::CreateMachine, true),
            Capacity::VolumeAborted | Capacity::VolumePlain => (Call::CreateVolume, false),
        };
        world.sim.inject(Fault::at(call, capacity.effect()));
        let error = match call {
            Call::CreateVolume => world.fly.create_volume(&volume_spec()).await.map(drop).unwrap_err(),
            _ => world.fly.create_machine(&spec).await.map(drop).unwrap_err(),
        };
        let host_full = match error {
            ProviderError::HostFull { .. } => true,
            ProviderError::NoCapacity { .. } => false,
            other => panic!("{capacity:?}: {other:?}"),
        };
        assert_eq!(host_full, host, "{capacity:?}");
        assert!(world.sim.machines().is_empty(), "{capacity:?}");
    }
}

#[tokio::test]
async fn a_start_on_a_full_host_leaves_the_machine_off() {
    let world = World::new().await;
    let (_, made) = world.running().await;
    world.fly.stop_machine(&app(), &made.id).await.unwrap();
    assert!(world.fly.await_machine(&app(), &made.id, Awaited::Stopped, TIMEOUT).await.unwrap());
    world.sim.inject(Fault::at(Call::StartMachine, Capacity::Host.effect()));
    let error = world.fly.start_machine(&app(), &made.id).await.unwrap_err();
    assert!(matches!(error, ProviderError::HostFull { .. }), "{error:?}");
    assert_eq!(world.fly.machine(&app(), &made.id).await.unwrap().unwrap().power, Power::Off);
}

#[tokio::test]
async fn failures_are_distinguished() {
    let world = World::new().await;
    let (_, made) = world.running().await;
    for (effect, want) in [
        (Effect::server_error(), "Unknown"),
        (Effect::throttled(), "Throttled"),
        (Effect::DropRequest, "Unknown"),
        (Effect::delay(Duration::from_secs(60)), "Unknown"),
        (Effect::Answer { status: 200, body: "<html>".into() }, "Unknown"),
        (Effect::Answer { status: 401, body: serde_json::json!({ "message": "Unauthorized" }) }, "Misconfigured"),
        (Effect::refusal(409, "aborted: something new"), "NotNow"),
    ] {
        world.sim.inject(Fault::at(Call::GetMachine, effect.clone()));
        let error = world.fly.machine(&app(), &made.id).await.unwrap_err();
        assert!(format!("{error:?}").starts_with(want), "{effect:?}: {error:?}");
        world.sim.clear_faults();
    }
}

#[tokio::test]
async fn a_wait_for_a_machine_that_does_not_start_returns_false() {
    let world = World::new().await;
    let spec = world.spec().await;
    world.sim.inject(Fault::at(Call::CreateMachine, Effect::never_starts()));
    let made = world.fly.create_machine(&spec).await.unwrap();
    let reached = world.fly.await_machine(&app(), &made.id, Awaited::Started, Duration::from_secs(1)).await.unwrap();
    assert!(!reached);
    world.assert_lawful();
}

#[tokio::test]
async fn a_machine_on_a_host_that_is_down_is_found_in_state_changing() {
    let world = World::new().await;
    let (spec, made) = world.running().await;
    assert!(world.sim.set_host_down(made.id.as_str(), true));
    let seen = world.fly.machine(&app(), &made.id).await.unwrap().unwrap();
    assert_eq!(seen.power, Power::Changing);
    // Its tags are not available, but its name is. So it is not absent, and no second machine is created.
    let found = world.fly.machines_of(&app(), town()).await.unwrap();
    assert_eq!(found.iter().map(|machine| machine.id.as_str()).collect::<Vec<_>>(), [made.id.as_str()]);
    let error = world.fly.create_machine(&spec).await.unwrap_err();
    assert!(matches!(error, ProviderError::NotNow { .. }), "{error:?}");
    assert_eq!(world.sim.machines().len(), 1);
    let error = world.fly.stop_machine(&app(), &made.id).await.unwrap_err();
    assert!(error.may_be_applied(), "{error:?}");
    assert!(world.sim.set_host_down(made.id.as_str(), false));
    assert_eq!(world.fly.machine(&app(), &made.id).await.unwrap().unwrap().power, Power::On);
    world.assert_lawful();
}

#[tokio::test]
async fn a_mount_that_moved_to_another_volume_is_observed() {
    let world = World::new().await;
    let (spec, made) = world.running().await;
    let moved = world.sim.migrate_volume(spec.volume.as_str()).unwrap();
    let seen = world.fly.machine(&app(), &made.id).await.unwrap().unwrap();
    assert_eq!(seen.volume.as_ref().map(VolumeId::as_str), Some(moved.as_str()));
    assert_eq!(world.fly.volume(&app(), &spec.volume).await.unwrap(), None);
    let left = world.fly.volumes_of(&app(), town()).await.unwrap();
    assert_eq!(left.into_iter().map(|volume| volume.id.to_string()).collect::<Vec<_>>(), [moved]);
    world.assert_lawful();
}

#[tokio::test]
async fn a_machine_leased_by_another_client_cannot_be_stopped_now() {
    let world = World::new().await;
    let (_, made) = world.running().await;
    world.lease_machine(&made.id).await;
    let error = world.fly.stop_machine(&app(), &made.id).await.unwrap_err();
    assert!(matches!(error, ProviderError::NotNow { .. }), "{error:?}");
    world.assert_lawful();
}

#[tokio::test]
async fn no_answer_proves_an_absence_without_the_app() {
    let world = World::empty(shared()).await;
    let id = "148ed21a031189".parse().unwrap();
    for error in [
        world.fly.machine(&app(), &id).await.map(drop).unwrap_err(),
        world.fly.delete_machine(&app(), &id).await.unwrap_err(),
        world.fly.volumes_of(&app(), town()).await.map(drop).unwrap_err(),
        world.fly.machines_of(&app(), town()).await.map(drop).unwrap_err(),
        world.fly.ensure(&app()).await.unwrap_err(),
    ] {
        assert!(matches!(error, ProviderError::Misconfigured { .. }), "{error:?}");
    }
    world.sim.create_app("mill").unwrap();
    assert_eq!(world.fly.machine(&app(), &id).await.unwrap(), None);
}

#[tokio::test]
async fn a_users_app_is_created_and_a_foreign_app_is_refused() {
    let world = World::empty(own_apps()).await;
    world.fly.ensure(&app()).await.unwrap();
    world.fly.ensure(&app()).await.unwrap();
    world.sim.create_foreign_app("theirs").unwrap();
    let error = world.fly.ensure(&"theirs".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Misconfigured { .. }), "{error:?}");
    let created = world.sim.calls().iter().filter(|call| call.call == Call::CreateApp).count();
    assert_eq!(created, 1);
    world.assert_lawful();
}

#[tokio::test]
async fn a_wrong_token_is_a_misconfiguration() {
    let world = World::new().await;
    let token = SecretString::from("fo1_wrong");
    let client =
        FlyClient::new(world.sim.url().parse().unwrap(), &token, Timeouts::default(), RateLimiting::Off).unwrap();
    let error = Fly::new(client, shared()).create_volume(&volume_spec()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Misconfigured { .. }), "{error:?}");
}
