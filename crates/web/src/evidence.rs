//! What is counted about outcomes, once they are certain: an answer that is rendered has been committed.
//!
//! A refusal is counted under the code that the wire says and the reason that only we know. Both are
//! words of closed lists; what a caller sent is in no label.

use consent::AudienceFault;
use flows::{
    FlowError,
    authorize::AuthorizationRefusal,
    dpop::DpopRefusal,
    evidence::client_reason,
    introspect::{Introspected, IntrospectionRefusal},
    pushed::PushRefusal,
    token::TokenRefusal,
};
use protocol::{
    authorization::AuthorizationRequestFault as Form, introspection::IntrospectionResponse,
    token::TokenRequestFault,
};
use tokens::{
    assertion_grant::AssertionGrantRefusal, checks::AuthorizationFault as Fault, code::CodeFault,
    credentials_grant::ClientGrantFault, device::DeviceFault, exchange::ExchangeFault, grant::GrantEnd,
    refresh::RefreshFault, request_object::RequestObjectRefusal, sender::Unconstrained, step::StepRefusal,
};

use crate::wire::{self, WireError};

const TOKENS: &str = "chancery_tokens_total";
const PUSHES: &str = "chancery_pushed_requests_total";
const AUTHORIZATIONS: &str = "chancery_authorizations_total";
const INTROSPECTIONS: &str = "chancery_introspections_total";

/// Counts an answer of the token endpoint.
pub(crate) fn token<T>(asked: Option<&str>, answer: &Result<Result<T, TokenRefusal>, FlowError>) {
    match answer {
        Ok(Ok(_)) => {
            metrics::counter!(TOKENS, "outcome" => "issued", "grant" => grant(asked)).increment(1);
        }
        Ok(Err(refusal)) => refused(TOKENS, &wire::token(refusal), token_reason(refusal)),
        Err(_) => metrics::counter!(TOKENS, "outcome" => "failed").increment(1),
    }
}

/// Counts an answer of the authorization endpoint that goes to a client.
pub(crate) fn authorization(outcome: Result<(), (&AuthorizationRefusal, &WireError)>) {
    match outcome {
        Ok(()) => metrics::counter!(AUTHORIZATIONS, "outcome" => "issued").increment(1),
        Err((refusal, error)) => refused(AUTHORIZATIONS, error, authorization_reason(refusal)),
    }
}

/// Counts an authorization request of which nobody knows where an answer should go.
pub(crate) fn unanswerable_authorization(error: &'static str, reason: &'static str) {
    let labels = [("outcome", "refused"), ("error", error), ("reason", reason)];
    metrics::counter!(AUTHORIZATIONS, &labels).increment(1);
}

/// Counts an answer of the introspection endpoint.
pub(crate) fn introspection(answer: &Result<Result<Introspected, IntrospectionRefusal>, FlowError>) {
    let outcome = match answer {
        Ok(Ok(Introspected { response: IntrospectionResponse::Active(_), .. })) => "active",
        Ok(Ok(Introspected { response: IntrospectionResponse::Inactive, .. })) => "inactive",
        Ok(Err(_)) => "refused",
        Err(_) => "failed",
    };
    metrics::counter!(INTROSPECTIONS, "outcome" => outcome).increment(1);
}

fn refused(metric: &'static str, error: &WireError, reason: &'static str) {
    let labels = [("outcome", "refused"), ("error", error.code.as_str()), ("reason", reason)];
    metrics::counter!(metric, &labels).increment(1);
}

/// What was granted, of the grant types that there are.
fn grant(asked: Option<&str>) -> &'static str {
    match asked {
        Some("authorization_code") => "authorization_code",
        Some("refresh_token") => "refresh_token",
        Some("client_credentials") => "client_credentials",
        Some("urn:ietf:params:oauth:grant-type:token-exchange") => "token_exchange",
        Some("urn:ietf:params:oauth:grant-type:jwt-bearer") => "jwt_bearer",
        _ => "other",
    }
}

