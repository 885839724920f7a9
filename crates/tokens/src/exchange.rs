//! Token exchange (RFC 8693): a service that was shown a customer's token asks for one that it may use
//! further down.
//!
//! Nothing may be exchanged unless an operator wrote it down: a client's [`ExchangeRule`]s say whose tokens
//! it may bring, for which resource server the new one is, and with which scope at most (TX-03). The new
//! token is a shadow of the one that it was made of. It carries part of its scope and roles, it ends no
//! later, and it hangs under the same grant, so whatever ends that, a withdrawn consent above all, ends it
//! too (TX-04).
//!
//! Who acts is always said: unless a client merely narrows a token of its own, the new one names it, or
//! whom it showed an actor token of, in `act`, before those who acted earlier (TX-05). There is no silent
//! impersonation.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use consent::{Catalogue, Role, TokenTarget, details::narrowed};
use protocol::{
    ClientId, Scope,
    authorization_details::AuthorizationDetails,
    client::{GrantType, TokenFormat},
    exchange::{TokenExchangeRequest, TokenType},
};
use serde::{Deserialize, Serialize};

use crate::{
    client::Client,
    grant::LiveGrant,
    mint::AccessTokenClaims,
    presented::{DeadToken, FoundAccessToken, LiveToken},
    sender::Sender,
};

/// So many actors may stand in one token.
const MAX_ACTORS: usize = 5;

/// What one client may exchange: one row of the operator's policy (TX-03).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExchangeRule {
    /// The resource server that the subject token must be for: the one that the client speaks for. Without
    /// it, only tokens that were issued to the client itself count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_audience: Option<String>,
    /// The clients whose tokens may come; any, if there are none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub from_clients: BTreeSet<ClientId>,
    /// The resource server that the new token is for.
    pub audience: String,
    /// What the new token may carry at most.
    pub scope: Scope,
    /// Whether an actor token must come, too.
    #[serde(default, skip_serializing_if = "is_false")]
    pub actor_required: bool,
}

const fn is_false(value: &bool) -> bool {
    !*value
}

/// Who acts for the subject of a token (RFC 8693 §4.1), the present actor outermost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The actor: a client's identifier, or a person.
    pub sub: String,
    /// Who acted before; tells a story, decides nothing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub act: Option<Box<Self>>,
}

impl Actor {
    fn depth(&self) -> usize {
        1 + self.act.as_deref().map_or(0, Self::depth)
    }
}

/// Who alone may act for the subject of a token (RFC 8693 §4.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MayAct {
    /// The actor.
    pub sub: String,
}

/// What an access token says about delegation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegation {
    /// Who acts.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub act: Option<Actor>,
    /// Who alone may act.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub may_act: Option<MayAct>,
    /// Of an exchanged token, the client whose grant stands above it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub origin_client_id: Option<ClientId>,
}

/// Why nothing is exchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeFault {
    /// Not registered for this grant, or public: `unauthorized_client`.
    #[error("grant_type_not_allowed")]
    GrantNotAllowed,
    /// The subject token does not live: `invalid_request` (RFC 8693 §2.2.2).
    #[error("subject_token: {0}")]
    Subject(DeadToken),
    /// The subject token speaks for a client only.
    #[error("subject_token_of_no_person")]
    NoPerson,
    /// A token is bound to a key that was not proven (TX-06).
    #[error("token_bound_to_a_key")]
    Bound,
    /// The actor token does not live.
    #[error("actor_token: {0}")]
    Actor(DeadToken),
    /// The actor token was issued to another client.
    #[error("actor_token_of_another_client")]
    ForeignActor,
    /// The rule wants an actor token.
    #[error("actor_token_missing")]
    ActorMissing,
    /// The subject token names another actor (TX-05).
    #[error("may_act_names_another")]
    MayAct,
    /// Too many have acted already.
    #[error("too_many_actors")]
    TooManyActors,
    /// No rule lets this client exchange tokens like the one that came: `unauthorized_client`.
    #[error("no_exchange_rule")]
    NoRule,
    /// No rule for this target: `invalid_target`.
    #[error("exchange_target_not_allowed")]
    Target,
    /// Several targets, or none where there is a choice: `invalid_target`.
    #[error("exchange_target_ambiguous")]
    Ambiguous,
    /// More than the subject token and the rule have in common, or nothing: `invalid_scope`.
    #[error("exchange_scope")]
    Scope,
    /// Authorization details beyond the subject token's, or that mean nothing to the target:
    /// `invalid_authorization_details`.
    #[error("exchange_details")]
    Details,
    /// A JWT was asked for where tokens are opaque: `invalid_request`.
    #[error("exchange_format")]
    Format,
}

