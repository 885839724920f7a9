//! Browsers that an account has been signed in to before.
//!
//! The growing delay of an account ([`throttle`](crate::throttle)) would let a stranger lock a
//! customer out by failing on purpose. So a browser that has signed in to the account completely keeps
//! a mark of it, and failures from such a browser are counted apart from everybody else's: the
//! stranger slows down strangers, and the customer at home signs in at once.
//!
//! A mark proves itself by an HMAC, so nothing is stored. It covers what the account's factors were:
//! a new password or a new authenticator makes every mark worthless (whoever collected marks before
//! the second factor was set up must not have fresh attempts at it). A mark is given only for a
//! complete sign-in: were it given for the password alone, each sign-in would buy more attempts at
//! the second factor. It opens nothing by itself; who steals one gets one more count, which grows
//! slow like any other.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use jose::digest::{Digest, hmac_sha256};
use protocol::{UserId, secret::DeviceCookie};
use zeroize::Zeroizing;

use crate::{totp::TotpCredential, user::User};

/// A browser as one account knows it: random, and another for each account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeviceId([u8; ID]);

const ID: usize = 16;
const TAG: usize = 32;
/// Accounts that one browser remembers, such as those of a household; the one used longest ago goes
/// first.
const ACCOUNTS: usize = 4;

