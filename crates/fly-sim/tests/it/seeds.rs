//! Tests of machines and volumes that exist without an API call.

use std::time::Duration;

use chrono::DateTime;
use fly_sim::{MachineSeed, VolumeSeed};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Fly, error, send};

const HOUR: Duration = Duration::from_secs(3600);

fn created_at(entity: &Value) -> i64 {
    DateTime::parse_from_rfc3339(entity["created_at"].as_str().unwrap()).unwrap().timestamp()
}

#[tokio::test]
async fn seeded_machine_and_volume_behave_like_created_ones() {
    let fly = Fly::fast().await;
    let fresh = fly.create_volume("fresh").await;
    let volume = fly.sim.seed_volume(&VolumeSeed::new("mill", "town_1").in_region("fra").with_age(HOUR)).unwrap();
    let seed = MachineSeed::new("mill", "town-1")
        .with_metadata("gastown_town_id", "t1")
        .with_volume(&volume)
        .with_age(2 * HOUR);
    let machine = fly.sim.seed_machine(&seed).unwrap();
    fly.wait_for(&machine, "started").await;
    assert_eq!(fly.sim.calls().len(), 2, "seeds need no call");

    let (_, list) = fly.get("machines?metadata.gastown_town_id=t1").await;
    assert_eq!(
        (&list[0]["id"], &list[0]["region"], &list[0]["name"]),
        (&json!(machine), &json!("fra"), &json!("town-1"))
    );
    let (_, old) = fly.get(&format!("volumes/{volume}")).await;
    assert_eq!(old["attached_machine_id"], json!(machine));
    let (_, new) = fly.get(&format!("volumes/{fresh}")).await;
    let (older, oldest) = (created_at(&new) - created_at(&old), created_at(&new) - created_at(&list[0]));
    assert!((3595..=3605).contains(&older) && (7195..=7205).contains(&oldest), "{older} {oldest}");
    assert_eq!(fly.sim.machines()[0].created_at.timestamp(), created_at(&list[0]));

    assert!(fly.sim.backdate(&fresh, HOUR));
    assert_eq!(created_at(&fly.get(&format!("volumes/{fresh}")).await.1), created_at(&new) - 3600);
    assert!(!fly.sim.backdate("vol_none", HOUR));
}

#[tokio::test]
async fn seeds_follow_fly_rules() {
    let fly = Fly::fast().await;
    let first = fly.sim.seed_machine(&MachineSeed::new("mill", "town-1")).unwrap();
    let refused = fly.sim.seed_machine(&MachineSeed::new("mill", "town-1")).unwrap_err();
    assert!(refused.to_string().contains(&first), "{refused}");
    assert!(fly.sim.seed_volume(&VolumeSeed::new("nowhere", "data")).is_err());
    assert!(fly.sim.seed_machine(&MachineSeed::new("mill", "town-2").with_volume("vol_none")).is_err());
}

#[tokio::test]
async fn control_api_creates_seeds_and_sets_app_access() {
    let fly = Fly::fast().await;
    let post = async |path: &str, body: Value| send(fly.unauthenticated(Method::POST, path).json(&body)).await;
    let seed = serde_json::to_value(VolumeSeed::new("mill", "town_1").with_age(HOUR)).unwrap();
    let (status, volume) = post("/_sim/volumes", seed).await;
    assert_eq!((status, volume["id"].as_str()), (201, Some(fly.sim.volumes()[0].id.as_str())));
    let machine = json!({ "app": "mill", "name": "town-1", "volume": volume["id"] });
    let (status, machine) = post("/_sim/machines", machine).await;
    assert_eq!((status, machine["id"].as_str()), (201, Some(fly.sim.machines()[0].id.as_str())));
    assert_eq!(post("/_sim/machines", json!({ "app": "mill", "nam": "typo" })).await.0, 400);
    assert_eq!(post("/_sim/machines", json!({ "app": "nowhere", "name": "x" })).await, error(404, "app not found"));

    assert_eq!(post("/_sim/apps/mill/access", json!("not_found")).await.0, 204);
    assert_eq!(fly.get("machines").await, error(404, "app not found"));
    assert_eq!(post("/_sim/apps/mill/access", json!("open")).await.0, 204);
    assert_eq!(fly.get("machines").await.0, 200);
    assert_eq!(post("/_sim/apps/nowhere/access", json!("open")).await.0, 404);
    assert_eq!(post("/_sim/apps/mill/access", json!("ajar")).await.0, 400);
}
