//! Every wire error, in one place: which refusal becomes which code, status and public text.
//!
//! Inside, refusals say exactly what deviated; logs and audit keep that. Outside, a client learns
//! what it needs to mend its request and no more. One function per endpoint; matches are complete,
//! so a new refusal does not compile until somebody decides here what the world may know of it.

use consent::{AudienceFault, DetailFault};
use flows::{
    authorize::AuthorizationRefusal, client_auth::ClientRefusal, device_flow::DeviceRefusal,
    dpop::DpopRefusal, introspect::IntrospectionRefusal, pushed::PushRefusal,
    registration::RegistrationRefusal, revoke::RevocationRefusal, token::TokenRefusal,
    userinfo::UserinfoRefusal,
};
use http::StatusCode;
use protocol::{
    Description, ErrorCode, authorization::AuthorizationRequestFault as Form, device::DeviceRequestFault,
    introspection::TokenParameterFault, token::TokenRequestFault,
};
use tokens::{
    assertion_grant::AssertionGrantRefusal,
    checks::AuthorizationFault as Fault,
    code::CodeFault,
    credentials_grant::ClientGrantFault,
    device::DeviceFault,
    exchange::ExchangeFault,
    presented::{DeadToken, UserinfoFault},
    redirect::RedirectFault,
    refresh::RefreshFault,
    request_object::RequestObjectRefusal,
    sender::Unconstrained,
    step::StepRefusal,
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
        AuthorizationRefusal::Step(StepRefusal::ForeignAccount) => {
            wire(ErrorCode::AccessDenied, "the request names accounts that are not the user's")
        }
        AuthorizationRefusal::Step(StepRefusal::NothingAllowed(_)) | AuthorizationRefusal::Issue(_) => {
            wire(ErrorCode::AccessDenied, "nothing of what was requested can be granted for this user")
        }
        AuthorizationRefusal::Undeliverable(_) => {
            wire(ErrorCode::ServerError, "the ID token could not be encrypted to the client")
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
                Form::Details(_) => ErrorCode::InvalidAuthorizationDetails,
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
                | Form::Claims(_)
                | Form::PromptNoneMixed
                | Form::MaxAgeMalformed
                | Form::ThumbprintMalformed
                | Form::TooLong => ErrorCode::InvalidRequest,
            };
            wire(code, form.to_string())
        }
        Fault::RequestObject(refusal) => request_object(refusal),
        Fault::AcrUnreachable => wire(ErrorCode::UnmetAuthenticationRequirements, fault.to_string()),
        Fault::CodeFlowNotAllowed | Fault::ResponseTypeNotAllowed => {
            wire(ErrorCode::UnauthorizedClient, fault.to_string())
        }
        Fault::NonceMissing | Fault::IdTokenWithoutOpenid | Fault::Mode(_) => {
            wire(ErrorCode::InvalidRequest, fault.to_string())
        }
        Fault::NotPushed | Fault::ChallengeMissing | Fault::HintNotOurs | Fault::Core => {
            wire(ErrorCode::InvalidRequest, fault.to_string())
        }
        Fault::Contradiction => wire(ErrorCode::ServerError, "the server made a mistake"),
        Fault::ScopeMissing | Fault::ScopeNotAllowed(_) => wire(ErrorCode::InvalidScope, fault.to_string()),
        Fault::Audience(fault) => audience(fault),
        Fault::Details(fault) => details(fault),
    }
}

