//! A client uses only the flows that it registered.

use protocol::client::GrantType;

use super::{AuthorizationFault, Draft};

pub(super) fn check(draft: &mut Draft<'_>) -> Result<(), AuthorizationFault> {
    let allowed = draft.client.may_use(GrantType::AuthorizationCode);
    allowed.then_some(()).ok_or(AuthorizationFault::CodeFlowNotAllowed)
}
