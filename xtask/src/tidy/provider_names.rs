//! The domain and the orchestrator do not name the provider that they run on.

use crate::workspace::SourceFile;

/// The code that would serve any provider.
const FOLDERS: &[&str] = &["crates/gastown-domain/src/", "crates/gastown-orchestrator/src/"];
/// The name of ours, and its genitive in an identifier.
const PROVIDER: &[&str] = &["fly", "flys"];

/// Returns the lines that name it: in an identifier, a string or a comment, tests included.
pub(super) fn offences(files: &[SourceFile]) -> Vec<String> {
    let watched = files.iter().filter(|file| FOLDERS.iter().any(|folder| file.path.starts_with(folder)));
    watched
        .flat_map(|file| {
            let lines = file.text.lines().enumerate().filter(|(_, line)| names_provider(line));
            lines.map(|(at, line)| format!("provider: {}:{}: say `provider`: {}", file.path, at + 1, line.trim()))
        })
        .collect()
}

fn names_provider(line: &str) -> bool {
    let mut parts = line.split(|c: char| !c.is_ascii_alphabetic()).flat_map(parts);
    parts.any(|part| PROVIDER.iter().any(|name| part.eq_ignore_ascii_case(name)))
}

/// Splits `FlyApp` into `Fly` and `App`, `flyApp` into `fly` and `App`, and leaves `FLY` whole.
fn parts(word: &str) -> impl Iterator<Item = &str> {
    let mut rest = word;
    std::iter::from_fn(move || {
        let first_small = rest.find(|c: char| c.is_ascii_lowercase()).unwrap_or(rest.len());
        // The last of several capitals begins the next part: `FLYApp`.
        let capitals = if first_small < rest.len() { first_small.saturating_sub(1) } else { first_small };
        let end = match capitals {
            0 => rest.char_indices().skip(1).find(|(_, c)| c.is_ascii_uppercase()).map_or(rest.len(), |(at, _)| at),
            capitals => capitals,
        };
        let (part, after) = rest.split_at(end);
        rest = after;
        (!part.is_empty()).then_some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_found_alone_and_in_an_identifier() {
        for line in [
            "fly",
            "on Fly's side",
            "fly_app",
            "the_fly_id",
            "FlyApp",
            "OnFly",
            "onFlyApp",
            "FLY_TOKEN",
            "FLYApp",
            "flys_limits",
        ] {
            assert!(names_provider(line), "{line}");
        }
        for line in ["flying", "butterfly", "provider", "Flyer", "briefly", "FLYING", "simplify", "FL_Y", ""] {
            assert!(!names_provider(line), "{line}");
        }
    }

    #[test]
    fn only_the_core_is_held() {
        let found = |path| offences(&[SourceFile::new(path, "ok\n// Fly asks.")]);
        assert_eq!(
            found("crates/gastown-domain/src/a.rs"),
            ["provider: crates/gastown-domain/src/a.rs:2: say `provider`: // Fly asks."]
        );
        assert_eq!(found("crates/gastown-fly/src/a.rs"), Vec::<String>::new());
        assert_eq!(found("crates/gastown-orchestrator/tests/it/a.rs"), Vec::<String>::new());
    }
}
