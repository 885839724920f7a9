//! What a request must know about the person at the browser before anything is decided, in one read.

use consent::ConsentRecord;
use jose::Digest;
use mfa::{Session, TotpCredential, User, Username};
use protocol::{ClientId, InteractionId};
use sqlx::FromRow;
use tokens::{interaction::InteractionRecord, pushed::PushedRecord};

use crate::{
    Store,
    consents::ConsentRow,
    engine::on_store,
    error::Result,
    interactions::InteractionRow,
    people::{TotpRow, UserRow},
    pushed::PushedRow,
    row::Joined,
    sessions::SessionRow,
    sql::facts as statement,
};

/// A session with its person.
#[derive(Clone, Debug)]
pub struct Visit {
    /// The session, live or not.
    pub session: Session,
    /// The person, even if disabled.
    pub user: User,
    /// Their authenticator.
    pub totp: Option<TotpCredential>,
    /// Their consent for the client that asks, if it is not withdrawn, else the last that was.
    pub consent: Option<ConsentRecord>,
}

/// A person with what a sign-in needs to know of them.
#[derive(Clone, Debug)]
pub struct Account {
    /// The person, even if disabled.
    pub user: User,
    /// Their authenticator.
    pub totp: Option<TotpCredential>,
}

/// The rows of a visit; without a session there is none.
type VisitRows = (Option<SessionRow>, Option<UserRow>, Option<TotpRow>, Option<ConsentRow>);

fn rows<R>(row: &R) -> sqlx::Result<VisitRows>
where
    SessionRow: Joined<R>,
    UserRow: Joined<R>,
    TotpRow: Joined<R>,
    ConsentRow: Joined<R>,
{
    let (session, user) = (SessionRow::joined(row)?, UserRow::joined(row)?);
    Ok((session, user, TotpRow::joined(row)?, ConsentRow::joined(row)?))
}

fn visit((session, user, totp, consent): VisitRows) -> Result<Option<Visit>> {
    let (Some(session), Some(user)) = (session, user) else { return Ok(None) };
    Ok(Some(Visit {
        session: session.parse()?,
        user: user.parse()?,
        totp: totp.map(TotpRow::read),
        consent: consent.map(ConsentRow::parse).transpose()?,
    }))
}

impl Store {
    /// Who sits behind a session cookie, and their consent for `client`.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn visit(&self, session: &Digest, client: Option<&ClientId>) -> Result<Option<Visit>> {
        let found = on_store!(self, db => {
            let query = sqlx::query(statement::VISIT).bind(&session.as_bytes()[..]);
            let row = query.bind(client.map(ClientId::as_str)).fetch_optional(db).await;
            row.and_then(|row| row.map(|row| rows(&row)).transpose())
        })?;
        Ok(found.map(visit).transpose()?.flatten())
    }

    /// An interaction, open or not; and who sits behind the session cookie, with their consent for the
    /// client that asks.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn interaction_with_visit(
        &self,
        id: InteractionId,
        session: Option<&Digest>,
    ) -> Result<Option<(InteractionRecord, Option<Visit>)>> {
        let found = on_store!(self, db => {
            let query = sqlx::query(statement::INTERACTION).bind(id.0);
            let row = query.bind(session.map(|digest| &digest.as_bytes()[..])).fetch_optional(db).await;
            row.and_then(|row| row.map(|row| Ok((InteractionRow::joined(&row)?, rows(&row)?))).transpose())
        })?;
        let Some((Some(interaction), rows)) = found else { return Ok(None) };
        Ok(Some((interaction.parse()?, visit(rows)?)))
    }

    /// A pushed request, usable or not; and who sits behind the session cookie, with their consent for the
    /// client that pushed it.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn pushed_with_visit(
        &self,
        digest: &Digest,
        session: Option<&Digest>,
    ) -> Result<Option<(PushedRecord, Option<Visit>)>> {
        let found = on_store!(self, db => {
            let query = sqlx::query(statement::PUSHED).bind(&digest.as_bytes()[..]);
            let row = query.bind(session.map(|digest| &digest.as_bytes()[..])).fetch_optional(db).await;
            row.and_then(|row| row.map(|row| Ok((PushedRow::from_row(&row)?, rows(&row)?))).transpose())
        })?;
        let Some((pushed, rows)) = found else { return Ok(None) };
        Ok(Some((pushed.parse()?, visit(rows)?)))
    }

    /// The account of a name.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn account(&self, name: &Username) -> Result<Option<Account>> {
        let found = on_store!(self, db => {
            let row = sqlx::query(statement::ACCOUNT).bind(name.as_str()).fetch_optional(db).await;
            row.and_then(|row| row.map(|row| Ok((UserRow::joined(&row)?, TotpRow::joined(&row)?))).transpose())
        })?;
        let Some((Some(user), totp)) = found else { return Ok(None) };
        Ok(Some(Account { user: user.parse()?, totp: totp.map(TotpRow::read) }))
    }
}
