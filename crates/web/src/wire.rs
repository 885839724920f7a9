//! Every wire error, in one place: which refusal becomes which code, status and public text.
//!
//! Inside, refusals say exactly what deviated; logs and audit keep that. Outside, a client learns
//! what it needs to mend its request and no more. One function per endpoint; matches are complete,
//! so a new refusal does not compile until somebody decides here what the world may know of it.

use consent::AudienceFault;
use flows::{
    authorize::AuthorizationRefusal, client_auth::ClientRefusal, introspect::IntrospectionRefusal,
    revoke::RevocationRefusal, token::TokenRefusal,
};
use http::StatusCode;
use protocol::{
    Description, ErrorCode, authorization::AuthorizationRequestFault as Form,
    introspection::TokenParameterFault, token::TokenRequestFault,
};
use tokens::{
    checks::AuthorizationFault as Fault, code::CodeFault, credentials_grant::ClientGrantFault,
    presented::UserinfoFault, refresh::RefreshFault, step::StepRefusal,
};

/// What the wire says about a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireError {
    /// The code.
    pub code: ErrorCode,
    /// The public text.
    pub description: Description,
    /// The status, where the answer is not a redirect.
    pub status: StatusCode,
}

fn wire(code: ErrorCode, description: impl Into<Description>) -> WireError {
    WireError { code, description: description.into(), status: StatusCode::BAD_REQUEST }
}

fn unauthorized(description: &'static str) -> WireError {
    WireError {
        code: ErrorCode::InvalidClient,
        description: description.into(),
        status: StatusCode::UNAUTHORIZED,
    }
}

/// The authorization endpoint (RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6).
pub fn authorization(refusal: &AuthorizationRefusal) -> WireError {
    match refusal {
        AuthorizationRefusal::Fault(fault) => authorization_fault(fault),
        AuthorizationRefusal::Step(StepRefusal::LoginRequired) => {
            wire(ErrorCode::LoginRequired, "the user must sign in")
        }
        AuthorizationRefusal::Step(StepRefusal::InteractionRequired) => {
            wire(ErrorCode::InteractionRequired, "the user must show a second factor")
        }
        AuthorizationRefusal::Step(StepRefusal::ConsentRequired) => {
            wire(ErrorCode::ConsentRequired, "the user must consent")
        }
        AuthorizationRefusal::Step(StepRefusal::NothingAllowed(_)) | AuthorizationRefusal::Issue(_) => {
            wire(ErrorCode::AccessDenied, "nothing of what was requested can be granted for this user")
        }
        AuthorizationRefusal::Denied => wire(ErrorCode::AccessDenied, "the user denied the request"),
    }
}

fn authorization_fault(fault: &Fault) -> WireError {
    match fault {
        Fault::Form(form) => {
            let code = match form {
                Form::ResponseTypeUnsupported => ErrorCode::UnsupportedResponseType,
                Form::ScopeMalformed => ErrorCode::InvalidScope,
                Form::ResourceMalformed => ErrorCode::InvalidTarget,
                Form::RequestObject => ErrorCode::RequestNotSupported,
                Form::RequestUri => ErrorCode::RequestUriNotSupported,
                Form::Registration => ErrorCode::RegistrationNotSupported,
                Form::Repeated(_)
                | Form::ClientIdMissing
                | Form::ResponseTypeMissing
                | Form::ResponseModeUnsupported
                | Form::ChallengeMethodUnsupported
                | Form::ChallengeMalformed
                | Form::PromptUnknown
                | Form::PromptNoneMixed
                | Form::MaxAgeMalformed
                | Form::TooLong => ErrorCode::InvalidRequest,
            };
            wire(code, form.to_string())
        }
        Fault::CodeFlowNotAllowed => wire(ErrorCode::UnauthorizedClient, fault.to_string()),
        Fault::ChallengeMissing | Fault::HintNotOurs | Fault::Core => {
            wire(ErrorCode::InvalidRequest, fault.to_string())
        }
        Fault::Contradiction => wire(ErrorCode::ServerError, "the server made a mistake"),
        Fault::ScopeMissing | Fault::ScopeNotAllowed(_) => wire(ErrorCode::InvalidScope, fault.to_string()),
        Fault::Audience(fault) => audience(fault),
    }
}

/// Scope and resources that don't fit (RFC 8707 §2, RFC 9068 §3).
fn audience(fault: &AudienceFault) -> WireError {
    match fault {
        AudienceFault::UnknownResource(_) => {
            wire(ErrorCode::InvalidTarget, "the resource is unknown or was not granted")
        }
        AudienceFault::Ambiguous(_) => wire(
            ErrorCode::InvalidTarget,
            "the scope reaches several resource servers: name one with the resource parameter",
        ),
        AudienceFault::ScopeOutsideResources(_) => {
            wire(ErrorCode::InvalidScope, "the scope means nothing to the named resource")
        }
    }
}

