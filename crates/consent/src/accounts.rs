//! The accounts of a person, and how choosing some of them makes a request exact (RFC 9396 §7.1).
//!
//! An app may ask to see accounts without knowing any, or for a payment without saying from where. Then
//! the person chooses, on the consent page, and what was granted says what they chose (RAR-03).

use protocol::authorization_details::{AuthorizationDetail, AuthorizationDetails};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    detail_types::DetailTypes,
    details::{ACCOUNT_INFORMATION, PAYMENT_INITIATION},
};

/// So many accounts may be declared for a person: what one page can show and one detail can name.
pub const MAX_ACCOUNTS: usize = 50;

/// One account, as the bank declared it for its customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BankAccount {
    /// How details name it; unique for the person.
    pub id: String,
    /// What the person calls it.
    pub name: String,
    /// Its number; without one, nothing can be paid from it here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iban: Option<String>,
}

/// How many accounts a detail wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountChoice {
    /// One or more: those that may be seen.
    Several,
    /// One: that which is paid from.
    One,
}

/// Why a choice is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceFault {
    /// Nothing was chosen where something must be, or several where one is meant.
    #[error("an account must be chosen")]
    Missing,
    /// It is not one of the accounts that were offered.
    #[error("the account was not offered")]
    Foreign,
}

impl AccountChoice {
    /// What a detail leaves to the person, if anything.
    pub fn of(detail: &AuthorizationDetail) -> Option<Self> {
        let choice = Self::by_kind(detail.kind())?;
        detail.get(choice.member()).is_none().then_some(choice)
    }

    pub(crate) fn by_kind(kind: &str) -> Option<Self> {
        match kind {
            ACCOUNT_INFORMATION => Some(Self::Several),
            PAYMENT_INITIATION => Some(Self::One),
            _ => None,
        }
    }

    /// The member that says what was chosen.
    pub(crate) const fn member(self) -> &'static str {
        match self {
            Self::Several => "accounts",
            Self::One => "debtorAccount",
        }
    }

    /// The accounts that may be chosen.
    pub fn among(self, accounts: &[BankAccount]) -> impl Iterator<Item = &BankAccount> {
        accounts.iter().filter(move |account| self == Self::Several || account.iban.is_some())
    }

    fn enrich(
        self,
        detail: AuthorizationDetail,
        accounts: &[BankAccount],
        chosen: &[String],
    ) -> Result<AuthorizationDetail, ChoiceFault> {
        // A bank that declares no accounts decides by itself which ones are meant.
        if self.among(accounts).next().is_none() {
            return Ok(detail);
        }
        if !chosen.iter().all(|id| self.among(accounts).any(|account| account.id == *id)) {
            return Err(ChoiceFault::Foreign);
        }
        let chosen: Vec<&BankAccount> =
            self.among(accounts).filter(|account| chosen.contains(&account.id)).collect();
        let value = match (self, chosen.as_slice()) {
            (_, []) => return Err(ChoiceFault::Missing),
            (Self::Several, chosen) => {
                Value::Array(chosen.iter().map(|account| account.id.clone().into()).collect())
            }
            (Self::One, [account]) => json!({ "iban": account.iban }),
            (Self::One, _) => return Err(ChoiceFault::Missing),
        };
        Ok(detail.with(self.member(), value))
    }
}

/// The details with what a person chose: `chosen` has the ids for each detail, by its position.
///
/// # Errors
/// [`ChoiceFault`].
pub(crate) fn enriched(
    details: &AuthorizationDetails,
    accounts: &[BankAccount],
    chosen: &[Vec<String>],
) -> Result<AuthorizationDetails, ChoiceFault> {
    let one = |(index, detail): (usize, &AuthorizationDetail)| match AccountChoice::of(detail) {
        None => Ok(detail.clone()),
        Some(choice) => {
            let chosen = chosen.get(index).map(Vec::as_slice).unwrap_or_default();
            choice.enrich(detail.clone(), accounts, chosen)
        }
    };
    details.iter().enumerate().map(one).collect()
}

