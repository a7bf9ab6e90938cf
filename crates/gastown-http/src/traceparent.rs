//! The header `traceparent` of [W3C Trace Context](https://www.w3.org/TR/trace-context/#traceparent-header), version 00:
//! `00-<trace id>-<parent id>-<flags>`, all in lower-case hex.

/// The position of a request in the caller's trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceParent<'a> {
    /// 32 hex digits, not all zero.
    pub(crate) trace_id: &'a str,
    /// The span of the caller: 16 hex digits, not all zero.
    pub(crate) parent_id: &'a str,
    /// The flags, two hex digits. The lowest bit says that the caller records the trace.
    pub(crate) flags: &'a str,
}

impl TraceParent<'_> {
    /// Returns the position as the parent of spans.
    #[cfg(feature = "traces")]
    pub(crate) fn context(&self) -> Option<opentelemetry::Context> {
        use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
        let trace = TraceId::from_hex(self.trace_id).ok()?;
        let parent = SpanId::from_hex(self.parent_id).ok()?;
        let flags = TraceFlags::new(u8::from_str_radix(self.flags, 16).ok()?);
        let remote = SpanContext::new(trace, parent, flags, true, TraceState::default());
        Some(opentelemetry::Context::new().with_remote_span_context(remote))
    }
}

/// Parses the header. Returns `None` for another version and for every violation of the format.
pub(crate) fn parse(value: &str) -> Option<TraceParent<'_>> {
    let mut fields = value.split('-');
    let (version, trace_id, parent_id, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let valid = version == "00" && is_id(trace_id, 32) && is_id(parent_id, 16) && is_hex(flags, 2);
    (valid && fields.next().is_none()).then_some(TraceParent { trace_id, parent_id, flags })
}

fn is_id(text: &str, digits: usize) -> bool {
    is_hex(text, digits) && text.bytes().any(|digit| digit != b'0')
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::{TraceParent, parse};

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00f067aa0ba902b7";

    #[test]
    fn valid_headers_are_parsed() {
        for flags in ["00", "01", "ff"] {
            let value = format!("00-{TRACE}-{PARENT}-{flags}");
            assert_eq!(parse(&value), Some(TraceParent { trace_id: TRACE, parent_id: PARENT, flags }), "{value}");
        }
    }

    #[cfg(feature = "traces")]
    #[test]
    fn position_is_the_parent_of_spans() {
        use opentelemetry::trace::TraceContextExt as _;
        for (flags, sampled) in [("00", false), ("01", true)] {
            let value = format!("00-{TRACE}-{PARENT}-{flags}");
            let context = parse(&value).unwrap().context().unwrap();
            let parent = context.span().span_context().clone();
            assert_eq!((parent.trace_id().to_string(), parent.span_id().to_string()), (TRACE.into(), PARENT.into()));
            assert_eq!((parent.is_sampled(), parent.is_remote()), (sampled, true));
        }
    }

    #[test]
    fn invalid_headers_are_rejected() {
        for (value, fault) in [
            (String::new(), "empty"),
            (format!("00-{TRACE}-{PARENT}"), "no flags"),
            (format!("00-{TRACE}-{PARENT}-"), "empty flags"),
            (format!("00-{TRACE}-{PARENT}-1"), "short flags"),
            (format!("00-{TRACE}-{PARENT}-001"), "long flags"),
            (format!("00-{TRACE}-{PARENT}-0g"), "flags that are not hex"),
            (format!("00-{TRACE}-{PARENT}-01-"), "a fifth field"),
            (format!("01-{TRACE}-{PARENT}-01"), "another version"),
            (format!("ff-{TRACE}-{PARENT}-01"), "the forbidden version"),
            (format!("0-{TRACE}-{PARENT}-01"), "a short version"),
            (format!("00-{}-{PARENT}-01", "0".repeat(32)), "a trace id of zeros"),
            (format!("00-{TRACE}-{}-01", "0".repeat(16)), "a parent id of zeros"),
            (format!("00-{}-{PARENT}-01", TRACE.to_uppercase()), "upper case"),
            (format!("00-{}-{PARENT}-01", &TRACE[1..]), "a short trace id"),
            (format!("00-{TRACE}0-{PARENT}-01"), "a long trace id"),
            (format!("00-{TRACE}-{}-01", &PARENT[1..]), "a short parent id"),
            (format!("00-{}g-{PARENT}-01", &TRACE[1..]), "a trace id that is not hex"),
            (format!(" 00-{TRACE}-{PARENT}-01"), "a space"),
        ] {
            assert_eq!(parse(&value), None, "{fault}: {value:?}");
        }
    }
}
