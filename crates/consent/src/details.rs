//! What authorization details mean together: which of them an earlier consent covers, what a token request
//! may ask of those that were granted, and what a consent holds after another answer.
//!
//! What types there are is said in [`detail_types`](crate::detail_types).

use protocol::authorization_details::{AuthorizationDetail, AuthorizationDetails};

use crate::{
    accounts::AccountChoice,
    detail_types::{DetailType, DetailTypes},
};

/// The type that asks to see accounts. A detail without `accounts` is filled with those that the person
/// chooses.
pub const ACCOUNT_INFORMATION: &str = "account_information";
/// The type that asks to pay once.
pub const PAYMENT_INITIATION: &str = "payment_initiation";

/// So many details a consent holds; the oldest go first.
const MAX_STANDING: usize = 32;

/// Why details are refused: `invalid_authorization_details` (RFC 9396 §5). The text names the place, never
/// the content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DetailFault {
    /// No such type here (RAR-01), or not one of the client's (RAR-02).
    #[error("authorization detail {index} is of a type that is not known, or not allowed to this client")]
    Type {
        /// Position, from 0.
        index: usize,
    },
    /// It does not fit the schema of its type.
    #[error("authorization detail {index} is not what its type demands, at {}", if .place.is_empty() { "/" } else { .place })]
    Schema {
        /// Position, from 0.
        index: usize,
        /// Where in it, as a JSON pointer.
        place: String,
    },
    /// It asks for more than was granted (RAR-04).
    #[error("authorization detail {index} asks for more than was granted")]
    Wider {
        /// Position, from 0.
        index: usize,
    },
}

/// What a token request asks for out of what was granted: everything, if it says nothing (RFC 9396 §6).
/// Each granted detail answers for one that is asked for: who may pay once does not pay twice.
///
/// # Errors
/// [`DetailFault::Wider`].
pub fn narrowed(
    granted: &AuthorizationDetails,
    asked: Option<&AuthorizationDetails>,
) -> Result<AuthorizationDetails, DetailFault> {
    let Some(asked) = asked else { return Ok(granted.clone()) };
    let granted: Vec<&AuthorizationDetail> = granted.iter().collect();
    let asked_for: Vec<&AuthorizationDetail> = asked.iter().collect();
    let mut answering = vec![None; granted.len()];
    for index in 0..asked_for.len() {
        if !finds_one(index, &asked_for, &granted, &mut answering, &mut vec![false; granted.len()]) {
            return Err(DetailFault::Wider { index });
        }
    }
    Ok(asked.clone())
}

/// One step of a bipartite matching: finds a granted detail for `index`, moving others out of its way.
fn finds_one(
    index: usize,
    asked: &[&AuthorizationDetail],
    granted: &[&AuthorizationDetail],
    answering: &mut [Option<usize>],
    tried: &mut [bool],
) -> bool {
    for place in 0..granted.len() {
        if tried[place] || !asked[index].is_within(granted[place]) {
            continue;
        }
        tried[place] = true;
        if answering[place].is_none_or(|other| finds_one(other, asked, granted, answering, tried)) {
            answering[place] = Some(index);
            return true;
        }
    }
    false
}

/// A detail as an earlier consent answers it, if it does: the accounts that the person chose then are in it.
pub(crate) fn covered(
    asked: &AuthorizationDetail,
    standing: &AuthorizationDetails,
    types: &DetailTypes,
) -> Option<AuthorizationDetail> {
    if types.get(asked.kind()).is_none_or(DetailType::always_asks) {
        return None;
    }
    let choice = AccountChoice::of(asked);
    standing.iter().find_map(|standing| {
        let chosen = choice.and_then(|choice| Some((choice.member(), standing.get(choice.member())?)));
        let filled = match chosen {
            Some((member, value)) => asked.clone().with(member, value.clone()),
            None => asked.clone(),
        };
        filled.is_within(standing).then_some(filled)
    })
}