/// Request objects (RFC 9101 §7, JAR-08). What is wrong with an object is said, because its maker must
/// mend it; what a server that we asked answered is not, because nobody shall explore a network through
/// us.
pub fn request_object(refusal: &RequestObjectRefusal) -> WireError {
    match refusal {
        RequestObjectRefusal::Both | RequestObjectRefusal::Unsigned | RequestObjectRefusal::Repeated(_) => {
            wire(ErrorCode::InvalidRequest, refusal.to_string())
        }
        RequestObjectRefusal::Invalid(_) | RequestObjectRefusal::Differs(_) => {
            wire(ErrorCode::InvalidRequestObject, refusal.to_string())
        }
        RequestObjectRefusal::KeysUnavailable(_) => {
            wire(ErrorCode::InvalidRequestObject, "the keys of the client are not available")
        }
        RequestObjectRefusal::UriNotRegistered => wire(ErrorCode::InvalidRequestUri, refusal.to_string()),
        RequestObjectRefusal::UriNotFetched(_) => {
            wire(ErrorCode::InvalidRequestUri, "request_uri cannot be fetched")
        }
    }
}

/// Authorization details that nobody can have like that (RFC 9396 §5). The text names the place, never the
/// content.
fn details(fault: &DetailFault) -> WireError {
    wire(ErrorCode::InvalidAuthorizationDetails, fault.to_string())
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
        AudienceFault::DetailOutsideResources(_) => {
            wire(ErrorCode::InvalidTarget, "an authorization detail means nothing to the named resource")
        }
        AudienceFault::ScopeOutsideResources(_) => {
            wire(ErrorCode::InvalidScope, "the scope means nothing to the named resource")
        }
    }
}

/// The device authorization endpoint (RFC 8628 §3.1).
pub fn device(refusal: &DeviceRefusal) -> WireError {
    match refusal {
        DeviceRefusal::Client(unauthenticated) => client(&unauthenticated.refusal),
        DeviceRefusal::Limited(_) => limited("client"),
        DeviceRefusal::Form(form) => {
            let code = match form {
                DeviceRequestFault::Repeated(_) => ErrorCode::InvalidRequest,
                DeviceRequestFault::ScopeMalformed => ErrorCode::InvalidScope,
                DeviceRequestFault::ResourceMalformed => ErrorCode::InvalidTarget,
                DeviceRequestFault::Details => ErrorCode::InvalidAuthorizationDetails,
            };
            wire(code, form.to_string())
        }
        DeviceRefusal::NotAllowed => {
            wire(ErrorCode::UnauthorizedClient, "the client may not use this grant type")
        }
        DeviceRefusal::Fault(fault) => authorization_fault(fault),
    }
}

/// What a device that polls is told (RFC 8628 §3.5, DV-02).
fn device_poll(fault: DeviceFault) -> WireError {
    match fault {
        DeviceFault::GrantNotAllowed => {
            wire(ErrorCode::UnauthorizedClient, "the client may not use this grant type")
        }
        DeviceFault::Unknown | DeviceFault::OtherClient => {
            wire(ErrorCode::InvalidGrant, "the device_code is unknown, used, or of another client")
        }
        DeviceFault::Pending => wire(ErrorCode::AuthorizationPending, "the user has not decided yet"),
        DeviceFault::SlowDown => wire(ErrorCode::SlowDown, "poll less often, by 5 seconds from now on"),
        DeviceFault::Denied => wire(ErrorCode::AccessDenied, "the user denied the request"),
        DeviceFault::Expired => wire(ErrorCode::ExpiredToken, "the device_code has expired"),
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
                TokenRequestFault::Details(_) | TokenRequestFault::DetailsUnexpected => {
                    ErrorCode::InvalidAuthorizationDetails
                }
                TokenRequestFault::Repeated(_)
                | TokenRequestFault::Missing(_)
                | TokenRequestFault::TokenTypeUnknown(_) => ErrorCode::InvalidRequest,
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
            CodeFault::OtherKey => {
                wire(ErrorCode::InvalidGrant, "the code is bound to a key that was not shown")
            }
            CodeFault::DetailsWider => wider_details(),
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
        TokenRefusal::Device(fault) => device_poll(*fault),
        TokenRefusal::Dpop(refusal) => dpop(refusal),
        TokenRefusal::Unconstrained(fault) => unconstrained(fault),
        TokenRefusal::Audience(fault) => audience(fault),
        TokenRefusal::Refresh(fault) => refresh(fault),
        TokenRefusal::ClientGrant(fault) => match fault {
            ClientGrantFault::GrantNotAllowed => {
                wire(ErrorCode::UnauthorizedClient, "the client may not use this grant type")
            }
            ClientGrantFault::NoScope | ClientGrantFault::ScopeNotAllowed => {
                wire(ErrorCode::InvalidScope, "the client may not have this scope for itself")
            }
            ClientGrantFault::Audience(fault) => audience(fault),
            ClientGrantFault::Details(fault) => details(fault),
        },
        TokenRefusal::Undeliverable(_) => {
            wire(ErrorCode::InvalidRequest, "there is no key of the client to encrypt the ID token to")
        }
        TokenRefusal::Exchange(fault) => exchange(fault),
        TokenRefusal::Assertion(refusal) => assertion(refusal),
    }
}

