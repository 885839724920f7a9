//! A hint that we did not issue to this client says nothing good about the request.

use super::{AuthorizationFault, Draft, Hint};

pub(super) fn check(draft: &mut Draft<'_>) -> Result<(), AuthorizationFault> {
    if draft.hint == Hint::Invalid { Err(AuthorizationFault::HintNotOurs) } else { Ok(()) }
}
