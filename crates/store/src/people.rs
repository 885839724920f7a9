//! Users, their passwords and second factors, and the count of attempts on them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use consent::BankAccount;
use jose::Digest;
use mfa::{
    Attempts, PasswordChange, PasswordHash, RecoveryCodeUse, Rehash, SignInBasis, TotpAcceptance,
    TotpConfirmation, TotpCredential, TotpReset, User, Username, recovery::RecoveryCodeReplacement,
};
use protocol::UserId;
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{
    Store, Tx,
    engine::{all, change, on_store, on_tx, optional, returning, scalar},
    error::Result,
    row::{Micros, Row, joined},
    sql::people as statement,
};

#[derive(sqlx::FromRow)]
pub(crate) struct UserRow {
    id: Uuid,
    username: String,
    password: Option<String>,
    claims: Json<Value>,
    roles: Json<Value>,
    second_factor: Option<String>,
    created_at: DateTime<Utc>,
    password_changed_at: Option<DateTime<Utc>>,
    disabled_at: Option<DateTime<Utc>>,
}

joined!(UserRow, "u_", "u_id", {
    id,
    username,
    password,
    claims,
    roles,
    second_factor,
    created_at,
    password_changed_at,
    disabled_at,
});

impl UserRow {
    pub(crate) fn parse(self) -> Result<User> {
        let row = Row::new("users", &self.id);
        let password = self.password.map(PasswordHash::from_phc).transpose();
        Ok(User {
            id: UserId(self.id),
            username: row.parse("username", &self.username)?,
            password: password.map_err(|fault| row.corrupt("password", fault))?,
            claims: row.document("claims", self.claims)?,
            roles: row.document("roles", self.roles)?,
            second_factor: self.second_factor.map(|text| row.parse("second_factor", &text)).transpose()?,
            created_at: self.created_at,
            password_changed_at: self.password_changed_at,
            disabled_at: self.disabled_at,
        })
    }
}

#[derive(sqlx::FromRow)]
pub(crate) struct TotpRow {
    user_id: Uuid,
    sealed_seed: Vec<u8>,
    last_step: i64,
    confirmed_at: DateTime<Utc>,
}

joined!(TotpRow, "t_", "t_user_id", {
    user_id,
    sealed_seed,
    last_step,
    confirmed_at,
});

impl TotpRow {
    pub(crate) fn read(self) -> TotpCredential {
        TotpCredential {
            user: UserId(self.user_id),
            sealed_seed: self.sealed_seed,
            last_step: self.last_step,
            confirmed_at: Some(self.confirmed_at),
        }
    }
}

impl Store {
    /// A user, even if disabled.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn user(&self, id: UserId) -> Result<Option<User>> {
        optional!(self, UserRow, statement::BY_ID, id.0)?.map(UserRow::parse).transpose()
    }

    /// The user of that name, even if disabled.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn user_by_name(&self, name: &Username) -> Result<Option<User>> {
        optional!(self, UserRow, statement::BY_NAME, name.as_str())?.map(UserRow::parse).transpose()
    }

    /// Every user, by name. For declared resources; not for large banks' pages.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn users(&self) -> Result<Vec<User>> {
        all!(self, UserRow, statement::ALL_USERS)?.into_iter().map(UserRow::parse).collect()
    }

    /// The accounts among which a person may choose, as they were declared.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn accounts_of(&self, user: UserId) -> Result<Vec<BankAccount>> {
        let row = optional!(self, (Option<Json<Value>>,), statement::ACCOUNTS, user.0)?;
        Row::new("users", &user).maybe("accounts", row.and_then(|(accounts,)| accounts))
    }

    /// The same of everybody who has any. For declared resources; not for large banks' pages.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn everybodys_accounts(&self) -> Result<BTreeMap<UserId, Vec<BankAccount>>> {
        let rows = all!(self, (Uuid, Option<Json<Value>>), statement::EVERYBODYS_ACCOUNTS)?;
        let one = |(id, accounts)| Ok((UserId(id), Row::new("users", &id).maybe("accounts", accounts)?));
        rows.into_iter().map(one).collect()
    }

    /// The authenticator of a user, confirmed or not.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn totp(&self, user: UserId) -> Result<Option<TotpCredential>> {
        Ok(optional!(self, TotpRow, statement::TOTP, user.0)?.map(TotpRow::read))
    }

    /// How many unused recovery codes a user has.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn recovery_codes_left(&self, user: UserId) -> Result<i64> {
        scalar!(self, i64, statement::RECOVERY_CODES_LEFT, user.0)
    }

    /// The failures in a row under a key from [`account_key`](mfa::throttle::account_key).
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn attempts(&self, account: &Digest) -> Result<Attempts> {
        let row = optional!(self, (i64, DateTime<Utc>), statement::ATTEMPTS, &account.as_bytes()[..])?;
        Ok(row.map_or_else(Attempts::default, |(failures, last)| Attempts {
            failures,
            last_failure_at: Some(last),
        }))
    }
}

