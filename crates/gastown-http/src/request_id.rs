//! The header `x-request-id` of a request. It is repeated in the answer and in each line of the log.

use http::{HeaderName, Request};

use crate::headers::single;

const NAME: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that is accepted.
const MAX_LENGTH: usize = 64;

/// Removes an id that is too long, has other characters or is repeated. The request then gets a fresh one.
pub(crate) fn drop_invalid<B>(mut request: Request<B>) -> Request<B> {
    if !single(request.headers(), NAME.as_str()).is_some_and(is_valid) {
        request.headers_mut().remove(NAME);
    }
    request
}

fn is_valid(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=MAX_LENGTH).contains(&id.len()) && id.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::is_valid;

    #[test]
    fn ids_of_64_plain_characters_are_valid() {
        for (id, valid) in [
            ("a", true),
            ("0190a1b2-c3d4-7e5f-8a9b-000000000001", true),
            ("A.b_C-9", true),
            (&"x".repeat(64), true),
            (&"x".repeat(65), false),
            ("", false),
            ("a b", false),
            ("a/b", false),
            ("a\"b", false),
            ("ü", false),
        ] {
            assert_eq!(is_valid(id), valid, "{id}");
        }
    }
}
