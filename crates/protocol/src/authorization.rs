//! The authorization request (RFC 6749 §4.1.1, OpenID Connect Core §3.1.2.1) and its response.
//!
//! [`AuthorizationRequest::parse`] decides what the bytes alone can decide. Where the answer may go
//! is a separate question with an earlier answer: [`AuthorizationRequest::addressee`] reads only
//! the members that a redirect needs, even from a request that is otherwise broken (OC-11).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    Scope,
    authorization_details::{AuthorizationDetails, DetailsFault},
    claims_request::{ClaimsFault, ClaimsRequest},
    client::{ResponseMode, ResponseType},
    params::Params,
    pkce::CodeChallenge,
    uri::is_resource_indicator,
};

/// One value of `prompt` (OpenID Connect Core §3.1.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prompt {
    /// Show nothing.
    None,
    /// Authenticate again.
    Login,
    /// Ask for consent again.
    Consent,
    /// Let the person choose an account.
    SelectAccount,
}

/// The parameters of an authorization request that this server understands, each well-formed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationRequest {
    /// `client_id`, not yet known to be registered.
    pub client_id: String,
    /// `redirect_uri` as it came; compared as text (BCP-01).
    pub redirect_uri: Option<String>,
    /// `response_type`.
    pub response_type: ResponseType,
    /// `response_mode`; without it the response type decides
    /// ([`Delivery`](crate::response_mode::Delivery)).
    pub response_mode: Option<ResponseMode>,
    /// `scope`; `None` when it did not come.
    pub scope: Option<Scope>,
    /// `state`, returned unmodified.
    pub state: Option<String>,
    /// `nonce`, returned in the ID token unmodified (F2-29).
    pub nonce: Option<String>,
    /// `code_challenge` of method S256.
    pub code_challenge: Option<CodeChallenge>,
    /// `prompt`; empty when it did not come.
    pub prompt: BTreeSet<Prompt>,
    /// `max_age` in seconds.
    pub max_age: Option<u64>,
    /// `acr_values` in the order of preference.
    pub acr_values: Vec<String>,
    /// `id_token_hint`, not yet verified.
    pub id_token_hint: Option<String>,
    /// `login_hint`: who may be at the browser; only ever prefilled, never believed.
    pub login_hint: Option<String>,
    /// `ui_locales`, in the order of preference.
    pub ui_locales: Vec<String>,
    /// `resource` indicators (RFC 8707 §2).
    pub resources: Vec<String>,
    /// `claims`: single claims by name (OC-18).
    #[serde(default)]
    pub claims: ClaimsRequest,
    /// `authorization_details`: what exactly is asked for, beside the scope (RFC 9396 §3).
    #[serde(default, skip_serializing_if = "AuthorizationDetails::is_empty")]
    pub authorization_details: AuthorizationDetails,
    /// `dpop_jkt`: the thumbprint of the key that the code will be bound to, in base64url (DP-08).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dpop_jkt: Option<String>,
    /// The digest of the reference under which the request was pushed (RFC 9126); no parameter says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed: Option<String>,
}

/// What the reference of a pushed request begins with (RFC 9126 §2.2).
pub const REFERENCE_PREFIX: &str = "urn:ietf:params:oauth:request_uri:";

/// The longest `nonce` and `state` that are kept; longer ones are refused, never cut (F2-29).
pub const MAX_STATE: usize = 8 * 1024;

/// The longest `login_hint` that is kept; a longer one names nobody and is ignored (OC-07).
pub const MAX_LOGIN_HINT: usize = 255;

/// So many of `acr_values` and `ui_locales` are read; further preferences are ignored (OC-07).
const MAX_WORDS: usize = 20;

