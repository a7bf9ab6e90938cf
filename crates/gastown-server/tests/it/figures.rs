//! What was counted, for whoever reads the log of a run in which nothing failed.

use std::io::Write as _;
use std::path::Path;

/// Says it past the capture of the test harness, and where `cargo xtask test` collects figures.
pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{line}").unwrap();
    if let Some(folder) = std::env::var_os("TEST_FIGURES") {
        let name: String = line.chars().take_while(|c| *c != ':').filter(char::is_ascii_alphanumeric).collect();
        std::fs::write(Path::new(&folder).join(name), line).unwrap();
    }
}
