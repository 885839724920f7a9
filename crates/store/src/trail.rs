//! The audit trail: written in the transaction that it tells of, or in batches where an event tells of
//! no other change; and never changed.

use std::net::IpAddr;

use audit::{Event, EventKind, Outcome};
use chrono::{DateTime, Utc};
use protocol::{ClientId, ConsentId, CorrelationId, GrantId, InteractionId, SessionId, UserId};
use serde_json::Value;
use sqlx::{Postgres, QueryBuilder, Sqlite, postgres::PgArguments, query::Query, types::Json};
use uuid::Uuid;

use crate::{
    Store, Tx,
    engine::{all, change, on_store, on_tx, once, scalar, spanned, within},
    error::Result,
    row::{Micros, Row},
    sql::audit as statement,
};

/// Rows per statement on SQLite, which lets a statement have 32766 parameters. Statements of full chunks
/// are alike, so they are prepared once.
const CHUNK: usize = 100;

/// Which events to read. What is absent is no condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// About this person.
    pub user: Option<UserId>,
    /// About this client.
    pub client: Option<ClientId>,
    /// Of this kind.
    pub kind: Option<EventKind>,
    /// At this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Before this time.
    pub until: Option<DateTime<Utc>>,
    /// That ended like this.
    pub outcome: Option<Outcome>,
    /// Of the request that has this name in logs.
    pub correlation: Option<CorrelationId>,
    /// Older than this event: the last of the previous page.
    pub before: Option<Uuid>,
}

/// Runs a statement whose first parameters are the conditions of a filter.
macro_rules! filtered {
    ($run:ident, $store:expr, $row:ty, $sql:expr, $filter:expr $(, $arg:expr)*) => {
        $run!(
            $store,
            $row,
            $sql,
            $filter.user.map(|user| user.0),
            $filter.client.as_ref().map(ClientId::as_str),
            $filter.kind.map(EventKind::as_str),
            $filter.since.us(),
            $filter.until.us(),
            $filter.outcome.map(Outcome::as_str),
            $filter.correlation.map(|correlation| correlation.0)
            $(, $arg)*
        )
    };
}

#[derive(sqlx::FromRow)]
struct EventRow {
    id: Uuid,
    at: DateTime<Utc>,
    kind: String,
    outcome: String,
    actor: String,
    user_id: Option<Uuid>,
    client_id: Option<String>,
    session_id: Option<Uuid>,
    grant_id: Option<Uuid>,
    consent_id: Option<Uuid>,
    interaction_id: Option<Uuid>,
    address: Option<String>,
    correlation_id: Option<Uuid>,
    reason: Option<String>,
    detail: Json<Value>,
}

impl EventRow {
    fn parse(self) -> Result<Event> {
        let row = Row::new("audit_events", &self.id);
        Ok(Event {
            id: self.id,
            at: self.at,
            kind: row.parse("kind", &self.kind)?,
            outcome: row.parse("outcome", &self.outcome)?,
            actor: row.parse("actor", &self.actor)?,
            user: self.user_id.map(UserId),
            client: self.client_id.map(|text| row.parse("client_id", &text)).transpose()?,
            session: self.session_id.map(SessionId),
            grant: self.grant_id.map(GrantId),
            consent: self.consent_id.map(ConsentId),
            interaction: self.interaction_id.map(InteractionId),
            address: self.address.map(|text| row.parse::<IpAddr>("address", &text)).transpose()?,
            correlation: self.correlation_id.map(CorrelationId),
            reason: self.reason,
            detail: row.document("detail", self.detail)?,
        })
    }
}

