//! The declarations of the TypeScript package.

use std::fmt::Write as _;

use anyhow::{Context as _, bail};
use gastown_http::schema::{CalledBy, Procedure, Wire};
use gastown_http::trpc::Kind;
use serde_json::{Map, Value};

use super::short;

const HEAD: &str = "// Generated from the Rust types by `cargo xtask codegen`. Do not edit.\n";

const ERRORS: &str = r"
/** The shape of every error: `error` of the envelope, and `shape` of a `TRPCClientError`. */
export interface ErrorShape {
  message: string;
  code: number;
  data: ErrorData;
}

/** The reasons of errors, as values. */
export declare const reasons: readonly ErrorReason[];

/** Returns the data of an error of this service, or `undefined` for another error, such as one of the network. */
export declare function errorData(error: unknown): ErrorData | undefined;

/** Returns the faults of an input by the name of the field, such as `townName`. Empty for every other error. */
export declare function fieldErrors(error: unknown): Partial<Record<string, string[]>>;
";

/// The router of a version of tRPC.
struct Form {
    /// The types that are imported from `@trpc/server`.
    imports: &'static str,
    /// The types that the router is made of.
    head: &'static str,
    tail: &'static str,
    /// Version 10 has no client for subscriptions over server-sent events.
    has_subscriptions: bool,
}

const VERSION_11: Form = Form {
    imports: "TRPCBuiltRouter, TRPCMutationProcedure, TRPCQueryProcedure, TRPCSubscriptionProcedure",
    head: r"
interface RootTypes {
  ctx: object;
  meta: object;
  errorShape: ErrorShape;
  transformer: false;
}

/** A value that is JSON already. tRPC takes its type as it is, with known keys beside an index signature. */
interface Json<Value> {
  toJSON(): Value;
}

type Query<Input, Output> = TRPCQueryProcedure<{ input: Input; output: Json<Output>; meta: object }>;
type Mutation<Input, Output> = TRPCMutationProcedure<{ input: Input; output: Json<Output>; meta: object }>;

/** Each value comes with its id, after which the client resumes. */
type Subscription<Input, Output> = TRPCSubscriptionProcedure<{
  input: Input;
  output: AsyncIterable<{ id: string; data: Output }, void, unknown>;
  meta: object;
}>;
",
    tail: r"
/** The router, for `createTRPCClient<AppRouter>` and `createTRPCContext<AppRouter>` of version 11. */
export type AppRouter = TRPCBuiltRouter<RootTypes, { gastown: Gastown }>;
",
    has_subscriptions: true,
};

const VERSION_10: Form = Form {
    imports: "AnyRootConfig, CreateRouterInner, Procedure, ProcedureParams",
    head: r#"
/** Not the default transformer: tRPC takes the type of an output as it is. */
interface Config extends AnyRootConfig {
  $types: { ctx: object; meta: object; errorShape: ErrorShape; transformer: false };
  transformer: false;
}

type Params<Input, Output> = ProcedureParams<Config, object, Input, Input, Output, Output, object>;
type Query<Input, Output> = Procedure<"query", Params<Input, Output>>;
type Mutation<Input, Output> = Procedure<"mutation", Params<Input, Output>>;
"#,
    tail: r"
/** The router, for `createTRPCProxyClient<AppRouter>` of version 10. */
export type AppRouter = CreateRouterInner<Config, { gastown: CreateRouterInner<Config, Gastown> }>;
",
    has_subscriptions: false,
};

/// Returns the declarations of every type, and of the module's values.
pub(super) fn types(wire: &Wire) -> anyhow::Result<String> {
    let mut text = HEAD.to_owned();
    for (name, schema) in &wire.types {
        declare(&mut text, name, schema).with_context(|| format!("cannot declare {name}"))?;
    }
    Ok(text + ERRORS)
}

/// Returns the router for version 11 of tRPC.
pub(super) fn router(wire: &Wire) -> anyhow::Result<String> {
    router_of(wire, &VERSION_11)
}

/// Returns the router for version 10 of tRPC.
pub(super) fn router_of_version_10(wire: &Wire) -> anyhow::Result<String> {
    router_of(wire, &VERSION_10)
}

fn router_of(wire: &Wire, form: &Form) -> anyhow::Result<String> {
    let is_declared = |procedure: &&Procedure| {
        procedure.called_by == CalledBy::User && (form.has_subscriptions || procedure.kind != Kind::Subscription)
    };
    let mut body = String::new();
    for procedure in wire.procedures.iter().filter(is_declared) {
        declare_procedure(&mut body, procedure)?;
    }
    let words: Vec<_> = body.split(|letter: char| !letter.is_alphanumeric()).collect();
    let used: Vec<_> = wire.types.keys().map(String::as_str).filter(|name| words.contains(name)).collect();
    let Form { imports, head, tail, .. } = form;
    Ok(format!(
        "{HEAD}\nimport type {{ {imports} }} from \"@trpc/server\";\n\n\
         import type {{\n  ErrorShape,\n  {},\n}} from \"./types.js\";\n\nexport * from \"./types.js\";\n{head}\n\
         /** The procedures of users. */\nexport type Gastown = {{\n{body}}};\n{tail}",
        used.join(",\n  ")
    ))
}

