//! Browsers that an account knows: who is counted apart from strangers, and what a browser keeps.

use mfa::{
    DeviceBinding, Guesser, TotpCredential, User, Username,
    device::{recognise, remember},
};
use protocol::secret::DeviceCookie;

use crate::{error::Result, random::Draw, service::Service, visitor::Cookies};

/// The account behind a typed name, or nobody, with what its marks are bound to.
pub(crate) struct Account {
    /// The person, if there is one of that name.
    pub(crate) user: Option<User>,
    pub(crate) binding: DeviceBinding,
    /// Whether a password alone completes a sign-in.
    pub(crate) password_suffices: bool,
}

impl Service {
    /// Reads the account of a name with what its marks are bound to. For nobody it reads as much
    /// (SE-02).
    pub(crate) async fn account(&self, name: Option<&Username>) -> Result<Account> {
        let found = match name {
            Some(name) => self.0.store.account(name).await?,
            None => None,
        };
        let (user, totp) = found.map_or((None, None), |found| (Some(found.user), found.totp));
        let binding = match &user {
            Some(user) => DeviceBinding::new(user, totp.as_ref()),
            None => DeviceBinding::nobody(),
        };
        let enrolled = totp.as_ref().is_some_and(TotpCredential::is_enrolled);
        Ok(Account { user, binding, password_suffices: !enrolled })
    }

    /// Whose count an attempt from this browser goes to.
    pub(crate) fn guesser(&self, cookies: &Cookies, binding: &DeviceBinding) -> Guesser {
        let known =
            cookies.device.as_ref().and_then(|cookie| recognise(cookie, binding, &self.0.device_keys));
        known.map_or(Guesser::Stranger, Guesser::Device)
    }

    /// What the browser keeps after a complete sign-in.
    pub(crate) fn remember_device(&self, cookies: &Cookies, binding: &DeviceBinding) -> Option<DeviceCookie> {
        remember(cookies.device.as_ref(), binding, &self.0.device_keys, self.random().bytes())
    }
}
