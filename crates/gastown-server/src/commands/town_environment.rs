//! The part of a town's environment with which its sandbox is called: `gastown sandbox env --town`.

use anyhow::Context as _;
use gastown_domain::TownId;
use gastown_domain::ports::{Operator as _, TownDetails, TownKeys as _};
use secrecy::ExposeSecret as _;

use super::actor::actor;
use super::database;
use super::exit::CodedError;
use super::town_ref::TownRef;
use crate::config::SandboxAccess;
use crate::operator_access::InDatabase;
use crate::settings_source::Source;

/// Returns the lines of a file that `gastown sandbox check --env-file` reads. The address is left out if the town has no
/// machine.
///
/// Errors: a missing setting, no such town, the database.
pub(super) async fn lines(source: &Source, town: &TownRef) -> anyhow::Result<String> {
    let access = SandboxAccess::read(source)?;
    let database = database::open(source).await?;
    let id: TownId = town.resolve(&InDatabase::new(database.clone(), actor(source))).await?;
    let found = database.town_details(id, &[], 0).await.context("failed to read the registry")?;
    let Some(TownDetails { town, .. }) = found else {
        return Err(CodedError::NoSuchTown(town.to_string()).into());
    };
    let mut lines = vec![format!("TOWN_ID={id}")];
    lines.push(format!("INTERNAL_API_KEY={}", access.keys.key_of(id).expose_secret()));
    if let (Some(machine), Ok(app)) = (&town.machine_id, access.app.app_of(&town.owner)) {
        let address = access.url.fill(&app, machine).context("SANDBOX_URL")?;
        lines.push(format!("SANDBOX_ADDRESS={}", address.as_str().trim_end_matches('/')));
    }
    Ok(lines.join("\n"))
}
