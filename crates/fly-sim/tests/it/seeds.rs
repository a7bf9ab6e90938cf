//! What is there without anybody having called for it.

use std::time::Duration;

use chrono::DateTime;
use fly_sim::{MachineSeed, VolumeSeed};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Fly, answered, error};

const HOUR: Duration = Duration::from_secs(3600);

fn made_at(thing: &Value) -> i64 {
    DateTime::parse_from_rfc3339(thing["created_at"].as_str().unwrap()).unwrap().timestamp()
}

#[tokio::test]
async fn what_was_left_behind_is_like_anything_else_only_older() {
    let fly = Fly::fast().await;
    let fresh = fly.volume("fresh").await;
    let volume = fly.sim.plant_volume(&VolumeSeed::new("mill", "town_1").in_region("fra").aged(HOUR)).unwrap();
    let seed = MachineSeed::new("mill", "town-1").tagged("gastown_town_id", "t1").holding(&volume).aged(2 * HOUR);
    let machine = fly.sim.plant_machine(&seed).unwrap();
    fly.reach(&machine, "started").await;
    assert_eq!(fly.sim.calls().len(), 2, "nobody called for it");

    let (_, list) = fly.get("machines?metadata.gastown_town_id=t1").await;
    assert_eq!(
        (&list[0]["id"], &list[0]["region"], &list[0]["name"]),
        (&json!(machine), &json!("fra"), &json!("town-1"))
    );
    let (_, old) = fly.get(&format!("volumes/{volume}")).await;
    assert_eq!(old["attached_machine_id"], json!(machine));
    let (_, new) = fly.get(&format!("volumes/{fresh}")).await;
    let (older, oldest) = (made_at(&new) - made_at(&old), made_at(&new) - made_at(&list[0]));
    assert!((3595..=3605).contains(&older) && (7195..=7205).contains(&oldest), "{older} {oldest}");
    assert_eq!(fly.sim.machines()[0].created_at.timestamp(), made_at(&list[0]));

    assert!(fly.sim.backdate(&fresh, HOUR));
    assert_eq!(made_at(&fly.get(&format!("volumes/{fresh}")).await.1), made_at(&new) - 3600);
    assert!(!fly.sim.backdate("vol_none", HOUR));
}

#[tokio::test]
async fn flys_rules_hold_for_what_is_left_behind() {
    let fly = Fly::fast().await;
    let first = fly.sim.plant_machine(&MachineSeed::new("mill", "town-1")).unwrap();
    let refused = fly.sim.plant_machine(&MachineSeed::new("mill", "town-1")).unwrap_err();
    assert!(refused.to_string().contains(&first), "{refused}");
    assert!(fly.sim.plant_volume(&VolumeSeed::new("nowhere", "data")).is_err());
    assert!(fly.sim.plant_machine(&MachineSeed::new("mill", "town-2").holding("vol_none")).is_err());
}

#[tokio::test]
async fn another_process_can_leave_things_behind_and_hide_an_app() {
    let fly = Fly::fast().await;
    let send = async |path: &str, body: Value| answered(fly.bare(Method::POST, path).json(&body)).await;
    let wish = serde_json::to_value(VolumeSeed::new("mill", "town_1").aged(HOUR)).unwrap();
    let (status, made) = send("/_sim/volumes", wish).await;
    assert_eq!((status, made["id"].as_str()), (201, Some(fly.sim.volumes()[0].id.as_str())));
    let (status, made) = send("/_sim/machines", json!({ "app": "mill", "name": "town-1", "volume": made["id"] })).await;
    assert_eq!((status, made["id"].as_str()), (201, Some(fly.sim.machines()[0].id.as_str())));
    assert_eq!(send("/_sim/machines", json!({ "app": "mill", "nam": "typo" })).await.0, 400);
    assert_eq!(send("/_sim/machines", json!({ "app": "nowhere", "name": "x" })).await, error(404, "app not found"));

    assert_eq!(send("/_sim/apps/mill/access", json!("not_found")).await.0, 204);
    assert_eq!(fly.get("machines").await, error(404, "app not found"));
    assert_eq!(send("/_sim/apps/mill/access", json!("open")).await.0, 204);
    assert_eq!(fly.get("machines").await.0, 200);
    assert_eq!(send("/_sim/apps/nowhere/access", json!("open")).await.0, 404);
    assert_eq!(send("/_sim/apps/mill/access", json!("ajar")).await.0, 400);
}