/// Nothing to bind tokens to (F2-09, DP-09, MT-06).
fn unconstrained(fault: &Unconstrained) -> WireError {
    match fault {
        Unconstrained::Key => wire(
            ErrorCode::InvalidDpopProof,
            "the tokens of this client are bound to a key: send a DPoP proof",
        ),
        Unconstrained::Either => wire(
            ErrorCode::InvalidRequest,
            "the tokens of this client are bound: show a certificate or send a DPoP proof",
        ),
        Unconstrained::Certificate => {
            wire(ErrorCode::InvalidRequest, "the tokens of this client are bound to its certificate: show it")
        }
        Unconstrained::BadCertificate(_) => wire(
            ErrorCode::InvalidRequest,
            "the client certificate is expired, not valid yet, weak or unreadable",
        ),
    }
}

/// Refreshing (RFC 6749 §5.2).
fn refresh(fault: &RefreshFault) -> WireError {
    match fault {
        RefreshFault::GrantNotAllowed => {
            wire(ErrorCode::UnauthorizedClient, "the client may not use this grant type")
        }
        RefreshFault::ScopeWider => wire(ErrorCode::InvalidScope, "the scope goes beyond what was granted"),
        RefreshFault::Audience(fault) => audience(fault),
        RefreshFault::DetailsWider => wider_details(),
        RefreshFault::OtherKey => {
            wire(ErrorCode::InvalidGrant, "the refresh token is bound to a key that was not shown")
        }
        RefreshFault::Unknown
        | RefreshFault::OtherClient
        | RefreshFault::Reused
        | RefreshFault::Expired
        | RefreshFault::Confidential
        | RefreshFault::Ended(_)
        | RefreshFault::Core => wire(
            ErrorCode::InvalidGrant,
            "the refresh token is unknown, expired, revoked, or of another client",
        ),
    }
}

/// RAR-04.
fn wider_details() -> WireError {
    let text = "authorization_details go beyond what was granted";
    wire(ErrorCode::InvalidAuthorizationDetails, text)
}

