//! The TypeScript package, as `npm pack` makes it: strict programs compile against it, and wrong ones do not.

use std::{
    collections::BTreeSet,
    fs::File,
    path::{Path, PathBuf},
    process::{Command as Blocking, Output},
    time::Duration,
};

use tokio::process::Command;

use crate::typescript::{missing, text};

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
    let installed = tests.join("node_modules/@gastown/client");
    let sources = ["package.json", "index.d.ts", "index.js"].map(|name| written(&package().join(name)));
    if written(&installed.join(".packed")) >= sources.into_iter().max().flatten() {
        return;
    }
    let packed = tempfile_folder();
    succeeds(Blocking::new("npm").args(["pack", "--silent", "--pack-destination"]).arg(&packed).current_dir(package()));
    let archive = std::fs::read_dir(&packed).unwrap().next().unwrap().unwrap().path();
    let _ = std::fs::remove_dir_all(&installed);
    std::fs::create_dir_all(&installed).unwrap();
    succeeds(Blocking::new("tar").arg("-xzf").arg(archive).args(["--strip-components=1", "-C"]).arg(&installed));
    std::fs::write(installed.join(".packed"), "").unwrap();
    std::fs::remove_dir_all(&packed).unwrap();
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

/// Compiles a program with `tsc --strict`. Returns the compiled module, or what the compiler prints.
pub(crate) async fn compile(name: &str, source: &str) -> Result<PathBuf, String> {
    install();
    let folder = tests().join("node_modules/.cache").join(name);
    std::fs::create_dir_all(&folder).unwrap();
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
    let source = std::fs::read_to_string(tests().join("good.mts")).unwrap();
    compile("good", &source).await.unwrap();
}

/// The compiler does not check declarations of packages, because those of tRPC name packages that are not installed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn declarations_of_the_package_compile_as_a_program() {
    let declarations = std::fs::read_to_string(package().join("index.d.ts")).unwrap();
    compile("declarations", &declarations).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wrong_line_is_refused_and_no_other() {
    let source = std::fs::read_to_string(tests().join("bad.mts")).unwrap();
    let printed = compile("bad", &source).await.unwrap_err();
    let number = |line: &str| line.split_once("program.mts(")?.1.split_once(',')?.0.parse::<usize>().ok();
    let refused: BTreeSet<_> = printed.lines().filter_map(number).collect();
    let marked = source.lines().enumerate().filter(|(_, line)| line.contains("// refused"));
    assert_eq!(refused, marked.map(|(index, _)| index + 1).collect(), "{printed}");
}
