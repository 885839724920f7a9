//! Users: made, given a password, freed of a lost second factor, disabled, signed out.

use audit::EventKind;
use consent::Role;
use mfa::{
    AttemptKind, PasswordChange, PasswordHash, SecondFactorPolicy, TotpReset, User, Username, acceptable,
    session::SessionEnd, throttle::account_key,
};
use protocol::{SessionId, UserId, claims::StandardClaims, secret::Password};
use store::Store;

use super::{Operate, OperateFault, Operated, not_found, or_refuse};
use crate::{
    error::{FlowError, Result},
    random::Draw,
};

const USER: &str = "user";

/// What an operator says about a new user.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The name that the person types.
    pub username: Username,
    /// The first password; without one nobody signs in by password.
    pub password: Option<Password>,
    /// What is known about the person.
    pub claims: StandardClaims,
    /// The roles that the person holds.
    pub roles: Vec<Role>,
    /// A second-factor policy of the account's own.
    pub second_factor: Option<SecondFactorPolicy>,
}

/// What became of a second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResetFactor {
    /// Whether there was an authenticator, confirmed or not.
    pub had_authenticator: bool,
    /// Sessions that ended.
    pub sessions: u64,
}

/// A user by name or by id, even if disabled.
///
/// # Errors
/// [`FlowError`].
pub async fn find_user(store: &Store, name_or_id: &str) -> Result<Option<User>> {
    if let Ok(id) = name_or_id.parse::<UserId>() {
        return Ok(store.user(id).await?);
    }
    let Ok(name) = name_or_id.parse::<Username>() else { return Ok(None) };
    Ok(store.user_by_name(&name).await?)
}

/// A password to give out: a hundred bits in five groups that can be read aloud. No letter looks like
/// a digit.
pub fn readable_password(entropy: [u8; 20]) -> Password {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut text = String::with_capacity(24);
    for (at, byte) in entropy.into_iter().enumerate() {
        if at > 0 && at % 4 == 0 {
            text.push('-');
        }
        text.push(char::from(ALPHABET[usize::from(byte % 32)]));
    }
    Password::new(text)
}

