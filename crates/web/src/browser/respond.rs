//! The authorization response on its way to the client, success or error, in the mode that the client asked
//! for (RFC 6749 §4.1.2, RFC 9207, OAuth 2.0 Multiple Response Types, Form Post, JARM).

use axum::response::{IntoResponse, Response};
use flows::authorize::AuthorizationResponse;
use http::StatusCode;
use protocol::response_mode::{Carrier, Delivery};

use crate::{
    App,
    browser::{Visit, check_session::state_for},
    evidence,
    headers::FormTarget,
    pages::{DeviceDone, Field, FormPost, Page, ProblemKind},
    response::see_other,
    wire,
};

type Fields = Vec<(&'static str, String)>;

/// Answers the client at its verified redirect URI. What cannot be signed or encrypted as the client
/// wants it is not sent at all (MS-05).
pub async fn authorization(app: &App, visit: &Visit, response: &AuthorizationResponse) -> Response {
    let Delivery { carrier, signed } = response.redirect.delivery();
    let mut fields = parameters(app, visit, response);
    if response.redirect.is_device() {
        // Nobody is redirected to: the device polls, and the person goes back to it (RFC 8628 §3.3).
        let (client, allowed) = (response.client.name.clone(), response.outcome.is_ok());
        return Page::new(DeviceDone { frame: visit.frame(app, &[]), client, allowed }).into_response();
    }
    if signed {
        let parameters = fields.iter().map(|(name, value)| (*name, value.as_str()));
        match app.service.response_jwt(&response.client, parameters).await {
            Err(error) => return visit.trouble(app, &error),
            Ok(Err(fault)) => {
                tracing::warn!(client = %response.client.id, %fault, "a response could not be encrypted");
                let detail = Some("server_error: the response could not be encrypted to the app".to_owned());
                return visit.problem(app, StatusCode::BAD_GATEWAY, ProblemKind::Unavailable, detail);
            }
            Ok(Ok(jwt)) => fields = vec![("response", jwt)],
        }
    } else {
        fields.push(("iss", app.service.policies().issuer.clone()));
    }
    match carrier {
        Carrier::Query => see_other(&with_query(response.redirect.uri(), &fields)),
        Carrier::Fragment => see_other(&format!("{}#{}", response.redirect.uri(), encoded(&fields))),
        Carrier::FormPost => posted(app, visit, response, fields),
    }
}

/// The parameters but for `iss`, which stands beside them in every open response (F2-23) and inside the JWT
/// of a signed one (IS-01). An error has only `error`, `error_description`, `state` and `session_state`
/// (ER-01).
fn parameters(app: &App, visit: &Visit, response: &AuthorizationResponse) -> Fields {
    let mut fields = Fields::new();
    match &response.outcome {
        Ok(granted) => {
            evidence::authorization(Ok(()));
            fields.push(("code", granted.code.expose().to_owned()));
            fields.extend(granted.id_token.clone().map(|token| ("id_token", token)));
        }
        Err(refusal) => {
            let error = wire::authorization(refusal);
            evidence::authorization(Err((refusal, &error)));
            fields.push(("error", error.code.to_string()));
            fields.push(("error_description", error.description.to_string()));
        }
    }
    fields.extend(response.redirect.state().map(|state| ("state", state.to_owned())));
    fields.extend(state_for(app, visit, response).map(|state| ("session_state", state)));
    fields
}

/// OC-12: a page that posts itself, by a script or by a button, and may be stored by nobody.
fn posted(app: &App, visit: &Visit, response: &AuthorizationResponse, fields: Fields) -> Response {
    let page = FormPost {
        frame: visit.frame(app, response.redirect.ui_locales()),
        action: response.redirect.uri().to_owned(),
        fields: fields.into_iter().map(|(name, value)| Field::new(name, value)).collect(),
        client: response.client.name.clone(),
    };
    let mut posted = Page::new(page).into_response();
    if let Some(source) = response.redirect.csp_source() {
        posted.extensions_mut().insert(FormTarget(source));
    }
    posted
}

fn encoded(fields: &[(&str, String)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// A URI with fields added to its query; what was there stays as it was.
fn with_query(uri: &str, fields: &[(&str, String)]) -> String {
    let joint = match uri.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some(_) => "&",
    };
    format!("{uri}{joint}{}", encoded(fields))
}