/// What is wrong with the form of an authorization request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorizationRequestFault {
    /// A parameter came more than once (O21-04).
    #[error("parameter {0} is repeated")]
    Repeated(String),
    /// `client_id` is missing (RFC 6749 §4.1.1).
    #[error("client_id is missing")]
    ClientIdMissing,
    /// `response_type` is missing (RFC 6749 §4.1.1).
    #[error("response_type is missing")]
    ResponseTypeMissing,
    /// A `response_type` that this server does not have, such as every one with `token` (O21-02).
    #[error("response_type is not supported")]
    ResponseTypeUnsupported,
    /// A `response_mode` that this server does not have.
    #[error("response_mode is not supported")]
    ResponseModeUnsupported,
    /// `scope` has characters that no scope has (RFC 6749 §3.3).
    #[error("scope is malformed")]
    ScopeMalformed,
    /// `code_challenge_method` is missing beside a challenge, or not `S256` (BCP-06).
    #[error("code_challenge_method must be S256")]
    ChallengeMethodUnsupported,
    /// `code_challenge` is no S256 challenge, or a method came without one.
    #[error("code_challenge is missing or malformed")]
    ChallengeMalformed,
    /// A `prompt` that OpenID Connect does not define.
    #[error("prompt has an unknown value")]
    PromptUnknown,
    /// `prompt=none` beside another value (OC-06).
    #[error("prompt none may not be mixed with other values")]
    PromptNoneMixed,
    /// `max_age` is no number of seconds.
    #[error("max_age is not a number of seconds")]
    MaxAgeMalformed,
    /// `state` or `nonce` is longer than [`MAX_STATE`] (F2-29).
    #[error("state or nonce is too long")]
    TooLong,
    /// `resource` is no absolute URI without fragment (RI-01).
    #[error("resource is not an absolute URI without fragment")]
    ResourceMalformed,
    /// `claims` is malformed or too large (OC-18).
    #[error(transparent)]
    Claims(#[from] ClaimsFault),
    /// `authorization_details` is no array of typed objects (RFC 9396 §5, RAR-01).
    #[error(transparent)]
    Details(#[from] DetailsFault),
    /// `request` came; request objects are not supported (OC-25).
    #[error("request objects are not supported")]
    RequestObject,
    /// `request_uri` came; references are not supported (OC-25).
    #[error("request_uri is not supported")]
    RequestUri,
    /// `registration` came (OpenID Connect Core §7.2.1).
    #[error("the registration parameter is not supported")]
    Registration,
    /// `dpop_jkt` is no SHA-256 thumbprint (RFC 9449 §10).
    #[error("dpop_jkt is not a JWK thumbprint")]
    ThumbprintMalformed,
}

/// Where an answer would go, before it is known whether it may: the members that may be read from
/// a request that is broken elsewhere. A member that came twice is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Addressee<'a> {
    /// `client_id`.
    pub client_id: Option<&'a str>,
    /// `redirect_uri`.
    pub redirect_uri: Option<&'a str>,
    /// `state`.
    pub state: Option<&'a str>,
    /// `response_mode`; absent when it is unknown.
    pub response_mode: Option<ResponseMode>,
    /// Whether the response type asks for more than a code.
    pub front_channel: bool,
    /// `ui_locales`, for a page on the way.
    pub ui_locales: Option<&'a str>,
}

impl AuthorizationRequest {
    /// What a device asks for (RFC 8628 §3.1). The person is always asked (DV-05).
    pub fn of_device(client_id: &str, scope: Option<Scope>, resources: Vec<String>) -> Self {
        Self {
            client_id: client_id.to_owned(),
            redirect_uri: None,
            response_type: ResponseType::Code,
            response_mode: None,
            scope,
            state: None,
            nonce: None,
            code_challenge: None,
            prompt: [Prompt::Consent].into(),
            max_age: None,
            acr_values: Vec::new(),
            id_token_hint: None,
            login_hint: None,
            ui_locales: Vec::new(),
            resources,
            claims: ClaimsRequest::default(),
            authorization_details: AuthorizationDetails::default(),
            dpop_jkt: None,
            pushed: None,
        }
    }