impl Store {
    /// At most `limit` events, newest first.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn audit_events(&self, filter: &AuditFilter, limit: u32) -> Result<Vec<Event>> {
        let limit = i64::from(limit);
        let rows = filtered!(all, self, EventRow, statement::SELECT, filter, filter.before, limit)?;
        rows.into_iter().map(EventRow::parse).collect()
    }

    /// At most `limit` events after the event `after`, oldest first. The filter's `before` does not
    /// count here.
    ///
    /// Events are ordered by their ids, which nodes make before they commit: one that comes from a
    /// slow transaction may turn up behind a later one.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn audit_events_after(
        &self,
        filter: &AuditFilter,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<Event>> {
        let rows = filtered!(all, self, EventRow, statement::FORWARD, filter, after, i64::from(limit))?;
        rows.into_iter().map(EventRow::parse).collect()
    }

    /// How many events there are, whatever the page.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn count_audit_events(&self, filter: &AuditFilter) -> Result<i64> {
        filtered!(scalar, self, i64, statement::COUNT, filter)
    }

    /// Writes events that tell of no other change: all of them or none, in one statement on PostgreSQL
    /// and one transaction on SQLite. An event that is there already stays as it is, so whoever did
    /// not hear the answer writes the same events again.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn record_all(&self, events: &[Event]) -> Result<()> {
        if let Self::Postgres(_, lanes) = self {
            spanned!(self, record_all, { once!(lanes, db => columns(events).execute(db).await.map(drop)) })?;
            return Ok(());
        }
        let mut tx = self.begin().await?;
        if let Tx::Sqlite(tx) = &mut tx {
            for chunk in events.chunks(CHUNK) {
                let full = chunk.len() == CHUNK;
                within!(&mut *tx, db => rows(chunk).build().persistent(full).execute(db).await)?;
            }
        }
        tx.commit().await
    }
}

/// The statement with an array for each column.
fn columns(events: &[Event]) -> Query<'_, Postgres, PgArguments> {
    fn column<'a, T>(events: &'a [Event], value: impl Fn(&'a Event) -> T) -> Vec<T> {
        events.iter().map(value).collect()
    }
    sqlx::query(statement::POSTGRES_INSERT_MANY)
        .bind(column(events, |event| event.id))
        .bind(column(events, |event| event.at.us()))
        .bind(column(events, |event| event.kind.as_str()))
        .bind(column(events, |event| event.outcome.as_str()))
        .bind(column(events, |event| event.actor.as_str()))
        .bind(column(events, |event| event.user.map(|user| user.0)))
        .bind(column(events, |event| event.client.as_ref().map(ClientId::as_str)))
        .bind(column(events, |event| event.session.map(|session| session.0)))
        .bind(column(events, |event| event.grant.map(|grant| grant.0)))
        .bind(column(events, |event| event.consent.map(|consent| consent.0)))
        .bind(column(events, |event| event.interaction.map(|interaction| interaction.0)))
        .bind(column(events, |event| event.address.map(|address| address.to_string())))
        .bind(column(events, |event| event.correlation.map(|correlation| correlation.0)))
        .bind(column(events, |event| event.reason.as_deref()))
        .bind(column(events, |event| Json(&event.detail)))
}

/// The statement with a row of values for each event.
fn rows(events: &[Event]) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new(statement::SQLITE_INSERT_MANY);
    query.push_values(events, |mut row, event| {
        row.push_bind(event.id)
            .push_bind(event.at.us())
            .push_bind(event.kind.as_str())
            .push_bind(event.outcome.as_str())
            .push_bind(event.actor.as_str())
            .push_bind(event.user.map(|user| user.0))
            .push_bind(event.client.as_ref().map(|client| client.as_str().to_owned()))
            .push_bind(event.session.map(|session| session.0))
            .push_bind(event.grant.map(|grant| grant.0))
            .push_bind(event.consent.map(|consent| consent.0))
            .push_bind(event.interaction.map(|interaction| interaction.0))
            .push_bind(event.address.map(|address| address.to_string()))
            .push_bind(event.correlation.map(|correlation| correlation.0))
            .push_bind(event.reason.clone())
            .push_bind(Json(event.detail.clone()));
    });
    query.push(statement::SQLITE_KEEP_OLD);
    query
}

impl Tx {
    /// Writes an event.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn record(&mut self, event: &Event) -> Result<()> {
        change!(
            self,
            statement::INSERT,
            event.id,
            event.at.us(),
            event.kind.as_str(),
            event.outcome.as_str(),
            event.actor.as_str(),
            event.user.map(|user| user.0),
            event.client.as_ref().map(ClientId::as_str),
            event.session.map(|session| session.0),
            event.grant.map(|grant| grant.0),
            event.consent.map(|consent| consent.0),
            event.interaction.map(|interaction| interaction.0),
            event.address.map(|address| address.to_string()),
            event.correlation.map(|correlation| correlation.0),
            event.reason.as_deref(),
            Json(&event.detail),
        )
        .map(drop)
    }
}
