//! Which resource servers the authorization concerns: those of `resource`, or the one that the
//! scope implies. A scope over several without `resource` would make a token that each of them
//! could use at the others, and is refused (AT-03, BCP-10).

use super::{AuthorizationFault, Draft};

pub(super) fn check(draft: &mut Draft<'_>) -> Result<(), AuthorizationFault> {
    draft.audience = consent::audience_of(&draft.scope, &draft.request.resources, draft.catalogue)?;
    Ok(())
}
