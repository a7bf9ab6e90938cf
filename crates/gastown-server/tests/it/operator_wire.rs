//! The operators' API on the wire: refusals in plain words, ids of requests, limits, and a restore.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::client::http;
use crate::console::{TOKEN, TOKEN_OF_EVE};
use crate::losses::{lose_saved, watched};
use crate::operator_api::{at_server, console_url, with_console, with_failed_stop};
use crate::stage::{DATA, Setup, Stage, until};

on_both! {
    mistakes_of_calls_are_named_in_one_line,
    operations_are_told_apart_by_their_id,
    internal_errors_name_their_request,
    calls_beyond_the_limit_are_busy,
    one_host_does_not_take_every_connection,
    lost_town_is_restored_over_the_api,
}

const UNKNOWN: &str = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";

fn request(stage: &Stage, method: Method, path: &str) -> RequestBuilder {
    http().request(method, format!("{}/api{path}", console_url(stage))).bearer_auth(TOKEN_OF_EVE)
}

async fn refusal(answer: Response) -> (u16, String, String) {
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    let text = |name: &str| body["error"][name].as_str().unwrap().to_owned();
    (status, text("reason"), text("message"))
}

async fn mistakes_of_calls_are_named_in_one_line(setup: Setup) -> Stage {
    let stage = with_console(setup, true).start().await;
    let town = stage.created("mill").await;
    let before = stage.rows.everything().await;
    let stop = format!("/v1/towns/{}/stop", town.id);
    for (path, body, message) in [
        (stop.as_str(), "[]", "the body is not an object; send a JSON object, such as {}"),
        (&stop, "", "the body is empty; send a JSON object, such as {}"),
        (&stop, "{", "the body is not valid JSON; send a JSON object, such as {}"),
        (&stop, r#"{"operation":1}"#, "the field \"operation\" of the body is unknown; known are operationId"),
        (&stop, r#"{"operationId":7}"#, "operationId is invalid: must be a UUID, such as "),
        (&stop.replace("stop", "retry"), "[]", "the body is not an object"),
        (&format!("{stop}?dryRun=true"), "{}", "the field \"dryRun\" is unknown; none is"),
        (&format!("{}?wait", stop.replace("stop", "retry")), "{}", "the field \"wait\" is unknown; none is"),
    ] {
        let call = request(&stage, Method::POST, path).header("content-type", "application/json");
        let (status, reason, text) = refusal(call.body(body.to_owned()).send().await.unwrap()).await;
        assert_eq!((status, reason.as_str()), (400, "bad_request"), "{path} {body}");
        assert!(text.starts_with(message) && text.lines().count() == 1, "{path} {body}: {text}");
    }
    for (path, message) in [
        ("/v1/orphans?grace=-1", "grace is invalid: must be a whole number of seconds"),
        ("/v1/operations?since=yesterday", "since is invalid: must be a time with its offset, such as 2026-"),
        ("/v1/events?until=1764598000", "until is invalid: must be a time with its offset, such as 2026-"),
        ("/v1/events?failed=false", "failed is invalid: must be true"),
        ("/v1/events?town=mill", "town is invalid: "),
        ("/v1/towns?limit=all", "limit is invalid: must be a whole number between 1 and 10000"),
        ("/v1/towns?health=well", "health is invalid: must be `ok`, `drift`"),
        ("/v1/towns/%ff", "the path is not UTF-8"),
    ] {
        let (status, reason, text) = refusal(request(&stage, Method::GET, path).send().await.unwrap()).await;
        assert_eq!((status, reason.as_str()), (400, "bad_request"), "{path}");
        assert!(text.starts_with(message) && text.lines().count() == 1, "{path}: {text}");
        for internal in ["expected value", "line 1 column", "ParseIntError", "invalid digit", "premature", "struct"] {
            assert!(!text.contains(internal), "{path}: {text}");
        }
    }
    // Methods that no path has, without a body and its type.
    for (method, path, allow) in [
        (Method::DELETE, stop.as_str(), "POST"),
        (Method::OPTIONS, &stop, "POST"),
        (Method::PUT, &stop, "POST"),
        (Method::DELETE, "/v1/towns", "GET,HEAD"),
        (Method::OPTIONS, "/v1/towns", "GET,HEAD"),
    ] {
        let answer = request(&stage, method.clone(), path).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), &answer.headers()["allow"]), (405, &allow.parse().unwrap()), "{method}");
        assert_eq!(refusal(answer).await.1, "wrong_method");
    }
    assert_eq!(stage.rows.everything().await, before);
    stage
}