/// The token endpoint (RFC 6749 §5.2).
pub fn token(refusal: &TokenRefusal) -> WireError {
    match refusal {
        TokenRefusal::Client(unauthenticated) => client(&unauthenticated.refusal),
        TokenRefusal::Limited(_) => limited("client"),
        TokenRefusal::Form(form) => {
            let code = match form {
                TokenRequestFault::UnsupportedGrantType => ErrorCode::UnsupportedGrantType,
                TokenRequestFault::ScopeMalformed => ErrorCode::InvalidScope,
                TokenRequestFault::ResourceMalformed => ErrorCode::InvalidTarget,
                TokenRequestFault::Repeated(_) | TokenRequestFault::Missing(_) => ErrorCode::InvalidRequest,
            };
            wire(code, form.to_string())
        }
        TokenRefusal::Code(fault) => match fault {
            CodeFault::GrantNotAllowed => {
                wire(ErrorCode::UnauthorizedClient, "the client may not use this grant type")
            }
            CodeFault::RedirectUri => {
                wire(ErrorCode::InvalidGrant, "redirect_uri is not the one of the authorization request")
            }
            CodeFault::VerifierMissing | CodeFault::VerifierUnexpected | CodeFault::VerifierWrong => {
                wire(ErrorCode::InvalidGrant, "code_verifier does not fit the authorization request")
            }
            // Which of these it was would help only a thief.
            CodeFault::Unknown
            | CodeFault::OtherClient
            | CodeFault::Replayed
            | CodeFault::Expired
            | CodeFault::Ended(_)
            | CodeFault::Core => {
                wire(ErrorCode::InvalidGrant, "the code is unknown, expired, used, or of another client")
            }
        },
        TokenRefusal::Audience(fault) => audience(fault),
        TokenRefusal::Refresh(fault) => match fault {
            RefreshFault::GrantNotAllowed => {
                wire(ErrorCode::UnauthorizedClient, "the client may not use this grant type")
            }
            RefreshFault::ScopeWider => {
                wire(ErrorCode::InvalidScope, "the scope goes beyond what was granted")
            }
            RefreshFault::Audience(fault) => audience(fault),
            RefreshFault::Unknown
            | RefreshFault::OtherClient
            | RefreshFault::Reused
            | RefreshFault::Expired
            | RefreshFault::Ended(_)
            | RefreshFault::Core => wire(
                ErrorCode::InvalidGrant,
                "the refresh token is unknown, expired, revoked, or of another client",
            ),
        },
        TokenRefusal::ClientGrant(fault) => match fault {
            ClientGrantFault::GrantNotAllowed => {
                wire(ErrorCode::UnauthorizedClient, "the client may not use this grant type")
            }
            ClientGrantFault::NoScope | ClientGrantFault::ScopeNotAllowed => {
                wire(ErrorCode::InvalidScope, "the client may not have this scope for itself")
            }
            ClientGrantFault::Audience(fault) => audience(fault),
        },
    }
}

/// Client authentication (RFC 6749 §5.2, ER-02). Whether a client exists is not said.
fn client(refusal: &ClientRefusal) -> WireError {
    use tokens::client_auth::PresentedFault as Presented;
    match refusal {
        // Two methods at once are a malformed request, not a failed authentication (OC-23).
        ClientRefusal::Presented(fault @ (Presented::Several | Presented::Contradiction)) => {
            wire(ErrorCode::InvalidRequest, fault.to_string())
        }
        ClientRefusal::Presented(_) | ClientRefusal::Auth(_) => unauthorized("client authentication failed"),
    }
}

/// Too many requests of an address or a client (RFC 6585 §4). The code is the one that says that
/// coming again may help (RFC 6749 §4.1.2.1).
pub fn limited(whose: &str) -> WireError {
    WireError {
        code: ErrorCode::TemporarilyUnavailable,
        description: Description::from(format!("too many requests of this {whose}; try again later")),
        status: StatusCode::TOO_MANY_REQUESTS,
    }
}

/// The revocation endpoint (RFC 7009 §2.2.1).
pub fn revocation(refusal: &RevocationRefusal) -> WireError {
    match refusal {
        RevocationRefusal::Client(unauthenticated) => client(&unauthenticated.refusal),
        RevocationRefusal::Limited(_) => limited("client"),
        RevocationRefusal::Form(fault) => token_parameter(fault),
    }
}

/// The introspection endpoint (RFC 7662 §2.3).
pub fn introspection(refusal: &IntrospectionRefusal) -> WireError {
    match refusal {
        IntrospectionRefusal::Unauthenticated { .. } => unauthorized("resource server authentication failed"),
        IntrospectionRefusal::Form(fault) => token_parameter(fault),
    }
}

fn token_parameter(fault: &TokenParameterFault) -> WireError {
    wire(ErrorCode::InvalidRequest, fault.to_string())
}

/// The userinfo endpoint (RFC 6750 §3.1).
pub fn userinfo(fault: &UserinfoFault) -> WireError {
    match fault {
        UserinfoFault::Dead(_) => WireError {
            code: ErrorCode::InvalidToken,
            description: "the access token is unknown, expired, revoked, or not for this endpoint".into(),
            status: StatusCode::UNAUTHORIZED,
        },
        UserinfoFault::NotOpenid => WireError {
            code: ErrorCode::InsufficientScope,
            description: "the access token lacks the openid scope".into(),
            status: StatusCode::FORBIDDEN,
        },
    }
}
