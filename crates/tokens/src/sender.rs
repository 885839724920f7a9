//! The sender of a token request, with the key that its tokens will be bound to.
//!
//! A bearer token is worth as much to a thief as to its owner. A bound one is worth nothing without the
//! key (RFC 9449, RFC 8705). [`Sender`] is made in one place, which refuses to make one that may have
//! bearer tokens out of a client that may not (F2-09, DP-09), and the mint takes nothing else.

use jose::{Digest, VerifiedDpop};
use protocol::token::Confirmation;

use crate::{client::Client, client_auth::AuthenticatedClient};

/// An authenticated client, and what ties its access tokens to it.
#[derive(Clone, Debug)]
pub struct Sender {
    client: AuthenticatedClient,
    dpop: Option<VerifiedDpop>,
}

/// A client whose tokens must be bound showed no key (F2-09, DP-09).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sender_constraint_missing")]
pub struct Unconstrained;

impl Sender {
    /// Binds the tokens of a client to the key that it showed. Without one, they will be bearer tokens,
    /// if the client may have such.
    ///
    /// # Errors
    /// [`Unconstrained`].
    pub fn constrain(client: AuthenticatedClient, dpop: Option<VerifiedDpop>) -> Result<Self, Unconstrained> {
        if dpop.is_none() && client.client().protection.bound_tokens {
            return Err(Unconstrained);
        }
        Ok(Self { client, dpop })
    }

    /// The proof of who it is.
    pub const fn authenticated(&self) -> &AuthenticatedClient {
        &self.client
    }

    /// The client.
    pub fn client(&self) -> &Client {
        self.client.client()
    }

    /// The thumbprint of the DPoP key that it showed.
    pub fn thumbprint(&self) -> Option<Digest> {
        self.dpop.as_ref().map(VerifiedDpop::thumbprint)
    }

    /// What its access tokens say of the key.
    pub fn confirmation(&self) -> Option<Confirmation> {
        self.thumbprint().map(|jkt| Confirmation { jkt: Some(jkt.to_string()) })
    }

    /// `token_type` of its access tokens (RFC 9449 §5).
    pub const fn token_type(&self) -> &'static str {
        if self.dpop.is_some() { "DPoP" } else { "Bearer" }
    }

    /// Whether it showed the key that something is bound to; what is bound to none asks for none.
    pub fn holds(&self, bound_to: Option<Digest>) -> bool {
        bound_to.is_none() || bound_to == self.thumbprint()
    }
}

#[cfg(test)]
impl Sender {
    pub(crate) fn for_tests(client: Client) -> Self {
        Self { client: AuthenticatedClient::for_tests(client), dpop: None }
    }
}

#[cfg(test)]
mod tests {
    use jose::digest::sha256;

    use super::*;
    use crate::client::tests::client;

    #[test]
    fn f2_09_dp_09_without_a_key_there_is_no_sender_where_tokens_must_be_bound() {
        let mut client = client();
        let constrain =
            |client: &Client| Sender::constrain(AuthenticatedClient::for_tests(client.clone()), None);
        assert_eq!(constrain(&client).map(|sender| sender.token_type()), Ok("Bearer"));
        client.protection.bound_tokens = true;
        assert_eq!(constrain(&client).map(|_| ()), Err(Unconstrained));
    }

    #[test]
    fn dp_08_what_is_bound_needs_its_key() {
        let sender = Sender::for_tests(client());
        assert!(sender.holds(None));
        assert!(!sender.holds(Some(sha256("key"))));
    }
}