async fn operations_are_told_apart_by_their_id(setup: Setup) -> Stage {
    let stage = with_console(setup, true).start().await;
    let town = stage.created("mill").await;
    let get = async |id: &str| request(&stage, Method::GET, &format!("/v1/operations/{id}")).send().await.unwrap();
    let (status, reason, message) = refusal(get(UNKNOWN).await).await;
    assert_eq!((status, reason.as_str()), (404, "no_such_operation"));
    assert!(message.contains(UNKNOWN), "{message}");
    with_failed_stop(&stage, town.id).await;
    let list: Value = request(&stage, Method::GET, "/v1/operations").send().await.unwrap().json().await.unwrap();
    let id = list["operations"][0]["operationId"].as_str().unwrap();
    let in_flight: Value = get(id).await.json().await.unwrap();
    assert_eq!(in_flight, json!({ "operationId": id, "ended": false, "failure": null }));
    stage.sim.clear_faults();
    until("the stop has ended", async || {
        stage.gastown(&["town", "retry", "alice/mill"]).await;
        stage.rows.operations().await.is_empty()
    })
    .await;
    let ended: Value = get(id).await.json().await.unwrap();
    assert_eq!(ended, json!({ "operationId": id, "ended": true, "failure": null }));
    stage
}

async fn internal_errors_name_their_request(setup: Setup) -> Stage {
    let stage = with_console(setup, false).start().await;
    for (path, token) in [("/v1/towns", TOKEN), ("/v1/none", TOKEN), ("/v1/towns", ""), ("/v1/towns?a=1", TOKEN)] {
        let url = format!("{}/api{path}", console_url(&stage));
        let call = || http().get(&url).bearer_auth(token);
        let own = call().send().await.unwrap();
        let own = own.headers()["x-request-id"].to_str().unwrap();
        assert!(stage.replicas[0].log.text().contains(own), "{path}: {own}");
        let given = call().header("x-request-id", "of-a-script-7").send().await.unwrap();
        assert_eq!(given.headers()["x-request-id"], "of-a-script-7", "{path}");
    }
    stage.rows.execute("ALTER TABLE gastown_orphans RENAME TO orphans_elsewhere").await;
    let failed =
        request(&stage, Method::GET, "/v1/orphans").header("x-request-id", "of-a-search-1").send().await.unwrap();
    stage.rows.execute("ALTER TABLE orphans_elsewhere RENAME TO gastown_orphans").await;
    assert_eq!(failed.headers()["retry-after"], "1");
    let (status, reason, message) = refusal(failed).await;
    assert_eq!((status, reason.as_str()), (503, "unavailable"));
    assert!(message.ends_with("the log of the server has the cause (request of-a-search-1)"), "{message}");
    let log = stage.replicas[0].log.text();
    let cause = log.lines().find(|line| line.contains("failed to answer an operator")).unwrap();
    assert!(cause.contains("of-a-search-1"), "{cause}");
    stage
}

/// Connects from an address of this machine, and sends this.
async fn sent_from(host: u8, stage: &Stage, text: &str) -> TcpStream {
    let address = console_url(stage).trim_start_matches("http://").trim_end_matches("/console");
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, host], 0).into()).unwrap();
    let mut stream = socket.connect(address.parse().unwrap()).await.unwrap();
    // One that is refused may be closed already.
    let _ = stream.write_all(text.as_bytes()).await;
    stream
}

