//! What a client may register about itself (RFC 7591), under the policy that an operator named.
//!
//! A client says what it would like to be; the policy says what it may and may never be. Whatever this
//! server alone decides about clients, their [`ClientSettings`], comes from the policy and never from the
//! client, so nobody registers as the bank's own (DR-10). The rules that hold for every client, whoever
//! registers it, are those of [`Client::parse`](crate::client::Client::parse), which comes after.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use consent::Catalogue;
use jose::KeySet;
use protocol::{
    Scope,
    client::{ApplicationType, AuthMethod, ClientMetadata, GrantType, Profile, ResponseType},
    registration::{RegistrationFormFault, RegistrationRequest},
};
use url::Url;

use crate::{
    client::{ClientFault, ClientRecord, ClientSettings},
    profile::{Rules, chosen_profile},
};

/// What clients may and may never ask for. What is not said is not allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationPolicy {
    /// Its name, as initial access tokens carry it.
    pub name: String,
    /// The scope that they may ask for, and what a client gets that names none; `None` for everything
    /// that is declared.
    pub scopes: Option<Scope>,
    /// The grants that they may use.
    pub grant_types: BTreeSet<GrantType>,
    /// The response types that they may use.
    pub response_types: BTreeSet<ResponseType>,
    /// How they may authenticate.
    pub auth_methods: BTreeSet<AuthMethod>,
    /// The types of authorization details that they may ask for (RAR-02).
    pub detail_types: BTreeSet<String>,
    /// Hosts of redirect URIs.
    pub redirect_hosts: Vec<HostRule>,
    /// Whether they may be native apps, with loopback and private-use redirect URIs.
    pub native: bool,
    /// Hosts of their pages beside those of their redirect URIs (DR-06).
    pub link_hosts: Vec<HostRule>,
    /// Whether confidential ones are exempt from PKCE (O21-01).
    pub pkce_exempt: bool,
    /// How long a client secret counts; `None` for ever.
    pub secret_lifetime: Option<TimeDelta>,
    /// How long a consent to them lasts; `None` for the server's default.
    pub consent_lifetime: Option<TimeDelta>,
    /// After so long without use, a client that nobody ever consented to is forgotten; `None` for never.
    pub unused_lifetime: Option<TimeDelta>,
}

/// Which hosts are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostRule {
    /// All of them: `*`.
    Any,
    /// This one: `app.example`.
    Exact(String),
    /// Those below a domain, not the domain itself: `*.apps.example`.
    Below(String),
}

impl HostRule {
    /// Reads `*`, `app.example` or `*.apps.example`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let is_host = |host: &str| {
            !host.is_empty()
                && host.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.:[]".contains(&b))
        };
        match text.strip_prefix("*.") {
            _ if text == "*" => Some(Self::Any),
            Some(domain) => is_host(domain).then(|| Self::Below(format!(".{domain}"))),
            None => is_host(text).then(|| Self::Exact(text.to_owned())),
        }
    }

    /// Whether a host is one of those that are meant.
    pub fn admits(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(known) => known == host,
            Self::Below(domain) => host.len() > domain.len() && host.ends_with(domain.as_str()),
        }
    }
}

