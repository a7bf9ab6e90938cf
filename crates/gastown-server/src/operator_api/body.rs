//! The body of a change: a JSON object, whose mistakes are named in one plain line.

use std::fmt;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest as _, Request};
use axum::http::StatusCode;
use gastown_domain::OperationId;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::failure::Failure;

/// The time for a body. Meanwhile the call has one of the few places.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// The only field of a request: the id of the new operation.
const OPERATION_ID: &str = "operationId";

/// Reads the body of a request, within the limit of the router.
///
/// Errors: it is too large, too slow, or not whole.
pub(super) async fn whole(request: Request) -> Result<Request, Failure> {
    let (head, body) = request.into_parts();
    let reading = Bytes::from_request(Request::from_parts(head.clone(), body), &());
    match tokio::time::timeout(BODY_TIMEOUT, reading).await {
        Ok(Ok(bytes)) => Ok(Request::from_parts(head, Body::from(bytes))),
        Ok(Err(error)) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(Failure::too_large()),
        Ok(Err(_)) => Err(Failure::bad_request("the body did not arrive as a whole")),
        Err(_) => Err(Failure::too_slow()),
    }
}

/// Returns the id that the caller has chosen for the operation.
pub(super) fn chosen_id(body: &[u8]) -> Result<Option<OperationId>, Failure> {
    let given = fields(body, &[OPERATION_ID])?.into_iter().next().map(|(_, given)| given);
    let Some(given) = given.filter(|given| !given.is_null()) else { return Ok(None) };
    let id = given.as_str().and_then(|given| given.parse().ok());
    let expected = "operationId is invalid: must be a UUID, such as 0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
    id.map(Some).ok_or_else(|| Failure::bad_request(expected))
}

/// Errors: the body is not an object, or has fields.
pub(super) fn without_fields(body: &[u8]) -> Result<(), Failure> {
    fields(body, &[]).map(drop)
}

/// Takes a field of an object. `null` counts as absent.
///
/// Errors: it has another type. `expected` says which.
pub(super) fn taken<T>(
    fields: &[(String, Value)],
    name: &str,
    expected: &str,
    read: impl FnOnce(&Value) -> Option<T>,
) -> Result<Option<T>, Failure> {
    let given = fields.iter().find(|(known, given)| known == name && !given.is_null());
    let wrong = || Failure::bad_request(&format!("{name} is invalid: must be {expected}"));
    given.map(|(_, given)| read(given).ok_or_else(wrong)).transpose()
}

/// Returns the fields of the object, in their order.
///
/// Errors: it is no object, or has a field that is not `known` or is given twice.
pub(super) fn fields(body: &[u8], known: &[&str]) -> Result<Vec<(String, Value)>, Failure> {
    let refused = |problem: &str| Failure::bad_request(&format!("{problem}; send a JSON object, such as {{}}"));
    if body.trim_ascii().is_empty() {
        return Err(refused("the body is empty"));
    }
    let value: Value = serde_json::from_slice(body).map_err(|_| refused("the body is not valid JSON"))?;
    if !value.is_object() {
        return Err(refused("the body is not an object"));
    }
    let Members(members) = serde_json::from_slice(body).map_err(|_| refused("the body is not valid JSON"))?;
    for (place, (name, _)) in members.iter().enumerate() {
        if !known.contains(&name.as_str()) {
            return Err(Failure::unknown_field(&format!("{name:?} of the body"), known));
        }
        if members.iter().take(place).any(|(other, _)| other == name) {
            return Err(Failure::bad_request(&format!("the field {name} of the body is given twice")));
        }
    }
    Ok(members)
}

/// The members of an object, also those that are given twice.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct OfObject;
        impl<'de> Visitor<'de> for OfObject {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut given: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = given.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(OfObject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";

    #[tokio::test(start_paused = true)]
    async fn body_that_does_not_arrive_is_given_up() {
        let silent = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(
            whole(Request::new(silent)).await.unwrap_err().message(),
            "the body did not arrive within 10 seconds"
        );
        let cut = Body::from_stream(futures::stream::iter([Err::<Bytes, _>(std::io::Error::other("cut"))]));
        assert_eq!(whole(Request::new(cut)).await.unwrap_err().message(), "the body did not arrive as a whole");
    }

    #[test]
    fn body_may_name_the_operation() {
        assert_eq!(chosen_id(b" {} ").unwrap(), None);
        assert_eq!(chosen_id(br#"{"operationId":null}"#).unwrap(), None);
        let body = format!("{{\"operationId\":\"{ID}\"}}");
        assert_eq!(chosen_id(body.as_bytes()).unwrap(), Some(ID.parse().unwrap()));
        without_fields(b"{}").unwrap();
    }

    #[test]
    fn mistakes_are_one_plain_line() {
        let twice = format!("{{\"operationId\":\"{ID}\",\"operationId\":\"{ID}\"}}");
        for (body, problem) in [
            ("", "the body is empty; send a JSON object, such as {}"),
            (" \n", "the body is empty; send a JSON object, such as {}"),
            ("[]", "the body is not an object; send a JSON object, such as {}"),
            ("null", "the body is not an object; send a JSON object, such as {}"),
            ("{", "the body is not valid JSON; send a JSON object, such as {}"),
            ("{}{}", "the body is not valid JSON; send a JSON object, such as {}"),
            ("\u{fffd}", "the body is not valid JSON; send a JSON object, such as {}"),
            (r#"{"operation":1}"#, "the field \"operation\" of the body is unknown; known are operationId"),
            (&twice, "the field operationId of the body is given twice"),
            (r#"{"operationId":1}"#, "operationId is invalid: must be a UUID, such as "),
            (r#"{"operationId":{}}"#, "operationId is invalid: must be a UUID, such as "),
            (r#"{"operationId":"mill"}"#, "operationId is invalid: must be a UUID, such as "),
        ] {
            let message = chosen_id(body.as_bytes()).unwrap_err().message().to_owned();
            assert!(message.starts_with(problem) && message.lines().count() == 1, "{body}: {message}");
        }
        let failure = without_fields(br#"{"operationId":null}"#).unwrap_err();
        assert_eq!(failure.message(), "the field \"operationId\" of the body is unknown; none is");
    }
}
