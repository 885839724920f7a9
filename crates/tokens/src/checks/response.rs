//! The answer is of a type and travels in a mode that the client registered, and a token is never readable
//! in a query.

use super::{AuthorizationFault, Draft};

pub(super) fn check(draft: &mut Draft<'_>) -> Result<(), AuthorizationFault> {
    let (request, rules) = (draft.request, &draft.client.responses);
    if !rules.admits_type(request.response_type) {
        return Err(AuthorizationFault::ResponseTypeNotAllowed);
    }
    Ok(rules.admits_mode(request.response_mode, request.response_type.has_id_token())?)
}
