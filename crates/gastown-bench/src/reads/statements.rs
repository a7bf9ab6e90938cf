//! Floors of reads: one statement with all that the answer shows, as scripts for `pgbench`.

use crate::stage::seed::{TOWNS_PER_USER, owner_sql, town_id_sql};

/// Returns the script for a random town: its owner with the pepper, row, rigs, health and operation.
pub(super) fn town_status(towns: usize) -> String {
    let (id, owner) = (town_id_sql(":n"), owner_sql(":n"));
    format!(
        "\\set n random(1, {towns})\n\
         SELECT u.api_token_pepper, t.*, h.*, o.*, \
         (SELECT json_agg(r) FROM gastown_rigs r WHERE r.town_id = t.id) AS rigs \
         FROM kilocode_users u \
         LEFT JOIN gastown_towns t ON t.user_id = u.id AND t.id = {id} AND t.destroyed_at IS NULL \
         LEFT JOIN gastown_town_health h ON h.town_id = t.id \
         LEFT JOIN gastown_operations o ON o.town_id = t.id \
         WHERE u.id = {owner};\n"
    )
}

/// Returns the script for the towns of a random user, with the user's pepper.
pub(super) fn list_towns(towns: usize) -> String {
    let users = towns / TOWNS_PER_USER;
    format!(
        "\\set u random(1, {users})\n\
         SELECT u.api_token_pepper, t.* FROM kilocode_users u \
         LEFT JOIN gastown_towns t ON t.user_id = u.id AND t.destroyed_at IS NULL \
         WHERE u.id = 'user-' || (:u)::int ORDER BY t.created_at, t.id;\n"
    )
}
