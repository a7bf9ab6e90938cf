//! The lists of an organization.

use fly_sim::SimConfig;
use serde_json::{Value, json};

use crate::client::{Answer, Fly, error, minimal};

fn names(answer: &Answer, key: &str) -> Vec<String> {
    assert_eq!(answer.0, 200, "{answer:?}");
    answer.1[key].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
}

async fn volume(fly: &Fly, name: &str, region: &str) -> Value {
    let (status, volume) = fly.post("volumes", json!({ "name": name, "region": region })).await;
    assert_eq!(status, 200, "{volume}");
    volume
}

#[tokio::test]
async fn pages_follow_their_cursors_and_lose_nothing() {
    let fly = Fly::fast().await;
    for name in ["a", "b", "c", "d", "e"] {
        fly.start_machine(minimal(name)).await;
        volume(&fly, name, "iad").await;
    }
    for kind in ["machines", "volumes"] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        for size in [2, 2, 1] {
            let page = fly.get(&format!("/v1/orgs/personal/{kind}?limit=2&cursor={cursor}")).await;
            assert_eq!(names(&page, kind).len(), size, "{kind}");
            seen.extend(names(&page, kind));
            let last = page.1[kind].as_array().unwrap().last().unwrap().clone();
            let key = if kind == "machines" { "last_machine_id" } else { "last_volume_id" };
            assert_eq!((&page.1[key], &page.1["last_updated_at"]), (&last["id"], &last["updated_at"]));
            cursor = page.1["next_cursor"].as_str().unwrap_or_default().to_owned();
        }
        assert_eq!((seen.join(""), cursor), ("abcde".to_owned(), String::new()), "{kind}");
        for bad in ["limit=0", "limit=x", "cursor=xyz", "updated_after=yesterday"] {
            assert_eq!(fly.get(&format!("/v1/orgs/personal/{kind}?{bad}")).await.0, 400, "{kind} {bad}");
        }
        assert_eq!(names(&fly.get(&format!("/v1/orgs/personal/{kind}?limit=5000")).await, kind).len(), 5);
    }
}

#[tokio::test]
async fn lists_are_filtered_by_region_state_and_change() {
    let fly = Fly::fast().await;
    let mut ids = Vec::new();
    for (name, region) in [("a", "iad"), ("b", "fra"), ("c", "iad")] {
        let mut body = minimal(name);
        body["region"] = json!(region);
        ids.push(fly.start_machine(body).await);
        volume(&fly, name, region).await;
    }
    fly.post(&format!("machines/{}/stop", ids[0]), json!(null)).await;
    fly.wait_for(&ids[0], "stopped").await;
    let stopped_at = fly.get("/v1/orgs/personal/machines?state=started").await.1["last_updated_at"].clone();
    for (query, want) in [
        ("?region=iad", vec!["c", "a"]),
        ("?state=stopped,suspended", vec!["a"]),
        ("?region=fra&state=started", vec!["b"]),
        ("?state=suspended", vec![]),
        (&format!("?updated_after={}", stopped_at.as_str().unwrap()), vec!["a"]),
    ] {
        assert_eq!(names(&fly.get(&format!("/v1/orgs/personal/machines{query}")).await, "machines"), want, "{query}");
    }
    let volumes = fly.sim.volumes();
    fly.delete(&format!("volumes/{}", volumes[0].id)).await;
    for (query, want) in
        [("", vec!["b", "c"]), ("?region=fra", vec!["b"]), ("?include_deleted=true&state=pending_destroy", vec!["a"])]
    {
        assert_eq!(names(&fly.get(&format!("/v1/orgs/personal/volumes{query}")).await, "volumes"), want, "{query}");
    }
}

#[tokio::test]
async fn summary_omits_configuration_and_blocks() {
    let fly = Fly::fast().await;
    fly.start_machine(minimal("a")).await;
    volume(&fly, "a", "iad").await;
    let whole = fly.get("/v1/orgs/personal/machines").await.1["machines"][0].clone();
    let summary = fly.get("/v1/orgs/personal/machines?summary=true").await.1["machines"][0].clone();
    assert_eq!((whole["config"]["guest"]["cpus"].as_u64(), summary.get("config")), (Some(1), None));
    for path in ["volumes?summary=true", "/v1/orgs/personal/volumes?summary=true"] {
        let list = fly.get(path).await.1;
        let volume = if list.is_array() { &list[0] } else { &list["volumes"][0] };
        assert_eq!((volume["name"].as_str(), volume.get("blocks")), (Some("a"), None), "{path}");
    }
}

#[tokio::test]
async fn unknown_organization_is_not_found() {
    let fly = Fly::start(SimConfig { org_slug: "kilo".to_owned(), ..SimConfig::fast() }).await;
    fly.sim.create_foreign_app("theirs").unwrap();
    for slug in ["unknown", "other-organization"] {
        for path in [format!("orgs/{slug}/machines"), format!("orgs/{slug}/volumes"), format!("apps?org_slug={slug}")] {
            assert_eq!(fly.get(&format!("/v1/{path}")).await, error(404, "organization not found"), "{path}");
        }
    }
    assert_eq!(fly.get("/v1/orgs/kilo/machines").await.0, 200);
}
