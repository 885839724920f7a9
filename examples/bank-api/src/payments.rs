//! By which right a payment is made. There are two.
//!
//! The customer approved this very payment at the bank (authorization details, RFC 9396): then it must be the
//! one that was approved, to the cent, and it is paid once. Who may approve payments at all, the bank's server has
//! seen to.
//!
//! Or the customer lets the app send payments (a scope). What a token may do was consented to once; how sure
//! the bank is of who is there changes by the minute. So whose payment is more than small change must have shown
//! two factors, and lately (RFC 9470); a client that hears no is told what to ask its authorization server for.

use chrono::{DateTime, TimeDelta, Utc};
use resource_server::{Access, AccessToken};
use serde_json::{Map, Value, json};

use crate::{
    accounts::{PaymentOrder, parse_cents},
    refusal::Refusal,
};

/// Up to here one factor is enough: the exemption for low values (Delegated Regulation (EU) 2018/389,
/// article 16).
const SMALL_CENTS: i64 = 30_00;
/// Two independent factors, as Open Banking names it.
const STRONG: &str = "urn:openbanking:psd2:sca";
/// So long they count.
const MAX_AGE: TimeDelta = TimeDelta::minutes(5);

/// Whether the token is good enough for this payment from the account `debtor` (an IBAN). Answers with the
/// name of the approval, if it was approved by itself.
pub(crate) fn demand(
    token: &AccessToken,
    order: &PaymentOrder,
    debtor: &str,
    now: DateTime<Utc>,
) -> Result<Option<String>, Refusal> {
    let mut approved = token.details("payment_initiation").peekable();
    if approved.peek().is_some() {
        // A token that was refreshed has another name, and is still of the same approval.
        let given = token.grant_id.as_ref().or(token.id.as_ref()).ok_or(Refusal::OtherPayment)?;
        let detail =
            approved.find(|detail| is_the_payment(detail, order, debtor)).ok_or(Refusal::OtherPayment)?;
        return Ok(Some(json!([given, detail]).to_string()));
    }
    let mut access = Access::scope("payments:write").role("payment-initiator");
    // What is no amount at all is refused elsewhere.
    if parse_cents(&order.amount).is_some_and(|cents| cents > SMALL_CENTS) {
        access = access.acr(&[STRONG]).max_age(MAX_AGE);
    }
    match token.demand(&access, now) {
        Ok(()) => Ok(None),
        Err(lacking) => Err(Refusal::Token(Box::new(lacking.into()), token.scheme())),
    }
}

