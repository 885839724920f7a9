//! How outcomes look: JSON errors, authorization responses, trouble of our own.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use flows::FlowError;
use http::{HeaderValue, StatusCode, header};
use protocol::{Description, ErrorCode, error::ErrorBody};
use store::StoreError;

use crate::{form::FormFault, wire::WireError};

/// A JSON error of an endpoint for programs. `basic` asks for Basic credentials, where a failed
/// header was sent (ER-02).
pub fn json_error(error: WireError, basic: bool) -> Response {
    let WireError { code, description, status } = error;
    let mut response =
        (status, Json(ErrorBody { error: code, error_description: description })).into_response();
    if basic && status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Basic realm=\"chancery\", charset=\"UTF-8\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// A body that is no form.
pub fn form_error(fault: &FormFault) -> Response {
    let error = WireError {
        code: ErrorCode::InvalidRequest,
        description: fault.describe().into(),
        status: fault.status(),
    };
    json_error(error, false)
}

/// Trouble of our own, for programs: 503 where coming again may help, else 500. What it was is in
/// the log under the request's name.
pub fn trouble(error: &FlowError) -> Response {
    let status = trouble_status(error);
    tracing::error!(%error, "a flow failed");
    let code = match status {
        StatusCode::SERVICE_UNAVAILABLE => ErrorCode::TemporarilyUnavailable,
        _ => ErrorCode::ServerError,
    };
    let description = Description::from("the server could not handle the request; try again later");
    let mut response = json_error(WireError { code, description, status }, false);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// Whether coming again may help.
pub fn trouble_status(error: &FlowError) -> StatusCode {
    match error {
        FlowError::Busy | FlowError::AuditBehind => StatusCode::SERVICE_UNAVAILABLE,
        FlowError::Store(StoreError::Unavailable(_) | StoreError::Contended(_)) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// 303: the browser follows with GET and without the body, so no credential travels on (F2-26).
pub fn see_other(location: &str) -> Response {
    match HeaderValue::from_str(location) {
        Ok(location) => (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