/// Why a client can't be registered as it asks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationFault {
    /// The document can't be read.
    #[error(transparent)]
    Form(#[from] RegistrationFormFault),
    /// It breaks rules that hold for every client.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Rules(Vec<ClientFault>),
    /// It breaks rules of what is declared and of the keys that there are.
    #[error("{}", .0.join("; "))]
    Surroundings(Vec<String>),
    /// A redirect URI of a host that the policy does not name, or of a kind that it does not allow.
    #[error("redirect_uris: {0} is not allowed here")]
    RedirectUri(String),
    /// A value that the policy does not allow (DR-10).
    #[error("{member}: {value} is not allowed here")]
    NotAllowed {
        /// The member.
        member: &'static str,
        /// The value.
        value: String,
    },
    /// Keys by value and by reference (DR-04).
    #[error("jwks and jwks_uri exclude each other")]
    KeysTwice,
    /// Keys that can't be used, or private ones (DR-04).
    #[error("jwks: {0}")]
    Keys(String),
    /// A page on a host that is none of the client's (DR-06).
    #[error("{0}: the host is none of the redirect URIs'")]
    LinkHost(&'static str),
    /// A URL that this server would have to ask and never will (OUT-01).
    #[error("{0}: the URL can't be requested")]
    Unreachable(&'static str),
    /// The document of a sector does not list the redirect URIs (OpenID Connect Registration §5), or there
    /// should be one.
    #[error("{0}")]
    Sector(String),
    /// An update would call the same people by other names (OC-21).
    #[error("subject_type: how people are called towards a client can't change; register another one")]
    SubjectChanged,
}

impl ClientFault {
    /// Whether it is the redirect URIs that are wrong (RFC 7591 §3.2.2).
    pub const fn is_about_redirect_uris(&self) -> bool {
        matches!(self, Self::RedirectUri { .. } | Self::NoRedirectUri)
    }
}

/// A client's wish as the policy lets it be: with every default spelt out, because the client is told all
/// that is registered (DR-02), and with the settings that the policy says. `standing` is the profile that the
/// client has already, if it has one: the defaults follow it, because an update never puts it off (F2-08).
///
/// # Errors
/// The first [`RegistrationFault`] that was found.
pub fn settle(
    request: &RegistrationRequest,
    policy: &RegistrationPolicy,
    catalogue: &Catalogue,
    standing: Option<Profile>,
) -> Result<(ClientMetadata, ClientSettings), RegistrationFault> {
    let mut metadata = request.metadata.clone();
    keys(&metadata)?;
    let method = method(&mut metadata, policy)?;
    flows(&mut metadata, policy)?;
    scope(&mut metadata, &reachable(method, policy, catalogue))?;
    redirects(&metadata, policy)?;
    links(&metadata, policy)?;
    sector(&metadata)?;
    let profile = standing.or_else(|| chosen_profile(&metadata, catalogue));
    let usual = Rules::of(profile.unwrap_or(Profile::General)).default_algorithm;
    metadata.id_token_signed_response_alg.get_or_insert_with(|| usual.to_string());
    Ok((metadata, policy.settings(method, profile)))
}

impl RegistrationPolicy {
    /// A policy exempts from PKCE only whom the profile lets it (F2-21).
    fn settings(&self, method: AuthMethod, profile: Option<Profile>) -> ClientSettings {
        let exempt = self.pkce_exempt && method != AuthMethod::None;
        ClientSettings {
            require_pkce: !exempt || Rules::of(profile.unwrap_or(Profile::General)).pkce,
            profile,
            consent_lifetime: self.consent_lifetime.map(|lifetime| lifetime.num_seconds()),
            ..ClientSettings::default()
        }
    }

    /// The settings of a client that replaces its metadata (RFC 7592 §2.2). What the policy decided follows
    /// the new metadata; what an operator has set since, he set about this client, and it stays, whatever
    /// the client says (DR-08, DR-10).
    pub fn replaced(
        &self,
        before: &ClientRecord,
        metadata: &ClientMetadata,
        catalogue: &Catalogue,
    ) -> ClientSettings {
        let by_policy = |metadata: &ClientMetadata, profile| {
            let method = metadata.token_endpoint_auth_method.unwrap_or(AuthMethod::ClientSecretBasic);
            self.settings(method, profile)
        };
        let set = &before.settings;
        // A profile that it has once, by whomever, is not put off by asking for less. Who has none gets the
        // one that its new wishes ask for (F2-08).
        let profile = set.profile.or_else(|| chosen_profile(metadata, catalogue));
        let (was, now) = (by_policy(&before.metadata, set.profile), by_policy(metadata, profile));
        ClientSettings {
            require_pkce: now.require_pkce || (set.require_pkce && !was.require_pkce),
            profile,
            consent_lifetime: match set.consent_lifetime == was.consent_lifetime {
                true => now.consent_lifetime,
                false => set.consent_lifetime,
            },
            ..set.clone()
        }
    }
}

fn not_allowed(member: &'static str, value: impl std::fmt::Display) -> RegistrationFault {
    RegistrationFault::NotAllowed { member, value: value.to_string() }
}

fn keys(metadata: &ClientMetadata) -> Result<(), RegistrationFault> {
    if metadata.jwks.is_some() && metadata.jwks_uri.is_some() {
        return Err(RegistrationFault::KeysTwice);
    }
    let keys = metadata.jwks.as_ref().map(KeySet::from_value).transpose();
    keys.map(drop).map_err(|fault| RegistrationFault::Keys(fault.to_string()))
}

/// The method that it asked for; else `client_secret_basic` (RFC 7591 §2), or where the policy does not
/// allow that, the first that it does.
fn method(
    metadata: &mut ClientMetadata,
    policy: &RegistrationPolicy,
) -> Result<AuthMethod, RegistrationFault> {
    const MEMBER: &str = "token_endpoint_auth_method";
    let usual = AuthMethod::ClientSecretBasic;
    let method = match metadata.token_endpoint_auth_method {
        Some(method) => method,
        None if policy.auth_methods.contains(&usual) => usual,
        None => policy.auth_methods.first().copied().unwrap_or(usual),
    };
    if !policy.auth_methods.contains(&method) {
        return Err(not_allowed(MEMBER, method));
    }
    metadata.token_endpoint_auth_method = Some(method);
    Ok(method)
}

/// Grants and response types.
fn flows(metadata: &mut ClientMetadata, policy: &RegistrationPolicy) -> Result<(), RegistrationFault> {
    let grants = metadata.grant_types.get_or_insert_with(|| vec![GrantType::AuthorizationCode]);
    // It is no grant of ours, but stands beside `code id_token` (OpenID Connect Registration §2).
    let beside = policy.response_types.contains(&ResponseType::CodeIdToken);
    let allowed =
        |grant: &GrantType| policy.grant_types.contains(grant) || (beside && *grant == GrantType::Implicit);
    if let Some(grant) = grants.iter().find(|grant| !allowed(grant)) {
        return Err(not_allowed("grant_types", grant));
    }
    let foreign =
        metadata.authorization_details_types.iter().find(|kind| !policy.detail_types.contains(*kind));
    if let Some(kind) = foreign {
        return Err(not_allowed("authorization_details_types", kind));
    }
    let code_flow = grants.contains(&GrantType::AuthorizationCode);
    let usual = || if code_flow { vec![ResponseType::Code] } else { Vec::new() };
    let types = metadata.response_types.get_or_insert_with(usual);
    if let Some(kind) = types.iter().find(|kind| !policy.response_types.contains(kind)) {
        return Err(not_allowed("response_types", kind));
    }
    Ok(())
}

/// The scope that a client may ask for under a policy. Who authenticates by nothing can't have the profile
/// that goes with financial scopes, so it gets at them only where the policy names them (F2-08, DR-10).
fn reachable(method: AuthMethod, policy: &RegistrationPolicy, catalogue: &Catalogue) -> Scope {
    let declared: Scope = catalogue.supported().cloned().collect();
    match &policy.scopes {
        Some(named) => named.intersection(&declared),
        None if method == AuthMethod::None => {
            let financial = catalogue.definitions(&declared).filter(|scope| scope.financial);
            let financial: Vec<_> = financial.map(|scope| scope.name.to_string()).collect();
            declared.filtered(|scope| !financial.iter().any(|name| name == scope))
        }
        None => declared,
    }
}

/// A client that names no scope gets what the policy lets it ask for (RFC 7591 §2).
fn scope(metadata: &mut ClientMetadata, most: &Scope) -> Result<(), RegistrationFault> {
    match &metadata.scope {
        None => {
            let grants = metadata.grant_types.as_deref().unwrap_or_default();
            // Without the grant the scope means nothing (OC-15).
            let refreshes = grants.contains(&GrantType::RefreshToken);
            metadata.scope = Some(most.filtered(|scope| refreshes || scope != "offline_access"));
        }
        Some(scope) => {
            let beyond = scope.difference(most);
            if !beyond.is_empty() {
                return Err(not_allowed("scope", beyond));
            }
        }
    }
    Ok(())
}

/// Whether a URI leads to a web server: `https`, however it is spelt.
pub(crate) fn is_on_the_web(uri: &str) -> bool {
    Url::parse(uri).is_ok_and(|url| url.scheme() == "https")
}

/// The host of a web URL. What stands in its place in a private-use URI is nobody's name.
fn host(url: &str) -> Option<String> {
    Url::parse(url).ok().filter(|url| url.scheme() == "https")?.host_str().map(str::to_owned)
}

/// A redirect URI's host is a sector because answers go there. Those of the device flow go to whoever asks,
/// so they need a document that vouches for the sector (OC-21): else a client would learn by what names
/// somebody else's knows people.
fn sector(metadata: &ClientMetadata) -> Result<(), RegistrationFault> {
    let device = metadata.grant_types.iter().flatten().any(|grant| *grant == GrantType::DeviceCode);
    let pairwise = metadata.subject_type.as_deref() == Some("pairwise");
    if device && pairwise && metadata.sector_identifier_uri.is_none() {
        let needed = "sector_identifier_uri: pairwise subjects need one beside the device flow";
        return Err(RegistrationFault::Sector(needed.to_owned()));
    }
    Ok(())
}

fn redirects(metadata: &ClientMetadata, policy: &RegistrationPolicy) -> Result<(), RegistrationFault> {
    if metadata.application_type == ApplicationType::Native && !policy.native {
        return Err(not_allowed("application_type", "native"));
    }
    let uris = metadata.redirect_uris.iter().chain(&metadata.post_logout_redirect_uris);
    for uri in uris.filter(|uri| is_on_the_web(uri)) {
        let admits = |host: String| policy.redirect_hosts.iter().any(|rule| rule.admits(&host));
        if !host(uri).is_some_and(admits) {
            return Err(RegistrationFault::RedirectUri(uri.clone()));
        }
    }
    Ok(())
}

/// Pages that customers see must be the client's own: on a host that it can receive answers on (DR-06,
/// RFC 7591 §5).
fn links(metadata: &ClientMetadata, policy: &RegistrationPolicy) -> Result<(), RegistrationFault> {
    let own: BTreeSet<String> = metadata.redirect_uris.iter().filter_map(|uri| host(uri)).collect();
    for (member, link) in [
        ("client_uri", &metadata.client_uri),
        ("logo_uri", &metadata.logo_uri),
        ("policy_uri", &metadata.policy_uri),
        ("tos_uri", &metadata.tos_uri),
    ] {
        let Some(link) = link else { continue };
        let admits =
            |host: String| own.contains(&host) || policy.link_hosts.iter().any(|rule| rule.admits(&host));
        if !host(link).is_some_and(admits) {
            return Err(RegistrationFault::LinkHost(member));
        }
    }
    Ok(())
}

/// Every URL of the metadata that this server would ask itself, by member.
pub fn asked(metadata: &ClientMetadata) -> impl Iterator<Item = (&'static str, &str)> {
    let single = [
        ("jwks_uri", &metadata.jwks_uri),
        ("sector_identifier_uri", &metadata.sector_identifier_uri),
        ("backchannel_logout_uri", &metadata.backchannel_logout_uri),
    ];
    let single = single.into_iter().filter_map(|(member, url)| Some((member, url.as_deref()?)));
    single.chain(metadata.request_uris.iter().map(|url| ("request_uris", url.as_str())))
}

#[cfg(test)]
mod tests;
