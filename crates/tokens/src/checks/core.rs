//! The RFC 6749 core, as oxide-auth's `Authorization` machine holds it.

use super::{AuthorizationFault, Draft};
use crate::oxide;

pub(super) fn check(draft: &mut Draft<'_>) -> Result<(), AuthorizationFault> {
    let granted = oxide::authorize(draft.request, draft.client, &draft.scope)?;
    // The machine may only agree: what it would grant is what our own checks left.
    if granted == draft.scope { Ok(()) } else { Err(AuthorizationFault::Core) }
}
