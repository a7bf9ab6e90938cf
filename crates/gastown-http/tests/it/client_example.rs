//! The example of the quick start and the examples of the reference: they compile strictly and run.

use crate::{
    fake_towns::FakeTowns,
    typescript_package::{Version, compile, compile_with, run},
    world::{ALICE, parts, serve},
};

const EXAMPLE: &str = include_str!("../../../../docs/examples/client.ts");
const QUICK_START: &str = include_str!("../../../../docs/quick-start.md");
const REFERENCE: &str = include_str!("../../../../docs/wire.md");
const PACKAGE: &str = include_str!("../../../../clients/typescript/README.md");

/// Returns the blocks of a page in this language.
pub(crate) fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let begin = format!("```{language}\n");
    page.split(&begin).skip(1).filter_map(|rest| rest.split_once("```")).map(|(block, _)| block).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_of_the_quick_start_completes_the_life_of_a_town() {
    let server = serve(parts(FakeTowns::default())).await;
    let example = compile("quick-start", EXAMPLE).await.unwrap();
    let printed = run(&example, &server.url(""), ALICE).await;
    assert_eq!(printed, "mill is running\nmill works on app\nmill is destroyed\n");
}

#[test]
fn quick_start_quotes_the_example() {
    assert!(
        QUICK_START.contains(&format!("```ts\n{EXAMPLE}```\n")),
        "quick-start.md and docs/examples/client.ts differ"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn examples_of_the_reference_compile_and_run() {
    let server = serve(parts(FakeTowns::default())).await;
    let all = blocks(REFERENCE, "ts");
    compile("reference-with-subscriptions", &all.concat()).await.unwrap();
    // A subscription never ends. Those of the real client run in the tests of the server.
    let blocks: Vec<_> = all.into_iter().filter(|block| !block.contains(".subscribe(")).collect();
    assert!(blocks.len() > 9, "{}", blocks.len());
    let example = compile("reference", &(blocks.concat() + "console.log(destroyTown.status);\n")).await.unwrap();
    assert_eq!(run(&example, &server.url(""), ALICE).await, "destroyed\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn examples_of_the_package_compile_and_run() {
    let server = serve(parts(FakeTowns::default())).await;
    let [example, of_version_10] = blocks(PACKAGE, "ts")[..] else { panic!("two examples are expected") };
    let example = compile("package", example).await.unwrap();
    assert_eq!(run(&example, &server.url(""), ALICE).await, "forge is running\n");
    assert_eq!(run(&example, &server.url(""), ALICE).await, "take another name\n[]\n");
    let example = compile_with(Version::Ten, "package", of_version_10).await.unwrap();
    assert_eq!(run(&example, &server.url(""), ALICE).await, "1 towns\n");
}