/// Token exchange (RFC 8693 §2.2.2): whatever is wrong with a token of the request is `invalid_request`.
fn exchange(fault: &ExchangeFault) -> WireError {
    match fault {
        ExchangeFault::GrantNotAllowed => {
            wire(ErrorCode::UnauthorizedClient, "the client may not use this grant type")
        }
        ExchangeFault::NoRule => {
            wire(ErrorCode::UnauthorizedClient, "the client may not exchange this token")
        }
        // Which of these it was would help only a thief.
        ExchangeFault::Subject(_) | ExchangeFault::NoPerson => wire(
            ErrorCode::InvalidRequest,
            "subject_token is unknown, expired, revoked, or speaks for no person",
        ),
        ExchangeFault::Actor(_) | ExchangeFault::ForeignActor => {
            wire(ErrorCode::InvalidRequest, "actor_token is unknown, expired, revoked, or of another client")
        }
        ExchangeFault::Bound => {
            wire(ErrorCode::InvalidRequest, "the token is bound to a key that this request does not prove")
        }
        ExchangeFault::Details => wider_details(),
        ExchangeFault::ActorMissing => wire(ErrorCode::InvalidRequest, "actor_token is missing"),
        ExchangeFault::MayAct => {
            wire(ErrorCode::InvalidRequest, "subject_token names another actor in may_act")
        }
        ExchangeFault::TooManyActors => wire(ErrorCode::InvalidRequest, "too many have acted already"),
        ExchangeFault::Format => {
            wire(ErrorCode::InvalidRequest, "tokens for this target are opaque: no JWT can be had")
        }
        ExchangeFault::Target => {
            wire(ErrorCode::InvalidTarget, "the token can't be exchanged for this target")
        }
        ExchangeFault::Ambiguous => {
            wire(ErrorCode::InvalidTarget, "name one target with the audience or resource parameter")
        }
        ExchangeFault::Scope => {
            wire(ErrorCode::InvalidScope, "the scope goes beyond what may be exchanged for this target")
        }
    }
}

/// The JWT bearer grant (RFC 7523 §3.1).
fn assertion(refusal: &AssertionGrantRefusal) -> WireError {
    match refusal {
        AssertionGrantRefusal::GrantNotAllowed => {
            wire(ErrorCode::UnauthorizedClient, "the client may not use this grant type")
        }
        AssertionGrantRefusal::UnknownIssuer
        | AssertionGrantRefusal::Assertion(_)
        | AssertionGrantRefusal::Replayed => wire(
            ErrorCode::InvalidGrant,
            "the assertion is malformed, expired, used, not for this server, or of an issuer without trust",
        ),
        // Who is a customer is nobody's business.
        AssertionGrantRefusal::UnknownSubject
        | AssertionGrantRefusal::NoConsent
        | AssertionGrantRefusal::Ended(_) => {
            wire(ErrorCode::InvalidGrant, "no consent of this person to this client covers the request")
        }
        AssertionGrantRefusal::Scope => {
            wire(ErrorCode::InvalidScope, "the scope goes beyond what assertions of this issuer can give")
        }
        AssertionGrantRefusal::SecondFactor => {
            wire(ErrorCode::InvalidScope, "the scope takes two factors, which an assertion does not show")
        }
        AssertionGrantRefusal::Audience(fault) => audience(fault),
    }
}

/// A proof of a key (RFC 9449 §5, §8). What is wrong with it is said, because its maker must mend it.
fn dpop(refusal: &DpopRefusal) -> WireError {
    match refusal {
        refusal if refusal.wants_nonce() => {
            wire(ErrorCode::UseDpopNonce, "the DPoP proof needs the nonce of the DPoP-Nonce header")
        }
        refusal => wire(ErrorCode::InvalidDpopProof, refusal.to_string()),
    }
}