/// Whether details name only accounts that are the person's, as far as the bank declared any: nobody gives
/// away what is another's.
pub fn names_own_accounts(details: &AuthorizationDetails, accounts: &[BankAccount]) -> bool {
    accounts.is_empty()
        || details.iter().all(|detail| match detail.kind() {
            ACCOUNT_INFORMATION => detail.get("accounts").and_then(Value::as_array).is_none_or(|named| {
                named.iter().all(|id| accounts.iter().any(|account| Some(account.id.as_str()) == id.as_str()))
            }),
            PAYMENT_INITIATION => detail.get("debtorAccount").is_none_or(|debtor| {
                let iban = debtor.get("iban").and_then(Value::as_str);
                accounts.iter().any(|account| account.iban.is_some() && account.iban.as_deref() == iban)
            }),
            _ => true,
        })
}

/// Whether details that were not yet asked about leave anything to the person.
pub(crate) fn leaves_a_choice(details: &AuthorizationDetails, types: &DetailTypes) -> bool {
    details.iter().any(|detail| types.get(detail.kind()).is_some() && AccountChoice::of(detail).is_some())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn accounts() -> Vec<BankAccount> {
        serde_json::from_value(json!([
            {"id": "everyday", "name": "Everyday", "iban": "GB33BUKB20201555555555"},
            {"id": "card", "name": "Card"},
        ]))
        .unwrap()
    }

    fn details(value: Value) -> AuthorizationDetails {
        AuthorizationDetails::from_value(value).unwrap()
    }

    fn chosen(ids: &[&[&str]]) -> Vec<Vec<String>> {
        ids.iter().map(|ids| ids.iter().map(ToString::to_string).collect()).collect()
    }

    #[test]
    fn rar_03_what_was_chosen_is_in_what_is_granted() {
        let asked = details(json!([
            {"type": PAYMENT_INITIATION}, {"type": ACCOUNT_INFORMATION, "actions": ["list_accounts"]},
        ]));
        let granted =
            enriched(&asked, &accounts(), &chosen(&[&["everyday"], &["card", "everyday"]])).unwrap();
        let expected = details(json!([
            {"type": PAYMENT_INITIATION, "debtorAccount": {"iban": "GB33BUKB20201555555555"}},
            {"type": ACCOUNT_INFORMATION, "actions": ["list_accounts"], "accounts": ["everyday", "card"]},
        ]));
        assert_eq!(granted, expected);
        for (ids, fault) in [
            (chosen(&[&["everyday"], &[]]), ChoiceFault::Missing),
            (chosen(&[&["everyday"]]), ChoiceFault::Missing),
            (chosen(&[&[], &["card"]]), ChoiceFault::Missing),
            (chosen(&[&["card"], &["card"]]), ChoiceFault::Foreign),
            (chosen(&[&["everyday"], &["another's"]]), ChoiceFault::Foreign),
        ] {
            assert_eq!(enriched(&asked, &accounts(), &ids), Err(fault), "{ids:?}");
        }
        assert_eq!(enriched(&asked, &[], &[]), Ok(asked.clone()), "nothing to choose from");
    }

    #[test]
    fn rar_03_nobody_gives_away_accounts_of_others() {
        let named = |ids: Value| details(json!([{"type": ACCOUNT_INFORMATION, "accounts": ids}]));
        assert!(names_own_accounts(&named(json!(["card"])), &accounts()));
        assert!(!names_own_accounts(&named(json!(["card", "another's"])), &accounts()));
        assert!(names_own_accounts(&named(json!(["anything"])), &[]));
        let from =
            |iban: &str| details(json!([{"type": PAYMENT_INITIATION, "debtorAccount": {"iban": iban}}]));
        assert!(names_own_accounts(&from("GB33BUKB20201555555555"), &accounts()));
        assert!(!names_own_accounts(&from("GB94BARC10201530093459"), &accounts()));
    }
}
