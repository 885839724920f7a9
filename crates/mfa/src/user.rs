//! The account of a bank customer.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use protocol::{UserId, claims::StandardClaims};
use serde::{Deserialize, Serialize};

use crate::{password::PasswordHash, policy::SecondFactorPolicy};

/// A user name in the one form in which it is stored and looked up: trimmed, lower-case, at most
/// 255 bytes, without control characters or inner white space.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Username(String);

/// Why a text is no user name. Whoever types one at login is treated like one who types an unknown
/// name (SE-02).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsernameFault {
    /// Nothing but white space.
    #[error("a user name cannot be empty")]
    Empty,
    /// Over 255 bytes.
    #[error("a user name has at most 255 bytes")]
    TooLong,
    /// White space or control characters inside.
    #[error("a user name has no white space and no control characters")]
    ForbiddenCharacter,
}

impl Username {
    /// The normalized name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Username {
    type Err = UsernameFault;
    fn from_str(text: &str) -> Result<Self, UsernameFault> {
        let text = text.trim();
        // Lower-casing may lengthen a text, so both forms are measured.
        if text.len() > 255 {
            return Err(UsernameFault::TooLong);
        }
        let name = text.to_lowercase();
        if name.is_empty() {
            return Err(UsernameFault::Empty);
        }
        if name.len() > 255 {
            return Err(UsernameFault::TooLong);
        }
        if name.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return Err(UsernameFault::ForbiddenCharacter);
        }
        Ok(Self(name))
    }
}

impl TryFrom<String> for Username {
    type Error = UsernameFault;
    fn try_from(text: String) -> Result<Self, UsernameFault> {
        text.parse()
    }
}

impl From<Username> for String {
    fn from(name: Username) -> Self {
        name.0
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A bank customer's account.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// Its id, the public `sub`; never reassigned (OC-02).
    pub id: UserId,
    /// The name that the person types.
    pub username: Username,
    /// The stored password; without one nobody signs in by password.
    pub password: Option<PasswordHash>,
    /// What is known about the person (OC-31).
    pub claims: StandardClaims,
    /// The names of the roles that the person holds in the bank.
    pub roles: Vec<String>,
    /// A second-factor policy of this account's own, in place of the bank's.
    pub second_factor: Option<SecondFactorPolicy>,
    /// When the account was made.
    pub created_at: DateTime<Utc>,
    /// When the password was last changed.
    pub password_changed_at: Option<DateTime<Utc>>,
    /// When it was disabled; a disabled account is treated like an unknown one (SE-02).
    pub disabled_at: Option<DateTime<Utc>>,
}

/// Shows which account it is, and nothing about the person (BCP-17).
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("id", &self.id).finish_non_exhaustive()
    }
}

impl User {
    /// Whether the account may be used at all.
    pub const fn is_enabled(&self) -> bool {
        self.disabled_at.is_none()
    }

    /// What a password of this person may not be made of.
    pub fn password_inputs(&self) -> Vec<&str> {
        let claims = &self.claims;
        let optional = [
            &claims.name,
            &claims.given_name,
            &claims.family_name,
            &claims.nickname,
            &claims.email,
            &claims.phone_number,
            &claims.birthdate,
        ];
        std::iter::once(self.username.as_str())
            .chain(optional.into_iter().flatten().map(String::as_str))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(" Alice ", Ok("alice"))]
    #[case("ALICE@Example.COM", Ok("alice@example.com"))]
    #[case("Zoë", Ok("zoë"))]
    #[case("  ", Err(UsernameFault::Empty))]
    #[case("a b", Err(UsernameFault::ForbiddenCharacter))]
    #[case("a\u{0}b", Err(UsernameFault::ForbiddenCharacter))]
    fn se_02_one_form_of_a_name(#[case] typed: &str, #[case] expected: Result<&str, UsernameFault>) {
        assert_eq!(
            typed.parse::<Username>().as_ref().map(Username::as_str).map_err(|fault| *fault),
            expected
        );
    }

    #[test]
    fn long_names_are_refused() {
        assert!("x".repeat(255).parse::<Username>().is_ok());
        assert_eq!("x".repeat(256).parse::<Username>(), Err(UsernameFault::TooLong));
        // U+0130 grows from two bytes to three when it is lower-cased.
        assert_eq!("\u{130}".repeat(127).parse::<Username>(), Err(UsernameFault::TooLong));
    }

    proptest! {
        #[test]
        fn normalization_is_idempotent(typed in any::<String>()) {
            if let Ok(name) = typed.parse::<Username>() {
                prop_assert!(name.as_str().len() <= 255);
                let again = name.as_str().parse::<Username>();
                prop_assert_eq!(again, Ok(name));
            }
        }
    }
}
