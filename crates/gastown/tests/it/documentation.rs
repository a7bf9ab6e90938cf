//! The documentation quotes the examples, so that its code compiles and runs.

const EXAMPLES: [(&str, &str); 6] = [
    ("first_town", include_str!("../../examples/first_town.rs")),
    ("mounted_router", include_str!("../../examples/mounted_router.rs")),
    ("own_provider", include_str!("../../examples/own_provider.rs")),
    ("own_sandbox", include_str!("../../examples/own_sandbox.rs")),
    ("production", include_str!("../../examples/production.rs")),
    ("unit_test", include_str!("../../examples/unit_test.rs")),
];

/// Returns the Rust quotes of a page.
fn quotes(page: &str) -> Vec<&str> {
    page.split("```rust\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0)).collect()
}

fn trimmed(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join("\n").trim().to_owned()
}

#[test]
fn pages_quote_the_examples() {
    for (name, page) in [
        ("docs/embedding.md", include_str!("../../../../docs/embedding.md")),
        ("README.md of the crate", include_str!("../../README.md")),
    ] {
        let quotes = quotes(page);
        assert!(!quotes.is_empty(), "{name} has no quotes");
        for quote in quotes {
            let wanted = trimmed(quote);
            assert!(
                EXAMPLES.iter().any(|(_, text)| trimmed(text).contains(&wanted)),
                "{name}, in no example:\n{quote}"
            );
        }
    }
}

/// Returns the keys of a table of the manifest, each with its value.
fn manifest(table: &str) -> Vec<(&'static str, &'static str)> {
    let rest = include_str!("../../Cargo.toml").split_once(&format!("\n[{table}]\n"));
    let lines = rest.into_iter().flat_map(|(_, rest)| rest.lines()).take_while(|line| !line.starts_with('['));
    lines.filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(" = ")).collect()
}

#[test]
fn tables_list_every_feature() {
    let features = manifest("features");
    let default = features.iter().find(|(name, _)| *name == "default").unwrap().1;
    for (name, page) in [
        ("docs/embedding.md", include_str!("../../../../docs/embedding.md")),
        ("README.md of the crate", include_str!("../../README.md")),
        ("the front page", &include_str!("../../src/lib.rs").replace("//! ", "")),
    ] {
        let table = page.split_once("| Feature | Adds |").unwrap().1;
        let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
        let listed: Vec<_> = rows.map(|row| row.split('`').nth(1).unwrap()).collect();
        for (feature, _) in features.iter().filter(|(feature, _)| *feature != "default") {
            assert!(listed.contains(feature), "{name} does not list {feature}");
            let is_default = page.contains(&format!("| `{feature}` (default) |"));
            assert_eq!(is_default, default.contains(&format!("\"{feature}\"")), "{name}: {feature}");
        }
        assert_eq!(listed.len() + 1, features.len(), "{name}: {listed:?}");
    }
}

/// A reader copies an example into a crate of its own, with the features and crates that the page names.
#[test]
fn embedding_page_names_what_each_example_needs() {
    let page = include_str!("../../../../docs/embedding.md");
    let crates = ["async-trait", "chrono", "reqwest", "serde_json"];
    for (name, example) in EXAMPLES {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("no row of {name}"));
        for used in crates {
            let path = format!("{}::", used.replace('-', "_"));
            assert_eq!(row.contains(&format!("`{used}`")), example.contains(&path), "{name}: {used}");
        }
        let needs = |feature: &str| row.contains(&format!("`{feature}`"));
        assert_eq!(needs("sim"), example.contains("Gastown::simulated()"), "{name}: sim");
        assert_eq!(needs("mock"), example.contains("::Mock"), "{name}: mock");
    }
}

#[test]
fn embedding_page_names_every_example() {
    let page = include_str!("../../../../docs/embedding.md");
    for (name, _) in EXAMPLES {
        assert!(page.contains(&format!("examples/{name}.rs")), "{name}");
    }
}

#[test]
fn first_town_takes_30_lines_and_one_dependency() {
    let (_, example) = EXAMPLES[0];
    let (program, _) = example.split_once("\n#[cfg(test)]").unwrap();
    assert!(program.lines().count() <= 30, "{} lines", program.lines().count());
    // The first segment of each path that names a crate is `gastown` or `std`.
    let used: Vec<_> = program.lines().filter_map(|line| line.strip_prefix("use ")).collect();
    assert!(used.iter().all(|path| path.starts_with("gastown::") || path.starts_with("std::")), "{used:?}");
}