/// Whether this payment is what the customer read when they approved.
fn is_the_payment(detail: &Map<String, Value>, order: &PaymentOrder, debtor: &str) -> bool {
    let text = |path: &[&str]| {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(detail.get(*first)?, |value, name| value.get(*name))?.as_str()
    };
    let cents = text(&["instructedAmount", "amount"]).and_then(parse_cents);
    cents.is_some()
        && cents == parse_cents(&order.amount)
        && text(&["instructedAmount", "currency"]) == Some(&order.currency)
        && text(&["creditorName"]) == Some(&order.creditor)
        && text(&["creditorAccount", "iban"]) == order.creditor_account.as_deref()
        && text(&["debtorAccount", "iban"]) == Some(debtor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{http::header, response::IntoResponse};

    const NOW: i64 = 1_800_000_000;

    fn judge(acr: Option<&str>, auth_time: Option<i64>, amount: &str) -> Result<Option<String>, Refusal> {
        let now = DateTime::from_timestamp(NOW, 0).unwrap();
        let mut claims = claims();
        claims["acr"] = json!(acr);
        claims["auth_time"] = json!(auth_time);
        let Value::Object(claims) = claims else { unreachable!() };
        let token = AccessToken::read(claims, "https://bank.example", "api", now).unwrap();
        demand(&token, &order(amount), "DE1", now)
    }

    fn claims() -> Value {
        json!({
            "aud": "api", "sub": "alice", "client_id": "ledgerline", "exp": NOW + 1, "jti": "one",
            "scope": "payments:write", "roles": ["payment-initiator"],
        })
    }

    fn order(amount: &str) -> PaymentOrder {
        PaymentOrder {
            from_account: "everyday".into(),
            creditor: "Landlord".into(),
            amount: amount.into(),
            currency: "EUR".into(),
            creditor_account: Some("DE2".into()),
        }
    }

    #[test]
    fn rar_05_the_payment_must_be_the_one_that_was_approved() {
        let now = DateTime::from_timestamp(NOW, 0).unwrap();
        let approved = json!({
            "type": "payment_initiation", "instructedAmount": { "currency": "EUR", "amount": "600.00" },
            "creditorName": "Landlord", "creditorAccount": { "iban": "DE2" }, "debtorAccount": { "iban": "DE1" },
        });
        let judge = |details: Value, order: PaymentOrder, debtor: &str| {
            let mut claims = claims();
            claims["authorization_details"] = details;
            let Value::Object(claims) = claims else { unreachable!() };
            let token = AccessToken::read(claims, "https://bank.example", "api", now).unwrap();
            demand(&token, &order, debtor, now)
        };
        let one = || json!([approved]);
        assert!(matches!(judge(one(), order("600"), "DE1"), Ok(Some(_))));
        // Neither the scope nor the customer's strength helps a payment that was not approved.
        let refused =
            |details, order, debtor| matches!(judge(details, order, debtor), Err(Refusal::OtherPayment));
        assert!(refused(one(), order("600.01"), "DE1"));
        assert!(refused(one(), order("1"), "DE1"));
        assert!(refused(one(), order("nothing"), "DE1"));
        assert!(refused(one(), order("600"), "DE3"));
        assert!(refused(one(), PaymentOrder { creditor: "Mallory".into(), ..order("600") }, "DE1"));
        assert!(refused(one(), PaymentOrder { currency: "CHF".into(), ..order("600") }, "DE1"));
        assert!(refused(one(), PaymentOrder { creditor_account: Some("DE3".into()), ..order("600") }, "DE1"));
        assert!(refused(one(), PaymentOrder { creditor_account: None, ..order("600") }, "DE1"));
        let mut open = approved.clone();
        open.as_object_mut().unwrap().remove("debtorAccount");
        assert!(refused(json!([open]), order("600"), "DE1"));
        assert!(matches!(judge(json!([open, approved]), order("600"), "DE1"), Ok(Some(_))));
    }

    #[test]
    fn rar_05_a_refreshed_token_does_not_pay_again() {
        let now = DateTime::from_timestamp(NOW, 0).unwrap();
        let payment = |amount: &str| {
            json!({
                "type": "payment_initiation", "instructedAmount": { "currency": "EUR", "amount": amount },
                "creditorName": "Landlord", "creditorAccount": { "iban": "DE2" }, "debtorAccount": { "iban": "DE1" },
            })
        };
        let approval = |jti: &str, grant: Option<&str>, amount: &str| {
            let mut claims = claims();
            claims["jti"] = json!(jti);
            claims["grant_id"] = json!(grant);
            claims["authorization_details"] = json!([payment("600.00"), payment("7.00")]);
            let Value::Object(claims) = claims else { unreachable!() };
            let token = AccessToken::read(claims, "https://bank.example", "api", now).unwrap();
            demand(&token, &order(amount), "DE1", now).unwrap().unwrap()
        };
        let first = approval("one", Some("g"), "600");
        assert_eq!(approval("two", Some("g"), "600"), first, "refreshed");
        assert_ne!(approval("one", Some("g"), "7"), first, "the other payment of the same approval");
        assert_ne!(approval("one", Some("h"), "600"), first, "approved again");
        assert_ne!(approval("one", None, "600"), approval("two", None, "600"), "all that is known");
    }

    #[test]
    fn su_01_large_payments_take_two_recent_factors() {
        let weak = Some("urn:openbanking:psd2:ca");
        let oldest = NOW - MAX_AGE.num_seconds();
        for (acr, auth_time, amount, fine) in [
            (weak, Some(NOW), "30.00", true),
            (None, None, "30", true),
            (weak, Some(NOW), "30.01", false),
            (None, None, "600", false),
            (Some(STRONG), Some(oldest), "600", true),
            (Some(STRONG), Some(oldest - 1), "600", false),
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
