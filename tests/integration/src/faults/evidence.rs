//! What the database itself says afterwards, whatever was told to whom.

use std::collections::BTreeSet;

use super::site::Database;

/// Codes that were spent although nothing says that tokens came of it: of rotating apps, no refresh token;
/// of all, no event.
const HALF_REDEEMED: &str = "SELECT count(*) FROM codes c WHERE c.consumed_at IS NOT NULL AND (
    NOT EXISTS (SELECT 1 FROM audit_events e WHERE e.grant_id = c.grant_id AND e.kind = 'code_redeemed')
    OR (c.client_id = 'native-app'
        AND NOT EXISTS (SELECT 1 FROM refresh_tokens r WHERE r.grant_id = c.grant_id)))";

/// Tokens that exist although the code of their grant is not spent.
const TOKENS_OF_UNSPENT_CODES: &str =
    "SELECT count(*) FROM refresh_tokens r JOIN codes c ON c.grant_id = r.grant_id
    WHERE c.consumed_at IS NULL";

/// Families with two usable tokens at once.
const TWO_USABLE: &str = "SELECT count(*) FROM (SELECT grant_id FROM refresh_tokens
    WHERE kind = 'rotating' AND consumed_at IS NULL GROUP BY grant_id HAVING count(*) > 1) AS families";

/// Rotations without an event, or events without a rotation.
const ROTATED: &str =
    "SELECT count(*) FROM refresh_tokens WHERE kind = 'rotating' AND consumed_at IS NOT NULL";
const ROTATED_EVENTS: &str =
    "SELECT count(*) FROM audit_events WHERE kind = 'token_refreshed' AND client_id = 'native-app'";

const JTIS: &str = "SELECT detail ->> 'jti' FROM audit_events
    WHERE kind IN ('token_issued', 'code_redeemed', 'token_refreshed')";

/// Asserts that no transaction left half of itself.
pub fn assert_whole(database: &Database) {
    for (sql, what) in [
        (HALF_REDEEMED, "codes are spent and nothing came of it"),
        (TOKENS_OF_UNSPENT_CODES, "tokens exist and their code is unspent"),
        (TWO_USABLE, "families have two usable tokens"),
    ] {
        assert_eq!(database.count(sql), 0, "{what}");
    }
    assert_eq!(database.count(ROTATED), database.count(ROTATED_EVENTS), "each rotation has its event");
    if !matches!(database, Database::Url(_)) {
        assert_eq!(database.query("PRAGMA integrity_check"), ["ok"]);
        assert!(database.query("PRAGMA foreign_key_check").is_empty());
    }
}

/// The identifiers of tokens that the audit trail knows of.
pub fn audited(database: &Database) -> BTreeSet<String> {
    database.query(JTIS).into_iter().collect()
}