/// Proof that a token may be exchanged: the mint's authority for the new one.
#[derive(Debug)]
pub struct ExchangeGrant {
    grant: LiveGrant,
    subject: AccessTokenClaims,
    actor: Option<Actor>,
    target: TokenTarget,
    roles: Vec<String>,
    details: AuthorizationDetails,
    issued: TokenType,
}

impl ExchangeGrant {
    /// The grant above both tokens.
    pub const fn grant(&self) -> &LiveGrant {
        &self.grant
    }

    /// What the new token is for.
    pub const fn target(&self) -> &TokenTarget {
        &self.target
    }

    /// What exactly the new token may say: part of what the old one says, as far as it means something to
    /// the target (TX-04, RAR-05).
    pub const fn details(&self) -> &AuthorizationDetails {
        &self.details
    }

    /// The token that is exchanged, for the audit trail.
    pub const fn subject(&self) -> &AccessTokenClaims {
        &self.subject
    }

    /// Who will act, if anybody.
    pub const fn actor(&self) -> Option<&Actor> {
        self.actor.as_ref()
    }

    /// `issued_token_type` of the answer (RFC 8693 §2.2.1).
    pub const fn issued(&self) -> TokenType {
        self.issued
    }

    /// The last moment of the new token: that of the old one, or of the grant (TX-04).
    pub(crate) fn ends_at(&self) -> DateTime<Utc> {
        let subject = DateTime::from_timestamp(self.subject.exp, 0).unwrap_or_default();
        subject.min(self.grant.ends_at())
    }

    /// Makes the claims of a new token a shadow of the old one's: same person, same authentication, no
    /// role beyond.
    pub(crate) fn shadow(&self, claims: AccessTokenClaims) -> AccessTokenClaims {
        let Delegation { may_act, origin_client_id, .. } = self.subject.delegation.clone();
        AccessTokenClaims {
            sub: self.subject.sub.clone(),
            auth_time: self.subject.auth_time,
            acr: self.subject.acr,
            amr: self.subject.amr.clone(),
            roles: self.roles.clone(),
            delegation: Delegation {
                act: self.actor.clone(),
                may_act,
                origin_client_id: origin_client_id.or_else(|| Some(self.subject.client_id.clone())),
            },
            ..claims
        }
    }
}

/// Decides about a token exchange. `subject` and `actor` are what was found for the tokens of the request;
/// `actor` is `None` where none came.
///
/// # Errors
/// [`ExchangeFault`].
pub fn exchange(
    sender: &Sender,
    request: &TokenExchangeRequest,
    subject: Option<FoundAccessToken>,
    actor: Option<Option<FoundAccessToken>>,
    catalogue: &Catalogue,
    now: DateTime<Utc>,
) -> Result<ExchangeGrant, ExchangeFault> {
    let client = sender.client();
    if client.is_public() || !client.may_use(GrantType::TokenExchange) {
        return Err(ExchangeFault::GrantNotAllowed);
    }
    let subject = subject.ok_or(DeadToken::Unknown).and_then(|found| found.live(catalogue, now));
    let subject = proven(subject.map_err(ExchangeFault::Subject)?, sender)?;
    let (subject, grant) = subject.into_parts();
    let grant = grant.ok_or(ExchangeFault::NoPerson)?;
    let rule = rule(client, &subject, &request.targets, catalogue)?;
    let actor = acting(sender, rule, &subject, actor, catalogue, now)?;
    let scope = scope(rule, &subject, request.scope.as_ref(), catalogue)?;
    let issued = request.requested.unwrap_or(TokenType::AccessToken);
    if issued == TokenType::Jwt && is_opaque(client, &rule.audience, catalogue) {
        return Err(ExchangeFault::Format);
    }
    let roles = roles(&subject, &grant, &scope, catalogue);
    let meant = catalogue.detail_types().for_audience(&subject.authorization_details, &rule.audience);
    let details = narrowed(&meant, request.details.as_ref()).map_err(|_| ExchangeFault::Details)?;
    let target = TokenTarget { audience: Some(rule.audience.clone()), scope };
    Ok(ExchangeGrant { grant, subject, actor, target, roles, details, issued })
}

/// A token that is bound to a key is worth nothing without a proof by that key in this very request
/// (TX-06). So a thief can't turn it into a bearer token, and neither can a service that it was shown to.
fn proven(token: LiveToken, sender: &Sender) -> Result<LiveToken, ExchangeFault> {
    let Some(bound) = &token.claims().cnf else { return Ok(token) };
    if sender.proves(bound) { Ok(token) } else { Err(ExchangeFault::Bound) }
}

