//! Addresses, snapshots, certificates, keys, tokens, processes and memory, and the calls that are not simulated.

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Fly, error, minimal, mounting, send};

#[tokio::test]
async fn addresses_are_assigned_and_released() {
    let fly = Fly::fast().await;
    let assign = async |body: Value| fly.post("ip_assignments", body).await;
    let (status, v4) = assign(json!({ "type": "v4", "region": "iad" })).await;
    assert_eq!((status, &v4["shared"], &v4["region"]), (200, &json!(false), &json!("iad")));
    assert_ne!(assign(json!({ "type": "v4" })).await.1["ip"], v4["ip"], "a repeated call assigns another address");
    let (_, shared) = assign(json!({ "type": "shared_v4" })).await;
    assert_eq!(assign(json!({ "type": "shared_v4" })).await.1["ip"], shared["ip"]);
    let (_, private) = assign(json!({ "type": "private_v6" })).await;
    assert_eq!((&private["network"]["name"], &private["network"]["org_slug"]), (&json!(""), &json!("personal")));
    assert_eq!(assign(json!({ "type": "v7" })).await, error(400, "invalid ip address type"));
    assert_eq!(assign(json!({ "type": "private_v6", "network": "none" })).await, error(400, "network not found"));
    assert_eq!(assign(json!({ "type": "egress_v4" })).await.0, 501);

    let ip = v4["ip"].as_str().unwrap();
    assert_eq!(fly.delete(&format!("ip_assignments/{ip}")).await, (204, Value::Null));
    assert_eq!(fly.delete(&format!("ip_assignments/{ip}")).await.0, 404);
    assert_eq!(fly.get("ip_assignments").await.1["ips"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn snapshot_keeps_the_files_and_restores_them() {
    let fly = Fly::fast().await;
    let volume = fly.create_volume("data").await;
    let id = fly.start_machine(mounting("town", &volume)).await;
    fly.shell(&id, "echo first > /home/gt/data/note").await;
    let snapshots = format!("volumes/{volume}/snapshots");
    assert_eq!(fly.post(&snapshots, json!(null)).await, (200, Value::Null));
    fly.shell(&id, "echo second > /home/gt/data/note").await;
    let (_, list) = fly.get(&snapshots).await;
    assert_eq!(
        (&list[0]["status"], &list[0]["retention_days"], &list[0]["size"]),
        (&json!("created"), &json!(5), &json!(6))
    );
    let restore = |extra: Value| {
        let mut body = json!({ "name": "restored", "snapshot_id": list[0]["id"] });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    };
    assert_eq!(fly.post("volumes", restore(json!({}))).await.1["size_gb"], 1, "the size of the source");
    assert_eq!(fly.sim.volumes()[1].files["note"], "first\n");
    assert_eq!(fly.post("volumes", restore(json!({ "size_gb": 2 }))).await.1["size_gb"], 2);
    let unknown = fly.post("volumes", restore(json!({ "snapshot_id": "vs_none" }))).await;
    assert_eq!(unknown, error(404, "snapshot not found"));
    assert_eq!(fly.sim.volumes().len(), 3);
}

#[tokio::test]
async fn fork_has_the_size_and_region_of_its_source() {
    let fly = Fly::fast().await;
    let (_, source) = fly.post("volumes", json!({ "name": "data", "region": "fra", "size_gb": 7 })).await;
    let (_, fork) = fly.post("volumes", json!({ "name": "copy", "source_volume_id": source["id"] })).await;
    assert_eq!((&fork["size_gb"], &fork["region"]), (&json!(7), &json!("fra")));
    let unknown = json!({ "name": "copy", "source_volume_id": "vol_none" });
    assert_eq!(fly.post("volumes", unknown).await, error(404, "volume not found"));
}

#[tokio::test]
async fn certificates_stay_unconfirmed_and_are_listed_in_pages() {
    let fly = Fly::fast().await;
    for host in ["a.example.org", "b.example.org", "c.example.com"] {
        let (status, detail) = fly.post("certificates/acme", json!({ "hostname": host })).await;
        assert_eq!(
            (status, &detail["status"], &detail["configured"]),
            (201, &json!("pending_validation"), &json!(false))
        );
    }
    let again = fly.post("certificates/acme", json!({ "hostname": "a.example.org" })).await;
    assert_eq!(again, error(422, "Hostname already exists on app"));
    assert_eq!(fly.post("certificates/acme", json!({ "hostname": "no_host" })).await.0, 422);
    let (_, page) = fly.get("certificates?limit=1&filter=example.org").await;
    assert_eq!((&page["total_count"], &page["certificates"][0]["hostname"]), (&json!(2), &json!("a.example.org")));
    let cursor = page["next_cursor"].as_str().unwrap();
    let (_, page) = fly.get(&format!("certificates?limit=1&filter=example.org&cursor={cursor}")).await;
    assert_eq!((&page["certificates"][0]["hostname"], page.get("next_cursor")), (&json!("b.example.org"), None));

    let custom = json!({
        "hostname": "a.example.org", "fullchain": "-----BEGIN CERTIFICATE-----", "private_key": "-----BEGIN KEY-----",
    });
    assert_eq!(fly.post("certificates/custom", custom).await.1["certificates"].as_array().unwrap().len(), 2);
    let host = "certificates/a.example.org";
    assert_eq!(fly.post(&format!("{host}/check"), json!(null)).await.1["dns_records"]["a"], json!([]));
    assert_eq!(fly.delete(&format!("{host}/acme")).await.1["acme_requested"], false);
    assert_eq!(fly.delete(&format!("{host}/acme")).await.0, 404);
    assert_eq!(fly.delete(&format!("{host}/custom")).await.0, 200);
    assert_eq!((fly.delete(host).await.0, fly.get(host).await.0), (204, 404));
}

#[tokio::test]
async fn secret_keys_sign_and_verify() {
    let fly = Fly::fast().await;
    let (status, key) = fly.post("secretkeys/MAC/generate", json!({ "type": "SECRET_TYPE_KMS_HS256" })).await;
    assert_eq!((status, &key["type"], &key["version"]), (201, &json!("SECRET_TYPE_KMS_HS256"), &json!(1)));
    let (_, signed) = fly.post("secretkeys/MAC/sign", json!({ "plaintext": "aGk=" })).await;
    let verify = async |text: Value| {
        let body = json!({ "plaintext": text, "signature": signed["signature"] });
        fly.post("secretkeys/MAC/verify", body).await.0
    };
    assert_eq!(verify(json!("aGk=")).await, 204, "base64, as Go sends bytes");
    assert_eq!(verify(json!([104, 105])).await, 204, "numbers, as the document describes them");
    assert_eq!(verify(json!("aG8=")).await, 400);
    fly.post("secretkeys/BOX/generate", json!({ "type": "SECRET_TYPE_KMS_NACL_BOX" })).await;
    assert_eq!(fly.post("secretkeys/BOX/sign", json!({ "plaintext": "aGk=" })).await.0, 501);
    assert_eq!(fly.post("secretkeys/BAD/generate", json!({ "type": "none" })).await.0, 400);
    let (_, list) = fly.get("secretkeys?types=SECRET_TYPE_KMS_HS256").await;
    assert_eq!((list["secret_keys"].as_array().unwrap().len(), &list["secret_keys"][0]["name"]), (1, &json!("MAC")));
    assert_eq!(fly.delete("secretkeys/MAC").await.1["version"], 3);
    assert_eq!(fly.get("secretkeys/MAC").await.0, 404);
}

#[tokio::test]
async fn tokens_processes_and_memory_are_shown() {
    let fly = Fly::fast().await;
    assert_eq!(fly.get("/v1/tokens/current").await.1["tokens"][0]["apps"], json!(["mill"]));
    let (_, made) = fly.post("deploy_token", json!({ "expiry": "24h" })).await;
    assert!(made["token"].as_str().unwrap().starts_with("FlyV1 fm2_"), "{made}");
    assert_eq!(fly.post("deploy_token", json!({ "expiry": "soon" })).await.0, 400);

    let id = fly.start_machine(minimal("town")).await;
    let machine = format!("machines/{id}");
    let (_, processes) = fly.get(&format!("{machine}/ps?sort_by=pid&order=desc")).await;
    assert_eq!((&processes[0]["pid"], &processes[1]["pid"]), (&json!(2), &json!(1)));
    assert_eq!(fly.get(&format!("{machine}/ps?sort_by=colour")).await.0, 400);
    assert_eq!(fly.get(&format!("{machine}/memory")).await.1["limit_mb"], 256);
    assert_eq!(fly.put(&format!("{machine}/memory"), json!({ "limit_mb": 128 })).await.1["limit_mb"], 128);
    assert_eq!(fly.put(&format!("{machine}/memory"), json!({ "limit_mb": 1024 })).await.0, 400);
    let (_, reclaimed) = fly.post(&format!("{machine}/memory/reclaim"), json!({ "amount_mb": 1000 })).await;
    assert_eq!(reclaimed["actual_mb"], 64);
    fly.post(&format!("{machine}/stop"), json!(null)).await;
    fly.wait_for(&id, "stopped").await;
    assert_eq!(fly.get(&format!("{machine}/ps")).await.0, 412);
}

#[tokio::test]
async fn regions_have_names_and_places_and_take_machines() {
    let fly = Fly::fast().await;
    let (_, regions) = fly.get("/v1/platform/regions").await;
    let regions = regions["Regions"].as_array().unwrap();
    assert!(regions.iter().all(|region| region["name"] != region["code"] && region["latitude"].is_number()));
    let place = async |body: Value| fly.post("/v1/platform/placements", body).await;
    let (_, placed) = place(json!({ "org_slug": "personal", "region": "lhr,eu", "count": 60 })).await;
    assert_eq!(
        placed["Regions"],
        json!([
            { "Region": "lhr", "Count": 50, "Concurrency": 50 }, { "Region": "fra", "Count": 10, "Concurrency": 10 },
        ])
    );
    assert_eq!(place(json!({ "org_slug": "personal", "region": "xxx" })).await.0, 400);
    assert_eq!(place(json!({ "org_slug": "unknown" })).await.0, 404);
    assert_eq!(fly.sim.machines(), [], "nothing is created");
}

#[tokio::test]
async fn call_that_is_not_simulated_is_named() {
    let fly = Fly::fast().await;
    let (status, body) = fly.post("/v1/tokens/oidc", json!({})).await;
    let text = "not simulated: POST /v1/tokens/oidc. Only machines can call it, and images are not run.";
    assert_eq!((status, &body["error"]), (501, &json!(text)));
    assert_eq!(send(fly.unauthenticated(Method::POST, "/v1/tokens/oidc")).await.0, 401);
    let (status, body) = fly.get("/v1/apps/mill/machinery").await;
    assert_eq!((status, body), (404, json!("404 page not found")), "a path that Fly lacks too");
}

#[tokio::test]
async fn answers_have_the_defaults_and_a_digest() {
    let fly = Fly::fast().await;
    let id = fly.create_machine(json!({ "config": { "image": "nginx" } })).await;
    let (_, machine) = fly.get(&format!("machines/{id}")).await;
    let config = &machine["config"];
    assert_eq!(config["guest"], json!({ "cpu_kind": "shared", "cpus": 1, "memory_mb": 256 }));
    assert_eq!((&config["init"], &config["restart"]), (&json!({}), &json!({ "policy": "on-failure" })));
    let image = &machine["image_ref"];
    assert_eq!((&image["repository"], &image["tag"]), (&json!("library/nginx"), &json!("latest")));
    assert!(image["digest"].as_str().unwrap().starts_with("sha256:"), "{image}");
    let (_, versions) = fly.get(&format!("machines/{id}/versions")).await;
    assert_eq!(versions[0]["user_config"], json!({ "image": "nginx" }), "the user's configuration stays as it was");
    let (_, sized) = fly.post("machines", json!({ "config": { "image": "i", "guest": { "cpus": 2 } } })).await;
    assert_eq!(sized["config"]["guest"], json!({ "cpu_kind": "shared", "cpus": 2, "memory_mb": 512 }));
}

#[tokio::test]
async fn app_stays_deployed_once_its_machines_are_gone() {
    let fly = Fly::fast().await;
    assert_eq!(fly.get("/v1/apps/mill").await.1["status"], "pending");
    let id = fly.start_machine(minimal("town")).await;
    assert_eq!(fly.get("/v1/apps/mill").await.1["status"], "deployed");
    fly.delete(&format!("machines/{id}?force=true")).await;
    fly.wait_for(&id, "destroyed").await;
    let (_, app) = fly.get("/v1/apps/mill").await;
    assert_eq!((&app["status"], &app["machine_count"]), (&json!("deployed"), &json!(0)));
}

#[tokio::test]
async fn idempotency_key_gives_the_first_result_again() {
    let fly = Fly::fast().await;
    let app = |name: &str| json!({ "name": name, "org_slug": "personal", "idempotency_key": "k1" });
    assert_eq!(fly.post("/v1/apps", app("one")).await.0, 201);
    assert_eq!(fly.post("/v1/apps", app("one")).await.1["id"], "one");
    let unnamed = json!({ "org_slug": "personal", "idempotency_key": "k1" });
    assert_eq!(fly.post("/v1/apps", unnamed).await.1["id"], "one");
    assert_eq!(fly.post("/v1/apps", app("two")).await.0, 422);
    let machine = json!({ "config": { "image": "i" }, "idempotency_key": "k1" });
    let (first, again) = (fly.post("machines", machine.clone()).await, fly.post("machines", machine).await);
    assert_eq!((first.0, &first.1["id"]), (200, &again.1["id"]));
    assert_eq!(fly.sim.violations(), []);
}

#[tokio::test]
async fn secret_keys_encrypt_and_decrypt() {
    let fly = Fly::fast().await;
    fly.post("secretkeys/BOX/generate", json!({ "type": "SECRET_TYPE_KMS_NACL_SECRETBOX" })).await;
    let (status, boxed) = fly.post("secretkeys/BOX/encrypt", json!({ "plaintext": "aGk=" })).await;
    assert_eq!(status, 200);
    let decrypt = async |key: &str, text: &Value| {
        let (status, body) = fly.post(&format!("secretkeys/{key}/decrypt"), json!({ "ciphertext": text })).await;
        (status, body["plaintext"].clone())
    };
    assert_eq!(decrypt("BOX", &boxed["ciphertext"]).await, (200, json!("aGk=")));
    let (_, again) = fly.post("secretkeys/BOX/encrypt", json!({ "plaintext": [104, 105] })).await;
    assert_ne!(again["ciphertext"], boxed["ciphertext"], "each box has a nonce of its own");
    assert_eq!(decrypt("BOX", &json!("aGk=")).await.0, 400, "too short");

    fly.post("secretkeys/OTHER/generate", json!({ "type": "SECRET_TYPE_KMS_NACL_SECRETBOX" })).await;
    assert_eq!(decrypt("OTHER", &boxed["ciphertext"]).await.0, 400, "the key of another box");
    let with_data = json!({ "plaintext": "aGk=", "associated_data": "aGk=" });
    assert_eq!(fly.post("secretkeys/BOX/encrypt", with_data).await.0, 501);
    fly.post("secretkeys/XAES/generate", json!({ "type": "SECRET_TYPE_KMS_XAES256GCM" })).await;
    assert_eq!(fly.post("secretkeys/XAES/encrypt", json!({ "plaintext": "aGk=" })).await.0, 501);
}

#[tokio::test]
async fn nacl_auth_signs_as_other_implementations_do() {
    let fly = Fly::fast().await;
    // The first 256 bits of the HMAC-SHA-512 in test case 2 of RFC 4231.
    let key = json!({ "type": "SECRET_TYPE_KMS_NACL_AUTH", "value": "SmVmZQ==" });
    fly.post("secretkeys/AUTH", key).await;
    let text = json!({ "plaintext": "d2hhdCBkbyB5YSB3YW50IGZvciBub3RoaW5nPw==" });
    let (_, signed) = fly.post("secretkeys/AUTH/sign", text).await;
    assert_eq!(signed["signature"], "Fkt6e/z4GeLjlfvnO1bgo4e9ZCIugx/WECcM1+olBVQ=");
}