/// Of what stands already, what a page shows beside `asked`: no past payments, and nothing twice.
pub(crate) fn beside(
    asked: &AuthorizationDetails,
    standing: &AuthorizationDetails,
    types: &DetailTypes,
) -> AuthorizationDetails {
    standing.filtered(|old| {
        let alone: AuthorizationDetails = std::iter::once(old.clone()).collect();
        types.get(old.kind()).is_some_and(|kind| !kind.always_asks())
            && !asked.iter().any(|asked| {
                let again = AccountChoice::by_kind(asked.kind())
                    .map_or_else(|| asked.clone(), |choice| asked.clone().without(choice.member()));
                covered(&again, &alone, types).is_some()
            })
    })
}

/// What a consent holds after an answer: what it held, and what was granted now. Where the same was asked
/// again, the new choice of accounts takes the place of the old one.
pub(crate) fn after(standing: &AuthorizationDetails, granted: &AuthorizationDetails) -> AuthorizationDetails {
    let asked = |detail: &AuthorizationDetail| match AccountChoice::by_kind(detail.kind()) {
        Some(choice) => detail.clone().without(choice.member()),
        None => detail.clone(),
    };
    let replaced =
        |old: &AuthorizationDetail| granted.iter().any(|new| new == old || asked(old).is_within(&asked(new)));
    let all: Vec<_> = standing.iter().filter(|old| !replaced(old)).chain(granted.iter()).cloned().collect();
    let surplus = all.len().saturating_sub(MAX_STANDING);
    all.into_iter().skip(surplus).collect()
}

