//! Consents that an operator ends for a customer.

use audit::EventKind;
use consent::{ConsentRecord, withdraw};
use protocol::ConsentId;

use super::{Operate, Operated, not_found};

impl Operate<'_> {
    /// Withdraws a consent in its customer's place; everything below it is dead from now on. Gives the
    /// record, and whether it was live.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn revoke_consent(&self, id: ConsentId) -> Operated<(ConsentRecord, bool)> {
        let now = self.service.now();
        let store = self.service.store();
        let Some(mut record) = store.consent_by_id(id).await? else {
            return Ok(Err(not_found("consent", id)));
        };
        let Some(withdrawal) = withdraw(&record, record.user, now) else { return Ok(Ok((record, false))) };
        let mut tx = store.begin().await?;
        let revoked = tx.withdraw_consent(&withdrawal).await? == 1;
        if revoked {
            let event = self.event(EventKind::ConsentWithdrawn, now).user(record.user).consent(id);
            tx.record(&event.client(record.client.clone()).reason("by_operator")).await?;
            record.withdrawn_at = Some(now);
        }
        tx.commit().await?;
        Ok(Ok((record, revoked)))
    }
}
