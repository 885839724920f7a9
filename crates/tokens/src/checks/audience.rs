//! Which resource servers the authorization concerns: those of `resource`, or the one that the
//! scope and the authorization details imply. A scope over several without `resource` would make a token that each of them
//! could use at the others, and is refused (AT-03, BCP-10).

use super::{AuthorizationFault, Draft};

pub(super) fn check(draft: &mut Draft<'_>) -> Result<(), AuthorizationFault> {
    let request = draft.request;
    let details = &request.authorization_details;
    draft.audience = consent::audience_with(&draft.scope, details, &request.resources, draft.catalogue)?;
    Ok(())
}
