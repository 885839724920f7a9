//! The bank's account API, as its client sees it.

use http::{Method, header};
use openidconnect::{AccessToken, HttpResponse};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use url::Url;

use crate::http_client::{HttpError, Sender};

/// An account with what is on it, if this app may know.
#[derive(Debug)]
pub(crate) struct AccountView {
    pub(crate) account: Account,
    pub(crate) available: Option<Balance>,
    pub(crate) booked: Option<Balance>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Account {
    pub(crate) account_id: String,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) number: String,
    #[serde(default)]
    pub(crate) iban: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Balance {
    kind: String,
    pub(crate) amount: String,
    pub(crate) currency: String,
}

/// A payment order, as the form on the page and as the API take it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct PaymentOrder {
    pub(crate) from_account: String,
    creditor: String,
    creditor_account: String,
    amount: String,
    currency: String,
}

impl PaymentOrder {
    /// What the bank is asked to have approved: this payment and no other (RFC 9396 §2). The bank shows every
    /// part of it to the customer.
    pub(crate) fn authorization_details(&self, debtor_iban: &str) -> String {
        let detail = serde_json::json!({
            "type": "payment_initiation",
            "instructedAmount": { "currency": self.currency, "amount": self.amount },
            "creditorName": self.creditor,
            "creditorAccount": { "iban": self.creditor_account },
            "debtorAccount": { "iban": debtor_iban },
        });
        serde_json::Value::Array(vec![detail]).to_string()
    }

    /// As it is typed into forms: groups of four, and spaces at the ends.
    pub(crate) fn tidied(mut self) -> Self {
        self.creditor = self.creditor.trim().to_owned();
        self.amount = self.amount.trim().to_owned();
        self.creditor_account = self.creditor_account.replace(' ', "").to_uppercase();
        self
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Payment {
    pub(crate) payment_id: String,
    pub(crate) creditor: String,
    pub(crate) amount: String,
    pub(crate) currency: String,
}

#[derive(Deserialize)]
struct Accounts {
    accounts: Vec<Account>,
}
#[derive(Deserialize)]
struct Balances {
    balances: Vec<Balance>,
}
#[derive(Default, Deserialize)]
struct Problem {
    error_description: Option<String>,
}

/// What the bank's API wants of the next authentication (RFC 9470 §3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StepUp {
    /// Any of these classes; whichever, if there are none.
    pub(crate) acr_values: Vec<String>,
    /// No older than so many seconds.
    pub(crate) max_age: Option<u64>,
}

impl StepUp {
    /// Reads a challenge (RFC 6750 §3); `None` if it is about something else.
    fn read(challenge: &str) -> Option<Self> {
        (parameter(challenge, "error")? == "insufficient_user_authentication").then(|| Self {
            acr_values: parameter(challenge, "acr_values")
                .map(|values| {
                    values.split(' ').filter(|value| !value.is_empty()).map(str::to_owned).collect()
                })
                .unwrap_or_default(),
            max_age: parameter(challenge, "max_age").and_then(|seconds| seconds.parse().ok()),
        })
    }
}

/// A quoted parameter of a challenge. Values of this API hold no quotes, so none are unescaped.
fn parameter<'c>(challenge: &'c str, name: &str) -> Option<&'c str> {
    let (_, parameters) = challenge.split_once(' ')?;
    parameters.split(", ").find_map(|part| {
        let (found, value) = part.split_once('=')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim_matches('"'))
    })
}

