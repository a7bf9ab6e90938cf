//! The operators' API: commands with `--server` print the same as in the database, for operators only.

use std::time::Duration;

use fly_sim::{Call, Effect, Fault};
use gastown_domain::Backoff;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::client::http;
use crate::console::{TOKEN, TOKEN_OF_EVE};
use crate::process::{Ended, Gastown};
use crate::stage::{ALICE, BOB, Setup, Stage, until};

on_both! {
    reports_are_the_same_at_a_server_and_in_the_database,
    rollouts_at_a_server_are_those_of_the_operator,
    requests_at_a_server_are_those_of_the_operator,
    lost_towns_are_restored_at_a_server_as_in_the_database,
    server_without_actions_only_reads,
    mistakes_at_a_server_get_one_line,
    calls_are_for_operators_and_bounded,
}

/// The image of the settings of a stage.
const IMAGE: &str =
    "registry.example.com/gastown-sandbox@sha256:0123012301230123012301230123012301230123012301230123012301230123";
const HOURS: Duration = Duration::from_secs(4 * 60 * 60);

/// Returns a setup with a console, whose callers wait shortly and whose stops are not given up.
pub(crate) fn with_console(mut setup: Setup, allows_actions: bool) -> Setup {
    setup.changes.extend([
        ("CONSOLE_LISTEN", "127.0.0.1:0".to_owned()),
        ("CONSOLE_TOKEN", TOKEN.to_owned()),
        ("CONSOLE_TOKENS", format!("eve:{TOKEN_OF_EVE}")),
    ]);
    setup.policy.timeouts.caller = Duration::from_millis(500);
    setup.policy.timeouts.stop = HOURS;
    setup.allows_actions = allows_actions;
    setup
}

pub(crate) fn console_url(stage: &Stage) -> &str {
    stage.replicas[0].console_url.as_deref().unwrap()
}

/// Runs a command at the console of the stage, as eve.
pub(crate) async fn at_server(stage: &Stage, arguments: &[&str]) -> Ended {
    let token = [("GASTOWN_OPERATOR_TOKEN".to_owned(), TOKEN_OF_EVE.to_owned())];
    Gastown::run(&[arguments, &["--server", console_url(stage)]].concat(), &token).await
}

/// Runs a command in the database. `orphans` needs the settings of Fly too.
async fn in_database(stage: &Stage, arguments: &[&str]) -> Ended {
    Gastown::run(arguments, &stage.settings).await
}

fn value(ended: &Ended) -> Value {
    assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
    serde_json::from_str(&ended.out).unwrap()
}

/// Makes a call of the API. Returns the status and the JSON.
async fn call(stage: &Stage, method: Method, path: &str, token: &str, body: &str) -> (StatusCode, Value) {
    let url = format!("{}/api{path}", console_url(stage));
    let request = http().request(method, url).bearer_auth(token).header("content-type", "application/json");
    let answer = request.body(body.to_owned()).send().await.unwrap();
    assert_eq!(answer.headers()["cache-control"], "no-store");
    (answer.status(), answer.json().await.unwrap())
}

async fn get(stage: &Stage, path: &str) -> (StatusCode, Value) {
    call(stage, Method::GET, path, TOKEN, "").await
}

/// Starts a stop that fails, and waits until it has failed once.
pub(crate) async fn with_failed_stop(stage: &Stage, town: uuid::Uuid) {
    stage.sim.inject(Fault::at(Call::StopMachine, Effect::server_error()).always());
    stage.on_town("stopTown", town).await.unwrap();
    until("the stop has failed", async || stage.rows.operations().await.iter().any(|row| row.last_error.is_some()))
        .await;
}

