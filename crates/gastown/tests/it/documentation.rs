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
