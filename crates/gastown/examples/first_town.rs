//! Creates a town, offline: `cargo run -p gastown --features sim --example first_town`.
#![expect(clippy::print_stdout, reason = "the output of the example")]

use gastown::{CancellationToken, CreateTown, DestroyTown, Gastown, Towns, tokio};

#[tokio::main(crate = "gastown::tokio")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let gastown = Gastown::simulated().build().await?;
    let alice = gastown.add_user(&"alice".parse()?).await?.caller;
    let (towns, stop) = (gastown.towns(), CancellationToken::new());
    let running = tokio::spawn(gastown.run(stop.clone()));

    let town = towns.create_town(&alice, CreateTown::named("mill".parse()?)).await?.town;
    println!("{} is {}", town.name, town.status);
    let town = towns.destroy_town(&alice, DestroyTown::until_gone(town.id)).await?.town;
    println!("{} is {}", town.name, town.status);

    stop.cancel();
    running.await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn town_is_created_and_destroyed() {
        super::main().unwrap();
    }
}