/// The PAR endpoint (RFC 9126 §2.3).
pub fn push(refusal: &PushRefusal) -> WireError {
    match refusal {
        PushRefusal::Client(unauthenticated) => client(&unauthenticated.refusal),
        PushRefusal::Limited(_) => limited("client"),
        PushRefusal::Dpop(refusal) => dpop(refusal),
        PushRefusal::Repeated(_) | PushRefusal::OtherKey | PushRefusal::RequestUri => {
            wire(ErrorCode::InvalidRequest, refusal.to_string())
        }
        PushRefusal::Redirect(fault) => wire(
            ErrorCode::InvalidRequest,
            match fault {
                RedirectFault::RedirectUriMissing => "redirect_uri is missing or repeated",
                _ => "redirect_uri is not registered for this client",
            },
        ),
        PushRefusal::Fault(fault) => authorization_fault(fault),
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

/// The registration endpoints (RFC 7591 §3.2.2, RFC 7592 §2, DR-03).
pub fn registration(refusal: &RegistrationRefusal) -> WireError {
    use tokens::registration::RegistrationFault;
    match refusal {
        RegistrationRefusal::Off => WireError {
            code: ErrorCode::InvalidRequest,
            description: "there is no registration here".into(),
            status: StatusCode::NOT_FOUND,
        },
        RegistrationRefusal::TokenMissing => {
            registration_credentials("registration needs an initial access token")
        }
        // Which of these it was would help only a thief.
        RegistrationRefusal::Token(_) | RegistrationRefusal::Policy(_) => {
            registration_credentials("the initial access token is not valid here")
        }
        RegistrationRefusal::Management => {
            registration_credentials("the registration access token is not valid for this client")
        }
        RegistrationRefusal::StatementUnapproved => {
            wire(ErrorCode::UnapprovedSoftwareStatement, refusal.to_string())
        }
        RegistrationRefusal::Statement(_) | RegistrationRefusal::StatementMissing => {
            wire(ErrorCode::InvalidSoftwareStatement, refusal.to_string())
        }
        RegistrationRefusal::Fault(fault) => {
            let redirect = match fault {
                RegistrationFault::RedirectUri(_) => true,
                RegistrationFault::Form(form) => form.is_about("redirect_uris"),
                RegistrationFault::Rules(faults) => faults.iter().any(|fault| fault.is_about_redirect_uris()),
                _ => false,
            };
            let code = match redirect {
                true => ErrorCode::InvalidRedirectUri,
                false => ErrorCode::InvalidClientMetadata,
            };
            wire(code, fault.to_string())
        }
        RegistrationRefusal::ClientId
        | RegistrationRefusal::ClientSecret
        | RegistrationRefusal::ReadOnly(_) => wire(ErrorCode::InvalidClientMetadata, refusal.to_string()),
    }
}

/// Credentials of the registration endpoints that are none (RFC 6750 §3.1).
pub fn registration_credentials(description: &'static str) -> WireError {
    WireError {
        code: ErrorCode::InvalidToken,
        description: description.into(),
        status: StatusCode::UNAUTHORIZED,
    }
}

/// A body of the registration endpoints that can't be read.
pub fn registration_body(description: &'static str, status: StatusCode) -> WireError {
    WireError { code: ErrorCode::InvalidClientMetadata, description: description.into(), status }
}

/// The userinfo endpoint (RFC 6750 §3.1, RFC 9449 §7.1).
pub fn userinfo(refusal: &UserinfoRefusal) -> WireError {
    let fault = match refusal {
        UserinfoRefusal::Token(fault) => fault,
        UserinfoRefusal::Dpop(refusal) => {
            return WireError { status: StatusCode::UNAUTHORIZED, ..dpop(refusal) };
        }
    };
    match fault {
        UserinfoFault::Dead(DeadToken::WrongSender) => WireError {
            code: ErrorCode::InvalidToken,
            description: "the access token was not shown with the key that it is bound to".into(),
            status: StatusCode::UNAUTHORIZED,
        },
        UserinfoFault::Dead(DeadToken::WrongCertificate) => WireError {
            code: ErrorCode::InvalidToken,
            description: "the access token was not shown with the certificate that it is bound to".into(),
            status: StatusCode::UNAUTHORIZED,
        },
        UserinfoFault::Dead(_) => WireError {
            code: ErrorCode::InvalidToken,
            description: "the access token is unknown, expired, revoked, or not for this endpoint".into(),
            status: StatusCode::UNAUTHORIZED,
        },
        // What the client has to mend: userinfo is never sent readable in place of it.
        UserinfoFault::Undeliverable => WireError {
            status: StatusCode::BAD_REQUEST,
            ..wire(ErrorCode::InvalidRequest, "there is no key of the client to encrypt to")
        },
        UserinfoFault::NotOpenid => WireError {
            code: ErrorCode::InsufficientScope,
            description: "the access token lacks the openid scope".into(),
            status: StatusCode::FORBIDDEN,
        },
    }
}
