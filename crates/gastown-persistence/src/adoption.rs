//! Rows of towns that are rebuilt from what the provider shows, after the registry was lost.

use gastown_domain::ports::{Adopted, Adoption};
use sea_orm::{ActiveModelTrait as _, DatabaseTransaction, EntityTrait as _, Set};
use serde_json::json;

use crate::calendar::truncated;
use crate::entity::gastown_towns as towns;
use crate::error::{TxError, unwritable};
use crate::events::{DONE, Event};
use crate::{dialect, rigs};

/// The action of the event.
const ADOPT: &str = "adopt";
/// The text of the event about the facts that neither the provider nor a sandbox shows.
const NOT_KNOWN: &str = "not known: configuration, events, idempotency keys, times of heartbeats and syncs";
const NOT_KNOWN_WITH_RIGS: &str =
    "not known: rigs, configuration, events, idempotency keys, times of heartbeats and syncs";

/// Inserts the rows, unless the registry has a row of this town, live or tombstone.
pub(crate) async fn adopt(tx: &DatabaseTransaction, adoption: &Adoption, actor: &str) -> Result<Adopted, TxError> {
    let Adoption { town, rigs: found } = adoption;
    dialect::serialize_creates_of(&town.owner, tx).await?;
    if towns::Entity::find_by_id(town.id.as_uuid()).one(tx).await?.is_some() {
        return Ok(Adopted::Known);
    }
    let row = towns::ActiveModel {
        id: Set(town.id.as_uuid()),
        user_id: Set(town.owner.as_str().to_owned()),
        town_name: Set(town.name.as_str().to_owned()),
        sandbox_id: Set(town.sandbox_id.as_str().to_owned()),
        fly_machine_id: Set(town.machine_id.as_ref().map(ToString::to_string)),
        fly_volume_id: Set(town.volume_id.as_ref().map(ToString::to_string)),
        fly_region: Set(town.region.as_ref().map(ToString::to_string)),
        status: Set(town.status.as_str().to_owned()),
        last_r2_sync_at: Set(town.last_r2_sync_at),
        last_heartbeat_at: Set(town.last_heartbeat_at),
        config: Set(Some(serde_json::to_value(&town.config).map_err(unwritable)?)),
        created_at: Set(truncated(town.created_at)),
        destroyed_at: Set(None),
    };
    row.insert(tx).await.map_err(TxError::writing("gastown_towns"))?;
    rigs::insert(tx, found.as_deref().unwrap_or_default()).await?;
    let not_known = if found.is_some() { NOT_KNOWN } else { NOT_KNOWN_WITH_RIGS };
    let detail = json!({
        "fly_machine_id": town.machine_id,
        "fly_volume_id": town.volume_id,
        "rigs": found.as_ref().map(Vec::len),
    });
    let now = dialect::now(tx).await?;
    let event = Event::of(town.id, actor, ADOPT, DONE, now).because(Some(not_known));
    event.detailed(detail).record(tx).await?;
    Ok(Adopted::Inserted)
}
