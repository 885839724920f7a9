//! A client uses only the flows that it registered.

use protocol::client::GrantType;

use super::{AuthorizationFault, Draft};

pub(super) fn check(draft: &mut Draft<'_>) -> Result<(), AuthorizationFault> {
    let allowed = draft.client.may_use(GrantType::AuthorizationCode);
    allowed.then_some(()).ok_or(AuthorizationFault::CodeFlowNotAllowed)
}

/// The same for what a device asks for (DV-06).
pub(super) fn check_device(draft: &mut Draft<'_>) -> Result<(), AuthorizationFault> {
    let allowed = crate::device::may_use(draft.client);
    allowed.then_some(()).ok_or(AuthorizationFault::CodeFlowNotAllowed)
}
