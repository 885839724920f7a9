//! Token revocation (RFC 7009).

use crate::{
    introspection::{TokenParameterFault, token_parameter},
    params::Params,
    secret::PresentedToken,
};

/// A revocation request; the client's credentials were taken off before.
#[derive(Clone, Debug)]
pub struct RevocationRequest {
    /// `token`, of either kind; `token_type_hint` may be wrong and decides nothing (RV-03).
    pub token: PresentedToken,
}

impl RevocationRequest {
    /// Reads the parameters.
    ///
    /// # Errors
    /// [`TokenParameterFault`].
    pub fn parse(params: &Params) -> Result<Self, TokenParameterFault> {
        token_parameter(params).map(|token| Self { token: PresentedToken::new(token) })
    }
}