    /// Where an answer to these parameters would go.
    pub fn addressee(params: &Params) -> Addressee<'_> {
        let once = |name| params.get(name).filter(|_| !params.is_repeated(name));
        Addressee {
            client_id: once("client_id"),
            redirect_uri: once("redirect_uri"),
            state: once("state"),
            response_mode: once("response_mode").and_then(ResponseMode::parse),
            front_channel: once("response_type").is_some_and(ResponseType::is_front_channel),
            ui_locales: once("ui_locales"),
        }
    }

    /// Reads the parameters. Those of display, locale and hints never fail a request (OC-07).
    ///
    /// # Errors
    /// The first [`AuthorizationRequestFault`] in the order of this function.
    pub fn parse(params: &Params) -> Result<Self, AuthorizationRequestFault> {
        use AuthorizationRequestFault as Fault;
        if let Some(name) = params.repeated() {
            return Err(Fault::Repeated(name.to_owned()));
        }
        let text = |name: &str| params.get(name).map(str::to_owned);
        let words = |name: &str| -> Vec<String> {
            let words = params.get(name).unwrap_or_default().split_whitespace();
            words.take(MAX_WORDS).map(str::to_owned).collect()
        };
        let client_id = text("client_id").ok_or(Fault::ClientIdMissing)?;
        for (name, fault) in [
            ("request", Fault::RequestObject),
            ("request_uri", Fault::RequestUri),
            ("registration", Fault::Registration),
        ] {
            if params.get(name).is_some() {
                return Err(fault);
            }
        }
        let response_type = params.get("response_type").ok_or(Fault::ResponseTypeMissing)?;
        let response_mode = params
            .get("response_mode")
            .map(|mode| ResponseMode::parse(mode).ok_or(Fault::ResponseModeUnsupported));
        let max_age = params.get("max_age").map(|age| seconds(age).ok_or(Fault::MaxAgeMalformed));
        let long = |name| params.get(name).is_some_and(|value: &str| value.len() > MAX_STATE);
        if long("state") || long("nonce") {
            return Err(Fault::TooLong);
        }
        let resources: Vec<String> = params.all("resource").map(str::to_owned).collect();
        if !resources.iter().all(|resource| is_resource_indicator(resource)) {
            return Err(Fault::ResourceMalformed);
        }
        Ok(Self {
            client_id,
            redirect_uri: text("redirect_uri"),
            response_type: ResponseType::requested(response_type).ok_or(Fault::ResponseTypeUnsupported)?,
            response_mode: response_mode.transpose()?,
            scope: params.get("scope").map(str::parse).transpose().map_err(|_| Fault::ScopeMalformed)?,
            state: text("state"),
            nonce: text("nonce"),
            code_challenge: challenge(params)?,
            prompt: prompt(params)?,
            max_age: max_age.transpose()?,
            acr_values: words("acr_values"),
            id_token_hint: text("id_token_hint"),
            login_hint: text("login_hint").filter(|hint| hint.len() <= MAX_LOGIN_HINT),
            ui_locales: words("ui_locales"),
            resources,
            claims: params.get("claims").map(ClaimsRequest::parse).transpose()?.unwrap_or_default(),
            authorization_details: AuthorizationDetails::parameter(params)?.unwrap_or_default(),
            dpop_jkt: thumbprint(params)?,
            pushed: None,
        })
    }

    /// Whether this is an OpenID Connect request: its scope has `openid` (OC-10).
    pub fn is_openid(&self) -> bool {
        self.scope.as_ref().is_some_and(|scope| scope.contains("openid"))
    }
}

/// SHA-256 in base64url without padding, in its one spelling (RFC 7638 §3).
fn thumbprint(params: &Params) -> Result<Option<String>, AuthorizationRequestFault> {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let Some(text) = params.get("dpop_jkt") else { return Ok(None) };
    let fits = URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == 32);
    fits.then(|| Some(text.to_owned())).ok_or(AuthorizationRequestFault::ThumbprintMalformed)
}

/// PKCE of the request: both members or neither, and only S256.
fn challenge(params: &Params) -> Result<Option<CodeChallenge>, AuthorizationRequestFault> {
    use AuthorizationRequestFault as Fault;
    match (params.get("code_challenge"), params.get("code_challenge_method")) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(Fault::ChallengeMalformed),
        (Some(challenge), Some("S256")) => {
            CodeChallenge::try_from(challenge.to_owned()).map(Some).map_err(|_| Fault::ChallengeMalformed)
        }
        // An absent method means `plain` (RFC 7636 §4.3), which is not supported.
        (Some(_), _) => Err(Fault::ChallengeMethodUnsupported),
    }
}

