//! The reference of the wire, as a page.

use std::fmt::Write as _;

use gastown_http::Reason;
use gastown_http::schema::{CalledBy, Procedure, REASONS_OF_EVERY_CALL, Wire};
use gastown_http::trpc::Kind;
use serde_json::{Map, Value};

use super::short;

const HEAD: &str = include_str!("reference_head.md");

/// Returns the page.
pub(super) fn page(wire: &Wire) -> anyhow::Result<String> {
    let mut text = HEAD.to_owned();
    text += "\n## Procedures\n";
    for procedure in &wire.procedures {
        section(&mut text, procedure, wire)?;
    }
    text += "\n## Types\n";
    for (name, schema) in &wire.types {
        describe(&mut text, name, schema)?;
    }
    errors(&mut text)?;
    Ok(text)
}

fn section(text: &mut String, procedure: &Procedure, wire: &Wire) -> anyhow::Result<()> {
    let kind = match procedure.kind {
        Kind::Query => "Query, GET.",
        Kind::Mutation => "Mutation, POST.",
        Kind::Subscription => "Subscription, GET, server-sent events.",
    };
    let caller = match procedure.called_by {
        CalledBy::User => "Called by users.",
        CalledBy::Sandbox => "Called by sandboxes.",
    };
    writeln!(text, "\n### {}\n\n{} {kind} {caller}\n", procedure.name, procedure.summary)?;
    match procedure.input.as_ref().map(|input| resolved(input, wire)) {
        None => writeln!(text, "Input: none.\n")?,
        Some(input) => members(text, "Input", &input)?,
    }
    writeln!(text, "Output: {}.\n", type_of(&procedure.output))?;
    reasons(text, procedure)?;
    examples(text, procedure)
}

/// Writes the reasons of a procedure, besides those of every call.
fn reasons(text: &mut String, procedure: &Procedure) -> anyhow::Result<()> {
    let reason = |reason: &Reason| format!("`{}`", reason.word());
    let own: Vec<_> = procedure.reasons.iter().map(reason).collect();
    write!(text, "Reasons of errors: {}", own.join(", "))?;
    let more = if procedure.may_fail {
        ", those [of every call](#reasons-of-every-call), and\nthose [of operations](#reasons-of-operations)."
    } else {
        ", and those [of every call](#reasons-of-every-call)."
    };
    writeln!(text, "{more}\n")?;
    Ok(())
}

fn examples(text: &mut String, procedure: &Procedure) -> anyhow::Result<()> {
    let (name, input) = (procedure.name, shell(&procedure.example));
    let header = match procedure.called_by {
        CalledBy::User => "authorization: Bearer $GASTOWN_TOKEN",
        CalledBy::Sandbox => "x-internal-api-key: $INTERNAL_API_KEY",
    };
    writeln!(text, "```sh")?;
    match (procedure.kind, &procedure.input) {
        (Kind::Query, None) => {
            writeln!(text, "curl -sS \"$GASTOWN_URL/trpc/{name}\" -H \"{header}\"")?;
        }
        (Kind::Query, Some(_)) => {
            writeln!(text, "curl -sS -G \"$GASTOWN_URL/trpc/{name}\" -H \"{header}\" \\")?;
            writeln!(text, "  --data-urlencode \"input={input}\"")?;
        }
        (Kind::Subscription, _) => {
            writeln!(text, "curl -sS -N -G \"$GASTOWN_URL/trpc/{name}\" -H \"{header}\" \\")?;
            writeln!(text, "  --data-urlencode \"input={input}\"")?;
        }
        (Kind::Mutation, _) => {
            writeln!(text, "curl -sS \"$GASTOWN_URL/trpc/{name}\" -H \"{header}\" \\")?;
            writeln!(text, "  -H 'content-type: application/json' \\")?;
            writeln!(text, "  -d \"{input}\"")?;
        }
    }
    writeln!(text, "```")?;
    if procedure.called_by == CalledBy::User {
        let call = match procedure.kind {
            Kind::Query => "query",
            Kind::Mutation => "mutate",
            Kind::Subscription => "subscribe",
        };
        let (name, input) = (short(name), typescript(&procedure.example));
        let call = match procedure.kind {
            Kind::Query | Kind::Mutation => format!("const {name} = await gastown.{name}.{call}({input});"),
            Kind::Subscription => {
                format!("live.gastown.{name}.{call}({input}, {{ onData: ({{ data }}) => console.log(data) }});")
            }
        };
        writeln!(text, "\n```ts\n{call}\n```")?;
    }
    Ok(())
}

