//! Row 10: rigs that are added to one town, whose cost does not grow with their number.
//!
//! The town is stopped, because the simulated sandbox of a running one writes all of its rigs at each call.

use serde_json::json;
use tokio::time::Instant;

use crate::measure::http1::Connection;
use crate::measure::latencies::{median, millis, number};
use crate::measure::trpc;
use crate::report::{Check, Limit, Unit};
use crate::stage::ServerSetup;

use super::stage::{Stage, User, create_town, stop_town};

/// The first and the last calls that are compared.
const COMPARED: usize = 30;
/// The first calls, which open connections, are not compared.
const WARM_UP: usize = 5;
const MAX_GROWTH: f64 = 2.0;

pub(super) async fn play(stage: &Stage) -> anyhow::Result<Vec<Check>> {
    let rigs = stage.scale.rigs;
    let settings = vec![("MAX_RIGS_PER_TOWN", rigs.to_string())];
    let server = ServerSetup { settings, ..ServerSetup::new(&stage.database, &stage.fly) }.start().await?;
    let token = stage.token(User::ManyRigs);
    let town = create_town(&server, token, "many").await?;
    stop_town(&server, token, &town).await?;
    let (mut connection, mut times) = (Connection::open(server.address).await?, Vec::new());
    for number in 0..rigs {
        let repo = "https://github.com/octocat/hello-world";
        let input = json!({ "townId": town, "rigName": format!("rig{number}"), "repoUrl": repo });
        let begun = Instant::now();
        trpc::mutate(&mut connection, "addRig", &input, token).await?;
        times.push(millis(begun.elapsed()));
    }
    server.stop().await?;
    let (first, last) = (median(&times[WARM_UP..WARM_UP + COMPARED]), median(&times[rigs - COMPARED..]));
    Ok(vec![
        Check::new("rigs of the town", Unit::Count, number(times.len()), Limit::AtLeast(number(rigs))),
        Check::new("last addRig", Unit::Milliseconds, last, Limit::AtMost(stage.scale.bounds.add_rig_ms)),
        Check::new("last addRig / first addRig", Unit::Ratio, last / first, Limit::AtMost(MAX_GROWTH)),
    ])
}
