//! The writes of every request. Each is all or nothing, takes everything that belongs together in one
//! struct, and answers with the number of rows that its condition let through: 1, or 0 when another
//! request, on any node, was there first; then nothing at all was written.
//!
//! On PostgreSQL each is one statement, one round trip; on SQLite a short transaction. The statements of
//! both stand side by side in `sql::hot`.

use audit::Event;
use chrono::{DateTime, Utc};
use consent::ConsentUpsert;
use jose::Digest;
use mfa::{
    AttemptReservation, SignInBasis,
    session::{NewSession, SessionTouch},
};
use protocol::ClientId;
use sqlx::{Sqlite, query::Query};
use tokens::{
    grant::{AccessTokenRecord, CodeRecord, GrantRecord, RefreshRecord},
    interaction::InteractionRecord,
};

use crate::{
    Store, Tx,
    bind::{
        bind_access, bind_code, bind_consent, bind_event, bind_grant, bind_interaction, bind_refresh,
        bind_session,
    },
    engine::{change, change_alone, on_tx, on_writer, once, spanned, within},
    error::Result,
    row::Micros,
    sql::{self, grants, hot, interactions, people, sessions, tokens as token},
};

/// Effect: a code becomes tokens (RFC 6749 §4.1.3).
#[derive(Clone, Copy, Debug)]
pub struct Redemption<'a> {
    /// The digest of the code.
    pub code: &'a Digest,
    /// Whose it must be.
    pub client: &'a ClientId,
    /// The opaque access token; a JWT leaves none.
    pub access: Option<&'a AccessTokenRecord>,
    /// The first refresh token, if there is one.
    pub refresh: Option<&'a RefreshRecord>,
    /// What is told of it.
    pub event: &'a Event,
    /// Now.
    pub now: DateTime<Utc>,
}

/// Effect: a refresh token is replaced (BCP-08, F2-13).
#[derive(Clone, Copy, Debug)]
pub struct Rotation<'a> {
    /// The digest of the token that was presented.
    pub presented: &'a Digest,
    /// What replaces it.
    pub successor: &'a RefreshRecord,
    /// The opaque access token; a JWT leaves none.
    pub access: Option<&'a AccessTokenRecord>,
    /// What is told of it.
    pub event: &'a Event,
    /// Now.
    pub now: DateTime<Utc>,
}

/// Effect: a refresh token that stays is used.
#[derive(Clone, Copy, Debug)]
pub struct RefreshUse<'a> {
    /// The digest of the token.
    pub presented: &'a Digest,
    /// Its new idle end (BCP-09), never back and never beyond its absolute end; once a minute is enough.
    pub idle_expires_at: Option<DateTime<Utc>>,
    /// The opaque access token; a JWT leaves none.
    pub access: Option<&'a AccessTokenRecord>,
    /// What is told of it.
    pub event: &'a Event,
}

/// Effect: an authorization succeeds.
#[derive(Clone, Copy, Debug)]
pub struct CodeIssue<'a> {
    /// The interaction that it ends, as it was read.
    pub interaction: Option<&'a InteractionRecord>,
    /// An answer that is new, and what is told of it.
    pub consent: Option<(&'a ConsentUpsert, &'a Event)>,
    /// What is granted.
    pub grant: &'a GrantRecord,
    /// What stands for it.
    pub code: &'a CodeRecord,
    /// The digest of the pushed request that it answers, which is spent by it (PAR-03).
    pub pushed: Option<Digest>,
    /// What is told of it.
    pub event: &'a Event,
    /// Now.
    pub now: DateTime<Utc>,
}

/// Effect: somebody signed in, in a browser where they had no session.
#[derive(Clone, Copy, Debug)]
pub struct SessionStart<'a> {
    /// The session.
    pub session: &'a NewSession,
    /// When the password that was verified had been changed last, as it was read.
    pub password_changed_at: Option<DateTime<Utc>>,
    /// The sign-in and the start, in this order.
    pub events: [&'a Event; 2],
}