async fn reports_are_the_same_at_a_server_and_in_the_database(mut setup: Setup) -> Stage {
    // The stop that has failed does not change while it is read.
    setup.policy.backoff.retry = Backoff { first: HOURS, max: HOURS };
    let stage = with_console(setup, false).start().await;
    let mill = stage.created("mill").await;
    stage.add_rig(mill.id, "app", "https://github.com/acme/app").await.unwrap();
    stage.call(BOB, "createTown", json!({ "townName": "inn" })).await.unwrap();
    stage.idle().await;
    let stray = json!({"name": "town_0190a1b2c3d47e5f8a9b0c1d", "region": "iad", "size_gb": 1});
    stage.at_fly(Method::POST, "volumes", stray).await;
    with_failed_stop(&stage, mill.id).await;
    until("it waits", async || stage.rows.operations().await.iter().all(|row| row.owner.is_none())).await;
    let id = mill.id.to_string();
    for arguments in [
        &["town", "list"][..],
        &["town", "list", "--user", "alice", "--name", "mill", "--status", "running", "--health", "ok"],
        &["town", "list", "--limit", "1"],
        &["town", "list", "--image", IMAGE],
        &["town", "list", "--image", "registry.example.com/x:1"],
        &["town", "list", "--status", "destroyed"],
        &["town", "show", "alice/mill"],
        &["town", "show", &id],
        &["operations"],
        &["operations", "--attention"],
        &["operations", "--failed", "--since", "2020-01-01T00:00:00Z", "--limit", "1"],
        &["events", "alice/mill", "--action", "create", "--since", "7d"],
        &["audit", "--limit", "2"],
        &["audit", "--user", "bob", "--actor", "bob", "--failed"],
        &["orphans", "--grace", "0"],
        &["rollout", "status"],
    ] {
        let as_json = [arguments, &["--json"]].concat();
        let (here, there) = (in_database(&stage, &as_json).await, at_server(&stage, &as_json).await);
        assert_eq!(value(&there), value(&here), "{arguments:?}");
        let (here, there) = (in_database(&stage, arguments).await, at_server(&stage, arguments).await);
        assert_eq!(there.status.code(), Some(0), "{}", there.err);
        assert_eq!(there.out, here.out, "{arguments:?}");
    }
    let listed = value(&at_server(&stage, &["operations", "--json"]).await);
    let operation = &listed["operations"][0];
    assert_eq!((&operation["townName"], &operation["userId"]), (&json!("mill"), &json!(ALICE)));
    assert_eq!(operation["lastError"]["code"], "provider_unavailable");
    // A page of towns leads to the next one.
    let (_, first) = get(&stage, "/v1/towns?limit=1").await;
    let town = &first["towns"][0];
    assert_eq!((&town["townName"], &first["more"]), (&json!("mill"), &json!(true)));
    let next = format!("/v1/towns?limit=1&after_user=alice&after_name=mill&after={}", town["townId"].as_str().unwrap());
    let (_, second) = get(&stage, &next).await;
    assert_eq!((&second["towns"][0]["townName"], &second["more"]), (&json!("inn"), &json!(false)));
    stage.sim.clear_faults();
    // Each look of the stop waits for hours too, so each is made due.
    until("the stop has ended", async || {
        stage.gastown(&["town", "retry", "alice/mill"]).await;
        stage.rows.operations().await.is_empty()
    })
    .await;
    let deleted = value(&in_database(&stage, &["orphans", "--delete", "--grace", "0", "--yes", "--json"]).await);
    assert_eq!(deleted["removals"].as_array().unwrap().len(), 1, "{deleted}");
    stage
}

/// Asserts that a command prints the same in the database and at the console, apart from the time of the report.
async fn assert_same(stage: &Stage, arguments: &[&str]) -> Value {
    let as_json = [arguments, &["--json"]].concat();
    let timeless = |ended: &Ended| {
        let mut report = value(ended);
        report.as_object_mut().unwrap().remove("at");
        report
    };
    let (here, there) = (in_database(stage, &as_json).await, at_server(stage, &as_json).await);
    assert_eq!(timeless(&there), timeless(&here), "{arguments:?}");
    let (here, there) = (in_database(stage, arguments).await, at_server(stage, arguments).await);
    assert_eq!((there.status.code(), &there.out, &there.err), (Some(0), &here.out, &here.err), "{arguments:?}");
    timeless(&at_server(stage, &as_json).await)
}