fn token_reason(refusal: &TokenRefusal) -> &'static str {
    match refusal {
        TokenRefusal::Client(unauthenticated) => client_reason(&unauthenticated.refusal),
        TokenRefusal::Limited(_) => "too_many_requests",
        TokenRefusal::Undeliverable(_) => "client_keys_unavailable",
        TokenRefusal::Form(fault) => match fault {
            TokenRequestFault::Repeated(_) => "parameter_repeated",
            TokenRequestFault::Missing(_) => "parameter_missing",
            TokenRequestFault::UnsupportedGrantType => "grant_type_unsupported",
            TokenRequestFault::ScopeMalformed => "scope_malformed",
            TokenRequestFault::ResourceMalformed => "resource_malformed",
            TokenRequestFault::TokenTypeUnknown(_) => "token_type_unknown",
            TokenRequestFault::Details(_) | TokenRequestFault::DetailsUnexpected => "authorization_details",
        },
        TokenRefusal::Code(fault) => match fault {
            CodeFault::GrantNotAllowed => "grant_type_not_allowed",
            CodeFault::Unknown => "unknown_code",
            CodeFault::OtherClient => "code_of_another_client",
            CodeFault::Replayed => "code_replayed",
            CodeFault::Expired => "code_expired",
            CodeFault::OtherKey => "code_bound_to_another_key",
            CodeFault::RedirectUri => "redirect_uri_mismatch",
            CodeFault::VerifierMissing => "code_verifier_missing",
            CodeFault::VerifierUnexpected => "code_verifier_unexpected",
            CodeFault::VerifierWrong => "code_verifier_wrong",
            CodeFault::DetailsWider => "authorization_details_wider",
            CodeFault::Ended(end) => grant_end(*end),
            CodeFault::Core => "core_refused",
        },
        TokenRefusal::Audience(fault) => audience_reason(fault),
        TokenRefusal::Refresh(fault) => match fault {
            RefreshFault::GrantNotAllowed => "grant_type_not_allowed",
            RefreshFault::Unknown => "unknown_refresh_token",
            RefreshFault::OtherClient => "refresh_token_of_another_client",
            RefreshFault::Reused => "refresh_token_reused",
            RefreshFault::Expired => "refresh_token_expired",
            RefreshFault::DetailsWider => "authorization_details_wider",
            RefreshFault::Ended(end) => grant_end(*end),
            RefreshFault::ScopeWider => "scope_wider_than_granted",
            RefreshFault::Audience(fault) => audience_reason(fault),
            RefreshFault::OtherKey => "refresh_token_bound_to_another_key",
            RefreshFault::Confidential => "refresh_token_of_a_confidential_client",
            RefreshFault::Core => "core_refused",
        },
        TokenRefusal::ClientGrant(fault) => match fault {
            ClientGrantFault::GrantNotAllowed => "grant_type_not_allowed",
            ClientGrantFault::NoScope => "no_scope",
            ClientGrantFault::ScopeNotAllowed => "scope_not_allowed",
            ClientGrantFault::Audience(fault) => audience_reason(fault),
            ClientGrantFault::Details(_) => "authorization_details",
        },
        TokenRefusal::Dpop(refusal) => dpop_reason(refusal),
        TokenRefusal::Device(fault) => match fault {
            DeviceFault::GrantNotAllowed => "grant_type_not_allowed",
            DeviceFault::Unknown => "unknown_device_code",
            DeviceFault::OtherClient => "device_code_of_another_client",
            DeviceFault::Pending => "authorization_pending",
            DeviceFault::SlowDown => "slow_down",
            DeviceFault::Denied => "denied_by_user",
            DeviceFault::Expired => "device_code_expired",
        },
        TokenRefusal::Unconstrained(Unconstrained::Key | Unconstrained::Either) => {
            "sender_constraint_missing"
        }
        TokenRefusal::Unconstrained(Unconstrained::Certificate) => "client_certificate_missing",
        TokenRefusal::Unconstrained(Unconstrained::BadCertificate(_)) => "bad_client_certificate",
        TokenRefusal::Exchange(fault) => exchange_reason(fault),
        TokenRefusal::Assertion(fault) => assertion_reason(fault),
    }
}

fn exchange_reason(fault: &ExchangeFault) -> &'static str {
    match fault {
        ExchangeFault::GrantNotAllowed => "grant_type_not_allowed",
        ExchangeFault::Subject(_) => "subject_token_dead",
        ExchangeFault::NoPerson => "subject_token_of_no_person",
        ExchangeFault::Bound => "token_bound_to_a_key",
        ExchangeFault::Actor(_) => "actor_token_dead",
        ExchangeFault::ForeignActor => "actor_token_of_another_client",
        ExchangeFault::ActorMissing => "actor_token_missing",
        ExchangeFault::MayAct => "may_act_names_another",
        ExchangeFault::TooManyActors => "too_many_actors",
        ExchangeFault::NoRule => "no_exchange_rule",
        ExchangeFault::Target => "exchange_target_not_allowed",
        ExchangeFault::Ambiguous => "several_resources",
        ExchangeFault::Scope => "scope_not_allowed",
        ExchangeFault::Details => "authorization_details_wider",
        ExchangeFault::Format => "token_format",
    }
}

fn assertion_reason(refusal: &AssertionGrantRefusal) -> &'static str {
    match refusal {
        AssertionGrantRefusal::GrantNotAllowed => "grant_type_not_allowed",
        AssertionGrantRefusal::UnknownIssuer => "assertion_issuer_not_trusted",
        AssertionGrantRefusal::Assertion(_) => "assertion_refused",
        AssertionGrantRefusal::Replayed => "assertion_replayed",
        AssertionGrantRefusal::UnknownSubject => "assertion_subject_unknown",
        AssertionGrantRefusal::NoConsent => "no_consent",
        AssertionGrantRefusal::Scope => "scope_not_allowed",
        AssertionGrantRefusal::SecondFactor => "second_factor_required",
        AssertionGrantRefusal::Audience(fault) => audience_reason(fault),
        AssertionGrantRefusal::Ended(end) => grant_end(*end),
    }
}

