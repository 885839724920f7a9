//! The routes. Each names the scope and the role it needs, then speaks for the token's subject only.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, RawQuery, State, rejection::JsonRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::{Api, accounts::PaymentOrder, now, refusal::Refusal, step_up, token::AccessToken};

/// What a route demands of a token.
struct Need {
    scope: &'static str,
    role: &'static str,
}

const READ_ACCOUNTS: Need = Need { scope: "accounts:read", role: "account-viewer" };
const READ_BALANCES: Need = Need { scope: "balances:read", role: "account-viewer" };
const PAY: Need = Need { scope: "payments:write", role: "payment-initiator" };

/// `GET /`: what this is, for whoever opens it in a browser.
pub(crate) async fn about(State(api): State<Arc<Api>>) -> Json<Value> {
    Json(json!({
        "name": "Account API (demo)",
        "audience": api.audience,
        "routes": {
            "GET /accounts": READ_ACCOUNTS.scope,
            "GET /accounts/{id}/balances": READ_BALANCES.scope,
            "POST /payments": PAY.scope,
        },
    }))
}

/// `GET /health`: the process answers. Says nothing about the issuer, which may come later.
pub(crate) async fn health() -> &'static str {
    "ok"
}

/// `GET /accounts`: the customer's accounts.
pub(crate) async fn accounts(
    State(api): State<Arc<Api>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let token = authorize(&api, &headers, query.as_deref(), &READ_ACCOUNTS).await?;
    Ok(private(StatusCode::OK, json!({ "accounts": api.ledger.accounts(&token.subject) })))
}

/// `GET /accounts/{id}/balances`: what is on one of the customer's accounts.
pub(crate) async fn balances(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let token = authorize(&api, &headers, query.as_deref(), &READ_BALANCES).await?;
    let balances = api.ledger.balances(&token.subject, &id).ok_or(Refusal::NoSuchAccount)?;
    Ok(private(StatusCode::OK, json!({ "account_id": id, "balances": balances })))
}

/// `POST /payments`: pays from one of the customer's accounts; the available balance falls at once.
pub(crate) async fn pay(
    State(api): State<Arc<Api>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    order: Result<Json<PaymentOrder>, JsonRejection>,
) -> Result<Response, Refusal> {
    let token = authorize(&api, &headers, query.as_deref(), &PAY).await?;
    let Json(order) = order.map_err(|_| Refusal::InvalidPayment("the body is not a payment in JSON"))?;
    step_up::demand(&token, &order, now())?;
    let payment = api.ledger.pay(&token.subject, order)?;
    Ok(private(StatusCode::CREATED, json!(payment)))
}

async fn authorize(
    api: &Api,
    headers: &HeaderMap,
    query: Option<&str>,
    need: &Need,
) -> Result<AccessToken, Refusal> {
    let token = api.issuer.accept(bearer(headers, query)?, now()).await?;
    permits(&token, need)?;
    Ok(token)
}

/// Scope and role must both allow the call; the role says what the customer themselves may do.
fn permits(token: &AccessToken, need: &Need) -> Result<(), Refusal> {
    if !token.is_for_a_customer() {
        return Err(Refusal::NoCustomer);
    }
    if !token.scopes.contains(need.scope) {
        return Err(Refusal::InsufficientScope(need.scope));
    }
    if !token.roles.contains(need.role) {
        return Err(Refusal::MissingRole { role: need.role, scope: need.scope });
    }
    Ok(())
}

/// The token from the one place where we take it: the `Authorization` header (RFC 6750 §2.1). In the query it
/// would end in logs and histories, so there it is refused (OAuth 2.1 §5).
fn bearer<'h>(headers: &'h HeaderMap, query: Option<&str>) -> Result<&'h str, Refusal> {
    let in_query = query.is_some_and(|query| {
        url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "access_token")
    });
    if in_query {
        return Err(Refusal::InvalidRequest("access tokens are not accepted in the query"));
    }
    let mut sent = headers.get_all(header::AUTHORIZATION).iter();
    let Some(first) = sent.next() else { return Err(Refusal::NoToken) };
    if sent.next().is_some() {
        return Err(Refusal::InvalidRequest("there is more than one Authorization header"));
    }
    let malformed = Refusal::InvalidRequest("the Authorization header is malformed");
    let Ok(text) = first.to_str() else { return Err(malformed) };
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            let token = token.trim_start_matches(' ');
            if token.is_empty() || token.contains(' ') { Err(malformed) } else { Ok(token) }
        }
        // another scheme is no attempt to present a bearer token
        Some(_) => Err(Refusal::NoToken),
        None => Err(malformed),
    }
}

/// Account data is for this client alone; no cache keeps it.
fn private(status: StatusCode, body: Value) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn sent(values: &[&str]) -> HeaderMap {
        values.iter().map(|v| (header::AUTHORIZATION, HeaderValue::from_str(v).unwrap())).collect()
    }

    #[test]
    fn o21_03_the_token_counts_only_in_one_authorization_header() {
        assert!(matches!(bearer(&sent(&["Bearer abc"]), None), Ok("abc")));
        assert!(matches!(bearer(&sent(&["bEARER abc"]), Some("page=2")), Ok("abc")));
        for (headers, query) in [
            (sent(&["Bearer abc"]), Some("access_token=abc")),
            (sent(&[]), Some("a=b&access%5Ftoken=abc")),
            (sent(&["Bearer abc", "Bearer abc"]), None),
            (sent(&["Bearer"]), None),
            (sent(&["Bearer "]), None),
            (sent(&["Bearer a b"]), None),
        ] {
            assert!(
                matches!(bearer(&headers, query), Err(Refusal::InvalidRequest(_))),
                "{headers:?} {query:?}"
            );
        }
        for headers in [sent(&[]), sent(&["Basic YTpi"])] {
            assert!(matches!(bearer(&headers, None), Err(Refusal::NoToken)), "{headers:?}");
        }
    }

    #[test]
    fn a_call_needs_scope_role_and_a_customer() {
        let token = |subject: &str, scopes: &[&str], roles: &[&str]| AccessToken {
            subject: subject.into(),
            client_id: "ledgerline".into(),
            scopes: scopes.iter().map(|s| (*s).to_owned()).collect(),
            roles: roles.iter().map(|r| (*r).to_owned()).collect(),
            acr: None,
            auth_time: None,
        };
        let all = ["accounts:read", "balances:read"];
        assert!(permits(&token("u", &all, &["account-viewer"]), &READ_ACCOUNTS).is_ok());
        assert!(matches!(
            permits(&token("u", &all, &["account-viewer"]), &PAY),
            Err(Refusal::InsufficientScope("payments:write"))
        ));
        assert!(matches!(
            permits(&token("u", &["payments:write"], &["account-viewer"]), &PAY),
            Err(Refusal::MissingRole { role: "payment-initiator", .. })
        ));
        assert!(matches!(
            permits(&token("ledgerline", &all, &["account-viewer"]), &READ_ACCOUNTS),
            Err(Refusal::NoCustomer)
        ));
    }
}
