//! Requests of the wire protocol, and the data of its answers.

use std::fmt::Write as _;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::http1::{Answer, Connection};

/// Writes a query into `request`, which is emptied first. The input must be JSON of ASCII characters.
pub(crate) fn write_query(request: &mut String, procedure: &str, input: Option<&str>, token: &str) {
    request.clear();
    request.push_str("GET /trpc/gastown.");
    request.push_str(procedure);
    if let Some(input) = input {
        request.push_str("?input=");
        push_escaped(request, input);
    }
    request.push_str(" HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer ");
    request.push_str(token);
    request.push_str("\r\n\r\n");
}

/// Returns the request of a batch that makes the same query `count` times. The input must be JSON of ASCII characters.
pub(crate) fn batch_query(procedure: &str, count: usize, input: Option<&str>, token: &str) -> String {
    let names = vec![format!("gastown.{procedure}"); count].join(",");
    let mut request = format!("GET /trpc/{names}?batch=1");
    if let Some(input) = input {
        request.push_str("&input=");
        let members: Vec<_> = (0..count).map(|index| format!(r#""{index}":{input}"#)).collect();
        push_escaped(&mut request, &format!("{{{}}}", members.join(",")));
    }
    request.push_str(" HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer ");
    request.push_str(token);
    request.push_str("\r\n\r\n");
    request
}

/// Returns the request of a mutation.
pub(crate) fn mutation(procedure: &str, input: &Value, token: &str) -> String {
    let body = input.to_string();
    let length = body.len();
    format!(
        "POST /trpc/gastown.{procedure} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// Writes the call of a town's sandbox into `request`, which is emptied first.
pub(crate) fn write_home_call(request: &mut String, procedure: &str, town: &str, key: &str) {
    let body = format!(r#"{{"townId":"{town}"}}"#);
    request.clear();
    // Writing to a string never fails.
    let _written = write!(
        request,
        "POST /trpc/gastown.{procedure} HTTP/1.1\r\nhost: bench\r\nx-internal-api-key: {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
}

/// Sends a mutation and returns the data of its answer.
pub(crate) async fn mutate(
    connection: &mut Connection,
    procedure: &str,
    input: &Value,
    token: &str,
) -> anyhow::Result<Value> {
    let request = mutation(procedure, input, token);
    let answer = connection.send(request.as_bytes()).await.with_context(|| procedure.to_owned())?;
    data(&answer).with_context(|| procedure.to_owned())
}

/// Returns the data in the envelope of an answer.
pub(crate) fn data(answer: &Answer<'_>) -> anyhow::Result<Value> {
    let text = String::from_utf8_lossy(answer.body);
    ensure!(answer.status == 200, "answered {}: {text}", answer.status);
    let mut envelope: Value = serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))?;
    envelope.pointer_mut("/result/data").map(Value::take).with_context(|| format!("no data: {text}"))
}

fn push_escaped(request: &mut String, input: &str) {
    for byte in input.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            request.push(char::from(byte));
        } else {
            // Writing to a string never fails.
            let _written = write!(request, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn query_has_its_input_in_the_address_and_the_token_in_a_header() {
        let mut request = "old".to_owned();
        write_query(&mut request, "getTownStatus", Some(r#"{"townId":"a-1"}"#), "t0ken");
        let line = "GET /trpc/gastown.getTownStatus?input=%7B%22townId%22%3A%22a-1%22%7D HTTP/1.1";
        assert_eq!(request.lines().next(), Some(line));
        assert!(request.contains("\r\nauthorization: Bearer t0ken\r\n") && request.ends_with("\r\n\r\n"));
        write_query(&mut request, "listTowns", None, "t0ken");
        assert!(request.starts_with("GET /trpc/gastown.listTowns HTTP/1.1\r\n"));
    }

    #[test]
    fn batch_has_the_input_of_each_call() {
        let request = batch_query("listTowns", 2, Some("{}"), "t");
        let input = "%7B%220%22%3A%7B%7D%2C%221%22%3A%7B%7D%7D";
        let line = format!("GET /trpc/gastown.listTowns,gastown.listTowns?batch=1&input={input} HTTP/1.1\r\n");
        assert!(request.starts_with(&line), "{request}");
        assert!(batch_query("listTowns", 1, None, "t").starts_with("GET /trpc/gastown.listTowns?batch=1 HTTP/1.1\r\n"));
    }

    #[test]
    fn mutation_has_its_input_as_the_body() {
        let request = mutation("stopTown", &json!({ "a": 1 }), "t");
        assert!(request.contains("\r\ncontent-length: 7\r\n\r\n{\"a\":1}"), "{request}");
    }

    #[test]
    fn call_of_a_sandbox_has_its_key_in_a_header() {
        let mut request = "old".to_owned();
        write_home_call(&mut request, "heartbeat", "a-1", "k3y");
        assert!(request.starts_with("POST /trpc/gastown.heartbeat HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("\r\nx-internal-api-key: k3y\r\n"), "{request}");
        assert!(request.ends_with("\r\ncontent-length: 16\r\n\r\n{\"townId\":\"a-1\"}"), "{request}");
    }

    #[test]
    fn data_is_taken_from_a_successful_answer_only() {
        let answer = |status, body: &'static str| Answer { status, head: b"", body: body.as_bytes() };
        assert_eq!(data(&answer(200, r#"{"result":{"data":[1]}}"#)).unwrap(), json!([1]));
        for (status, body) in [(404, r#"{"result":{"data":1}}"#), (200, "{}"), (200, "no")] {
            assert!(data(&answer(status, body)).is_err(), "{status} {body}");
        }
    }
}
