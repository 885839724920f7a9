//! The routes. Each speaks for the token's subject only; that the token allows the call at all was seen to by
//! the layer around the route.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, State, rejection::JsonRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use resource_server::AccessToken;
use serde_json::{Value, json};

use crate::{Api, accounts::PaymentOrder, payments, refusal::Refusal};

/// `GET /`: what this is, for whoever opens it in a browser.
pub(crate) async fn about(State(api): State<Arc<Api>>) -> Json<Value> {
    Json(json!({
        "name": "Account API (demo)",
        "audience": api.audience,
        "routes": {
            "GET /accounts": "accounts:read",
            "GET /accounts/{id}/balances": "balances:read",
            "POST /payments": "payments:write, or authorization_details of the type payment_initiation",
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
    Extension(token): Extension<AccessToken>,
) -> Response {
    private(StatusCode::OK, json!({ "accounts": api.ledger.accounts(&token.subject) }))
}

/// `GET /accounts/{id}/balances`: what is on one of the customer's accounts.
pub(crate) async fn balances(
    State(api): State<Arc<Api>>,
    Extension(token): Extension<AccessToken>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let balances = api.ledger.balances(&token.subject, &id).ok_or(Refusal::NoSuchAccount)?;
    Ok(private(StatusCode::OK, json!({ "account_id": id, "balances": balances })))
}

/// `POST /payments`: pays from one of the customer's accounts; the available balance falls at once.
pub(crate) async fn pay(
    State(api): State<Arc<Api>>,
    Extension(token): Extension<AccessToken>,
    order: Result<Json<PaymentOrder>, JsonRejection>,
) -> Result<Response, Refusal> {
    let Json(order) = order.map_err(|_| Refusal::InvalidPayment("the body is not a payment in JSON"))?;
    let debtor = api.ledger.iban(&token.subject, &order.from_account).ok_or(Refusal::NoSuchAccount)?;
    let approval = payments::demand(&token, &order, &debtor, api.clock.now())?;
    let payment = api.ledger.pay(&token.subject, order, approval)?;
    Ok(private(StatusCode::CREATED, json!(payment)))
}

/// Account data is for this client alone; no cache keeps it.
fn private(status: StatusCode, body: Value) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

#[cfg(test)]
#[path = "routes_tests.rs"]
mod tests;
