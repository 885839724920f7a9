//! Names for user ids in tables, each looked up once.

use std::collections::HashMap;

use protocol::UserId;
use store::Store;

use super::Failure;

/// The names that were needed so far.
pub struct People<'a> {
    store: &'a Store,
    names: HashMap<UserId, String>,
}

impl<'a> People<'a> {
    /// Knows nobody yet.
    pub fn new(store: &'a Store) -> Self {
        Self { store, names: HashMap::new() }
    }

    /// The name of a user; the id, if there is none.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn name(&mut self, id: UserId) -> Result<String, Failure> {
        if let Some(name) = self.names.get(&id) {
            return Ok(name.clone());
        }
        let user = self.store.user(id).await.map_err(Failure::new)?;
        let name = user.map_or_else(|| id.to_string(), |user| user.username.to_string());
        self.names.insert(id, name.clone());
        Ok(name)
    }
}
