//! RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0 §2).

use serde::{Deserialize, Serialize};

use crate::params::Params;

/// The parameters of an end-session request; all are optional.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndSessionRequest {
    /// An ID token that we issued, not yet verified; it may have expired (LO-03).
    pub id_token_hint: Option<String>,
    /// The client that asks; must agree with the hint.
    pub client_id: Option<String>,
    /// Where the person wants to go afterwards (LO-02).
    pub post_logout_redirect_uri: Option<String>,
    /// Returned on an allowed redirect only.
    pub state: Option<String>,
    /// Languages for the page.
    pub ui_locales: Vec<String>,
}

/// A parameter came more than once (O21-04).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parameter {0} is repeated")]
pub struct RepeatedParameter(pub String);

impl EndSessionRequest {
    /// Reads the parameters.
    ///
    /// # Errors
    /// [`RepeatedParameter`].
    pub fn parse(params: &Params) -> Result<Self, RepeatedParameter> {
        if let Some(name) = params.repeated() {
            return Err(RepeatedParameter(name.to_owned()));
        }
        let text = |name: &str| params.get(name).map(str::to_owned);
        Ok(Self {
            id_token_hint: text("id_token_hint"),
            client_id: text("client_id"),
            post_logout_redirect_uri: text("post_logout_redirect_uri"),
            state: text("state"),
            ui_locales: text("ui_locales")
                .unwrap_or_default()
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
        })
    }
}
