//! Delivers logout tokens (OpenID Connect Back-Channel Logout 1.0 §2.5).
//!
//! The end of a session leaves one notice per client that took part, in the same transaction. Every
//! node looks for due notices once a second, at once after a logout of its own, claims each by one
//! conditional statement, and posts a fresh token. A node that dies in between leaves its claims to run
//! out. One client's notices take at most [`PER_CLIENT`] places at a time and wait for nobody else's, so
//! a slow client delays only itself (BL-02).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use audit::{Actor, Event, EventKind};
use chrono::TimeDelta;
use outbound::OutboundFault;
use protocol::{ClientId, TokenId};
use tokens::logout::LogoutNotice;
use tokio::{sync::Notify, task::JoinHandle, time::timeout};

use crate::{error::Result, random::Draw, service::Service};

/// How often the queue is looked at.
const POLL: Duration = Duration::from_secs(1);
/// Deliveries to one client at the same time.
const PER_CLIENT: u32 = 4;
/// Notices that are read at a time.
const BATCH: u32 = 256;
/// How long a claim holds: longer than any request may take.
const CLAIM: TimeDelta = TimeDelta::minutes(2);
/// The counter of attempts.
const ATTEMPTS: &str = "chancery_logout_tokens_total";

/// What is under way on this node.
#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    wake: Arc<Notify>,
    places: Arc<Mutex<HashMap<ClientId, u32>>>,
}

impl Deliveries {
    /// There may be something to deliver.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    fn place(&self, client: &ClientId) -> Option<Place> {
        let mut places = held(&self.places);
        let taken = places.entry(client.clone()).or_default();
        if *taken >= PER_CLIENT {
            return None;
        }
        *taken += 1;
        drop(places);
        let (wake, places) = (self.wake.clone(), self.places.clone());
        Some(Place { client: client.clone(), wake, places })
    }
}

fn held(places: &Mutex<HashMap<ClientId, u32>>) -> MutexGuard<'_, HashMap<ClientId, u32>> {
    places.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A place among the deliveries to a client; when it is given back, the next one may begin.
struct Place {
    client: ClientId,
    wake: Arc<Notify>,
    places: Arc<Mutex<HashMap<ClientId, u32>>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = held(&self.places);
        if let Some(taken) = places.get_mut(&self.client) {
            *taken -= 1;
            if *taken == 0 {
                places.remove(&self.client);
            }
        }
        drop(places);
        self.wake.notify_one();
    }
}

/// Why a client did not take a logout token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Undelivered {
    /// It is gone, disabled, or no longer wants to be told: nothing to try again.
    #[error("client_gone")]
    Gone,
    /// Its address is one that nothing is ever sent to (OUT-01).
    #[error("address_refused")]
    Forbidden,
    /// It can't be encrypted to the client: its keys can't be had.
    #[error("client_keys_unavailable")]
    Keys,
    /// No answer.
    #[error("{0}")]
    Sending(OutboundFault),
    /// An answer other than 200 and 204.
    #[error("answered_{0}")]
    Answered(u16),
}

impl Service {
    /// Delivers logout tokens for as long as the process lives.
    pub async fn deliver_logouts(&self) {
        loop {
            if let Err(error) = self.begin_due_logouts().await {
                tracing::warn!(%error, "could not look for logout tokens to deliver; will try again");
            }
            timeout(POLL, self.0.deliveries.wake.notified()).await.ok();
        }
    }

    /// Delivers everything that is due now, and waits for the outcomes. Gives how many attempts were made.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn deliver_due_logouts(&self) -> Result<usize> {
        let mut made = 0;
        loop {
            let begun = self.begin_due_logouts().await?;
            if begun.is_empty() {
                return Ok(made);
            }
            made += begun.len();
            for delivery in begun {
                delivery.await.ok();
            }
        }
    }

    /// Claims what is due and begins to deliver it.
    async fn begin_due_logouts(&self) -> Result<Vec<JoinHandle<()>>> {
        let store = &self.0.store;
        let mut begun = Vec::new();
        for notice in store.due_logouts(self.now(), (PER_CLIENT, BATCH)).await? {
            let Some(place) = self.0.deliveries.place(&notice.client) else { continue };
            if store.claim_logout(&notice, self.now() + CLAIM).await? != 1 {
                continue;
            }
            let claimed = LogoutNotice { attempts: notice.attempts + 1, ..notice };
            let service = self.clone();
            begun.push(tokio::spawn(async move {
                if let Err(error) = service.deliver_notice(&claimed).await {
                    // The claim runs out, and somebody tries again.
                    tracing::warn!(%error, client = %claimed.client, "a logout token was not delivered");
                }
                drop(place);
            }));
        }
        Ok(begun)
    }

    async fn deliver_notice(&self, notice: &LogoutNotice) -> Result<()> {
        let outcome = self.send_notice(notice).await?;
        let now = self.now();
        let retry = match &outcome {
            Ok(()) | Err(Undelivered::Gone | Undelivered::Forbidden) => None,
            Err(_) => notice.next_attempt(now),
        };
        if let (Err(fault), Some(due)) = (&outcome, retry) {
            tracing::info!(client = %notice.client, %fault, %due, "a logout token was not taken; will try again");
            self.0.store.postpone_logout(notice, due).await?;
            metrics::counter!(ATTEMPTS, "outcome" => "postponed").increment(1);
            return Ok(());
        }
        let kind = if outcome.is_ok() { EventKind::LogoutDelivered } else { EventKind::LogoutDeliveryFailed };
        let event = Event::new(kind, now, self.random().id(now)).by(Actor::System);
        let event = event.user(notice.user).session(notice.session).client(notice.client.clone());
        let event = event.detail("attempts", notice.attempts.to_string());
        let event = match &outcome {
            Ok(()) => event,
            Err(fault) => event.reason(fault.to_string()),
        };
        let mut tx = self.0.store.begin().await?;
        if tx.finish_logout(notice, now).await? == 1 {
            tx.record(&event).await?;
        }
        tx.commit().await?;
        let outcome = if outcome.is_ok() { "delivered" } else { "failed" };
        metrics::counter!(ATTEMPTS, "outcome" => outcome).increment(1);
        Ok(())
    }

    /// Signs and posts one token.
    async fn send_notice(&self, notice: &LogoutNotice) -> Result<std::result::Result<(), Undelivered>> {
        let Some(client) = self.client(notice.client.as_str()).await? else {
            return Ok(Err(Undelivered::Gone));
        };
        let Some(uri) = &client.logout.back_channel else { return Ok(Err(Undelivered::Gone)) };
        let now = self.now();
        let id = TokenId(self.random().id(now));
        let envelope = self.mint(&self.declared())?.logout_token(&client, notice, id, now)?;
        let Ok(token) = self.deliver(&client, envelope).await else { return Ok(Err(Undelivered::Keys)) };
        // The compact form has no character that a form would encode.
        let sent = self.0.outbound.post_form(uri, format!("logout_token={token}")).await;
        Ok(match sent.map(|status| status.as_u16()) {
            Ok(200 | 204) => Ok(()),
            Ok(status) => Err(Undelivered::Answered(status)),
            Err(OutboundFault::Url | OutboundFault::NotPublic) => Err(Undelivered::Forbidden),
            Err(fault) => Err(Undelivered::Sending(fault)),
        })
    }
}