/// Of what was once granted, what still stands: as long as the person's consent has it. What is asked about
/// every time stands by its own answer, because a later one says nothing of it; it falls with the consent
/// as a whole.
#[must_use]
pub fn standing(
    granted: &AuthorizationDetails,
    consent: &AuthorizationDetails,
    types: &DetailTypes,
) -> AuthorizationDetails {
    granted.filtered(|detail| {
        types.get(detail.kind()).is_some_and(|kind| {
            kind.always_asks() || consent.iter().any(|consented| detail.is_within(consented))
        })
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::detail_types::tests::{details, payment, types};

    #[test]
    fn rar_04_a_token_request_narrows_and_never_widens() {
        let granted =
            details(json!([{"type": ACCOUNT_INFORMATION, "actions": ["list_accounts", "read_balances"]}]));
        let fewer = details(json!([{"type": ACCOUNT_INFORMATION, "actions": ["list_accounts"]}]));
        assert_eq!(narrowed(&granted, None), Ok(granted.clone()));
        assert_eq!(narrowed(&granted, Some(&fewer)), Ok(fewer.clone()));
        assert_eq!(narrowed(&fewer, Some(&granted)), Err(DetailFault::Wider { index: 0 }));
    }

    #[test]
    fn rar_04_one_payment_is_not_two() {
        let once = payment(&json!({}));
        let twice: AuthorizationDetails = once.iter().chain(once.iter()).cloned().collect();
        assert_eq!(narrowed(&once, Some(&twice)), Err(DetailFault::Wider { index: 1 }));
        assert_eq!(narrowed(&twice, Some(&twice)), Ok(twice.clone()));
        assert_eq!(narrowed(&twice, Some(&once)), Ok(once));
        // The wider one must be left for the wider request, in whatever order they come.
        let reading = |actions: &[&str]| json!({"type": ACCOUNT_INFORMATION, "actions": actions});
        let granted = details(json!([reading(&["a", "b"]), reading(&["a"])]));
        let asked = details(json!([reading(&["a"]), reading(&["b"])]));
        assert_eq!(narrowed(&granted, Some(&asked)), Ok(asked.clone()));
    }

    #[test]
    fn oc_33_accounts_are_remembered_and_payments_are_not() {
        let reading = |actions: &[&str]| json!({"type": ACCOUNT_INFORMATION, "actions": actions});
        let mut granted = reading(&["list_accounts", "read_balances"]);
        granted["accounts"] = json!(["everyday"]);
        let standing: AuthorizationDetails =
            details(json!([granted])).iter().chain(payment(&json!({})).iter()).cloned().collect();
        let covered = |value: &Value| {
            covered(details(json!([value])).iter().next().unwrap(), &standing, &types())
                .map(|detail| Value::Object(detail.members().clone()))
        };
        let mut expected = reading(&["read_balances"]);
        expected["accounts"] = json!(["everyday"]);
        assert_eq!(covered(&reading(&["read_balances"])), Some(expected.clone()));
        assert_eq!(covered(&expected), Some(expected.clone()));
        expected["accounts"] = json!(["savings"]);
        assert_eq!(covered(&expected), None);
        assert_eq!(covered(&reading(&["read_transactions"])), None);
        let paying = payment(&json!({}));
        assert_eq!(super::covered(paying.iter().next().unwrap(), &standing, &types()), None);
    }

    #[test]
    fn f2_17_a_new_choice_takes_the_place_of_the_old_one() {
        let reading = |actions: &[&str], accounts: &[&str]| json!({"type": ACCOUNT_INFORMATION, "actions": actions, "accounts": accounts});
        let before = details(json!([reading(&["a"], &["1", "2"]), reading(&["b"], &["1"])]));
        let chosen = details(json!([reading(&["a"], &["1"])]));
        let now = after(&before, &chosen);
        assert_eq!(now, details(json!([reading(&["b"], &["1"]), reading(&["a"], &["1"])])));
        assert_eq!(standing(&before, &now, &types()), details(json!([reading(&["b"], &["1"])])));
        let paid = payment(&json!({}));
        assert_eq!(standing(&paid, &now, &types()), paid, "a payment stands by its own answer");
        let many = (0..100).fold(AuthorizationDetails::default(), |held, number: i32| {
            after(&held, &payment(&json!({"creditorName": number.to_string()})))
        });
        assert_eq!(many.len(), MAX_STANDING);
    }

    fn some_details() -> impl Strategy<Value = AuthorizationDetails> {
        let words = || proptest::collection::btree_set("[abc]", 0..3);
        let detail = ("[xy]", words(), proptest::option::of(words()), proptest::option::of(0..2_u8));
        let detail = detail.prop_map(|(kind, actions, accounts, amount)| {
            let mut detail = json!({"type": kind, "actions": actions});
            if let Some(accounts) = accounts {
                detail["accounts"] = json!(accounts);
            }
            if let Some(amount) = amount {
                detail["amount"] = json!({"currency": "EUR", "amount": amount.to_string()});
            }
            detail
        });
        proptest::collection::vec(detail, 0..4).prop_map(|all| details(Value::Array(all)))
    }

    proptest! {
        #[test]
        fn rar_04_narrowing_never_widens(granted in some_details(), asked in some_details()) {
            match narrowed(&granted, Some(&asked)) {
                Ok(got) => {
                    prop_assert!(got.len() <= granted.len());
                    prop_assert!(got.iter().all(|detail| granted.iter().any(|of| detail.is_within(of))));
                    // Narrowing what was narrowed stays within what was granted.
                    prop_assert_eq!(narrowed(&granted, Some(&got)), Ok(got.clone()));
                    prop_assert_eq!(narrowed(&got, None), Ok(got));
                }
                Err(DetailFault::Wider { index }) => {
                    let alone: AuthorizationDetails = asked.iter().take(index).cloned().collect();
                    prop_assert!(narrowed(&granted, Some(&alone)).is_ok());
                }
                Err(other) => prop_assert!(false, "{}", other),
            }
        }

        #[test]
        fn rar_04_everything_granted_may_be_asked_for(granted in some_details()) {
            let whole = granted.filtered(|detail| detail.members().values().all(|value| *value != json!([])));
            let got = narrowed(&whole, Some(&whole));
            prop_assert_eq!(got, Ok(whole));
        }
    }
}
