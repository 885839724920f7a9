//! PKCE with S256, for every client that is not exempt by registration. A nonce is not taken in its
//! place (O21-01). That no other method exists was decided by the bytes (BCP-06).

use super::{AuthorizationFault, Draft};

pub(super) fn check(draft: &mut Draft<'_>) -> Result<(), AuthorizationFault> {
    let missing = draft.request.code_challenge.is_none();
    // A public client can't be registered exempt; asking again costs nothing (BCP-04).
    let required = draft.client.settings.require_pkce || draft.client.protection.rules().pkce;
    if missing && (required || draft.client.is_public()) {
        return Err(AuthorizationFault::ChallengeMissing);
    }
    Ok(())
}