/// Digits alone; Rust would read a sign too.
fn seconds(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn prompt(params: &Params) -> Result<BTreeSet<Prompt>, AuthorizationRequestFault> {
    let values = params.get("prompt").unwrap_or_default().split_whitespace().map(|value| match value {
        "none" => Ok(Prompt::None),
        "login" => Ok(Prompt::Login),
        "consent" => Ok(Prompt::Consent),
        "select_account" => Ok(Prompt::SelectAccount),
        _ => Err(AuthorizationRequestFault::PromptUnknown),
    });
    let prompt: BTreeSet<Prompt> = values.collect::<Result<_, _>>()?;
    if prompt.contains(&Prompt::None) && prompt.len() > 1 {
        return Err(AuthorizationRequestFault::PromptNoneMixed);
    }
    Ok(prompt)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use AuthorizationRequestFault as Fault;

    const BASE: &str =
        "client_id=c&response_type=code&redirect_uri=https%3A%2F%2Fa.example%2Fcb&scope=openid";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    fn parse(more: &str) -> Result<AuthorizationRequest, Fault> {
        AuthorizationRequest::parse(&Params::parse(format!("{BASE}{more}").as_bytes()).unwrap())
    }

    #[rstest]
    #[case("&scope=profile", Fault::Repeated("scope".into()))]
    #[case("&prompt=none%20login", Fault::PromptNoneMixed)]
    #[case("&prompt=dance", Fault::PromptUnknown)]
    #[case("&max_age=soon", Fault::MaxAgeMalformed)]
    #[case("&max_age=-1", Fault::MaxAgeMalformed)]
    #[case("&max_age=%2B5", Fault::MaxAgeMalformed)]
    #[case("&response_mode=carrier_pigeon", Fault::ResponseModeUnsupported)]
    #[case("&code_challenge_method=S256", Fault::ChallengeMalformed)]
    #[case("&code_challenge=short&code_challenge_method=S256", Fault::ChallengeMalformed)]
    #[case("&dpop_jkt=short", Fault::ThumbprintMalformed)]
    #[case("&dpop_jkt=0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4J", Fault::ThumbprintMalformed)]
    #[case("&authorization_details=%7B%7D", Fault::Details(DetailsFault::NotAnArray))]
    #[case("&authorization_details=%5B%7B%7D%5D", Fault::Details(DetailsFault::NoType))]
    #[case("&request=x", Fault::RequestObject)]
    #[case("&request_uri=x", Fault::RequestUri)]
    #[case("&resource=relative", Fault::ResourceMalformed)]
    #[case("&resource=https%3A%2F%2Frs.example%2F%23f", Fault::ResourceMalformed)]
    fn oc_06_o21_04_malformed_requests(#[case] more: &str, #[case] fault: Fault) {
        assert_eq!(parse(more), Err(fault));
    }

    #[test]
    fn bcp_06_plain_and_default_plain_are_refused() {
        let plain = format!("&code_challenge={CHALLENGE}");
        assert_eq!(parse(&plain), Err(Fault::ChallengeMethodUnsupported));
        assert_eq!(
            parse(&format!("{plain}&code_challenge_method=plain")),
            Err(Fault::ChallengeMethodUnsupported)
        );
        assert!(parse(&format!("{plain}&code_challenge_method=S256")).is_ok());
    }

    #[rstest]
    #[case("response_type=token")]
    #[case("response_type=id_token%20token")]
    #[case("response_type=code%20token")]
    fn o21_02_front_channel_tokens_are_refused(#[case] query: &str) {
        let params = Params::parse(format!("client_id=c&{query}").as_bytes()).unwrap();
        assert_eq!(AuthorizationRequest::parse(&params), Err(Fault::ResponseTypeUnsupported));
    }

    #[test]
    fn oc_07_hints_and_unknown_parameters_never_fail() {
        let more = "&display=hologram&ui_locales=xx-invalid&claims_locales=%F0%9F%8C%8D&acr_values=a%20b&login_hint=x&foo=bar";
        let request = parse(more).unwrap();
        assert_eq!(request.acr_values, ["a", "b"]);
        let endless = format!("&login_hint={}&acr_values={}", "x".repeat(9999), "a+".repeat(9999));
        let request = parse(&endless).unwrap();
        assert_eq!((request.login_hint, request.acr_values.len()), (None, MAX_WORDS));
    }

    #[test]
    fn f2_29_f2_30_long_values_are_kept_or_refused_never_cut() {
        let state = "s".repeat(4000);
        assert_eq!(parse(&format!("&state={state}")).unwrap().state, Some(state));
        assert_eq!(parse(&format!("&nonce={}", "n".repeat(MAX_STATE + 1))), Err(Fault::TooLong));
    }

    #[test]
    fn oc_11_the_addressee_of_a_broken_request_is_still_known() {
        let params = Params::parse(format!("{BASE}&prompt=dance&state=s").as_bytes()).unwrap();
        let addressee = AuthorizationRequest::addressee(&params);
        assert_eq!((addressee.client_id, addressee.state), (Some("c"), Some("s")));
        let twice =
            Params::parse(format!("{BASE}&redirect_uri=https%3A%2F%2Fevil.example%2F").as_bytes()).unwrap();
        assert_eq!(AuthorizationRequest::addressee(&twice).redirect_uri, None);
    }

    proptest! {
        #[test]
        fn arbitrary_queries_never_panic(query in "[ -~]{0,200}") {
            if let Ok(params) = Params::parse(query.as_bytes()) {
                let _ = AuthorizationRequest::parse(&params);
            }
        }
    }
}
