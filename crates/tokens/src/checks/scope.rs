//! The scope that may be consented to.
//!
//! Values that no catalogue knows are ignored, as OpenID Connect Core §3.1.2.1 wants; known ones
//! that the client is not registered for are refused, so that a developer notices. `offline_access`
//! of a client that could not use it is ignored, not refused (OC-15).

use protocol::client::GrantType;

use super::{AuthorizationFault, Draft};

pub(super) fn check(draft: &mut Draft<'_>) -> Result<(), AuthorizationFault> {
    let requested = draft.request.scope.as_ref().ok_or(AuthorizationFault::ScopeMissing)?;
    let understood = requested.filtered(|name| draft.catalogue.scope(name).is_some());
    let may_go_offline =
        draft.client.may_use(GrantType::RefreshToken) && draft.client.scope.contains("offline_access");
    let scope = understood.filtered(|name| name != "offline_access" || may_go_offline);
    if scope.is_empty() {
        return Err(AuthorizationFault::ScopeMissing);
    }
    let foreign = scope.difference(&draft.client.scope);
    if !foreign.is_empty() {
        return Err(AuthorizationFault::ScopeNotAllowed(foreign));
    }
    draft.scope = scope;
    Ok(())
}