/// The rule for this subject token and these targets, and the one target (TX-03).
fn rule<'a>(
    client: &'a Client,
    subject: &AccessTokenClaims,
    targets: &[String],
    catalogue: &Catalogue,
) -> Result<&'a ExchangeRule, ExchangeFault> {
    let fits = |rule: &&ExchangeRule| {
        let recipient = match &rule.from_audience {
            Some(audience) => subject.aud.contains(audience),
            None => subject.client_id == client.id,
        };
        recipient && (rule.from_clients.is_empty() || rule.from_clients.contains(&subject.client_id))
    };
    let rules: Vec<&ExchangeRule> = client.settings.exchange.iter().filter(fits).collect();
    if rules.is_empty() {
        return Err(ExchangeFault::NoRule);
    }
    // What an operator wrote before a resource server was deleted reaches nothing.
    let known = |audience: &String| catalogue.resource_server(audience).is_some();
    let reached = |audience: &String| known(audience) && rules.iter().any(|rule| rule.audience == *audience);
    if !targets.iter().all(reached) {
        return Err(ExchangeFault::Target);
    }
    let mut possible = rules.iter().filter(|rule| known(&rule.audience));
    let mut named = possible.by_ref().filter(|rule| targets.is_empty() || targets.contains(&rule.audience));
    let first = named.next().ok_or(ExchangeFault::Target)?;
    // One token is for one resource server (AT-03).
    if named.any(|rule| rule.audience != first.audience) {
        return Err(ExchangeFault::Ambiguous);
    }
    Ok(first)
}

/// Who acts from now on: whom the actor token names, else the client, unless the token was its own.
fn acting(
    sender: &Sender,
    rule: &ExchangeRule,
    subject: &AccessTokenClaims,
    actor: Option<Option<FoundAccessToken>>,
    catalogue: &Catalogue,
    now: DateTime<Utc>,
) -> Result<Option<Actor>, ExchangeFault> {
    let client = sender.client();
    let before = subject.delegation.act.clone();
    let name = match actor {
        None if rule.actor_required => return Err(ExchangeFault::ActorMissing),
        None if subject.client_id == client.id => return Ok(before),
        None => client.id.to_string(),
        Some(found) => {
            let live = found.ok_or(DeadToken::Unknown).and_then(|found| found.live(catalogue, now));
            let actor = proven(live.map_err(ExchangeFault::Actor)?, sender)?;
            // Else whoever finds a token could say that its holder did it.
            if actor.claims().client_id != client.id {
                return Err(ExchangeFault::ForeignActor);
            }
            actor.claims().sub.clone()
        }
    };
    if subject.delegation.may_act.as_ref().is_some_and(|may| may.sub != name) {
        return Err(ExchangeFault::MayAct);
    }
    let actor = Actor { sub: name, act: before.map(Box::new) };
    if actor.depth() > MAX_ACTORS { Err(ExchangeFault::TooManyActors) } else { Ok(Some(actor)) }
}

/// What the subject token and the rule have in common, or that part of it which was asked for (TX-04).
/// Scopes about the person themselves open the issuer's userinfo and are never passed on.
fn scope(
    rule: &ExchangeRule,
    subject: &AccessTokenClaims,
    requested: Option<&Scope>,
    catalogue: &Catalogue,
) -> Result<Scope, ExchangeFault> {
    let common = subject.scope.intersection(&rule.scope);
    let possible =
        common.filtered(|name| catalogue.scope(name).is_some_and(|scope| scope.audience.is_some()));
    let scope = match requested.filter(|requested| !requested.is_empty()) {
        None => possible,
        Some(requested) if requested.is_subset(&possible) => requested.clone(),
        Some(_) => return Err(ExchangeFault::Scope),
    };
    if scope.is_empty() { Err(ExchangeFault::Scope) } else { Ok(scope) }
}

/// Of the old token's roles those that the new scope stands for and that the person still holds. The scope
/// may be another resource server's: what it means at the target, the operator's rule says.
fn roles(
    subject: &AccessTokenClaims,
    grant: &LiveGrant,
    scope: &Scope,
    catalogue: &Catalogue,
) -> Vec<String> {
    let meant = meant_roles(scope, catalogue);
    let still = |role: &&String| meant.contains(role.as_str()) && grant.user_roles().contains(role);
    subject.roles.iter().filter(still).cloned().collect()
}

/// The names of all roles that a scope stands for, wherever.
pub(crate) fn meant_roles(scope: &Scope, catalogue: &Catalogue) -> BTreeSet<String> {
    catalogue.definitions(scope).flat_map(|scope| scope.roles.iter().map(Role::to_string)).collect()
}

fn is_opaque(client: &Client, audience: &str, catalogue: &Catalogue) -> bool {
    client.settings.access_token_format == Some(TokenFormat::Opaque)
        || catalogue
            .resource_server(audience)
            .is_some_and(|server| server.token_format == TokenFormat::Opaque)
}

#[cfg(test)]
mod tests;
