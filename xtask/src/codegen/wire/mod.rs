//! The files of the wire: the TypeScript package, the reference and the `OpenAPI` document.

mod openapi;
mod reference;
mod typescript;

/// Returns the generated files by path.
pub(super) fn files() -> anyhow::Result<Vec<(&'static str, String)>> {
    let wire = gastown_http::schema::wire();
    Ok(vec![
        ("clients/typescript/index.d.ts", typescript::declarations(&wire)?),
        ("clients/typescript/index.js", typescript::module()),
        ("docs/wire.md", reference::page(&wire)?),
        ("docs/openapi.json", serde_json::to_string_pretty(&openapi::document(&wire))? + "\n"),
    ])
}

/// Returns the name of a procedure without its namespace.
fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// Returns a doc comment as one line, without links to Rust's items.
fn without_links(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace("[`", "`").replace("`]", "`")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use gastown_http::Reason;
    use gastown_http::schema::CalledBy;

    use super::files;

    #[test]
    fn every_procedure_member_code_and_reason_is_in_each_file() {
        let wire = gastown_http::schema::wire();
        let has_kind = |path: &str, kind: &str| Path::new(path).extension().is_some_and(|of| of == kind);
        for (path, text) in files().unwrap().into_iter().filter(|(path, _)| !has_kind(path, "js")) {
            // The package is for users. Sandboxes call the other procedures.
            let for_users = has_kind(path, "ts");
            for procedure in wire.procedures.iter().filter(|of| !for_users || of.called_by == CalledBy::User) {
                assert!(text.contains(super::short(procedure.name)), "{path}: {}", procedure.name);
            }
            for (name, schema) in &wire.types {
                for member in schema["properties"].as_object().into_iter().flatten().map(|(member, _)| member) {
                    assert!(text.contains(member), "{path}: {name}.{member}");
                }
            }
            for reason in Reason::all() {
                assert!(text.contains(reason.word()) && text.contains(reason.code().name()), "{path}: {reason:?}");
            }
        }
    }
}
