//! Figures of successful tests, for the log of a run.

use std::io::Write as _;
use std::path::Path;

/// Prints a figure past the capture of the test harness, and writes it where `cargo xtask test` collects figures.
pub(crate) fn report(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{line}").unwrap();
    if let Some(folder) = std::env::var_os("TEST_FIGURES") {
        let name: String = line.chars().take_while(|c| *c != ':').filter(char::is_ascii_alphanumeric).collect();
        std::fs::write(Path::new(&folder).join(name), line).unwrap();
    }
}