fn declare_procedure(text: &mut String, procedure: &Procedure) -> anyhow::Result<()> {
    let kind = match procedure.kind {
        Kind::Query => "Query",
        Kind::Mutation => "Mutation",
        Kind::Subscription => "Subscription",
    };
    let input = procedure.input.as_ref().map_or(Ok("void".to_owned()), type_of)?;
    let input = if may_be_left_out(procedure) { format!("{input} | void") } else { input };
    let output = type_of(&procedure.output)?;
    writeln!(text, "  /** {} */", procedure.summary)?;
    writeln!(text, "  {}: {kind}<{input}, {output}>;", short(procedure.name))?;
    Ok(())
}

/// Returns true for the procedures without a required field. They take no input at all, too.
fn may_be_left_out(procedure: &Procedure) -> bool {
    matches!(procedure.name, "gastown.listTowns" | "gastown.watchTowns")
}

fn declare(text: &mut String, name: &str, schema: &Value) -> anyhow::Result<()> {
    if let Some(description) = schema["description"].as_str() {
        writeln!(text, "\n/** {} */", one_line(description))?;
    }
    match schema["properties"].as_object() {
        Some(properties) => writeln!(text, "export interface {name} {}", object(properties, schema, "")?)?,
        None => writeln!(text, "export type {name} = {};", type_of(schema)?)?,
    }
    Ok(())
}

fn object(properties: &Map<String, Value>, schema: &Value, indent: &str) -> anyhow::Result<String> {
    let is_required =
        |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|required| required == name));
    let mut text = "{\n".to_owned();
    for (name, property) in properties {
        if let Some(description) = property["description"].as_str() {
            writeln!(text, "{indent}  /** {} */", one_line(description))?;
        }
        let mark = if is_required(name) { "" } else { "?" };
        writeln!(text, "{indent}  {name}{mark}: {};", type_of(property)?)?;
    }
    if schema["additionalProperties"] == Value::Bool(true) {
        writeln!(text, "{indent}  [key: string]: unknown;")?;
    }
    Ok(text + indent + "}")
}

/// Returns the type of a schema.
fn type_of(schema: &Value) -> anyhow::Result<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        return Ok(reference.rsplit('/').next().unwrap_or(reference).to_owned());
    }
    if let Some(words) = schema["enum"].as_array() {
        return Ok(words.iter().map(Value::to_string).collect::<Vec<_>>().join(" | "));
    }
    if let Some(word) = schema.get("const") {
        return Ok(word.to_string());
    }
    if let Some(choices) = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array()) {
        let types: Vec<_> = choices.iter().map(type_of).collect::<anyhow::Result<_>>()?;
        // A text beside known ones must not hide them from editors.
        let open = choices.iter().any(|choice| choice.get("$ref").is_some());
        let text = |kind: String| if open && kind == "string" { "(string & {})".to_owned() } else { kind };
        return Ok(types.into_iter().map(text).collect::<Vec<_>>().join(" | "));
    }
    match &schema["type"] {
        Value::String(kind) => of_kind(kind, schema),
        Value::Array(kinds) => {
            let kinds = kinds.iter().filter_map(Value::as_str).map(|kind| of_kind(kind, schema));
            Ok(kinds.collect::<anyhow::Result<Vec<_>>>()?.join(" | "))
        }
        _ => Ok("unknown".to_owned()),
    }
}

fn of_kind(kind: &str, schema: &Value) -> anyhow::Result<String> {
    Ok(match kind {
        "string" | "boolean" | "null" => kind.to_owned(),
        "integer" | "number" => "number".to_owned(),
        "array" => {
            let item = type_of(&schema["items"])?;
            if item.contains(' ') { format!("({item})[]") } else { format!("{item}[]") }
        }
        "object" => match (schema["properties"].as_object(), &schema["additionalProperties"]) {
            (Some(properties), _) => object(properties, schema, "  ")?,
            (None, values @ Value::Object(_)) => format!("Record<string, {}>", type_of(values)?),
            (None, _) => "Record<string, unknown>".to_owned(),
        },
        other => bail!("unknown kind {other}"),
    })
}

fn one_line(text: &str) -> String {
    super::without_links(text).replace("*/", "* /")
}

/// Returns the module: the reasons, and the readers of errors.
pub(super) fn module() -> String {
    let words: Vec<_> = gastown_http::Reason::all().map(|reason| format!("  \"{}\",\n", reason.word())).collect();
    MODULE.replace("REASONS", &words.concat())
}

const MODULE: &str = r"// Generated from the Rust types by `cargo xtask codegen`. Do not edit.

export const reasons = Object.freeze([
REASONS]);

export function errorData(error) {
  const data = error?.data ?? error?.shape?.data;
  return typeof data?.reason === 'string' ? data : undefined;
}

export function fieldErrors(error) {
  return errorData(error)?.zodError?.fieldErrors ?? {};
}
";
