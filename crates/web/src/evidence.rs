//! What is counted about outcomes, once they are certain: an answer that is rendered has been committed.
//!
//! A refusal is counted under the code that the wire says and the reason that only we know. Both are
//! words of closed lists; what a caller sent is in no label.

use consent::AudienceFault;
use flows::{
    FlowError, authorize::AuthorizationRefusal, evidence::client_reason, introspect::IntrospectionRefusal,
    token::TokenRefusal,
};
use protocol::{
    authorization::AuthorizationRequestFault as Form, introspection::IntrospectionResponse,
    token::TokenRequestFault,
};
use tokens::{
    checks::AuthorizationFault as Fault, code::CodeFault, credentials_grant::ClientGrantFault,
    grant::GrantEnd, refresh::RefreshFault, step::StepRefusal,
};

use crate::wire::{self, WireError};

const TOKENS: &str = "chancery_tokens_total";
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
pub(crate) fn introspection(answer: &Result<Result<IntrospectionResponse, IntrospectionRefusal>, FlowError>) {
    let outcome = match answer {
        Ok(Ok(IntrospectionResponse::Active(_))) => "active",
        Ok(Ok(IntrospectionResponse::Inactive)) => "inactive",
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
        _ => "other",
    }
}

fn token_reason(refusal: &TokenRefusal) -> &'static str {
    match refusal {
        TokenRefusal::Client(unauthenticated) => client_reason(&unauthenticated.refusal),
        TokenRefusal::Limited(_) => "too_many_requests",
        TokenRefusal::Form(fault) => match fault {
            TokenRequestFault::Repeated(_) => "parameter_repeated",
            TokenRequestFault::Missing(_) => "parameter_missing",
            TokenRequestFault::UnsupportedGrantType => "grant_type_unsupported",
            TokenRequestFault::ScopeMalformed => "scope_malformed",
            TokenRequestFault::ResourceMalformed => "resource_malformed",
        },
        TokenRefusal::Code(fault) => match fault {
            CodeFault::GrantNotAllowed => "grant_type_not_allowed",
            CodeFault::Unknown => "unknown_code",
            CodeFault::OtherClient => "code_of_another_client",
            CodeFault::Replayed => "code_replayed",
            CodeFault::Expired => "code_expired",
            CodeFault::RedirectUri => "redirect_uri_mismatch",
            CodeFault::VerifierMissing => "code_verifier_missing",
            CodeFault::VerifierUnexpected => "code_verifier_unexpected",
            CodeFault::VerifierWrong => "code_verifier_wrong",
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
            RefreshFault::Ended(end) => grant_end(*end),
            RefreshFault::ScopeWider => "scope_wider_than_granted",
            RefreshFault::Audience(fault) => audience_reason(fault),
            RefreshFault::Core => "core_refused",
        },
        TokenRefusal::ClientGrant(fault) => match fault {
            ClientGrantFault::GrantNotAllowed => "grant_type_not_allowed",
            ClientGrantFault::NoScope => "no_scope",
            ClientGrantFault::ScopeNotAllowed => "scope_not_allowed",
            ClientGrantFault::Audience(fault) => audience_reason(fault),
        },
    }
}

fn audience_reason(fault: &AudienceFault) -> &'static str {
    match fault {
        AudienceFault::UnknownResource(_) => "unknown_resource",
        AudienceFault::Ambiguous(_) => "several_resources",
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

fn authorization_reason(refusal: &AuthorizationRefusal) -> &'static str {
    match refusal {
        AuthorizationRefusal::Fault(fault) => match fault {
            Fault::Form(Form::Repeated(_)) => "parameter_repeated",
            Fault::Form(_) => "request_malformed",
            Fault::CodeFlowNotAllowed => "grant_type_not_allowed",
            Fault::ChallengeMissing => "code_challenge_missing",
            Fault::ScopeMissing => "no_scope",
            Fault::ScopeNotAllowed(_) => "scope_not_allowed",
            Fault::Audience(fault) => audience_reason(fault),
            Fault::HintNotOurs => "id_token_hint",
            Fault::Core | Fault::Contradiction => "core_refused",
        },
        AuthorizationRefusal::Step(StepRefusal::LoginRequired) => "login_required",
        AuthorizationRefusal::Step(StepRefusal::InteractionRequired) => "interaction_required",
        AuthorizationRefusal::Step(StepRefusal::ConsentRequired) => "consent_required",
        AuthorizationRefusal::Step(StepRefusal::NothingAllowed(_)) => "nothing_allowed",
        AuthorizationRefusal::Issue(_) => "nothing_granted",
        AuthorizationRefusal::Denied => "denied_by_user",
    }
}
