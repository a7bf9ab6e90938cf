//! Every procedure on a town that is destroyed, and the routes of sandboxes with keys that are not valid any more.
//!
//! The tests iterate over the list of procedures. One without a case here fails them.

use gastown_domain::ports::TownKeys as _;
use gastown_secrets::DerivedTownKeys;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::client::{Refusal, call_home};
use crate::entry::all_procedures;
use crate::env::secret;
use crate::stage::{ALICE, BOB, Setup, Stage};

on_both! {
    destroyed_town_is_found_by_no_procedure,
    old_keys_are_rejected_by_every_route_of_sandboxes,
}

/// The resource that a procedure names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    /// None. A user calls it.
    Nothing,
    /// A town. A user calls it.
    Town,
    /// A town. Its sandbox calls it, with the town's key.
    OwnTown,
}

fn names(procedure: &str) -> Names {
    match procedure {
        "createTown" | "listRegions" | "listTowns" | "watchTowns" => Names::Nothing,
        "destroyTown" | "startTown" | "stopTown" | "restoreTown" | "addRig" | "removeRig" | "getRig"
        | "getTownStatus" | "listEvents" | "updateTown" | "watchTown" => Names::Town,
        "heartbeat" | "refreshToken" => Names::OwnTown,
        other => panic!("the procedure {other} has no case"),
    }
}

fn procedures(of: Names) -> impl Iterator<Item = &'static str> {
    all_procedures().into_iter().filter(move |procedure| names(procedure) == of)
}

fn code(refused: &Refusal) -> (&str, u16) {
    (refused.code.as_str(), refused.status)
}

async fn destroyed_town_is_found_by_no_procedure(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    let rig = stage.add_rig(town.id, "app", "https://github.com/acme/app").await.unwrap();
    let key = secret(&stage, town.machine(), "INTERNAL_API_KEY");
    stage.on_town("destroyTown", town.id).await.unwrap();
    stage.idle().await;
    let before = stage.rows.everything().await;
    let input = json!({
        "townId": town.id, "rigId": rig["rigId"], "rigName": "other", "repoUrl": "https://github.com/acme/other",
        "config": {}, "configVersion": "v", "confirm": "mill",
    });
    let mut checked = 0;
    for procedure in procedures(Names::Town) {
        for user in [ALICE, BOB] {
            let refused = stage.call(user, procedure, input.clone()).await.unwrap_err();
            assert_eq!(code(&refused), ("NOT_FOUND", 404), "{procedure} by {user}");
            checked += 1;
        }
    }
    for procedure in procedures(Names::OwnTown) {
        let refused = call_home(stage.url(), &key, procedure, json!({ "townId": town.id })).await.unwrap_err();
        assert_eq!(code(&refused), ("UNAUTHORIZED", 401), "{procedure}");
        checked += 1;
    }
    assert_eq!(checked, 24);
    for user in [ALICE, BOB] {
        assert_eq!(stage.call(user, "listTowns", Value::Null).await.unwrap(), json!([]));
    }
    assert_eq!(stage.rows.everything().await, before);
    stage
}

async fn old_keys_are_rejected_by_every_route_of_sandboxes(setup: Setup) -> Stage {
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    let old = DerivedTownKeys::new(&"the secret before a rotation that is over".into()).unwrap();
    let old = old.key_of(town.id.to_string().parse().unwrap());
    let good = secret(&stage, town.machine(), "INTERNAL_API_KEY");
    let input = json!({ "townId": town.id });
    for procedure in procedures(Names::OwnTown) {
        for key in [old.expose_secret(), &good[1..], &good.to_uppercase(), &format!("{good}0")] {
            let refused = call_home(stage.url(), key, procedure, input.clone()).await.unwrap_err();
            assert_eq!(code(&refused), ("UNAUTHORIZED", 401), "{procedure}");
        }
        call_home(stage.url(), &good, procedure, input.clone()).await.unwrap();
    }
    stage
}
