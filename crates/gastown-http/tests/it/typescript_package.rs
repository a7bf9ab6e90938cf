//! The TypeScript package, as `npm pack` makes it: strict programs compile against it, and wrong ones do not.

use std::{
    collections::BTreeSet,
    fs::File,
    path::{Path, PathBuf},
    process::{Command as Blocking, Output},
    time::Duration,
};

use tokio::process::Command;

use crate::{
    fake_towns::FakeTowns,
    typescript::{missing, text},
    world::{ALICE, parts, serve},
};

fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../clients/typescript")
}

/// The folder with the compiler and the clients, outside of the package.
fn tests() -> PathBuf {
    package().join("tests")
}

fn succeeds(command: &mut Blocking) -> Output {
    let output = command.output().unwrap_or_else(|error| missing("npm", &error));
    assert!(output.status.success(), "{command:?}:\n{}", text(&output));
    output
}

/// Installs the clients from the lock file, and the packed package beside them.
pub(crate) fn install() {
    let (tests, lock_file) = (tests(), tests().join("package-lock.json"));
    let held = File::open(&lock_file).unwrap();
    held.lock().unwrap();
    let written = |path: &Path| path.metadata().and_then(|file| file.modified()).ok();
    if written(&tests.join("node_modules/.package-lock.json")) < written(&lock_file) {
        succeeds(Blocking::new("npm").args(["ci", "--no-progress"]).current_dir(&tests));
    }
    let sources = ["package.json", "index.d.ts", "index.js", "types.d.ts", "v10.d.ts"];
    let sources = sources.map(|name| written(&package().join(name)));
    let installed =
        [Version::Eleven, Version::Ten].map(|version| version.folder().join("node_modules/@gastown/client"));
    if installed.iter().all(|folder| written(&folder.join(".packed")) >= sources.into_iter().max().flatten()) {
        return;
    }
    let packed = tempfile_folder();
    succeeds(Blocking::new("npm").args(["pack", "--silent", "--pack-destination"]).arg(&packed).current_dir(package()));
    let archive = std::fs::read_dir(&packed).unwrap().next().unwrap().unwrap().path();
    for folder in installed {
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        succeeds(Blocking::new("tar").arg("-xzf").arg(&archive).args(["--strip-components=1", "-C"]).arg(&folder));
        std::fs::write(folder.join(".packed"), "").unwrap();
    }
    std::fs::remove_dir_all(&packed).unwrap();
}

/// A version of tRPC that a program is compiled against.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Version {
    Ten,
    Eleven,
}

impl Version {
    /// Returns the folder with the programs and the installed clients.
    fn folder(self) -> PathBuf {
        match self {
            Self::Ten => tests().join("v10"),
            Self::Eleven => tests(),
        }
    }

    fn source(self, name: &str) -> String {
        std::fs::read_to_string(self.folder().join(name)).unwrap()
    }

    /// Returns the empty folder of a program, from which the clients of this version are found.
    fn folder_of(self, name: &str) -> PathBuf {
        install();
        let folder = self.folder().join("node_modules/.cache").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }
}

fn tempfile_folder() -> PathBuf {
    let folder = tests().join("node_modules/.cache/packed");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

async fn tsc(arguments: &[&str]) -> Output {
    let mut node = Command::new("node");
    node.arg("node_modules/typescript/bin/tsc").args(arguments).current_dir(tests()).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(300), node.output()).await.expect("tsc hangs");
    output.unwrap_or_else(|error| missing("node", &error))
}

/// Compiles a program with `tsc --strict`, with version 11 of tRPC. Returns the module, or what the compiler prints.
pub(crate) async fn compile(name: &str, source: &str) -> Result<PathBuf, String> {
    compile_with(Version::Eleven, name, source).await
}

/// Compiles a program as [`compile`] does, with a version of tRPC.
pub(crate) async fn compile_with(version: Version, name: &str, source: &str) -> Result<PathBuf, String> {
    let folder = version.folder_of(name);
    let file = folder.join("program.mts");
    std::fs::write(&file, source).unwrap();
    let path = file.to_str().unwrap();
    let options = ["--strict", "--target", "es2022", "--module", "nodenext", "--types", "node", "--skipLibCheck"];
    let output = tsc(&[&options[..], &["--outDir", folder.to_str().unwrap(), path]].concat()).await;
    if output.status.success() { Ok(folder.join("program.mjs")) } else { Err(text(&output)) }
}

/// Runs a compiled module, and returns what it prints.
pub(crate) async fn run(module: &Path, url: &str, token: &str) -> String {
    let mut node = Command::new("node");
    node.arg(module).env("GASTOWN_URL", url).env("GASTOWN_TOKEN", token).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(60), node.output()).await.expect("the example hangs");
    let output = output.unwrap_or_else(|error| missing("node", &error));
    assert!(output.status.success(), "{}", text(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strict_program_compiles_against_the_packed_package() {
    compile("good", &Version::Eleven.source("good.mts")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strict_program_of_version_10_compiles_and_runs() {
    let program = compile_with(Version::Ten, "good", &Version::Ten.source("good.mts")).await.unwrap();
    let server = serve(parts(FakeTowns::default())).await;
    let printed = run(&program, &server.url(""), ALICE).await;
    let lines = [
        "app at 4 and dark",
        "stopped",
        "1 1 0 true iad",
        "town_name_taken",
        "invalid_input must not be empty",
        "destroyed",
    ];
    assert_eq!(printed.lines().collect::<Vec<_>>(), lines);
}

/// The compiler does not check declarations of packages, because those of tRPC name packages that are not installed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn declarations_of_the_package_compile_as_programs() {
    for (version, name) in [(Version::Eleven, "index.d.ts"), (Version::Ten, "v10.d.ts")] {
        let types = version.folder_of("declarations").join("types.d.ts");
        std::fs::copy(package().join("types.d.ts"), types).unwrap();
        let declarations = std::fs::read_to_string(package().join(name)).unwrap();
        compile_with(version, "declarations", &declarations).await.unwrap();
    }
    compile("types", &std::fs::read_to_string(package().join("types.d.ts")).unwrap()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wrong_line_is_refused_and_no_other() {
    for version in [Version::Eleven, Version::Ten] {
        let source = version.source("bad.mts");
        let printed = compile_with(version, "bad", &source).await.unwrap_err();
        let number = |line: &str| line.split_once("program.mts(")?.1.split_once(',')?.0.parse::<usize>().ok();
        let refused: BTreeSet<_> = printed.lines().filter_map(number).collect();
        let marked = source.lines().enumerate().filter(|(_, line)| line.contains("// refused"));
        assert_eq!(refused, marked.map(|(index, _)| index + 1).collect(), "{version:?}: {printed}");
    }
}
