//! Step-up (RFC 9470): whose payment is more than small change must have shown two factors, and lately.
//!
//! What a token may do was consented to once; how sure the bank is of who is there changes by the minute.
//! So the second question is answered here, at each payment, and a client that hears no is told what to ask
//! its authorization server for.

use chrono::{DateTime, Utc};

use crate::{
    accounts::{PaymentOrder, parse_cents},
    refusal::Refusal,
    token::AccessToken,
};

/// Up to here one factor is enough: the exemption for low values (Delegated Regulation (EU) 2018/389,
/// article 16).
const SMALL_CENTS: i64 = 30_00;
/// Two independent factors, as Open Banking names it.
const STRONG: &str = "urn:openbanking:psd2:sca";
/// So long they count, in seconds.
const MAX_AGE: i64 = 300;

/// Whether the customer's authentication is good enough for this payment.
pub(crate) fn demand(token: &AccessToken, order: &PaymentOrder, now: DateTime<Utc>) -> Result<(), Refusal> {
    // What is no amount at all is refused elsewhere.
    if parse_cents(&order.amount).is_none_or(|cents| cents <= SMALL_CENTS) {
        return Ok(());
    }
    let strong = token.acr.as_deref() == Some(STRONG);
    let recent = token.auth_time.is_some_and(|then| now.timestamp().saturating_sub(then) <= MAX_AGE);
    if strong && recent { Ok(()) } else { Err(Refusal::StepUp { acr: STRONG, max_age: MAX_AGE }) }
}

#[cfg(test)]
mod tests {
    use axum::{http::header, response::IntoResponse};

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn judge(acr: Option<&str>, auth_time: Option<i64>, amount: &str) -> Result<(), Refusal> {
        let token = AccessToken {
            subject: "customer".into(),
            client_id: "ledgerline".into(),
            scopes: Default::default(),
            roles: Default::default(),
            acr: acr.map(str::to_owned),
            auth_time,
        };
        let order = PaymentOrder {
            from_account: "everyday".into(),
            creditor: "Landlord".into(),
            amount: amount.into(),
            currency: "EUR".into(),
        };
        demand(&token, &order, DateTime::from_timestamp(NOW, 0).unwrap())
    }

    #[test]
    fn su_01_large_payments_take_two_recent_factors() {
        let weak = Some("urn:openbanking:psd2:ca");
        for (acr, auth_time, amount, fine) in [
            (weak, Some(NOW), "30.00", true),
            (None, None, "30", true),
            (weak, Some(NOW), "30.01", false),
            (None, None, "600", false),
            (Some(STRONG), Some(NOW - MAX_AGE), "600", true),
            (Some(STRONG), Some(NOW - MAX_AGE - 1), "600", false),
            (Some(STRONG), None, "600", false),
        ] {
            assert_eq!(judge(acr, auth_time, amount).is_ok(), fine, "{acr:?} {auth_time:?} {amount}");
        }
    }

    #[test]
    fn su_01_the_challenge_says_what_to_ask_for() {
        let response = judge(None, None, "600").unwrap_err().into_response();
        assert_eq!(response.status(), 401);
        let challenge = response.headers()[header::WWW_AUTHENTICATE].to_str().unwrap();
        for part in [
            "Bearer ",
            "error=\"insufficient_user_authentication\"",
            "acr_values=\"urn:openbanking:psd2:sca\"",
            "max_age=\"300\"",
        ] {
            assert!(challenge.contains(part), "{challenge}");
        }
    }
}