async fn rollouts_at_a_server_are_those_of_the_operator(setup: Setup) -> Stage {
    let stage = with_console(setup, true).start().await;
    stage.created("mill").await;
    let new = "registry.example.com/gastown-sandbox:2";
    let start: &[&str] = &["rollout", "start", "--image", new, "--percent", "50", "--only-stopped"];
    assert_eq!(assert_same(&stage, &["rollout", "status"]).await, json!({ "rollout": null }));
    for arguments in [&["rollout", "pause"][..], &["rollout", "undo", "--yes"]] {
        let (here, there) = (in_database(&stage, arguments).await, at_server(&stage, arguments).await);
        assert!(there.err.contains("there is no rollout"), "{}", there.err);
        assert_eq!((there.status.code(), there.err), (here.status.code(), here.err));
    }
    let asked = at_server(&stage, &start[..start.len() - 1]).await;
    assert!(asked.status.code() == Some(1) && asked.err.contains("to 50 % of the towns"), "{}", asked.err);
    let started = value(&at_server(&stage, &[start, &["--max-unavailable", "7", "--json"]].concat()).await);
    let rollout = &started["rollout"];
    assert_eq!((&rollout["startedBy"], &rollout["state"]), (&json!("operator:eve"), &json!("running")));
    assert_eq!((&rollout["percent"], &rollout["maxUnavailable"]), (&json!(50), &json!(7)));
    for (action, state) in [("pause", "paused"), ("resume", "running"), ("pause", "paused")] {
        let changed = value(&at_server(&stage, &["rollout", action, "--json"]).await);
        let rollout = &changed["rollout"];
        assert_eq!((&rollout["state"], &rollout["changedBy"]), (&json!(state), &json!("operator:eve")), "{action}");
        assert_same(&stage, &["rollout", "status"]).await;
    }
    // Refusals are in the words of the database.
    for arguments in [
        &["rollout", "pause"][..],
        start,
        &["rollout", "start", "--image", new, "--percent", "49", "--only-stopped", "--replace"],
    ] {
        let (here, there) = (in_database(&stage, arguments).await, at_server(&stage, arguments).await);
        assert!(there.err.contains("rollout 1 "), "{}", there.err);
        assert_eq!((there.status.code(), there.err), (here.status.code(), here.err));
    }
    let replaced = at_server(&stage, &[start, &["--replace", "--json"]].concat()).await;
    assert_eq!(value(&replaced)["rollout"]["number"], json!(2));
    let undone = value(&at_server(&stage, &["rollout", "undo", "--json"]).await);
    assert_eq!(undone["rollout"]["state"], json!("undoing"), "it restarts no running town, so it does not ask");
    for (path, body, status, reason) in [
        ("/v1/rollout", "{}", 400, "bad_request"),
        ("/v1/rollout", r#"{"image":"x y"}"#, 400, "bad_request"),
        ("/v1/rollout", r#"{"image":"x:1","percent":0}"#, 400, "bad_request"),
        ("/v1/rollout", r#"{"image":"x:1","maxUnavailable":501}"#, 400, "bad_request"),
        ("/v1/rollout", r#"{"image":"x:1","share":1}"#, 400, "bad_request"),
        ("/v1/rollout?percent=1", r#"{"image":"x:1"}"#, 400, "bad_request"),
        ("/v1/rollout", r#"{"image":"x:1"}"#, 409, "rollout_state"),
        ("/v1/rollout/resume", "{}", 409, "rollout_state"),
        ("/v1/rollout/resume", r#"{"yes":true}"#, 400, "bad_request"),
        ("/v1/rollout/restart", "{}", 404, "unknown_path"),
    ] {
        let (answered, answer) = call(&stage, Method::POST, path, TOKEN, body).await;
        assert_eq!(
            (answered.as_u16(), &answer["error"]["reason"]),
            (status, &json!(reason)),
            "{path} {body}: {answer}"
        );
    }
    let (status, answer) = get(&stage, "/v1/rollout?limit=1").await;
    assert_eq!((status, &answer["error"]["reason"]), (StatusCode::BAD_REQUEST, &json!("bad_request")));
    stage
}

async fn requests_at_a_server_are_those_of_the_operator(setup: Setup) -> Stage {
    let stage = with_console(setup, true).start().await;
    let town = stage.created("mill").await;
    let id = town.id.to_string();
    for (action, status) in [("stop", "stopped"), ("start", "running")] {
        let ended = at_server(&stage, &["town", action, "alice/mill", "--wait", "60"]).await;
        assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
        assert!(ended.out.ends_with(&format!("Town {id} is {status}.\n")), "{}", ended.out);
        let events = value(&at_server(&stage, &["events", &id, "--action", action, "--json"]).await);
        let actors: Vec<_> = events["events"].as_array().unwrap().iter().map(|event| &event["actor"]).collect();
        assert_eq!(actors, [&json!("operator:eve"), &json!("operator:eve")], "its request and its end: {events}");
    }
    with_failed_stop(&stage, town.id).await;
    // The operation in flight is joined or in the way, in the words of the database.
    let joined = value(&at_server(&stage, &["town", "stop", &id, "--json"]).await);
    assert_eq!((&joined["townId"], &joined["operation"]["kind"]), (&json!(id), &json!("stop")));
    let (here, there) = (["town", "start", &id], ["town", "start", &id]);
    let (here, there) = (in_database(&stage, &here).await, at_server(&stage, &there).await);
    assert!(there.err.contains("another operation is in flight: stop"), "{}", there.err);
    assert_eq!((there.status.code(), there.err), (here.status.code(), here.err));
    let late = at_server(&stage, &["town", "stop", &id, "--wait", "1"]).await;
    assert_eq!(late.status.code(), Some(5), "{}", late.err);
    let retried = value(&at_server(&stage, &["town", "retry", "alice/mill", "--json"]).await);
    assert_eq!((&retried["operation"]["kind"], &retried["operation"]["attempt"]), (&json!("stop"), &json!(0)));
    stage.sim.clear_faults();
    stage.idle().await;
    let without = at_server(&stage, &["town", "retry", "alice/mill"]).await;
    assert_eq!(without.status.code(), Some(1));
    assert!(without.err.contains("has no operation in flight"), "{}", without.err);

    let asked = at_server(&stage, &["town", "destroy", "alice/mill"]).await;
    assert!(asked.status.code() == Some(1) && asked.err.contains("add --yes"), "{}", asked.err);
    let gone = value(&at_server(&stage, &["town", "destroy", "alice/mill", "--yes", "--wait", "60", "--json"]).await);
    assert_eq!(gone, json!({"townId": id, "status": "destroyed", "gone": true, "operation": null}));
    assert_eq!((stage.sim.machines(), stage.sim.volumes()), (vec![], vec![]));
    let again = at_server(&stage, &["town", "destroy", &id, "--yes"]).await;
    assert_eq!((again.status.code(), again.out), (Some(0), format!("Town {id} is destroyed.\n")));
    for action in ["start", "stop"] {
        let ended = at_server(&stage, &["town", action, &id]).await;
        assert_eq!((ended.status.code(), ended.err), (Some(4), format!("gastown: no such town: {id} is destroyed\n")));
    }
    let by = async |actor: &str, action: &str| {
        stage.rows.events().await.iter().any(|event| event.actor == actor && event.action == action)
    };
    for action in ["start", "stop", "retry", "destroy"] {
        assert!(by("operator:eve", action).await, "{action}");
    }
    // Without a name, the token is that of the console.
    let inn = stage.created("inn").await;
    let path = format!("/v1/towns/{}/stop", inn.id);
    let operation = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
    let body = json!({ "operationId": operation }).to_string();
    let (status, accepted) = call(&stage, Method::POST, &path, TOKEN, &body).await;
    assert_eq!((status, accepted), (StatusCode::OK, json!({ "townId": inn.id, "operationId": operation })));
    stage.idle().await;
    assert!(by("operator:console", "stop").await);
    let (_, end) = get(&stage, &format!("/v1/operations/{operation}")).await;
    assert_eq!(end, json!({ "operationId": operation, "ended": true, "failure": null }));
    stage
}

async fn lost_towns_are_restored_at_a_server_as_in_the_database(setup: Setup) -> Stage {
    let stage = with_console(setup, true).start().await;
    let town = stage.created("mill").await;
    let id = town.id.to_string();
    let never_saved = at_server(&stage, &["town", "restore", &id, "--yes"]).await;
    assert!(never_saved.err.contains("was never saved to R2"), "{}", never_saved.err);
    stage.rows.execute("UPDATE gastown_towns SET last_r2_sync_at = created_at").await;
    let (here, there) = (
        in_database(&stage, &["town", "restore", &id, "--yes"]).await,
        at_server(&stage, &["town", "restore", &id, "--yes"]).await,
    );
    assert!(there.err.contains("the town's volume is not lost"), "{}", there.err);
    assert_eq!((there.status.code(), there.err), (here.status.code(), here.err));
    stage
}

async fn server_without_actions_only_reads(setup: Setup) -> Stage {
    let stage = with_console(setup, false).start().await;
    let town = stage.created("mill").await;
    let before = stage.rows.everything().await;
    for arguments in [
        &["town", "stop", "alice/mill"][..],
        &["town", "start", "alice/mill"],
        &["town", "retry", "alice/mill"],
        &["town", "destroy", "alice/mill", "--yes"],
        &["rollout", "start", "--image", IMAGE, "--yes"],
        &["rollout", "pause"],
        &["rollout", "resume"],
    ] {
        let ended = at_server(&stage, arguments).await;
        assert_eq!((ended.status.code(), ended.err.lines().count()), (Some(1), 1), "{}", ended.err);
        assert!(ended.err.contains("--allow-actions"), "{}", ended.err);
    }
    let path = format!("/v1/towns/{}/destroy", town.id);
    let (status, answer) = call(&stage, Method::POST, &path, TOKEN_OF_EVE, "{}").await;
    assert_eq!((status, &answer["error"]["reason"]), (StatusCode::FORBIDDEN, &json!("read_only")));
    assert_eq!(stage.rows.everything().await, before);
    stage
}

async fn mistakes_at_a_server_get_one_line(setup: Setup) -> Stage {
    let stage = with_console(setup, true).start().await;
    stage.created("mill").await;
    let console = console_url(&stage).to_owned();
    let (users, of_user) = (stage.url().to_owned(), stage.token(ALICE).to_owned());
    let variable = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let operator = variable("GASTOWN_OPERATOR_TOKEN", TOKEN_OF_EVE);
    for (server, settings, code, text) in [
        (console.as_str(), variable("GASTOWN_TOKEN", &of_user), 1, "GASTOWN_TOKEN is that of a user"),
        (&console, variable("GASTOWN_OPERATOR_TOKEN", &of_user), 1, "is the token of a user"),
        (&console, variable("GASTOWN_OPERATOR_TOKEN", &TOKEN_OF_EVE[1..]), 1, "not the token of an operator"),
        (&console, vec![], 1, "the token of an operator is missing"),
        ("https://towns.example.com", vec![], 1, "set GASTOWN_OPERATOR_TOKEN"),
        (&users, operator.clone(), 1, "CONSOLE_LISTEN"),
    ] {
        let ended = Gastown::run(&["town", "list", "--server", server], &settings).await;
        assert_eq!((ended.status.code(), ended.err.lines().count()), (Some(code), 1), "{text}: {}", ended.err);
        assert!(ended.err.contains(text) && ended.out.is_empty(), "{text}: {}", ended.err);
        assert!(!ended.err.contains(&of_user) && !ended.err.contains(TOKEN_OF_EVE), "{}", ended.err);
    }
    for (arguments, text) in [
        (&["town", "show", "bob/mill"][..], "no such town: bob/mill"),
        (&["events", "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"], "no such town: 0190a1b2"),
        (&["town", "stop", "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"], "no such town: 0190a1b2"),
    ] {
        let ended = at_server(&stage, arguments).await;
        assert_eq!((ended.status.code(), ended.err.lines().count()), (Some(4), 1), "{arguments:?}: {}", ended.err);
        assert!(ended.err.contains(text) && ended.out.is_empty(), "{}", ended.err);
    }
    // What needs the settings of Fly, or the database, does not take the address.
    for arguments in
        [&["town", "list", "--key", "old"][..], &["orphans", "--delete"], &["migrate", "status"], &["adopt"]]
    {
        assert_eq!(at_server(&stage, arguments).await.status.code(), Some(2), "{arguments:?}");
    }
    let http = Gastown::run(&["town", "list", "--server", "http://towns.example.com"], &operator).await;
    assert_eq!(http.status.code(), Some(2), "{}", http.err);
    // The token of an operator is none of users.
    let foreign = variable("GASTOWN_TOKEN", TOKEN_OF_EVE);
    let ended = Gastown::run(&["rig", "list", "mill", "--server", &users], &foreign).await;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.err);
    stage
}

async fn calls_are_for_operators_and_bounded(setup: Setup) -> Stage {
    let stage = with_console(setup, true).start().await;
    let town = stage.created("mill").await;
    let base = format!("{}/api", console_url(&stage));
    let stop = format!("/v1/towns/{}/stop", town.id);
    let before = stage.rows.everything().await;
    // Every path is closed without a token, and with that of a user. A session of a browser does not open it.
    let login = format!("{}/login", console_url(&stage));
    let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let login = browser.post(login).body(format!("token={TOKEN_OF_EVE}")).send().await.unwrap();
    let cookie = login.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    for path in ["/v1/towns", "/v1/none", "/v2/towns", "", &stop] {
        let closed = http().get(format!("{base}{path}")).header("cookie", &cookie).send().await.unwrap();
        assert_eq!(
            (closed.status(), &closed.headers()["www-authenticate"]),
            (StatusCode::UNAUTHORIZED, &"Bearer".parse().unwrap())
        );
        let answer: Value = closed.json().await.unwrap();
        assert_eq!(answer["error"]["reason"], "token_missing", "{path}");
    }
    let (status, answer) = call(&stage, Method::GET, "/v1/towns", stage.token(ALICE), "").await;
    assert_eq!((status, &answer["error"]["reason"]), (StatusCode::UNAUTHORIZED, &json!("token_of_user")));
    let (status, answer) = call(&stage, Method::POST, &stop, &TOKEN[1..], "{}").await;
    assert_eq!((status, &answer["error"]["reason"]), (StatusCode::UNAUTHORIZED, &json!("token_wrong")));
    for (method, path, body, status, reason) in [
        (Method::GET, "/v1/none", "", 404, "unknown_path"),
        (Method::GET, "/v2/towns", "", 404, "unknown_path"),
        (Method::GET, "/v1/towns?usr=alice", "", 400, "bad_request"),
        (Method::GET, "/v1/towns?status=on", "", 400, "bad_request"),
        (Method::GET, "/v1/towns?after=0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", "", 400, "bad_request"),
        (Method::GET, "/v1/events?limit=10001", "", 400, "bad_request"),
        (Method::GET, "/v1/operations?which=some", "", 400, "bad_request"),
        (Method::GET, "/v1/operations/mill", "", 400, "bad_request"),
        (Method::GET, "/v1/towns/mill", "", 404, "no_such_town"),
        (Method::GET, &stop, "", 405, "wrong_method"),
        (Method::POST, "/v1/towns", "{}", 405, "wrong_method"),
        (Method::POST, &stop, "", 400, "bad_request"),
        (Method::POST, &stop, "{\"operation\":1}", 400, "bad_request"),
        (Method::POST, &stop, "{\"operationId\":\"mill\"}", 400, "bad_request"),
        (Method::POST, &stop.replace("stop", "reboot"), "{}", 404, "unknown_path"),
        (Method::POST, &stop.replace("stop", "retry"), "{\"operationId\":null}", 400, "bad_request"),
        (Method::POST, &stop, &format!("{{\"operationId\":\"{}\"}}", "a".repeat(5000)), 413, "too_large"),
    ] {
        let (answered, answer) = call(&stage, method, path, TOKEN, body).await;
        assert_eq!((answered.as_u16(), &answer["error"]["reason"]), (status, &json!(reason)), "{path}: {answer}");
        assert!(answer["error"]["message"].as_str().is_some_and(|message| message.len() > 5), "{answer}");
    }
    // A form of another site cannot send JSON.
    let form = http().post(format!("{base}{stop}")).bearer_auth(TOKEN).body("{}").send().await.unwrap();
    assert_eq!(form.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(stage.rows.everything().await, before);
    // The address of users has no such path.
    let beside = http().get(format!("{}/console/api/v1/towns", stage.url())).bearer_auth(TOKEN).send().await.unwrap();
    assert_eq!(beside.status(), StatusCode::NOT_FOUND);
    // No answer has the configuration of a user.
    stage.rows.execute("UPDATE gastown_towns SET config = '{\"anthropicApiKey\":\"canary-of-a-user\"}'").await;
    for path in ["/v1/towns".to_owned(), format!("/v1/towns/{}", town.id)] {
        let (status, answer) = get(&stage, &path).await;
        assert!(status == StatusCode::OK && !answer.to_string().contains("canary"), "{answer}");
    }
    stage
}
