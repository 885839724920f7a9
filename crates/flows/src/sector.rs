//! Sector documents (OpenID Connect Core §8.1): whoever names a `sector_identifier_uri` shows there that all
//! of its redirect URIs belong to the sector (OC-21).
//!
//! The document is fetched when a client is declared or registers, and again only when one of the members
//! changes: what a client is called by must not depend on somebody else's server being up. Nothing is
//! fetched when a person signs in.

use outbound::OutboundFault;
use protocol::client::ClientMetadata;
use tokens::client::{SectorFault, lists_redirect_uris};

use crate::service::Service;

/// Why a sector does not vouch for a client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SectorRefusal {
    /// The document could not be had.
    #[error("sector_identifier_uri: {0}")]
    Fetch(#[from] OutboundFault),
    /// It does not list every redirect URI.
    #[error(transparent)]
    Document(#[from] SectorFault),
}

/// The sector document that is to be asked about a client: none, if it names none, or registered already as
/// `before` with the same members.
pub(crate) fn asks_sector<'a>(
    metadata: &'a ClientMetadata,
    before: Option<&ClientMetadata>,
) -> Option<&'a str> {
    let same = |before: &ClientMetadata| {
        before.sector_identifier_uri == metadata.sector_identifier_uri
            && before.redirect_uris == metadata.redirect_uris
    };
    metadata.sector_identifier_uri.as_deref().filter(|_| !before.is_some_and(same))
}

impl Service {
    /// Fetches and checks the sector document of a client that has one. Clients that registered already as
    /// `before`, with the same members, are not asked again.
    ///
    /// # Errors
    /// [`SectorRefusal`].
    pub async fn check_sector(
        &self,
        metadata: &ClientMetadata,
        before: Option<&ClientMetadata>,
    ) -> Result<(), SectorRefusal> {
        let Some(uri) = asks_sector(metadata, before) else { return Ok(()) };
        let document = self.0.outbound.get(uri, &["application/json"]).await?;
        Ok(lists_redirect_uris(&document.body, &metadata.redirect_uris)?)
    }
}
