//! The files of the wire: the TypeScript package, the reference and the `OpenAPI` document.

mod openapi;
mod reference;
mod typescript;

/// Returns the generated files by path.
pub(super) fn files() -> anyhow::Result<Vec<(&'static str, String)>> {
    let wire = gastown_http::schema::wire();
    Ok(vec![
        ("clients/typescript/types.d.ts", typescript::types(&wire)?),
        ("clients/typescript/index.d.ts", typescript::router(&wire)?),
        ("clients/typescript/v10.d.ts", typescript::router_of_version_10(&wire)?),
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
    use gastown_http::Reason;
    use gastown_http::schema::CalledBy;
    use gastown_http::trpc::Kind;

    use super::files;

    #[test]
    fn every_procedure_member_code_and_reason_is_in_each_file() {
        let wire = gastown_http::schema::wire();
        let (package, pages): (Vec<_>, Vec<_>) =
            files().unwrap().into_iter().partition(|(path, _)| path.starts_with("clients/typescript/"));
        let of = |name: &str| &package.iter().find(|(path, _)| path.ends_with(name)).unwrap().1;
        let types = of("types.d.ts");
        // The package is for users. Sandboxes call the other procedures. Version 10 has no subscriptions.
        for procedure in wire.procedures.iter().filter(|of| of.called_by == CalledBy::User) {
            let line = format!("\n  {}: ", super::short(procedure.name));
            assert!(of("index.d.ts").contains(&line), "{}", procedure.name);
            assert_eq!(of("v10.d.ts").contains(&line), procedure.kind != Kind::Subscription, "{}", procedure.name);
        }
        for procedure in &wire.procedures {
            assert!(pages.iter().all(|(_, text)| text.contains(procedure.name)), "{}", procedure.name);
        }
        for (path, text) in pages.iter().map(|(path, text)| (*path, text)).chain([("types.d.ts", types)]) {
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
