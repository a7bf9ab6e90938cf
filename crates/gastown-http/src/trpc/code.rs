use std::fmt;

/// A tRPC error code. Source: the table of `@trpc/server` 11.
///
/// Five names share the number -32603, so neither name nor status can be derived from the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The message could not be parsed.
    ParseError,
    /// The input breaks a rule.
    BadRequest,
    /// The caller is not authenticated.
    Unauthorized,
    /// A payment is required.
    PaymentRequired,
    /// The caller is authenticated, but not allowed to do this.
    Forbidden,
    /// The resource does not exist, or belongs to another user.
    NotFound,
    /// The procedure requires another HTTP method.
    MethodNotSupported,
    /// The answer was not ready in time.
    Timeout,
    /// The current state does not allow this.
    Conflict,
    /// A precondition does not hold.
    PreconditionFailed,
    /// The body exceeds the limit.
    PayloadTooLarge,
    /// The body is not JSON.
    UnsupportedMediaType,
    /// The input is well-formed, but cannot be processed.
    UnprocessableContent,
    /// The request must be conditional.
    PreconditionRequired,
    /// The caller exceeds a rate limit.
    TooManyRequests,
    /// The caller closed the connection.
    ClientClosedRequest,
    /// A fault of this service.
    InternalServerError,
    /// Not implemented.
    NotImplemented,
    /// A service that this one depends on answered with an error.
    BadGateway,
    /// A service that this one depends on is temporarily unavailable.
    ServiceUnavailable,
    /// A service that this one depends on did not answer in time.
    GatewayTimeout,
}

impl Code {
    /// Every code, in the order of the table.
    pub const ALL: [Self; 21] = [
        Self::ParseError,
        Self::BadRequest,
        Self::Unauthorized,
        Self::PaymentRequired,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotSupported,
        Self::Timeout,
        Self::Conflict,
        Self::PreconditionFailed,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::UnprocessableContent,
        Self::PreconditionRequired,
        Self::TooManyRequests,
        Self::ClientClosedRequest,
        Self::InternalServerError,
        Self::NotImplemented,
        Self::BadGateway,
        Self::ServiceUnavailable,
        Self::GatewayTimeout,
    ];

    /// Returns the name that clients test as `err.data.code`.
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// Returns the JSON-RPC number, `error.code` on the wire.
    pub const fn number(self) -> i32 {
        self.row().1
    }

    /// Returns the HTTP status, `error.data.httpStatus` on the wire.
    pub const fn http_status(self) -> u16 {
        self.row().2
    }

    const fn row(self) -> (&'static str, i32, u16) {
        match self {
            Self::ParseError => ("PARSE_ERROR", -32700, 400),
            Self::BadRequest => ("BAD_REQUEST", -32600, 400),
            Self::Unauthorized => ("UNAUTHORIZED", -32001, 401),
            Self::PaymentRequired => ("PAYMENT_REQUIRED", -32002, 402),
            Self::Forbidden => ("FORBIDDEN", -32003, 403),
            Self::NotFound => ("NOT_FOUND", -32004, 404),
            Self::MethodNotSupported => ("METHOD_NOT_SUPPORTED", -32005, 405),
            Self::Timeout => ("TIMEOUT", -32008, 408),
            Self::Conflict => ("CONFLICT", -32009, 409),
            Self::PreconditionFailed => ("PRECONDITION_FAILED", -32012, 412),
            Self::PayloadTooLarge => ("PAYLOAD_TOO_LARGE", -32013, 413),
            Self::UnsupportedMediaType => ("UNSUPPORTED_MEDIA_TYPE", -32015, 415),
            Self::UnprocessableContent => ("UNPROCESSABLE_CONTENT", -32022, 422),
            Self::PreconditionRequired => ("PRECONDITION_REQUIRED", -32028, 428),
            Self::TooManyRequests => ("TOO_MANY_REQUESTS", -32029, 429),
            Self::ClientClosedRequest => ("CLIENT_CLOSED_REQUEST", -32099, 499),
            Self::InternalServerError => ("INTERNAL_SERVER_ERROR", -32603, 500),
            Self::NotImplemented => ("NOT_IMPLEMENTED", -32603, 501),
            Self::BadGateway => ("BAD_GATEWAY", -32603, 502),
            Self::ServiceUnavailable => ("SERVICE_UNAVAILABLE", -32603, 503),
            Self::GatewayTimeout => ("GATEWAY_TIMEOUT", -32603, 504),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::Code;

    #[test]
    fn every_code_has_a_unique_name_and_an_error_status() {
        let names: HashSet<_> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!((400..600).contains(&code.http_status()), "{code}");
            assert!((-32_700..=-32_001).contains(&code.number()), "{code}");
        }
    }
}
