//! Tests the host's own code without a database and a provider: a mock of the port `Towns`, and samples of its values.
//!
//! `cargo test -p gastown --features sim,mock --example unit_test`
#![expect(clippy::print_stdout, reason = "the output of the example")]

use std::error::Error;

use gastown::{Caller, CreateTown, Gastown, TownError, TownState, Towns, tokio};

/// An example of the host's own code. It depends on the port, so its tests can pass a mock.
async fn open_workshop(towns: &dyn Towns, owner: &Caller) -> Result<String, Box<dyn Error>> {
    match towns.create_town(owner, CreateTown::named("mill".parse()?)).await {
        Ok(TownState { town, .. }) => Ok(format!("{} is {}", town.name, town.status)),
        Err(TownError::NameTaken) => Ok("mill exists already".to_owned()),
        Err(TownError::Failed { failure, .. }) => Ok(format!("no mill: {failure}")),
        Err(error) => Err(error.into()),
    }
}

#[tokio::main(crate = "gastown::tokio")]
async fn main() -> Result<(), Box<dyn Error>> {
    let gastown = Gastown::simulated().build().await?;
    let alice = gastown.add_user(&"alice".parse()?).await?.caller;
    println!("{}", open_workshop(&gastown.towns(), &alice).await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use gastown::ports::MockTowns;
    use gastown::{Town, TownStatus};

    use super::*;

    fn alice() -> Caller {
        Caller::Trusted("alice".parse().unwrap())
    }

    #[tokio::test]
    async fn status_of_the_town_is_shown() {
        let mut towns = MockTowns::new();
        let slow = Town { status: TownStatus::Provisioning, ..Town::sample() };
        towns.expect_create_town().once().return_once(|_, _| Ok(TownState::idle(slow)));
        assert_eq!(open_workshop(&towns, &alice()).await.unwrap(), "mill is provisioning");
    }

    #[tokio::test]
    async fn taken_name_is_reported() {
        let mut towns = MockTowns::new();
        towns.expect_create_town().once().return_once(|_, _| Err(TownError::NameTaken));
        assert_eq!(open_workshop(&towns, &alice()).await.unwrap(), "mill exists already");
    }

    #[test]
    fn workshop_is_opened_offline() {
        main().unwrap();
    }
}
