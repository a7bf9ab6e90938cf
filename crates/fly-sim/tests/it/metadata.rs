use serde_json::{Value, json};

use crate::client::{Fly, error, minimal};

#[tokio::test]
async fn metadata_keys_change_without_new_version() {
    let fly = Fly::fast().await;
    let mut body = minimal("town");
    body["config"]["metadata"] = json!({ "first": "1" });
    let id = fly.start_machine(body).await;
    let before = fly.sim.machines()[0].version.clone();
    let path = format!("machines/{id}/metadata");

    assert_eq!(fly.post(&format!("{path}/second"), json!({ "value": "2" })).await, (204, Value::Null));
    assert_eq!(fly.get(&path).await, (200, json!({ "first": "1", "second": "2" })));
    assert_eq!(fly.get(&format!("{path}/second")).await, (200, json!({ "value": "2" })));
    assert_eq!(fly.delete(&format!("{path}/second")).await.0, 204);
    assert_eq!(fly.get(&format!("{path}/second")).await, error(404, "metadata key not found"));
    let changes = json!({ "metadata": { "first": null, "third": "3", "fourth": "" } });
    assert_eq!(fly.put(&path, changes).await.0, 204);
    assert_eq!(fly.get(&path).await.1, json!({ "third": "3" }));
    assert_eq!(fly.sim.machines()[0].version, before);
    assert_eq!(fly.get("machines?metadata.third=3").await.1[0]["id"], json!(id));
}

#[tokio::test]
async fn metadata_change_for_other_version_is_refused() {
    let fly = Fly::fast().await;
    let id = fly.start_machine(minimal("town")).await;
    let changes = json!({ "metadata": { "a": "b" }, "machine_version": "01ARZ3NDEKTSV4RRFFQ69G5FAV" });
    assert_eq!(fly.put(&format!("machines/{id}/metadata"), changes).await.0, 412);
}
