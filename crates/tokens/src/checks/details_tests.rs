//! What may be asked for exactly, and what becomes of it below a grant.

use protocol::authorization_details::AuthorizationDetails;
use serde_json::{Value, json};

use super::{
    AuthorizationFault, Hint,
    tests::{BANK, CARDS, request, trusted, validate},
};
use crate::{client::tests::client, grant::tests::line};
use consent::{AudienceFault, DetailFault};
use protocol::authorization::AuthorizationRequest;

pub(crate) fn details(value: Value) -> AuthorizationDetails {
    AuthorizationDetails::from_value(value).unwrap()
}

fn payment() -> Value {
    json!({
        "type": "payment_initiation", "instructedAmount": {"currency": "EUR", "amount": "123.50"},
        "creditorName": "Merchant A", "creditorAccount": {"iban": "DE02100100109307118603"},
    })
}

fn ask(
    details: Value,
    types: &[&str],
    change: fn(&mut AuthorizationRequest),
) -> Result<Vec<String>, AuthorizationFault> {
    let mut client = trusted(client());
    client.detail_types = types.iter().map(ToString::to_string).collect();
    let mut request = AuthorizationRequest { authorization_details: self::details(details), ..request() };
    change(&mut request);
    validate(client, request, Hint::Absent).map(|validated| validated.audience().to_vec())
}

#[test]
fn rar_01_rar_02_details_are_checked_after_the_scope_and_before_the_audience() {
    let paying = || json!([payment()]);
    assert_eq!(ask(paying(), &["payment_initiation"], |_| ()).unwrap(), [BANK]);
    let unlisted = ask(paying(), &["account_information"], |_| ()).unwrap_err();
    assert_eq!(unlisted, AuthorizationFault::Details(DetailFault::Type { index: 0 }));
    let mut wrong = payment();
    wrong["instructedAmount"]["amount"] = json!("1e3");
    let refused = ask(json!([payment(), wrong]), &["payment_initiation"], |_| ()).unwrap_err();
    let place = "/instructedAmount/amount".to_owned();
    assert_eq!(refused, AuthorizationFault::Details(DetailFault::Schema { index: 1, place }));
}

#[test]
fn rar_05_rar_07_details_have_resource_servers_as_scopes_have() {
    let types = ["payment_initiation", "account_information"];
    let only_openid = |request: &mut AuthorizationRequest| request.scope = Some("openid".parse().unwrap());
    let reading = json!({"type": "account_information", "actions": ["list_accounts"]});
    assert_eq!(ask(json!([reading]), &types, only_openid).unwrap(), [BANK]);
    let at_cards = {
        let mut payment = payment();
        payment["locations"] = json!([CARDS]);
        payment
    };
    assert_eq!(ask(json!([at_cards]), &types, only_openid).unwrap(), [CARDS]);
    // Scope at the one, detail at the other: which token would it be?
    let fault = ask(json!([at_cards]), &types, |_| ()).unwrap_err();
    assert!(matches!(fault, AuthorizationFault::Audience(AudienceFault::Ambiguous(_))), "{fault:?}");
    let both =
        |request: &mut AuthorizationRequest| request.resources = vec![CARDS.to_owned(), BANK.to_owned()];
    assert_eq!(ask(json!([at_cards]), &types, both).unwrap().len(), 2);
    let elsewhere = |request: &mut AuthorizationRequest| request.resources = vec![BANK.to_owned()];
    let fault = ask(json!([at_cards]), &types, elsewhere).unwrap_err();
    assert_eq!(fault, AuthorizationFault::Audience(AudienceFault::DetailOutsideResources(0)));
}

#[test]
fn f2_17_a_grant_loses_details_with_what_stands_above_it() {
    let reading = |accounts: &[&str]| {
        details(json!([{"type": "account_information", "actions": ["list_accounts"], "accounts": accounts}]))
    };
    let mut granted = line();
    granted.grant.details =
        reading(&["1"]).iter().cloned().chain(details(json!([payment()])).iter().cloned()).collect();
    granted.consent_details = reading(&["1", "2"]);
    let left = |change: &dyn Fn(&mut crate::grant::GrantLine)| {
        let mut line = granted.clone();
        change(&mut line);
        let live = line.live(&super::tests::catalogue(), crate::grant::tests::now()).unwrap();
        live.grant().details.iter().map(|detail| detail.kind().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(left(&|_| ()), ["account_information", "payment_initiation"]);
    assert_eq!(left(&|line| line.consent_details = reading(&["2"])), ["payment_initiation"]);
    assert_eq!(left(&|line| line.client_detail_types.truncate(1)), ["account_information"]);
    assert!(left(&|line| line.client_detail_types.clear()).is_empty());
}
