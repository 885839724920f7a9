//! Subjects: how a person is called towards a client (OpenID Connect Core §8).
//!
//! A public subject is the person's identifier. A pairwise one is an HMAC over the client's sector and
//! that identifier, under a secret of this server: the same for all clients of a sector, another one in
//! each other sector, and nobody without the secret can tell which belong together (OC-21). It is
//! computed, never stored, so it costs no read and survives whatever happens to clients.

use std::fmt;

use jose::digest::hmac_sha256;
use protocol::UserId;
use zeroize::Zeroizing;

use crate::client::{Client, SubjectType};

/// Keeps pairwise subjects apart from whatever else may ever be computed with the secret.
const PURPOSE: &[u8] = b"chancery pairwise subject";

/// The secret that pairwise subjects are computed with. Made once for a deployment; with another secret
/// every person would be a stranger to every pairwise client.
#[derive(Clone)]
pub struct SubjectKey(Zeroizing<Vec<u8>>);

impl SubjectKey {
    /// Takes the secret.
    pub const fn new(secret: Zeroizing<Vec<u8>>) -> Self {
        Self(secret)
    }

    /// A secret for tests.
    #[cfg(test)]
    pub(crate) fn for_tests() -> &'static Self {
        static KEY: std::sync::OnceLock<SubjectKey> = std::sync::OnceLock::new();
        KEY.get_or_init(|| Self::new(Zeroizing::new(vec![9; 32])))
    }

    /// The `sub` of a person towards a client.
    pub fn subject(&self, client: &Client, user: UserId) -> String {
        match &client.subject_type {
            SubjectType::Public => user.to_string(),
            SubjectType::Pairwise { sector } => {
                hmac_sha256(&self.0, &[PURPOSE, sector.as_bytes(), user.0.as_bytes()]).to_string()
            }
        }
    }
}

impl fmt::Debug for SubjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubjectKey(redacted)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::client::tests::record;

    fn client(sector: &str) -> Client {
        let mut client = Client::parse(&record()).unwrap();
        client.subject_type = SubjectType::Pairwise { sector: sector.to_owned() };
        client
    }

    fn key(byte: u8) -> SubjectKey {
        SubjectKey::new(Zeroizing::new(vec![byte; 32]))
    }

    /// Whoever changes this makes every person a stranger to every pairwise client.
    #[test]
    fn oc_21_the_subject_of_a_person_never_changes() {
        let user = UserId(Uuid::from_u128(7));
        let subject = key(1).subject(&client("app.example"), user);
        assert_eq!(subject, "upjxx-VPjYN1K5BP1OGCVHYQp9AbHdwe3OV1Lf0d8p4");
    }

    proptest! {
        #[test]
        fn oc_21_pairwise_is_per_sector_stable_and_irreversible(
            left in "[a-z]{1,12}\\.example", right in "[a-z]{1,12}\\.example", who in any::<u128>()
        ) {
            let user = UserId(Uuid::from_u128(who));
            let (one, other) = (client(&left), client(&right));
            let subject = key(1).subject(&one, user);
            prop_assert_eq!(&subject, &key(1).subject(&one, user));
            prop_assert_eq!(subject == key(1).subject(&other, user), left == right);
            prop_assert_ne!(&subject, &key(2).subject(&one, user));
            prop_assert_ne!(&subject, &key(1).subject(&one, UserId(Uuid::from_u128(who ^ 1))));
            // OC-02
            prop_assert!(subject.len() <= 255 && subject.is_ascii() && !subject.contains(&user.to_string()));
        }
    }
}