impl Operate<'_> {
    /// A fresh password to give out.
    pub fn new_password(&self) -> Password {
        readable_password(self.service.random().bytes())
    }

    /// Makes a user.
    ///
    /// # Errors
    /// [`FlowError`].
    pub async fn create_user(&self, new: NewUser) -> Operated<User> {
        let now = self.service.now();
        let mut user = User {
            id: UserId(self.service.random().id(now)),
            username: new.username,
            password: None,
            claims: new.claims,
            roles: new.roles.iter().map(ToString::to_string).collect(),
            second_factor: new.second_factor,
            created_at: now,
            password_changed_at: None,
            disabled_at: None,
        };
        if let Some(password) = new.password {
            user.password = Some(or_refuse!(self.hashed(password, &user).await?));
        }
        let mut tx = self.alone().await?;
        let declared = tx.roles().await?;
        let unknown = new.roles.iter().filter(|role| !declared.iter().any(|known| known.name == **role));
        let faults: Vec<String> = unknown.map(|role| format!("roles: {role} is not declared")).collect();
        if !faults.is_empty() {
            return Ok(Err(OperateFault::Rules(faults)));
        }
        if tx.insert_user(&user).await? == 0 {
            return Ok(Err(OperateFault::Exists { what: USER, name: user.username.to_string() }));
        }
        tx.record(&self.event(EventKind::UserCreated, now).user(user.id)).await?;
        tx.commit().await?;
        Ok(Ok(user))
    }

    /// Gives a user another password. Every session and every grant of theirs ends (BCP-09), and
    /// failed attempts are forgotten.
    ///
    /// # Errors
    /// [`FlowError`].
    pub async fn set_password(&self, name_or_id: &str, password: Password) -> Operated<User> {
        let user = or_refuse!(self.user(name_or_id).await?);
        let hash = or_refuse!(self.hashed(password, &user).await?);
        let now = self.service.now();
        let change = PasswordChange { user: user.id, hash, at: now, keep_session: None };
        let mut tx = self.service.store().begin().await?;
        tx.change_password(&change).await?;
        tx.forgive_attempts(&account_key(&user.username, AttemptKind::Password)).await?;
        tx.record(&self.event(EventKind::PasswordChanged, now).user(user.id)).await?;
        tx.commit().await?;
        Ok(Ok(user))
    }

    /// Removes a user's authenticator and recovery codes, so that they enrol anew at the next
    /// sign-in. Every session ends, and failed attempts are forgotten.
    ///
    /// # Errors
    /// [`FlowError`].
    pub async fn reset_second_factor(&self, name_or_id: &str) -> Operated<ResetFactor> {
        let user = or_refuse!(self.user(name_or_id).await?);
        let now = self.service.now();
        let mut tx = self.service.store().begin().await?;
        // Counted here; the reset ends them too.
        let sessions = tx.end_sessions_of(user.id, None, now).await?;
        let reset = TotpReset { user: user.id, at: now, keep_session: None };
        let had_authenticator = tx.reset_totp(&reset).await? > 0;
        tx.forgive_attempts(&account_key(&user.username, AttemptKind::SecondFactor)).await?;
        tx.record(&self.event(EventKind::SecondFactorReset, now).user(user.id)).await?;
        tx.commit().await?;
        Ok(Ok(ResetFactor { had_authenticator, sessions }))
    }

    /// Disables a user: every session and grant ends, and the account is treated like an unknown one
    /// (SE-02). Gives whether it was enabled.
    ///
    /// # Errors
    /// [`FlowError`].
    pub async fn disable_user(&self, name_or_id: &str) -> Operated<bool> {
        let user = or_refuse!(self.user(name_or_id).await?);
        let now = self.service.now();
        let mut tx = self.service.store().begin().await?;
        let changed = tx.disable_user(user.id, now).await? == 1;
        if changed {
            tx.record(&self.event(EventKind::UserDisabled, now).user(user.id)).await?;
        }
        tx.commit().await?;
        Ok(Ok(changed))
    }

    /// Lets a disabled user sign in again; what ended stays ended. Gives whether it was disabled.
    ///
    /// # Errors
    /// [`FlowError`].
    pub async fn enable_user(&self, name_or_id: &str) -> Operated<bool> {
        let user = or_refuse!(self.user(name_or_id).await?);
        let now = self.service.now();
        let mut tx = self.service.store().begin().await?;
        let changed = tx.enable_user(user.id).await? == 1;
        if changed {
            tx.record(&self.event(EventKind::UserEnabled, now).user(user.id)).await?;
        }
        tx.commit().await?;
        Ok(Ok(changed))
    }

    /// Ends one session of a user, or all. Grants that are bound to a session end with it (BL-04).
    /// Gives how many ended.
    ///
    /// # Errors
    /// [`FlowError`].
    pub async fn end_sessions(&self, name_or_id: &str, only: Option<SessionId>) -> Operated<u64> {
        let user = or_refuse!(self.user(name_or_id).await?);
        let now = self.service.now();
        let event =
            || self.event(EventKind::SessionEnded, now).user(user.id).session(only).reason("by_operator");
        let mut tx = self.service.store().begin().await?;
        let ended = match only {
            Some(id) => tx.end_session(&SessionEnd { id, user: user.id, at: now }).await?,
            None => tx.end_sessions_of(user.id, None, now).await?,
        };
        match (ended, only) {
            (0, Some(id)) => return Ok(Err(not_found("live session", id))),
            (0, None) => {}
            _ => tx.record(&event().detail("ended", ended.to_string())).await?,
        }
        tx.commit().await?;
        Ok(Ok(ended))
    }

    async fn user(&self, name_or_id: &str) -> Operated<User> {
        Ok(find_user(self.service.store(), name_or_id).await?.ok_or_else(|| not_found(USER, name_or_id)))
    }

    /// The hash of a password that is good enough for the person.
    async fn hashed(&self, password: Password, user: &User) -> Operated<PasswordHash> {
        or_refuse!(acceptable(&password, &user.password_inputs()).map_err(OperateFault::Weak));
        let salt = self.service.random().bytes();
        let hash = self.service.0.passwords.hash(password, salt).await?;
        let hash = hash.ok_or(FlowError::Contradiction("an acceptable password of impossible length"))?;
        Ok(Ok(hash))
    }
}
