//! Requests that may come by the back channel alone: where a browser carried them, whoever sits at it could
//! have read and changed them (FAPI 2.0 §5.3.2.2, RFC 9126 §5).

use super::{AuthorizationFault, Draft};

pub(super) fn check(draft: &mut Draft<'_>) -> Result<(), AuthorizationFault> {
    let required = draft.client.protection.pushed_requests;
    if required && draft.request.pushed.is_none() {
        return Err(AuthorizationFault::NotPushed);
    }
    Ok(())
}