impl DeviceId {
    /// From fresh entropy.
    pub const fn from_entropy(entropy: [u8; ID]) -> Self {
        Self(entropy)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What a mark is bound to: the account and the state of its factors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceBinding {
    user: UserId,
    password_changed_at: Option<DateTime<Utc>>,
    authenticator_since: Option<DateTime<Utc>>,
}

impl DeviceBinding {
    /// Of an account as it is.
    pub fn new(user: &User, totp: Option<&TotpCredential>) -> Self {
        Self {
            user: user.id,
            password_changed_at: user.password_changed_at,
            authenticator_since: totp.and_then(|totp| totp.confirmed_at),
        }
    }

    /// Of nobody: no mark fits. An unknown name takes the same steps as a known one (SE-02).
    pub fn nobody() -> Self {
        Self { user: Self::nobody_id(), password_changed_at: None, authenticator_since: None }
    }

    /// An id that no account has.
    pub fn nobody_id() -> UserId {
        UserId(Default::default())
    }

    /// The same account after a change of its password.
    #[must_use]
    pub fn with_password_of(self, at: DateTime<Utc>) -> Self {
        Self { password_changed_at: Some(at), ..self }
    }

    /// The same account after its authenticator was confirmed.
    #[must_use]
    pub fn with_authenticator_of(self, at: DateTime<Utc>) -> Self {
        Self { authenticator_since: Some(at), ..self }
    }

    fn tag(&self, id: DeviceId, key: &[u8; 32]) -> Digest {
        let time = |at: Option<DateTime<Utc>>| at.map_or(i64::MIN, |at| at.timestamp_micros()).to_be_bytes();
        let (password, authenticator) = (time(self.password_changed_at), time(self.authenticator_since));
        hmac_sha256(key, &[b"device", self.user.0.as_bytes(), &password, &authenticator, &id.0])
    }
}

/// The keys under which marks are made: the first makes them, all of them are believed.
pub type DeviceKeys = [Zeroizing<[u8; 32]>];

/// The browser behind a cookie, if it has been signed in to the account as the account is now.
pub fn recognise(cookie: &DeviceCookie, account: &DeviceBinding, keys: &DeviceKeys) -> Option<DeviceId> {
    marks(cookie)
        .map(|(_, id, tag)| (id, tag))
        .find(|(id, tag)| proves(account, keys, *id, tag))
        .map(|(id, _)| id)
}

/// The cookie after a complete sign-in to the account. A browser that was known keeps its id, and so
/// its count.
pub fn remember(
    cookie: Option<&DeviceCookie>,
    account: &DeviceBinding,
    keys: &DeviceKeys,
    fresh: [u8; ID],
) -> Option<DeviceCookie> {
    let key = keys.first()?;
    let known = cookie.and_then(|cookie| recognise(cookie, account, keys));
    let id = known.unwrap_or(DeviceId(fresh));
    let bytes = [&id.0[..], account.tag(id, key).as_bytes()].concat();
    let own = URL_SAFE_NO_PAD.encode(bytes);
    let others = cookie.into_iter().flat_map(marks).filter(|(_, other, _)| *other != id);
    let texts: Vec<&str> =
        std::iter::once(own.as_str()).chain(others.map(|(text, ..)| text)).take(ACCOUNTS).collect();
    Some(DeviceCookie::new(texts.join(".")))
}

fn proves(account: &DeviceBinding, keys: &DeviceKeys, id: DeviceId, tag: &Digest) -> bool {
    // Digests compare in constant time.
    keys.iter().any(|key| account.tag(id, key) == *tag)
}

/// The marks that a cookie holds; what is none is left out.
fn marks(cookie: &DeviceCookie) -> impl Iterator<Item = (&str, DeviceId, Digest)> {
    cookie.expose().split('.').take(ACCOUNTS).filter_map(|text| {
        // Bounded before it is decoded: the text is anybody's.
        let bytes =
            (text.len() == (ID + TAG) * 4 / 3).then(|| URL_SAFE_NO_PAD.decode(text).ok()).flatten()?;
        let (id, tag) = bytes.split_first_chunk::<ID>()?;
        Some((text, DeviceId(*id), Digest::from_bytes(tag.try_into().ok()?)))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Zeroizing<[u8; 32]>> {
        bytes.iter().map(|byte| Zeroizing::new([*byte; 32])).collect()
    }

    fn account(user: u128) -> DeviceBinding {
        let at = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        DeviceBinding {
            user: UserId(uuid::Uuid::from_u128(user)),
            password_changed_at: Some(at),
            authenticator_since: None,
        }
    }

    fn remembered(cookie: Option<&DeviceCookie>, account: &DeviceBinding, fresh: u8) -> DeviceCookie {
        remember(cookie, account, &keys(&[1]), [fresh; ID]).unwrap()
    }

    #[test]
    fn a_browser_is_known_to_the_account_that_signed_in() {
        let cookie = remembered(None, &account(1), 7);
        assert_eq!(recognise(&cookie, &account(1), &keys(&[1])), Some(DeviceId([7; ID])));
        assert_eq!(recognise(&cookie, &account(2), &keys(&[1])), None);
        assert_eq!(recognise(&cookie, &DeviceBinding::nobody(), &keys(&[1])), None);
        assert_eq!(recognise(&cookie, &account(1), &keys(&[2])), None, "another key");
        assert_eq!(
            recognise(&cookie, &account(1), &keys(&[2, 1])),
            Some(DeviceId([7; ID])),
            "a previous key"
        );
    }

    #[test]
    fn new_factors_forget_every_browser() {
        let cookie = remembered(None, &account(1), 7);
        let later = DateTime::UNIX_EPOCH + TimeDelta::days(20_001);
        for changed in [account(1).with_password_of(later), account(1).with_authenticator_of(later)] {
            assert_eq!(recognise(&cookie, &changed, &keys(&[1])), None);
            let renewed = remembered(Some(&cookie), &changed, 8);
            assert_eq!(
                recognise(&renewed, &changed, &keys(&[1])),
                Some(DeviceId([8; ID])),
                "and so its count"
            );
        }
    }

    #[test]
    fn a_known_browser_keeps_its_count() {
        let cookie = remembered(None, &account(1), 7);
        let again = remembered(Some(&cookie), &account(1), 8);
        assert_eq!(again, cookie);
    }

    #[test]
    fn a_household_shares_a_browser() {
        let cookie = (1..=5).fold(None, |cookie, user| {
            Some(remembered(cookie.as_ref(), &account(user), u8::try_from(user).unwrap()))
        });
        let cookie = cookie.unwrap();
        let known = |user| recognise(&cookie, &account(user), &keys(&[1])).is_some();
        assert_eq!([1, 2, 3, 4, 5].map(known), [false, true, true, true, true]);
    }

    #[test]
    fn an_altered_mark_is_none() {
        let cookie = remembered(None, &account(1), 7);
        for position in 0..cookie.expose().len() {
            let mut text = cookie.expose().to_owned();
            let other = if text.as_bytes()[position] == b'A' { "B" } else { "A" };
            text.replace_range(position..=position, other);
            assert_eq!(recognise(&DeviceCookie::new(text), &account(1), &keys(&[1])), None);
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in ".{0,300}") {
            let cookie = DeviceCookie::new(text);
            prop_assert_eq!(recognise(&cookie, &account(1), &keys(&[1])), None);
            let renewed = remembered(Some(&cookie), &account(1), 7);
            prop_assert!(recognise(&renewed, &account(1), &keys(&[1])).is_some());
            prop_assert!(renewed.expose().len() < 300);
        }
    }
}