impl Tx {
    /// The user of that name, even if disabled; read in a transaction that holds
    /// [`Lock::Declarations`](crate::Lock) and is going to change them.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn user_by_name(&mut self, name: &Username) -> Result<Option<User>> {
        let rows = returning!(self, UserRow, statement::BY_NAME, name.as_str())?;
        rows.into_iter().next().map(UserRow::parse).transpose()
    }

    /// A user who is not disabled, as they are now and until the end of the transaction: whoever is going
    /// to write what depends on what they were loses nobody else's change.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn hold_user(&mut self, user: UserId) -> Result<Option<User>> {
        let rows = returning!(self, UserRow, statement::HOLD, user.0)?;
        rows.into_iter().next().map(UserRow::parse).transpose()
    }

    /// The same for somebody who signs in. No row if the account was disabled, or the password changed,
    /// since it was verified (BCP-09).
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn hold_signing_in(&mut self, basis: &SignInBasis) -> Result<u64> {
        let (user, changed_at, any_password) = match *basis {
            SignInBasis::Password { user, changed_at } => (user, changed_at, false),
            SignInBasis::Upstream { user } => (user, None, true),
        };
        change!(self, statement::HOLD_SIGNING_IN, user.0, changed_at.us(), any_password)
    }

    /// Inserts a user, or writes what is declared about one again: name, claims, roles, policy,
    /// whether disabled. The password is written with a new user only; of another one it is changed by
    /// [`change_password`](Self::change_password).
    ///
    /// # Errors
    /// [`StoreError::Conflict`](crate::StoreError::Conflict) if another user has the name.
    pub async fn put_user(&mut self, user: &User) -> Result<()> {
        change!(
            self,
            statement::PUT,
            user.id.0,
            user.username.as_str(),
            user.password.as_ref().map(PasswordHash::expose),
            Json(&user.claims),
            Json(&user.roles),
            user.second_factor.map(|policy| policy.as_str()),
            user.created_at.us(),
            user.password_changed_at.us(),
            user.disabled_at.us(),
        )
        .map(drop)
    }

    /// Writes the accounts among which a person may choose.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn put_accounts(&mut self, user: UserId, accounts: &[BankAccount]) -> Result<u64> {
        change!(self, statement::PUT_ACCOUNTS, user.0, (!accounts.is_empty()).then_some(Json(accounts)))
    }

    /// Writes a new password, ends the person's other sessions and revokes their grants (BCP-09).
    /// Gives 1, or 0 if there is no such user.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn change_password(&mut self, effect: &PasswordChange) -> Result<u64> {
        let rows =
            change!(self, statement::SET_PASSWORD, effect.user.0, effect.hash.expose(), effect.at.us())?;
        self.end_sessions_of(effect.user, effect.keep_session, effect.at).await?;
        self.revoke_grants_of(effect.user, effect.at).await?;
        Ok(rows)
    }

    /// Stores the same password under stronger parameters. No row if it was changed meanwhile.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn rehash_password(&mut self, effect: &Rehash) -> Result<u64> {
        change!(self, statement::REHASH, effect.user.0, effect.before.expose(), effect.hash.expose())
    }

    /// Disables a user, ends all sessions and revokes all grants. No row if it was disabled before.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn disable_user(&mut self, user: UserId, at: DateTime<Utc>) -> Result<u64> {
        let rows = change!(self, statement::DISABLE, user.0, at.us())?;
        self.end_sessions_of(user, None, at).await?;
        self.revoke_grants_of(user, at).await?;
        Ok(rows)
    }

    /// Sets up an authenticator that proved itself by its first code. `replaces` is when the one that
    /// it takes the place of was set up, as it was read; without, there must be none. One caller gets
    /// the row.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn enrol_totp(
        &mut self,
        effect: &TotpConfirmation,
        sealed_seed: &[u8],
        replaces: Option<DateTime<Utc>>,
    ) -> Result<u64> {
        let at = effect.at.us();
        change!(self, statement::ENROL_TOTP, effect.user.0, sealed_seed, effect.step, at, replaces.us())
    }

    /// Moves the last accepted step forward (RFC 6238 §5.2). One caller per code gets the row.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn accept_totp(&mut self, effect: &TotpAcceptance) -> Result<u64> {
        change!(self, statement::ACCEPT_TOTP, effect.user.0, effect.step)
    }

    /// Removes authenticator and recovery codes and ends the person's other sessions. Gives the
    /// number of authenticators that were there.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn reset_totp(&mut self, effect: &TotpReset) -> Result<u64> {
        let rows = change!(self, statement::REMOVE_TOTP, effect.user.0)?;
        change!(self, statement::REMOVE_RECOVERY_CODES, effect.user.0)?;
        self.end_sessions_of(effect.user, effect.keep_session, effect.at).await?;
        Ok(rows)
    }

    /// Replaces whatever recovery codes a user has.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn replace_recovery_codes(&mut self, effect: &RecoveryCodeReplacement) -> Result<()> {
        change!(self, statement::REMOVE_RECOVERY_CODES, effect.user.0)?;
        for digest in &effect.digests {
            let at = effect.at.us();
            change!(self, statement::INSERT_RECOVERY_CODE, effect.user.0, &digest.as_bytes()[..], at)?;
        }
        Ok(())
    }

    /// Spends a recovery code. One caller gets the row; none if it is unknown or spent.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn use_recovery_code(&mut self, effect: &RecoveryCodeUse) -> Result<u64> {
        let digest = &effect.digest.as_bytes()[..];
        change!(self, statement::USE_RECOVERY_CODE, effect.user.0, digest, effect.at.us())
    }

    /// Forgets the failures of an account, because the secret was right.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn forgive_attempts(&mut self, account: &Digest) -> Result<()> {
        change!(self, statement::FORGIVE, &account.as_bytes()[..]).map(drop)
    }
}
