//! What exactly is asked for, beside the scope: each detail of a type that this server knows and that the
//! client may ask for, and just as its JSON Schema says (RFC 9396 §5, RAR-01, RAR-02).

use super::{AuthorizationFault, Draft};

pub(super) fn check(draft: &mut Draft<'_>) -> Result<(), AuthorizationFault> {
    let types = draft.catalogue.detail_types();
    types.check(&draft.request.authorization_details, &draft.client.detail_types)?;
    Ok(())
}
