//! `/device_authorization` (RFC 8628 §3.1).

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use flows::device_flow::DeviceRefusal;

use crate::{
    App,
    endpoints::authorization,
    form::FormBody,
    limits::{ClientShare, fields},
    request::Caller,
    response::{form_error, json_error, trouble},
    wire,
};

/// POST.
pub async fn authorize(State(app): State<App>, Caller(context): Caller, request: Request) -> Response {
    let header = authorization(request.headers()).map(str::to_owned);
    let FormBody(body) = match FormBody::read(request, &app).await {
        Ok(body) => body,
        Err(fault) => return form_error(&fault),
    };
    let share = ClientShare::new(&app.limits);
    let answer =
        app.service.authorize_device(&context, header.as_deref(), &body, &|client| share.admit(client)).await;
    let response = match answer {
        Err(error) => trouble(&error),
        Ok(Ok(response)) => Json(response).into_response(),
        Ok(Err(refusal @ DeviceRefusal::Limited(seconds))) => {
            fields::refusal(wire::device(&refusal), seconds)
        }
        Ok(Err(refusal)) => {
            let basic = matches!(&refusal, DeviceRefusal::Client(client) if client.used_header);
            json_error(wire::device(&refusal), basic)
        }
    };
    share.tell(response)
}