/// Why the bank's API did not do as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BankError {
    /// The token does not count (any more): refresh it, or connect anew (RFC 6750 §3.1).
    #[error("the bank does not accept the access token: {0}")]
    TokenRefused(String),
    /// The customer must be authenticated more strongly, or anew (RFC 9470 §3).
    #[error("the bank wants to be surer of who is there")]
    StepUp(StepUp),
    /// The API understood and said no.
    #[error("{0}")]
    Refused(String),
    #[error("the bank's API cannot be reached: {0}")]
    Unreachable(#[from] HttpError),
    #[error("the bank's API answered something else than JSON: {0}")]
    Unintelligible(#[from] serde_json::Error),
}

pub(crate) struct Bank {
    base: String,
}

impl Bank {
    pub(crate) fn new(base: &Url) -> Self {
        Self { base: base.as_str().trim_end_matches('/').to_owned() }
    }

    /// The accounts, with balances where the granted scopes allow.
    pub(crate) async fn accounts(
        &self,
        sender: &Sender,
        token: &AccessToken,
        scopes: &[String],
    ) -> Result<Vec<AccountView>, BankError> {
        let allowed = |scope: &str| scopes.iter().any(|granted| granted == scope);
        if !allowed("accounts:read") {
            return Ok(Vec::new());
        }
        let list: Accounts = self.ask(sender, token, Method::GET, "/accounts", Vec::new()).await?;
        let mut views = Vec::with_capacity(list.accounts.len());
        for account in list.accounts {
            let balances = if allowed("balances:read") {
                self.balances(sender, token, &account).await?
            } else {
                Vec::new()
            };
            let (mut available, mut booked) = (None, None);
            for balance in balances {
                match balance.kind.as_str() {
                    "available" => available = Some(balance),
                    "booked" => booked = Some(balance),
                    _ => {}
                }
            }
            views.push(AccountView { account, available, booked });
        }
        Ok(views)
    }

    async fn balances(
        &self,
        sender: &Sender,
        token: &AccessToken,
        account: &Account,
    ) -> Result<Vec<Balance>, BankError> {
        let id: String = url::form_urlencoded::byte_serialize(account.account_id.as_bytes()).collect();
        let path = format!("/accounts/{id}/balances");
        Ok(self.ask::<Balances>(sender, token, Method::GET, &path, Vec::new()).await?.balances)
    }

    pub(crate) async fn pay(
        &self,
        sender: &Sender,
        token: &AccessToken,
        order: &PaymentOrder,
    ) -> Result<Payment, BankError> {
        self.ask(sender, token, Method::POST, "/payments", serde_json::to_vec(order)?).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        sender: &Sender,
        token: &AccessToken,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<T, BankError> {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(header::AUTHORIZATION, format!("Bearer {}", token.secret()))
            .header(header::CONTENT_TYPE, "application/json");
        let response = sender.send(request.body(body).map_err(HttpError::from)?).await?;
        if response.status().is_success() {
            Ok(serde_json::from_slice(response.body())?)
        } else {
            Err(refusal(&response))
        }
    }
}

fn refusal(response: &HttpResponse) -> BankError {
    let challenge = response.headers().get(header::WWW_AUTHENTICATE);
    if let Some(wanted) = challenge.and_then(|text| text.to_str().ok()).and_then(StepUp::read) {
        return BankError::StepUp(wanted);
    }
    let problem: Problem = serde_json::from_slice(response.body()).unwrap_or_default();
    let words = problem.error_description.unwrap_or_else(|| response.status().to_string());
    if response.status() == http::StatusCode::UNAUTHORIZED {
        BankError::TokenRefused(words)
    } else {
        BankError::Refused(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn su_01_a_challenge_is_understood() {
        let challenge = "Bearer realm=\"accounts\", error=\"insufficient_user_authentication\", \
            error_description=\"stronger, please\", acr_values=\"a b\", max_age=\"300\"";
        let wanted = StepUp { acr_values: vec!["a".into(), "b".into()], max_age: Some(300) };
        assert_eq!(StepUp::read(challenge), Some(wanted));
        assert_eq!(
            StepUp::read("Bearer error=\"insufficient_user_authentication\""),
            Some(StepUp::default())
        );
        for other in ["Bearer", "Bearer realm=\"x\"", "Bearer error=\"invalid_token\", max_age=\"1\""] {
            assert_eq!(StepUp::read(other), None, "{other}");
        }
    }
}
