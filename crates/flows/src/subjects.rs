//! The secret that pairwise subjects are computed with (OC-21): made once for a deployment, sealed in the
//! store, read once by each node and kept in memory.
//!
//! It is never replaced, because everybody would become a stranger to every pairwise client. Backups hold
//! it like everything else in the store.

use tokens::subject::SubjectKey;
use zeroize::Zeroizing;

use crate::{
    error::{FlowError, Result},
    random::Draw,
    service::Service,
};

/// Its name in the store.
pub(crate) const NAME: &str = "pairwise subjects";
/// What it is sealed for.
pub(crate) const IDENTITY: &[u8] = b"deployment secret: pairwise subjects";

impl Service {
    /// Reads the secret, if there is one.
    pub(crate) async fn read_subject_key(&self) -> Result<()> {
        if let Some(sealed) = self.0.store.deployment_secret(NAME).await? {
            let secret = self.0.sealer.open(&sealed, IDENTITY)?;
            // Whoever was first has read the same.
            let _ = self.0.subjects.set(SubjectKey::new(secret));
        }
        Ok(())
    }

    /// Makes the secret where there is none. Nodes that start at once make one.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn tend_subject_key(&self) -> Result<()> {
        if self.0.subjects.get().is_some() {
            return Ok(());
        }
        let secret = Zeroizing::new(self.entropy());
        let sealed = self.0.sealer.seal(&*secret, IDENTITY, self.random().bytes())?;
        let mut tx = self.0.store.begin().await?;
        tx.keep_deployment_secret(NAME, &sealed, self.now()).await?;
        tx.commit().await?;
        self.read_subject_key().await?;
        self.subjects().map(drop)
    }

    /// How people are called towards clients.
    ///
    /// # Errors
    /// [`FlowError::Contradiction`] in a service that was only assembled, over a store that no server has
    /// used.
    pub(crate) fn subjects(&self) -> Result<&SubjectKey> {
        self.0.subjects.get().ok_or(FlowError::Contradiction("nobody made the secret of pairwise subjects"))
    }
}
