//! Reading parameters: one strict reader for bodies and queries.

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::{StatusCode, header};
use protocol::params::{Params, ParamsFault};

use crate::App;

/// At most so many bytes in a form body.
pub const MAX_BODY: usize = 64 * 1024;

/// A form body.
#[derive(Clone, Debug)]
pub struct FormBody(pub Params);

/// Why a body is no form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormFault {
    /// Another content type, or none (O21-06).
    MediaType,
    /// Over [`MAX_BODY`], or broken off.
    Body(StatusCode),
    /// No acceptable parameters.
    Params(ParamsFault),
}

impl FormBody {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// [`FormFault`].
    pub async fn read(request: Request, app: &App) -> Result<Self, FormFault> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind = kind.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(FormFault::MediaType);
        }
        let bytes = Bytes::from_request(request, app).await;
        let bytes = bytes.map_err(|rejection| FormFault::Body(rejection.status()))?;
        Params::parse(&bytes).map(Self).map_err(FormFault::Params)
    }
}

impl FormFault {
    /// The status that says it.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Body(status) => *status,
            Self::Params(_) => StatusCode::BAD_REQUEST,
        }
    }

    /// What a developer should read.
    pub const fn describe(&self) -> &'static str {
        match self {
            Self::MediaType => "the body must be application/x-www-form-urlencoded",
            Self::Body(_) => "the body could not be read or is too large",
            Self::Params(ParamsFault::NotText) => "a parameter is not valid UTF-8 text",
            Self::Params(ParamsFault::TooMany) => "there are too many parameters",
            Self::Params(ParamsFault::TooLong) => "a parameter is too long",
        }
    }
}
