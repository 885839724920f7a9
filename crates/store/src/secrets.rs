//! Secrets of the whole deployment: made once, sealed by the caller, the same for every node.

use chrono::{DateTime, Utc};

use crate::{
    Store, Tx,
    engine::{change, on_store, on_tx, optional},
    error::Result,
    row::Micros,
    sql::secrets as statement,
};

impl Store {
    /// The sealed secret of a name.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn deployment_secret(&self, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(optional!(self, (Vec<u8>,), statement::SECRET, name)?.map(|(sealed,)| sealed))
    }
}

impl Tx {
    /// Keeps a secret under a name that has none; no row where it has one, which stays.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn keep_deployment_secret(
        &mut self,
        name: &str,
        sealed: &[u8],
        now: DateTime<Utc>,
    ) -> Result<u64> {
        change!(self, statement::KEEP, name, sealed, now.us())
    }

    /// Gives up the secret of a name, so that another is made.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn forget_deployment_secret(&mut self, name: &str) -> Result<u64> {
        change!(self, statement::FORGET, name)
    }
}
