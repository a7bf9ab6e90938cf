//! Log lines as JSON. Each value is written once, without a tree of values between.
//!
//! The fields of a span are formatted when they are recorded. A line copies them.

use std::error::Error;
use std::fmt::{self, Write};
use std::iter::successors;

use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing::{Event, Subscriber};
use tracing_log::NormalizeEvent as _;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::{LookupSpan, SpanRef};

/// The fields of spans that each line also has at its top level, where log stores index them.
const TOP_LEVEL: [&str; 2] = ["request_id", "trace_id"];

/// The most causes of an error in a line.
const MAX_CAUSES: usize = 8;

/// Formats an event as a line with a JSON object.
pub(crate) struct JsonLines;

/// Formats the fields of a span as the members of a JSON object, without its braces.
pub(crate) struct JsonMembers;

impl<S: Subscriber + for<'a> LookupSpan<'a>> FormatEvent<S, JsonMembers> for JsonLines {
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonMembers>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let of_log = event.normalized_metadata();
        let metadata = of_log.as_ref().unwrap_or_else(|| event.metadata());
        writer.write_char('{')?;
        write_ids(context, &mut writer)?;
        writer.write_str("\"timestamp\":\"")?;
        SystemTime.format_time(&mut writer)?;
        write!(writer, "\",\"level\":\"{}\"", metadata.level())?;
        let mut members = Members { out: &mut writer, is_first: false, written: Ok(()) };
        event.record(&mut members);
        members.written?;
        writer.write_str(",\"target\":")?;
        write_text(&mut writer, metadata.target())?;
        write_spans(context, &mut writer)?;
        writer.write_str("}\n")
    }
}

impl<'writer> FormatFields<'writer> for JsonMembers {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut members = Members { out: &mut writer, is_first: true, written: Ok(()) };
        fields.record(&mut members);
        members.written
    }

    fn add_fields(&self, current: &'writer mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        let mut names = Names(Vec::new());
        fields.record(&mut names);
        for name in names.0 {
            remove_member(&mut current.fields, name);
        }
        let mut members = Members { is_first: current.fields.is_empty(), out: &mut current.fields, written: Ok(()) };
        fields.record(&mut members);
        members.written
    }
}

/// Writes the ids of the innermost span that has them.
fn write_ids<S: Subscriber + for<'a> LookupSpan<'a>>(
    context: &FmtContext<'_, S, JsonMembers>,
    out: &mut Writer<'_>,
) -> fmt::Result {
    for name in TOP_LEVEL {
        for span in context.event_scope().into_iter().flatten() {
            let extensions = span.extensions();
            let members = extensions.get::<FormattedFields<JsonMembers>>().map_or("", |members| &members.fields);
            if let Some((start, end)) = find_member(members, name) {
                write!(out, "{},", &members[start..end])?;
                break;
            }
        }
    }
    Ok(())
}

/// Writes the innermost span, and the list of all spans from the outermost one.
fn write_spans<S: Subscriber + for<'a> LookupSpan<'a>>(
    context: &FmtContext<'_, S, JsonMembers>,
    out: &mut Writer<'_>,
) -> fmt::Result {
    let Some(innermost) = context.event_scope().and_then(|mut scope| scope.next()) else { return Ok(()) };
    out.write_str(",\"span\":")?;
    write_span(&innermost, out)?;
    out.write_str(",\"spans\":[")?;
    for (number, span) in innermost.scope().from_root().enumerate() {
        if number > 0 {
            out.write_char(',')?;
        }
        write_span(&span, out)?;
    }
    out.write_char(']')
}

fn write_span<S: for<'a> LookupSpan<'a>>(span: &SpanRef<'_, S>, out: &mut Writer<'_>) -> fmt::Result {
    out.write_char('{')?;
    if let Some(members) = span.extensions().get::<FormattedFields<JsonMembers>>()
        && !members.fields.is_empty()
    {
        write!(out, "{},", members.fields)?;
    }
    out.write_str("\"name\":")?;
    write_text(out, span.name())?;
    out.write_char('}')
}

