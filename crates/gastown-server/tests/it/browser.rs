//! Chromium, driven by scripts of Node.js. The tests run where both are installed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command as Blocking, Output};
use std::time::Duration;

use tokio::process::Command;

/// The time for one script.
const TIMEOUT: Duration = Duration::from_secs(240);

/// The installed packages of `examples/dashboard`, which no other test changes meanwhile.
pub(crate) struct Browser {
    chromium: PathBuf,
    _alone: File,
}

impl Browser {
    /// Installs the packages. `None`: there is no Chromium.
    pub(crate) fn install() -> Option<Self> {
        let chromium = chromium()?;
        let alone = File::create(std::env::temp_dir().join("gastown-dashboard-packages.lock")).unwrap();
        alone.lock().unwrap();
        let browser = Self { chromium, _alone: alone };
        succeeds("npm", &["ci", "--no-progress"]);
        Some(browser)
    }

    /// Runs a script with these variables in its environment, and asserts its success.
    pub(crate) async fn run(&self, script: &Path, variables: &[(&str, &str)]) {
        let mut check = Command::new("node");
        check.arg(script).current_dir(folder()).env("CHROMIUM", &self.chromium).kill_on_drop(true);
        check.envs(variables.iter().copied());
        let output = tokio::time::timeout(TIMEOUT, check.output()).await.expect("the check hangs").unwrap();
        assert!(output.status.success(), "{}", text(&output));
    }
}

/// The places of Debian's Chromium, and of the variable that names another.
fn chromium() -> Option<PathBuf> {
    let given = std::env::var_os("CHROMIUM").map(PathBuf::from);
    given.into_iter().chain([PathBuf::from("/usr/bin/chromium")]).find(|path| path.is_file())
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/dashboard")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs a program in the folder of the packages, and asserts its success.
pub(crate) fn succeeds(program: &str, arguments: &[&str]) {
    let output = Blocking::new(program).args(arguments).current_dir(folder()).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}:\n{}", text(&output));
}