async fn calls_beyond_the_limit_are_busy(setup: Setup) -> Stage {
    let stage = with_console(setup, true).start().await;
    let town = stage.created("mill").await;
    let before = stage.rows.everything().await;
    // Calls whose bodies do not arrive have their places until then.
    let unfinished = format!(
        "POST /console/api/v1/towns/{}/stop HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n\
         content-type: application/json\r\ncontent-length: 9\r\n\r\n[",
        town.id
    );
    let list = async || request(&stage, Method::GET, "/v1/towns").send().await.unwrap();
    let mut held = Vec::new();
    // A busy machine may reach the time-out of a body, which frees its place.
    let refused = loop {
        held.push(sent_from(1, &stage, &unfinished).await);
        let answer = list().await;
        if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
            break answer;
        }
        assert!(held.len() < 30, "no call is refused");
    };
    assert!(held.len() >= 4, "{} calls take all places", held.len());
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(refusal(refused).await.1, "busy");
    // The pages of the console do not share these places.
    let page = http().get(console_url(&stage)).bearer_auth(TOKEN).send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    // A refused caller is not counted.
    let stranger = http().get(format!("{}/api/v1/towns", console_url(&stage))).send().await.unwrap();
    assert_eq!(stranger.status(), StatusCode::UNAUTHORIZED);
    // The first has its place until its body is whole, or too late.
    let mut first = held.remove(0);
    let _ = first.write_all(b"       ]").await;
    let mut answer = [0; 10];
    first.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 4");
    drop(held);
    until("there is a place", async || list().await.status() == StatusCode::OK).await;
    assert_eq!(stage.rows.everything().await, before);
    stage
}

async fn one_host_does_not_take_every_connection(setup: Setup) -> Stage {
    let stage = with_console(setup, false).start().await;
    let mut held = Vec::new();
    for _ in 0..80 {
        held.push(sent_from(2, &stage, "GET /console HTTP/1.1\r\nhost: x\r\nx-slow: ").await);
    }
    // Those beyond its share are closed at once, long before the time-out of a head.
    let (mut end, mut last) = ([0; 1], held.pop().unwrap());
    let closed = timeout(Duration::from_secs(5), last.read(&mut end)).await.expect("it stays open");
    assert!(matches!(closed, Ok(0) | Err(_)));
    for path in ["", "/api/v1/towns"] {
        let answer = http().get(format!("{}{path}", console_url(&stage))).bearer_auth(TOKEN).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
    }
    drop(held);
    stage
}

async fn lost_town_is_restored_over_the_api(setup: Setup) -> Stage {
    let mut setup = with_console(watched(setup), true);
    setup.policy.timeouts.caller = Duration::from_secs(60);
    let stage = setup.start().await;
    let town = stage.running("mill").await;
    stage.exec(town.machine(), &format!("echo ground > {DATA}/flour.txt")).await;
    lose_saved(&stage, &town).await;
    let restore = request(&stage, Method::POST, &format!("/v1/towns/{}/restore", town.id));
    let accepted = restore.json(&json!({ "operationId": UNKNOWN })).send().await.unwrap();
    assert_eq!(accepted.status(), StatusCode::OK);
    let accepted: Value = accepted.json().await.unwrap();
    assert_eq!(accepted, json!({ "townId": town.id, "operationId": UNKNOWN }));
    let end = async || -> Value {
        let path = format!("/v1/operations/{UNKNOWN}");
        request(&stage, Method::GET, &path).send().await.unwrap().json().await.unwrap()
    };
    until("the restore has ended", async || end().await["ended"] == true).await;
    assert_eq!(end().await["failure"], Value::Null);
    let row = stage.rows.town(town.id).await;
    assert!(row.volume() != town.volume() && row.machine() != town.machine(), "{row:?}");
    assert_eq!(stage.exec(row.machine(), &format!("cat {DATA}/flour.txt")).await, "ground\n");
    let events = stage.rows.events().await;
    assert!(events.iter().any(|event| event.action == "restore" && event.actor == "operator:eve"));
    // The command says the same of a second loss, and waits for the end.
    lose_saved(&stage, &row).await;
    let ended = at_server(&stage, &["town", "restore", "alice/mill", "--yes", "--wait", "60"]).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
    assert!(ended.out.ends_with(&format!("Town {} is running.\n", town.id)), "{}", ended.out);
    stage
}