/// The parameters of a redemption or rotation but its last one.
macro_rules! bind_spending {
    ($sql:expr, $effect:expr, $refresh:expr, $digest:expr) => {{
        let query = bind_event!(sqlx::query($sql), Some($effect.event));
        let query = bind_refresh!(bind_access!(query, $effect.access), $refresh);
        query.bind(&$digest.as_bytes()[..]).bind($effect.now.us())
    }};
}

/// The parameters of an issue but those of a consent.
macro_rules! bind_issue {
    ($sql:expr, $issue:expr) => {{
        let query = bind_event!(sqlx::query($sql), Some($issue.event));
        bind_code!(bind_grant!(query, $issue.grant), $issue.code)
    }};
}

macro_rules! bind_use {
    ($sql:expr, $used:expr) => {{
        let query = bind_access!(bind_event!(sqlx::query($sql), Some($used.event)), $used.access);
        query.bind(&$used.presented.as_bytes()[..]).bind($used.idle_expires_at.us())
    }};
}

macro_rules! bind_start {
    ($sql:expr, $start:expr) => {{
        let [first, second] = $start.events;
        let query = bind_event!(bind_event!(sqlx::query($sql), Some(first)), Some(second));
        bind_session!(query, &$start.session.session).bind($start.password_changed_at.us())
    }};
}

