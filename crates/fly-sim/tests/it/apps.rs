use fly_sim::{AppAccess, SimConfig};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Fly, error, minimal, send};

#[tokio::test]
async fn app_is_created_under_either_field_name() {
    let fly = Fly::fast().await;
    for (field, name) in [("name", "one"), ("app_name", "two")] {
        let (status, made) = fly.post("/v1/apps", json!({ field: name, "org_slug": "personal" })).await;
        assert_eq!((status, &made["id"]), (201, &json!(name)), "{field}");
        let (status, app) = fly.get(&format!("/v1/apps/{name}")).await;
        assert_eq!(
            (status, &app["organization"]["slug"], &app["network"]),
            (200, &json!("personal"), &json!("default"))
        );
    }
    let (_, list) = fly.get("/v1/apps?org_slug=personal").await;
    assert_eq!(list["total_apps"], 3);
    assert_eq!(fly.get("/v1/apps?org_slug=other").await, error(404, "organization not found"));
}

#[tokio::test]
async fn app_name_is_unique_in_all_of_fly() {
    let fly = Fly::fast().await;
    fly.sim.create_foreign_app("theirs").unwrap();
    let taken = (422, json!({ "error": "Validation failed: Name has already been taken", "status": "name_taken" }));
    for name in ["mill", "theirs"] {
        assert_eq!(fly.post("/v1/apps", json!({ "name": name, "org_slug": "personal" })).await, taken, "{name}");
    }
    assert_eq!(fly.get("/v1/apps/theirs").await, error(403, "unauthorized"));
}

#[tokio::test]
async fn machines_keep_running_while_app_is_inaccessible() {
    let fly = Fly::fast().await;
    let volume = fly.create_volume("data").await;
    let id = fly.start_machine(minimal("town")).await;
    for (access, want) in
        [(AppAccess::NotFound, error(404, "app not found")), (AppAccess::Forbidden, error(403, "unauthorized"))]
    {
        assert!(fly.sim.set_app_access("mill", access));
        for path in ["/v1/apps/mill", "machines", "volumes", &format!("machines/{id}"), &format!("volumes/{volume}")] {
            assert_eq!(fly.get(path).await, want, "{path}");
        }
        assert_eq!(fly.delete(&format!("volumes/{volume}")).await, want);
        assert_eq!(fly.get("/v1/apps?org_slug=personal").await.1["total_apps"], 0);
        assert_eq!(fly.post("/v1/apps", json!({ "name": "mill", "org_slug": "personal" })).await.0, 422);
    }
    assert!(fly.sim.set_app_access("mill", AppAccess::Open));
    assert_eq!(fly.get(&format!("machines/{id}")).await.1["state"], "started");
    assert_eq!(fly.sim.volumes().len(), 1);
    assert!(!fly.sim.set_app_access("nowhere", AppAccess::Open));
}

#[tokio::test]
async fn personal_is_an_alias_of_the_own_organization() {
    let fly = Fly::start(SimConfig { org_slug: "kilo".to_owned(), ..SimConfig::fast() }).await;
    assert_eq!(fly.post("/v1/apps", json!({ "name": "one", "org_slug": "personal" })).await.0, 201);
    assert_eq!(fly.get("/v1/apps/one").await.1["organization"]["slug"], "kilo");
    for slug in ["personal", "kilo"] {
        assert_eq!(fly.get(&format!("/v1/apps?org_slug={slug}")).await.1["total_apps"], 2, "{slug}");
    }
    assert_eq!(fly.get("/v1/apps").await.0, 400);
}

#[tokio::test]
async fn invalid_app_name_is_refused() {
    let fly = Fly::fast().await;
    let text = "Validation failed: Name under 63 chars using numbers, lowercase letters and dashes";
    for name in ["Big", "under_score", &"a".repeat(63)] {
        let answer = fly.post("/v1/apps", json!({ "name": name, "org_slug": "personal" })).await;
        assert_eq!(answer, error(422, text), "{name}");
    }
}

#[tokio::test]
async fn delete_app_deletes_its_machines_and_volumes() {
    let fly = Fly::fast().await;
    fly.create_volume("data").await;
    let id = fly.create_machine(minimal("town")).await;
    assert_eq!(fly.delete("/v1/apps/mill").await, (202, Value::Null));
    assert_eq!(fly.get(&format!("machines/{id}")).await, error(404, "app not found"));
    assert_eq!(fly.delete("/v1/apps/mill").await, error(404, "app not found"));
    assert!(fly.sim.volumes().is_empty() && fly.sim.machines().is_empty());
}

#[tokio::test]
async fn secret_values_are_shown_on_request_only() {
    let fly = Fly::fast().await;
    let (status, set) = fly.post("secrets/TOKEN", json!({ "value": "canary" })).await;
    assert_eq!((status, &set["version"], &set["name"]), (201, &json!(1), &json!("TOKEN")));
    let (_, list) = fly.get("secrets").await;
    assert!(!list.to_string().contains("canary"), "{list}");
    assert_eq!(fly.get("secrets/TOKEN?show_secrets=true").await.1["value"], "canary");
    let (_, updated) = fly.post("secrets", json!({ "values": { "TOKEN": null, "OTHER": "x" } })).await;
    assert_eq!(updated["secrets"].as_array().unwrap().len(), 1);
    assert_eq!(fly.delete("secrets/OTHER").await.0, 200);
    assert_eq!(fly.delete("secrets/OTHER").await.0, 404);
    assert_eq!(fly.post("secrets/not-a-name", json!({ "value": "x" })).await.0, 400);
}

#[tokio::test]
async fn create_is_refused_for_unknown_secrets_version() {
    let fly = Fly::fast().await;
    let version = fly.sim.set_app_secret("mill", "A", "b".into()).unwrap();
    let mut body = minimal("town");
    body["min_secrets_version"] = json!(version + 1);
    assert_eq!(fly.post("machines", body.clone()).await.0, 412);
    body["min_secrets_version"] = json!(version);
    assert_eq!(fly.post("machines", body).await.0, 200);
}

#[tokio::test]
async fn regions_need_no_token_and_have_capitalized_keys() {
    let fly = Fly::fast().await;
    let (status, body) = send(fly.unauthenticated(Method::GET, "/v1/platform/regions")).await;
    assert_eq!((status, &body["Nearest"]), (200, &json!("iad")));
    assert!(body["Regions"].as_array().unwrap().iter().any(|region| region["code"] == "fra"));
}

#[tokio::test]
async fn organization_lists_machines_and_volumes_of_its_apps() {
    let fly = Fly::fast().await;
    fly.create_volume("data").await;
    fly.create_machine(minimal("town")).await;
    let (_, machines) = fly.get("/v1/orgs/personal/machines").await;
    assert_eq!(machines["machines"][0]["app_name"], "mill");
    assert_eq!(machines["error_regions"], json!([]));
    let (_, volumes) = fly.get("/v1/orgs/personal/volumes").await;
    assert_eq!(volumes["volumes"][0]["name"], "data");
}

#[tokio::test]
async fn every_new_app_has_the_configured_secrets() {
    let app_secrets = vec![("KEY".to_owned(), "value".into())];
    let fly = Fly::start(SimConfig { app_secrets, ..SimConfig::fast() }).await;
    fly.post("/v1/apps", json!({ "name": "user-1", "org_slug": "personal" })).await;
    let (_, secrets) = fly.get("/v1/apps/user-1/secrets").await;
    assert_eq!(secrets["secrets"][0]["name"], "KEY");
}
