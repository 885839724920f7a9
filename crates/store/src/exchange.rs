//! What token exchange and assertion grants leave behind.

use audit::Event;
use sqlx::types::Json;
use tokens::grant::{AccessTokenRecord, GrantRecord};

use crate::{
    Store,
    engine::{change, on_tx},
    error::Result,
    row::{Micros, some_details},
    sql::exchange as statement,
};

/// Effect: a token is issued without a code before it.
#[derive(Clone, Copy, Debug)]
pub struct DirectIssue<'a> {
    /// The grant that is made for it; none where it hangs under one that is there already.
    pub grant: Option<&'a GrantRecord>,
    /// The opaque access token; a JWT leaves none.
    pub access: Option<&'a AccessTokenRecord>,
    /// What is told of it.
    pub event: &'a Event,
}

impl Store {
    /// Stores what was issued, all or nothing.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn issue_directly(&self, issue: &DirectIssue<'_>) -> Result<()> {
        let mut tx = self.begin().await?;
        if let Some(grant) = issue.grant {
            change!(
                &mut tx,
                statement::INSERT_GRANT,
                grant.id.0,
                grant.consent.0,
                grant.client.as_str(),
                grant.user.0,
                grant.session.0,
                grant.session_bound,
                grant.scope.to_string(),
                Json(&grant.audience),
                grant.auth_time.us(),
                grant.acr.as_str(),
                Json(&grant.amr),
                grant.created_at.us(),
                grant.revoked_at.us(),
                grant.expires_at.us(),
                some_details(&grant.details),
            )?;
        }
        if let Some(access) = issue.access {
            tx.insert_access_token(access).await?;
        }
        tx.record(issue.event).await?;
        tx.commit().await
    }
}
