//! Claims that are asked for by name (OpenID Connect Core §5.5) join the scope in what the person is asked
//! to consent to, as `claim:<name>`.
//!
//! A client may ask for a claim whose scope it is registered for; of others it learns nothing, by either
//! way, and asking is no error (Core §5.5.1). Where the scope itself is requested, the claim is in it
//! already. An essential `acr` of which this server reaches none is an authentication that failed
//! (OC-19).

use protocol::{
    Scope,
    acr::Acr,
    claims::{claim_entry, scope_of_claim},
};

use super::{AuthorizationFault, Draft};

pub(super) fn check(draft: &mut Draft<'_>) -> Result<(), AuthorizationFault> {
    // Without openid there is neither ID token nor userinfo (OC-10).
    if !draft.scope.contains("openid") {
        return Ok(());
    }
    let claims = &draft.request.claims;
    if let Some(acr) = claims.acr()
        && acr.essential
        && !acr.values.is_empty()
        && !acr.texts().any(|text| text.parse::<Acr>().is_ok())
    {
        return Err(AuthorizationFault::AcrUnreachable);
    }
    let scope = &draft.scope;
    let single = claims.personal().filter(|claim| {
        scope_of_claim(claim).is_some_and(|of| draft.client.scope.contains(of) && !scope.contains(of))
    });
    let entries = single.filter_map(|claim| claim_entry(claim).parse().ok());
    draft.claims = entries.collect::<Scope>();
    Ok(())
}