fn audience_reason(fault: &AudienceFault) -> &'static str {
    match fault {
        AudienceFault::UnknownResource(_) => "unknown_resource",
        AudienceFault::Ambiguous(_) => "several_resources",
        AudienceFault::DetailOutsideResources(_) => "detail_outside_resources",
        AudienceFault::ScopeOutsideResources(_) => "scope_outside_resources",
    }
}

fn grant_end(end: GrantEnd) -> &'static str {
    match end {
        GrantEnd::Revoked => "grant_revoked",
        GrantEnd::Expired => "grant_expired",
        GrantEnd::ConsentWithdrawn => "consent_withdrawn",
        GrantEnd::ConsentExpired => "consent_expired",
        GrantEnd::SessionEnded => "session_ended",
        GrantEnd::UserDisabled => "user_disabled",
        GrantEnd::ClientDisabled => "client_disabled",
        GrantEnd::NothingLeft => "nothing_left",
    }
}

fn dpop_reason(refusal: &DpopRefusal) -> &'static str {
    match refusal {
        DpopRefusal::Unreadable => "dpop_header",
        DpopRefusal::Replayed(_) => "dpop_proof_replayed",
        refusal if refusal.wants_nonce() => "dpop_nonce_wanted",
        DpopRefusal::Proof(_) => "dpop_proof_refused",
    }
}

/// Counts an answer of the PAR endpoint.
pub(crate) fn push<T>(answer: &Result<Result<T, PushRefusal>, FlowError>) {
    match answer {
        Ok(Ok(_)) => metrics::counter!(PUSHES, "outcome" => "pushed").increment(1),
        Ok(Err(refusal)) => refused(PUSHES, &wire::push(refusal), push_reason(refusal)),
        Err(_) => metrics::counter!(PUSHES, "outcome" => "failed").increment(1),
    }
}

fn push_reason(refusal: &PushRefusal) -> &'static str {
    match refusal {
        PushRefusal::Repeated(_) => "parameter_repeated",
        PushRefusal::Client(unauthenticated) => client_reason(&unauthenticated.refusal),
        PushRefusal::Limited(_) => "too_many_requests",
        PushRefusal::Dpop(refusal) => dpop_reason(refusal),
        PushRefusal::OtherKey => "dpop_jkt_of_another_key",
        PushRefusal::RequestUri => "request_uri_pushed",
        PushRefusal::Redirect(_) => "redirect_uri_not_registered",
        PushRefusal::Fault(fault) => fault_reason(fault),
    }
}

fn fault_reason(fault: &Fault) -> &'static str {
    match fault {
        Fault::NotPushed => "not_pushed",
        Fault::Form(Form::Repeated(_)) => "parameter_repeated",
        Fault::Form(_) => "request_malformed",
        Fault::RequestObject(refusal) => request_object_reason(refusal),
        Fault::CodeFlowNotAllowed => "grant_type_not_allowed",
        Fault::ResponseTypeNotAllowed => "response_type_not_allowed",
        Fault::Mode(_) => "response_mode_not_allowed",
        Fault::NonceMissing => "nonce_missing",
        Fault::IdTokenWithoutOpenid => "openid_missing",
        Fault::ChallengeMissing => "code_challenge_missing",
        Fault::ScopeMissing => "no_scope",
        Fault::ScopeNotAllowed(_) => "scope_not_allowed",
        Fault::Audience(fault) => audience_reason(fault),
        Fault::Details(_) => "authorization_details",
        Fault::HintNotOurs => "id_token_hint",
        Fault::AcrUnreachable => "acr_unreachable",
        Fault::Core | Fault::Contradiction => "core_refused",
    }
}

fn request_object_reason(refusal: &RequestObjectRefusal) -> &'static str {
    match refusal {
        RequestObjectRefusal::Both => "request_and_request_uri",
        RequestObjectRefusal::Unsigned => "request_not_signed",
        RequestObjectRefusal::Invalid(_) | RequestObjectRefusal::Differs(_) => "bad_request_object",
        RequestObjectRefusal::UriNotRegistered => "request_uri_not_registered",
        RequestObjectRefusal::UriNotFetched(_) => "request_uri_not_fetched",
        RequestObjectRefusal::KeysUnavailable(_) => "client_keys_unavailable",
        RequestObjectRefusal::Repeated(_) => "parameter_repeated",
    }
}

fn authorization_reason(refusal: &AuthorizationRefusal) -> &'static str {
    match refusal {
        AuthorizationRefusal::Fault(fault) => fault_reason(fault),
        AuthorizationRefusal::Step(StepRefusal::LoginRequired) => "login_required",
        AuthorizationRefusal::Step(StepRefusal::InteractionRequired) => "interaction_required",
        AuthorizationRefusal::Step(StepRefusal::ConsentRequired) => "consent_required",
        AuthorizationRefusal::Step(StepRefusal::ForeignAccount) => "account_of_another",
        AuthorizationRefusal::Step(StepRefusal::NothingAllowed(_)) => "nothing_allowed",
        AuthorizationRefusal::Issue(_) => "nothing_granted",
        AuthorizationRefusal::Undeliverable(_) => "id_token_not_encrypted",
        AuthorizationRefusal::Denied => "denied_by_user",
    }
}
