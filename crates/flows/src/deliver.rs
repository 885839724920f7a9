//! The last step of whatever is made for one client alone: its ID tokens, its userinfo, its responses. Where
//! the client wants that encrypted, it is encrypted to a key of the client, fetched if need be; where no
//! key is to be had, nothing leaves.

use jose::jwe::EncryptFault;
use protocol::UserId;
use serde_json::{Map, Value};
use tokens::{client::Client, disclosed::GrantedClaims, envelope::Envelope};

use crate::{client_keys::ClientKeysFault, error::Result, service::Service};

/// Why nothing is sent to a client that wants it encrypted.
#[derive(Debug, thiserror::Error)]
pub enum Undeliverable {
    /// Its keys are not available.
    #[error("client_keys_unavailable: {0}")]
    Keys(#[from] ClientKeysFault),
    /// None of its keys is fit, or the encryption failed.
    #[error("not_encrypted: {0}")]
    Encrypt(#[from] EncryptFault),
}

impl Service {
    /// Seals what was made for a client. Never called within a transaction: keys may have to be fetched.
    ///
    /// # Errors
    /// [`Undeliverable`]; nothing may be sent in its place.
    pub async fn deliver(&self, client: &Client, envelope: Envelope) -> Result<String, Undeliverable> {
        let Some(with) = envelope.encryption() else { return Ok(envelope.sealed(None)?) };
        let keys = self.client_keys(client).await?;
        // A client that has just replaced its keys is asked again, at most so often.
        let keys = match keys.encrypting(with.key_management) {
            Some(_) => keys,
            None => self.client_keys_anew(client).await.unwrap_or(keys),
        };
        Ok(envelope.sealed(Some(&keys))?)
    }

    /// What the ID token says about the person beyond the standard: nothing, without a read, unless claims
    /// were asked for by name and consented to (OC-18, OC-30).
    pub(crate) async fn told_in_id_token(
        &self,
        user: UserId,
        granted: &GrantedClaims,
    ) -> Result<Map<String, Value>> {
        if granted.leave_id_token_alone() {
            return Ok(Map::new());
        }
        let user = self.0.store.user(user).await?;
        Ok(user.map(|user| granted.for_id_token(&user.claims)).unwrap_or_default())
    }
}
