//! The form of a refusal under overload.

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::http1::{Answer, Connection};
use super::trpc;

/// The kind of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Answered,
    /// Refused in the form that clients can rely on.
    Refused,
}

/// The most of a wrong answer that is shown.
const SHOWN: usize = 300;

/// Judges an answer, whose body is an envelope or a batch of them. A batch is answered if one of its calls is.
///
/// Errors: an answer with a call that is neither done nor refused in the right form. That form has a code, a header
/// `retry-after`, and an envelope with a time to wait.
pub(crate) fn judge(answer: &Answer<'_>) -> anyhow::Result<Kind> {
    if answer.status == 200 {
        return Ok(Kind::Answered);
    }
    let text = String::from_utf8_lossy(answer.body);
    let shown = || format!("answered {}: {}", answer.status, text.chars().take(SHOWN).collect::<String>());
    ensure!(matches!(answer.status, 207 | 429 | 503), "{}", shown());
    let retry: Option<u64> = answer.header("retry-after").and_then(|value| value.parse().ok());
    let retry = retry.filter(|seconds| *seconds > 0).with_context(|| format!("no retry-after: {}", shown()))?;
    let mut body: Value = serde_json::from_str(&text).with_context(|| format!("not JSON: {}", shown()))?;
    let calls = match &mut body {
        Value::Array(calls) => std::mem::take(calls),
        single => vec![single.take()],
    };
    let mut kind = Kind::Refused;
    for call in calls {
        if call.get("result").is_some() {
            kind = Kind::Answered;
        } else {
            ensure!(is_refusal(&call["error"], retry), "not an envelope of a refusal: {}", shown());
        }
    }
    Ok(kind)
}

/// Sends a mutation. Returns `None` if it was refused.
///
/// Errors: those of the connection and of [`judge`], and an answer without data.
pub(crate) async fn accepted(
    connection: &mut Connection,
    procedure: &str,
    input: &Value,
    token: &str,
) -> anyhow::Result<Option<Value>> {
    let answer = connection.send(trpc::mutation(procedure, input, token).as_bytes()).await?;
    match judge(&answer).with_context(|| procedure.to_owned())? {
        Kind::Answered => trpc::data(&answer).map(Some),
        Kind::Refused => Ok(None),
    }
}

/// Returns true for the error of a refused call whose time to wait is at most that of the whole answer.
fn is_refusal(error: &Value, retry: u64) -> bool {
    let data = &error["data"];
    let is_known = [("SERVICE_UNAVAILABLE", 503), ("TOO_MANY_REQUESTS", 429)]
        .iter()
        .any(|(code, status)| data["code"] == *code && data["httpStatus"] == *status);
    is_known
        && error["message"].is_string()
        && data["retryAfter"].as_u64().is_some_and(|own| (1..=retry).contains(&own))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"error":{"message":"m","code":-32603,"data":{"code":"SERVICE_UNAVAILABLE","httpStatus":503,"retryAfter":1}}}"#;
    const HEAD: &str = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n\r\n";

    fn judged(status: u16, head: &str, body: &str) -> Option<Kind> {
        judge(&Answer { status, head: head.as_bytes(), body: body.as_bytes() }).ok()
    }

    #[test]
    fn refusal_needs_its_header_and_its_envelope() {
        assert_eq!(judged(200, "", ""), Some(Kind::Answered));
        assert_eq!(judged(503, HEAD, BODY), Some(Kind::Refused));
        assert_eq!(judged(503, HEAD, &format!("[{BODY},{BODY}]")), Some(Kind::Refused));
        assert_eq!(judged(207, HEAD, &format!(r#"[{BODY},{{"result":{{}}}}]"#)), Some(Kind::Answered));
        for (status, head, body) in [
            (503, "HTTP/1.1 503 x\r\n\r\n", BODY),
            (503, HEAD, "overloaded"),
            (503, HEAD, &BODY.replace("SERVICE_UNAVAILABLE", "TIMEOUT")),
            (207, HEAD, r#"[{"result":{}},{"error":{}}]"#),
            (503, &HEAD.replace(": 1", ": 0"), &BODY.replace("retryAfter\":1", "retryAfter\":0")),
            (500, HEAD, BODY),
        ] {
            assert_eq!(judged(status, head, body), None, "{status} {head}");
        }
    }
}