/// Returns an input as a part of a quoted word of the shell. Variables are replaced by the shell.
fn shell(example: &Value) -> String {
    example.to_string().replace('"', "\\\"")
}

/// Returns an input as a literal of TypeScript. `$TOWN_ID` is the variable `townId`.
fn typescript(example: &Value) -> String {
    let Value::Object(members) = example else { return String::new() };
    let value = |value: &Value| match value.as_str() {
        Some("$TOWN_ID") => "townId".to_owned(),
        Some("$RIG_ID") => "rigId".to_owned(),
        Some("$CONFIG_VERSION") => "configVersion".to_owned(),
        _ => value.to_string(),
    };
    let members: Vec<_> = members
        .iter()
        .map(|(name, given)| if value(given) == *name { name.clone() } else { format!("{name}: {}", value(given)) })
        .collect();
    format!("{{ {} }}", members.join(", "))
}

fn describe(text: &mut String, name: &str, schema: &Value) -> anyhow::Result<()> {
    writeln!(text, "\n### {name}\n")?;
    if let Some(description) = schema["description"].as_str() {
        writeln!(text, "{}\n", one_line(description))?;
    }
    if schema["properties"].is_object() {
        members(text, "Members", schema)
    } else if let Some(words) = schema["enum"].as_array() {
        words.iter().filter_map(Value::as_str).try_for_each(|word| writeln!(text, "- `{word}`"))?;
        Ok(())
    } else {
        writeln!(text, "{}", type_of(schema))?;
        Ok(())
    }
}

/// Writes a table of the members of an object.
fn members(text: &mut String, what: &str, schema: &Value) -> anyhow::Result<()> {
    let none = Map::new();
    let required = schema["required"].as_array();
    writeln!(text, "| {what} | Type | Meaning |\n| --- | --- | --- |")?;
    for (name, property) in schema["properties"].as_object().unwrap_or(&none) {
        let is_required = required.is_some_and(|names| names.iter().any(|required| required == name));
        let mark = if is_required { "" } else { "?" };
        let meaning = one_line(property["description"].as_str().unwrap_or_default());
        writeln!(text, "| `{name}`{mark} | {} | {meaning} |", type_of(property))?;
    }
    if schema["additionalProperties"] == Value::Bool(true) {
        writeln!(text, "| others? | any | Kept as they are. |")?;
    }
    writeln!(text)?;
    Ok(())
}

fn type_of(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or(reference);
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    }
    if let Some(word) = schema["const"].as_str() {
        return format!("`{word}`");
    }
    if let Some(choices) = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array()) {
        return choices.iter().map(type_of).collect::<Vec<_>>().join(" or ");
    }
    let item = || type_of(&schema["items"]);
    let kind = |kind: &str| if kind == "array" { format!("array of {}", item()) } else { kind.to_owned() };
    match &schema["type"] {
        Value::String(name) => kind(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).map(kind).collect::<Vec<_>>().join(" or "),
        _ => "any".to_owned(),
    }
}

fn resolved(schema: &Value, wire: &Wire) -> Value {
    let name = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
    name.and_then(|name| wire.types.get(name)).unwrap_or(schema).clone()
}

fn errors(text: &mut String) -> anyhow::Result<()> {
    table(text, "Reasons of every call", REASONS_OF_EVERY_CALL.iter().copied())?;
    let others =
        Reason::all().filter(|reason| !matches!(reason, Reason::Failed(_)) && !REASONS_OF_EVERY_CALL.contains(reason));
    table(text, "Reasons of single procedures", others)?;
    table(text, "Reasons of operations", Reason::all().filter(|reason| matches!(reason, Reason::Failed(_))))
}

fn table(text: &mut String, title: &str, reasons: impl Iterator<Item = Reason>) -> anyhow::Result<()> {
    writeln!(text, "\n## {title}\n\n| Reason | Code | Status | Meaning |\n| --- | --- | --- | --- |")?;
    for reason in reasons {
        let (word, code) = (reason.word(), reason.code());
        writeln!(text, "| `{word}` | {} | {} | {} |", code.name(), code.http_status(), reason.meaning())?;
    }
    Ok(())
}

fn one_line(text: &str) -> String {
    super::without_links(text)
}