impl Store {
    /// Spends a code and stores what it gave (RFC 6749 §4.1.2). One caller, on any node, gets the row;
    /// there is none either if the code is another client's or has expired.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn redeem_code(&self, redemption: &Redemption<'_>) -> Result<u64> {
        let Redemption { code, client, refresh, now, .. } = *redemption;
        if let Self::Postgres(_, lanes) = self {
            let query = bind_spending!(hot::postgres::REDEEM_CODE, redemption, refresh, code);
            let query = query.bind(client.as_str());
            return Ok(
                spanned!(self, redeem_code, { once!(lanes, db => query.execute(db).await) })?.rows_affected()
            );
        }
        let mut tx = self.begin().await?;
        let digest = &code.as_bytes()[..];
        let spent = change!(&mut tx, grants::REDEEM_CODE, digest, client.as_str(), now.us())?;
        if spent == 1 {
            let query = bind_spending!(hot::sqlite::AFTER_SPENDING, redemption, refresh, code);
            follow(tx, query).await?;
        }
        Ok(spent)
    }

    /// Spends a rotating refresh token and stores its successor (BCP-08). One caller, on any node, gets
    /// the row; there is none either if it has expired, idle or absolutely.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn rotate_refresh(&self, rotation: &Rotation<'_>) -> Result<u64> {
        let Rotation { presented, successor, now, .. } = *rotation;
        if let Self::Postgres(_, lanes) = self {
            let query = bind_spending!(hot::postgres::ROTATE_REFRESH, rotation, Some(successor), presented);
            return Ok(spanned!(self, rotate_refresh, { once!(lanes, db => query.execute(db).await) })?
                .rows_affected());
        }
        let mut tx = self.begin().await?;
        let spent = change!(&mut tx, token::ROTATE_REFRESH, &presented.as_bytes()[..], now.us())?;
        if spent == 1 {
            let query = bind_spending!(hot::sqlite::AFTER_SPENDING, rotation, Some(successor), presented);
            follow(tx, query).await?;
        }
        Ok(spent)
    }

    /// Stores the successor of a stable refresh token, which itself ends at `until` at the latest (F2-13).
    /// No row if it has expired.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn renew_refresh(&self, renewal: &Rotation<'_>, until: DateTime<Utc>) -> Result<u64> {
        let Rotation { presented, successor, now, .. } = *renewal;
        if let Self::Postgres(_, lanes) = self {
            let query = bind_spending!(hot::postgres::RENEW_REFRESH, renewal, Some(successor), presented);
            let query = query.bind(until.us());
            return Ok(spanned!(self, renew_refresh, { once!(lanes, db => query.execute(db).await) })?
                .rows_affected());
        }
        let mut tx = self.begin().await?;
        let digest = &presented.as_bytes()[..];
        let replaced = change!(&mut tx, token::RENEW_REFRESH, digest, now.us(), until.us())?;
        if replaced == 1 {
            let query = bind_spending!(hot::sqlite::AFTER_SPENDING, renewal, Some(successor), presented);
            follow(tx, query).await?;
        }
        Ok(replaced)
    }

    /// Stores what a refresh token that stays gave.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn use_refresh(&self, used: &RefreshUse<'_>) -> Result<()> {
        if let Self::Postgres(_, lanes) = self {
            let query = bind_use!(hot::postgres::USE_REFRESH, used);
            spanned!(self, use_refresh, { once!(lanes, db => query.execute(db).await) })?;
            return Ok(());
        }
        follow(self.begin().await?, bind_use!(hot::sqlite::USE_REFRESH, used)).await
    }

    /// Stores an opaque access token of no grant, and what is told of it.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn issue_access(&self, access: &AccessTokenRecord, event: &Event) -> Result<()> {
        if let Self::Postgres(_, lanes) = self {
            let query = bind_access!(
                bind_event!(sqlx::query(hot::postgres::ISSUE_ACCESS), Some(event)),
                Some(access)
            );
            spanned!(self, issue_access, { once!(lanes, db => query.execute(db).await) })?;
            return Ok(());
        }
        let query = bind_event!(sqlx::query(hot::sqlite::ISSUE_ACCESS), Some(event));
        follow(self.begin().await?, bind_access!(query, Some(access))).await
    }

    /// Stores a code with its grant, ends its interaction, spends its pushed request and records the
    /// consent above it, if that is new. No row if the session or the interaction was ended, the pushed
    /// request spent, or the consent answered or withdrawn, meanwhile.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn issue_code(&self, issue: &CodeIssue<'_>) -> Result<u64> {
        let version = match issue.consent {
            // Two statements on one consent, which PostgreSQL would run in no certain order.
            Some((ConsentUpsert::Create { supersedes: Some(_), .. }, _)) => {
                return self.issue_in_steps(issue).await;
            }
            Some((ConsentUpsert::Replace { expected_version, .. }, _)) => Some(*expected_version),
            _ => None,
        };
        let Self::Postgres(_, lanes) = self else { return self.issue_in_steps(issue).await };
        let statement = match (issue.consent, issue.interaction) {
            (Some(_), _) => hot::postgres::ISSUE_CODE_CONSENTING,
            (None, Some(_)) => hot::postgres::ISSUE_CODE_ENDING,
            (None, None) => hot::postgres::ISSUE_CODE,
        };
        let mut query =
            bind_issue!(statement, issue).bind(issue.pushed.as_ref().map(|digest| &digest.as_bytes()[..]));
        query = query.bind(issue.now.us());
        if issue.interaction.is_some() || issue.consent.is_some() {
            let ended = issue.interaction;
            query = query.bind(ended.map(|ended| ended.id.0)).bind(ended.map(|ended| ended.version));
        }
        if let Some((upsert, event)) = issue.consent {
            query = bind_event!(bind_consent!(query, upsert.record()), Some(event)).bind(version);
        }
        Ok(spanned!(self, issue_code, { once!(lanes, db => query.execute(db).await) })?.rows_affected())
    }

    async fn issue_in_steps(&self, issue: &CodeIssue<'_>) -> Result<u64> {
        let mut tx = self.begin().await?;
        if let Some(ended) = issue.interaction
            && tx.complete_interaction(ended.id, ended.version, issue.now).await? != 1
        {
            return Ok(0);
        }
        if let Some(pushed) = issue.pushed
            && tx.consume_pushed(&pushed, issue.now).await? != 1
        {
            return Ok(0);
        }
        if let Some((upsert, event)) = issue.consent {
            if tx.put_consent(upsert).await? != 1 {
                return Ok(0);
            }
            tx.record(event).await?;
        }
        match &mut tx {
            Tx::Postgres(open) => {
                // The pushed request was spent above.
                let query = bind_issue!(hot::postgres::ISSUE_CODE, issue);
                let query = query.bind(None::<&[u8]>).bind(issue.now.us());
                if within!(open, db => query.execute(db).await)?.rows_affected() != 1 {
                    return Ok(0);
                }
            }
            Tx::Sqlite(open) => {
                let (session, since) = (issue.grant.session.0, issue.grant.auth_time.us());
                let live = sqlx::query_scalar(sessions::IS_LIVE).bind(session).bind(since);
                if !within!(&mut *open, db => live.fetch_one(db).await)? {
                    return Ok(0);
                }
                within!(open, db => bind_issue!(hot::sqlite::ISSUE_CODE, issue).execute(db).await)?;
            }
        }
        tx.commit().await?;
        Ok(1)
    }

    /// Stores a session that begins with a password, and what is told of it. No row if the account was
    /// disabled, or the password changed, since it was verified (BCP-09).
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn start_session(&self, start: &SessionStart<'_>) -> Result<u64> {
        if let Self::Postgres(_, lanes) = self {
            let query = bind_start!(hot::postgres::START_SESSION, start);
            return Ok(spanned!(self, start_session, { once!(lanes, db => query.execute(db).await) })?
                .rows_affected());
        }
        let mut tx = self.begin().await?;
        let (user, changed_at) = (start.session.session.user, start.password_changed_at);
        let held = tx.hold_signing_in(&SignInBasis::Password { user, changed_at }).await?;
        if held == 1 {
            follow(tx, bind_start!(hot::sqlite::START_SESSION, start)).await?;
        }
        Ok(held)
    }

    /// Writes one event that tells of no other change.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn record(&self, event: &Event) -> Result<()> {
        on_writer!(self, db => bind_event!(sqlx::query(sql::audit::INSERT), Some(event)).execute(db).await.map(drop))
            .map_err(Into::into)
    }

    /// Stores an interaction that begins.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn begin_interaction(&self, interaction: &InteractionRecord) -> Result<()> {
        spanned!(self, interactions::INSERT, {
            on_writer!(self, db => {
                bind_interaction!(sqlx::query(interactions::INSERT), interaction).execute(db).await.map(drop)
            })
            .map_err(Into::into)
        })
    }

    /// Writes a session's time of last use, only ever forward.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn touch_session(&self, effect: &SessionTouch) -> Result<()> {
        change_alone!(self, sessions::TOUCH, effect.id.0, effect.at.us()).map(drop)
    }

    /// Counts an attempt before its secret is checked (SE-03). No row if another attempt on the
    /// account was counted since `before` was read.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn reserve_attempt(&self, effect: &AttemptReservation) -> Result<u64> {
        let account = &effect.account.as_bytes()[..];
        let AttemptReservation { before, after, .. } = *effect;
        let at = after.last_failure_at.us();
        match before.last_failure_at {
            None => change_alone!(self, people::FIRST_ATTEMPT, account, after.failures, at),
            Some(last) => {
                let last = last.us();
                change_alone!(self, people::NEXT_ATTEMPT, account, before.failures, last, after.failures, at)
            }
        }
    }

    /// Forgets the failures of an account, because the secret was right.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn forgive_attempts(&self, account: &Digest) -> Result<()> {
        change_alone!(self, people::FORGIVE, &account.as_bytes()[..]).map(drop)
    }
}

/// The rest of an SQLite transaction, as one text, and its end.
async fn follow(mut tx: Tx, query: Query<'_, Sqlite, sqlx::sqlite::SqliteArguments>) -> Result<()> {
    if let Tx::Sqlite(open) = &mut tx {
        within!(open, db => query.execute(db).await)?;
    }
    tx.commit().await
}