/// Returns the place of a member, from its name to the end of its value.
///
/// Values are texts, numbers and booleans. A quote in a text is escaped, so a name in quotes before a colon is a member.
fn find_member(members: &str, name: &str) -> Option<(usize, usize)> {
    let mut from = 0;
    while let Some(found) = members[from..].find(name) {
        let start = from + found;
        let after = start + name.len();
        if members[..start].ends_with('"') && !members[..start].ends_with("\\\"") && members[after..].starts_with("\":")
        {
            let value = after + 2;
            return Some((start - 1, value + value_length(&members[value..])));
        }
        from = after;
    }
    None
}

fn value_length(value: &str) -> usize {
    let Some(text) = value.strip_prefix('"') else { return value.find(',').unwrap_or(value.len()) };
    let mut is_escaped = false;
    let end = text.bytes().position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    });
    end.map_or(value.len(), |end| end + 2)
}

/// Removes a member that is recorded again.
fn remove_member(members: &mut String, name: &str) {
    let Some((start, end)) = find_member(members, name) else { return };
    if members[end..].starts_with(',') {
        members.replace_range(start..=end, "");
    } else {
        members.replace_range(start.saturating_sub(1)..end, "");
    }
}

/// Collects the names of fields.
struct Names(Vec<&'static str>);

impl Visit for Names {
    fn record_debug(&mut self, field: &Field, _: &dyn fmt::Debug) {
        self.0.push(field.name());
    }
}

/// Writes fields as the members of a JSON object.
struct Members<'a, W> {
    out: &'a mut W,
    is_first: bool,
    written: fmt::Result,
}

impl<W: Write> Members<'_, W> {
    fn member(&mut self, field: &Field, value: impl FnOnce(&mut W) -> fmt::Result) {
        if self.written.is_ok() {
            self.written = self.write_member(field.name(), value);
        }
    }

    fn write_member(&mut self, name: &str, value: impl FnOnce(&mut W) -> fmt::Result) -> fmt::Result {
        if !std::mem::take(&mut self.is_first) {
            self.out.write_char(',')?;
        }
        write_text(self.out, name.strip_prefix("r#").unwrap_or(name))?;
        self.out.write_char(':')?;
        value(self.out)
    }
}

impl<W: Write> Visit for Members<'_, W> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.member(field, |out| write_text(out, value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field, |out| write!(out, "{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field, |out| write!(out, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field, |out| write!(out, "{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no infinity.
        self.member(field, |out| if value.is_finite() { write!(out, "{value}") } else { out.write_str("null") });
    }

    /// Writes an error with its causes.
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.member(field, |out| {
            out.write_char('"')?;
            write!(Escaped(out), "{value}")?;
            for cause in successors(value.source(), |&cause| cause.source()).take(MAX_CAUSES) {
                write!(Escaped(out), ": {cause}")?;
            }
            out.write_char('"')
        });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.member(field, |out| {
            out.write_char('"')?;
            write!(Escaped(out), "{value:?}")?;
            out.write_char('"')
        });
    }
}

fn write_text(out: &mut impl Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    Escaped(out).write_str(text)?;
    out.write_char('"')
}

/// Escapes what it writes, as the inside of a JSON text.
struct Escaped<'a, W>(&'a mut W);

impl<W: Write> Write for Escaped<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)) {
            self.0.write_str(&rest[..at])?;
            match rest.as_bytes()[at] {
                b'"' => self.0.write_str("\\\"")?,
                b'\\' => self.0.write_str("\\\\")?,
                b'\n' => self.0.write_str("\\n")?,
                b'\r' => self.0.write_str("\\r")?,
                b'\t' => self.0.write_str("\\t")?,
                control => write!(self.0, "\\u{control:04x}")?,
            }
            rest = &rest[at + 1..];
        }
        self.0.write_str(rest)
    }
}

#[cfg(test)]
mod tests;
