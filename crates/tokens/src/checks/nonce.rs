//! An ID token that passes through the browser could be one that somebody else obtained, so the client ties
//! it to its own request by a nonce (OC-03). And it comes only of an OpenID Connect request (OC-10).

use super::{AuthorizationFault, Draft};

pub(super) fn check(draft: &mut Draft<'_>) -> Result<(), AuthorizationFault> {
    let request = draft.request;
    if !request.response_type.has_id_token() {
        return Ok(());
    }
    if !request.is_openid() {
        return Err(AuthorizationFault::IdTokenWithoutOpenid);
    }
    request.nonce.is_some().then_some(()).ok_or(AuthorizationFault::NonceMissing)
}
