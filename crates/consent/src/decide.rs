//! The one question about consent: may this request go on, must the customer be asked, or is
//! nothing left that they could allow?
//!
//! A decision that was made before is remembered as long as nothing widens: no new scope, no new
//! resource server, no longer life. An expired or withdrawn consent counts as none. A remembered
//! decision never extends its own life; only a new answer does.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use protocol::{
    ClientId, ConsentId, Scope, ScopeToken, UserId,
    authorization_details::{AuthorizationDetail, AuthorizationDetails},
};

use crate::{
    accounts::{BankAccount, ChoiceFault, enriched, leaves_a_choice},
    catalogue::{Catalogue, Role, ScopeDefinition},
    details::{after, beside, covered},
    ledger::{ConsentRecord, GrantedConsent},
    openid::{OFFLINE_ACCESS, OPENID},
    roles::still_reached,
};

/// What an authorization request asks of the customer.
#[derive(Clone, Debug)]
pub struct ConsentRequest {
    /// The customer who is signed in.
    pub user: UserId,
    /// The app.
    pub client: ClientId,
    /// The requested scope, as far as the client may ask for it.
    pub scope: Scope,
    /// The resource servers, as [`audience_of`](crate::roles::audience_of) resolved them.
    pub resources: Vec<String>,
    /// What exactly, beside the scope; checked against its types.
    pub details: AuthorizationDetails,
    /// `prompt=consent`: ask even if it was allowed before (OC-06).
    pub prompt_consent: bool,
    /// `prompt=none`: nobody can be asked (OC-05).
    pub prompt_none: bool,
    /// Whether `offline_access` can be meant at all: a code flow, by a client that may refresh
    /// (OC-15).
    pub offline: bool,
    /// Whether the bank itself stands behind the client, so that its customers are not asked.
    pub client_skips_consent: bool,
}

/// Why a requested scope is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// The customer lacks a role that the scope stands for.
    RoleNotHeld,
    /// `offline_access` where its conditions are not met; it is ignored, not refused (OC-15).
    OfflineNotMet,
    /// The catalogue no longer knows it.
    Unknown,
}

/// A requested scope that is left out, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The scope.
    pub scope: ScopeToken,
    /// Why.
    pub reason: DropReason,
}

/// Why nothing can be granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConsentRefusal {
    /// The request has no scope.
    #[error("the request has no scope")]
    NothingRequested,
    /// Of what was requested, the customer's own roles allow nothing.
    #[error("the customer's own roles allow nothing of what was requested")]
    NothingAllowed(Vec<Dropped>),
    /// Of the authorization details, the customer's own roles allow none.
    #[error("the customer's own roles allow none of the authorization details")]
    NoDetailAllowed,
}

/// The answer to the question.
#[derive(Clone, Debug)]
pub enum ConsentDecision {
    /// It was allowed before (OC-33).
    Remembered(GrantedConsent),
    /// It needs no question: the bank answers for its own app. [`grant`] it with [`Answer::All`].
    Implied(ConsentAsk),
    /// The customer must be asked; under `prompt=none` that is `consent_required`.
    Ask(ConsentAsk),
    /// There is nothing to ask: `access_denied`.
    Refuse(ConsentRefusal),
}

/// One line of the consent page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentItem {
    /// The scope, in words.
    pub definition: ScopeDefinition,
    /// Whether the customer has not allowed it yet.
    pub new: bool,
    /// Whether it goes with the rest and can't be refused alone (`openid`).
    pub required: bool,
}

/// One authorization detail of the consent page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetailItem {
    /// What is asked; with the accounts that were chosen before, where it was allowed before.
    pub detail: AuthorizationDetail,
    /// Whether the customer has not allowed it yet.
    pub new: bool,
}

/// The lines about one resource server, or about the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentGroup {
    /// The resource server; `None` for the person.
    pub audience: Option<String>,
    /// Its name for customers.
    pub name: Option<String>,
    /// The lines, sensitive ones last.
    pub items: Vec<ConsentItem>,
}

/// A question for the customer. Made by [`evaluate`] only; answered with [`grant`].
#[derive(Clone, Debug)]
pub struct ConsentAsk {
    user: UserId,
    client: ClientId,
    /// What the request may get.
    requested: Scope,
    resources: Vec<String>,
    details: Vec<DetailItem>,
    /// What the record holds already.
    standing: AuthorizationDetails,
    /// What a page shows of that.
    beside: AuthorizationDetails,
    /// Whether the customer has yet to choose accounts.
    choice_open: bool,
    /// What the record will hold if all is allowed: the requested and what stands already.
    total: Scope,
    new: Scope,
    dropped: Vec<Dropped>,
    groups: Vec<ConsentGroup>,
    limits: BTreeMap<ScopeToken, TimeDelta>,
    audiences: BTreeMap<ScopeToken, String>,
    existing: Option<ConsentRecord>,
    supersedes: Option<ConsentId>,
}

impl ConsentAsk {
    /// The lines of the page, grouped by resource server, the person first. What the app has
    /// already is among them, because one answer sets the life of the whole.
    pub fn groups(&self) -> &[ConsentGroup] {
        &self.groups
    }

    /// What the request may get at most.
    pub const fn scope(&self) -> &Scope {
        &self.requested
    }

    /// What of it is new.
    pub const fn new_scope(&self) -> &Scope {
        &self.new
    }

    /// The authorization details that are asked about, in the order of the request.
    pub fn details(&self) -> &[DetailItem] {
        &self.details
    }

    /// Authorization details that the app has already and keeps, beside those that are asked about.
    pub const fn standing_details(&self) -> &AuthorizationDetails {
        &self.beside
    }

    /// The same question with the accounts that the customer chose: for each of
    /// [`details`](Self::details), by position, the ids of accounts (RFC 9396 §7.1). `accounts` are all of
    /// the customer's; where there are none to choose from, nothing is chosen.
    ///
    /// # Errors
    /// [`ChoiceFault`].
    pub fn choose(mut self, accounts: &[BankAccount], chosen: &[Vec<String>]) -> Result<Self, ChoiceFault> {
        let details = enriched(&self.requested_details(), accounts, chosen)?;
        for (item, detail) in self.details.iter_mut().zip(details.iter()) {
            item.detail = detail.clone();
        }
        self.choice_open = false;
        Ok(self)
    }

    fn requested_details(&self) -> AuthorizationDetails {
        self.details.iter().map(|item| item.detail.clone()).collect()
    }

    /// What was requested and is left out.
    pub fn dropped(&self) -> &[Dropped] {
        &self.dropped
    }

    /// Since when the app has had access, where this request only widens it.
    pub fn standing_since(&self) -> Option<DateTime<Utc>> {
        self.existing.as_ref().map(|record| record.granted_at)
    }

    /// Until when it would stand if all of it were allowed now.
    pub fn expiry(&self, now: DateTime<Utc>, policy_lifetime: Option<TimeDelta>) -> Option<DateTime<Utc>> {
        self.expiry_of(&self.total, now, policy_lifetime)
    }

    fn expiry_of(
        &self,
        scope: &Scope,
        now: DateTime<Utc>,
        policy: Option<TimeDelta>,
    ) -> Option<DateTime<Utc>> {
        let limits = scope.iter().filter_map(|token| self.limits.get(token)).copied();
        limits.chain(policy).min().map(|longest| now + longest)
    }
}

/// Decides about one request. `existing` is the customer's latest consent for this client, if any.
pub fn evaluate(
    request: &ConsentRequest,
    user_roles: &[Role],
    existing: Option<&ConsentRecord>,
    catalogue: &Catalogue,
    now: DateTime<Utc>,
) -> ConsentDecision {
    if request.scope.is_empty() {
        return ConsentDecision::Refuse(ConsentRefusal::NothingRequested);
    }
    // A record of somebody else is no consent at all, however it got here.
    let existing = existing.filter(|record| record.user == request.user && record.client == request.client);
    let live = existing.filter(|record| record.is_live(now));
    let held = live.map_or_else(Scope::empty, |record| record.scope.clone());

    let mut dropped = Vec::new();
    let allowed =
        request.scope.filtered(|name| drop_reason(name, request, user_roles, &held, catalogue).is_none());
    for token in request.scope.difference(&allowed).iter() {
        if let Some(reason) = drop_reason(token.as_str(), request, user_roles, &held, catalogue) {
            dropped.push(Dropped { scope: token.clone(), reason });
        }
    }
    // To be away from nothing is nothing.
    if allowed.filtered(|name| name != OFFLINE_ACCESS).is_empty() {
        return ConsentDecision::Refuse(ConsentRefusal::NothingAllowed(dropped));
    }
    let resources = resources_for(&request.resources, &request.scope, &allowed, catalogue);
    let Some(details) = details_for(request, user_roles, &resources, live, catalogue) else {
        return ConsentDecision::Refuse(ConsentRefusal::NoDetailAllowed);
    };

    if let Some(record) = live
        && !request.prompt_consent
        && allowed.is_subset(&record.scope)
        && resources.iter().all(|resource| record.resources.contains(resource))
        && details.iter().all(|item| !item.new)
    {
        let details = details.into_iter().map(|item| item.detail).collect();
        return ConsentDecision::Remembered(GrantedConsent::limited(record, (allowed, resources, details)));
    }
    let new = allowed.difference(&held);
    // OC-15: access while away is only ever given by an explicit answer.
    let implied = request.client_skips_consent
        && !request.prompt_consent
        && !new.contains(OFFLINE_ACCESS)
        && details.iter().all(|item| !item.new);
    let kept = held.filtered(|name| is_held_to(name, user_roles, catalogue));
    let total = allowed.union(&kept);
    let types = catalogue.detail_types();
    let asked = details.iter().filter(|item| item.new).map(|item| item.detail.clone()).collect();
    let all: AuthorizationDetails = details.iter().map(|item| item.detail.clone()).collect();
    let held_details =
        live.map_or_else(AuthorizationDetails::default, |record| types.held_to(&record.details, user_roles));
    let ask = ConsentAsk {
        user: request.user,
        client: request.client.clone(),
        groups: groups(&total, &allowed, &held, catalogue),
        limits: each(&total, catalogue, ScopeDefinition::longest),
        audiences: each(&total, catalogue, |scope| scope.audience.clone()),
        choice_open: leaves_a_choice(&asked, types),
        requested: allowed,
        resources,
        details,
        beside: beside(&all, &held_details, types),
        standing: held_details,
        total,
        new,
        dropped,
        existing: live.cloned(),
        supersedes: existing.filter(|record| !record.is_live(now)).map(|record| record.id),
    };
    if implied { ConsentDecision::Implied(ask) } else { ConsentDecision::Ask(ask) }
}

/// The details that may be asked about: those that the customer's roles allow, at resource servers that are
/// left. `None` where there were some and none is left.
fn details_for(
    request: &ConsentRequest,
    user_roles: &[Role],
    resources: &[String],
    live: Option<&ConsentRecord>,
    catalogue: &Catalogue,
) -> Option<Vec<DetailItem>> {
    let types = catalogue.detail_types();
    let reached =
        |detail: &AuthorizationDetail| resources.iter().any(|resource| types.reaches(detail, resource));
    let allowed = types.held_to(&request.details, user_roles).filtered(reached);
    if allowed.is_empty() && !request.details.is_empty() {
        return None;
    }
    let standing = live.filter(|_| !request.prompt_consent).map(|record| &record.details);
    let item =
        |detail: &AuthorizationDetail| match standing.and_then(|standing| covered(detail, standing, types)) {
            Some(detail) => DetailItem { detail, new: false },
            None => DetailItem { detail: detail.clone(), new: true },
        };
    Some(allowed.iter().map(item).collect())
}

fn drop_reason(
    name: &str,
    request: &ConsentRequest,
    user_roles: &[Role],
    held: &Scope,
    catalogue: &Catalogue,
) -> Option<DropReason> {
    if catalogue.entry(name).is_none() {
        return Some(DropReason::Unknown);
    }
    if !is_held_to(name, user_roles, catalogue) {
        return Some(DropReason::RoleNotHeld);
    }
    // Under prompt=none nobody can consent to offline access, so one of its conditions fails.
    let unmet = !request.offline || (request.prompt_none && !held.contains(OFFLINE_ACCESS));
    (name == OFFLINE_ACCESS && unmet).then_some(DropReason::OfflineNotMet)
}

/// Whether the customer's own roles allow the scope: they hold every role that it stands for.
pub(crate) fn is_held_to(name: &str, user_roles: &[Role], catalogue: &Catalogue) -> bool {
    catalogue.entry(name).is_some_and(|scope| scope.roles.iter().all(|role| user_roles.contains(role)))
}

/// The requested resource servers, without those of which the customer may allow nothing.
fn resources_for(requested: &[String], scope: &Scope, allowed: &Scope, catalogue: &Catalogue) -> Vec<String> {
    let kept = still_reached(requested, scope, allowed, catalogue);
    kept.into_iter().collect::<BTreeSet<_>>().into_iter().collect()
}

fn each<T>(
    scope: &Scope,
    catalogue: &Catalogue,
    of: impl Fn(&ScopeDefinition) -> Option<T>,
) -> BTreeMap<ScopeToken, T> {
    let definitions = catalogue.definitions(scope);
    definitions.filter_map(|definition| Some((definition.name.clone(), of(definition)?))).collect()
}

fn groups(total: &Scope, allowed: &Scope, held: &Scope, catalogue: &Catalogue) -> Vec<ConsentGroup> {
    let mut by_audience: BTreeMap<Option<String>, Vec<ConsentItem>> = BTreeMap::new();
    for definition in catalogue.definitions(total) {
        let name = definition.name.as_str();
        by_audience.entry(definition.audience.clone()).or_default().push(ConsentItem {
            definition: definition.clone(),
            new: !held.contains(name),
            required: name == OPENID && allowed.contains(OPENID),
        });
    }
    let group = |(audience, mut items): (Option<String>, Vec<ConsentItem>)| {
        items.sort_by_key(|item| (!item.required, item.definition.sensitive));
        let server = audience.as_deref().and_then(|audience| catalogue.resource_server(audience));
        ConsentGroup { name: server.map(|server| server.name.clone()), audience, items }
    };
    by_audience.into_iter().map(group).collect()
}

/// What the customer answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Everything that was asked.
    All,
    /// Only these; what stands in the question and not here is taken away from the app.
    Only(Scope),
}

/// Why an answer does not fit its question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerFault {
    /// It allows what was not asked.
    #[error("the answer allows `{0}`, which was not asked")]
    NotAsked(Scope),
    /// It allows nothing: that is a denial.
    #[error("the answer allows nothing of what the app requested")]
    Nothing,
    /// Accounts are left to the customer, who has not chosen any.
    #[error("the answer names no accounts")]
    NotChosen,
}

/// Effect: what the store writes for an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsentUpsert {
    /// Insert a record. A dead one that it follows is marked as ended at the same time (if it only
    /// expired), so that a customer has at most one open record per client.
    Create {
        /// The new record.
        record: ConsentRecord,
        /// The dead one.
        supersedes: Option<ConsentId>,
    },
    /// Replace scope, resources, expiry and version of a record, only where it is still at
    /// `expected_version` and not withdrawn. No row means that another answer came first.
    Replace {
        /// The record as it shall be.
        record: ConsentRecord,
        /// The version that was read.
        expected_version: i64,
    },
}

impl ConsentUpsert {
    /// The record as it will be.
    pub const fn record(&self) -> &ConsentRecord {
        match self {
            Self::Create { record, .. } | Self::Replace { record, .. } => record,
        }
    }
}

/// Records an answer. `new_id` is used if there is no live record to widen. The proof holds only if
/// the effect does: both belong to one transaction, and no row rolls it back.
///
/// # Errors
/// [`AnswerFault`] for an answer that was not among the possible ones.
pub fn grant(
    ask: &ConsentAsk,
    answer: &Answer,
    new_id: ConsentId,
    now: DateTime<Utc>,
    policy_lifetime: Option<TimeDelta>,
) -> Result<(ConsentUpsert, GrantedConsent), AnswerFault> {
    if ask.choice_open {
        return Err(AnswerFault::NotChosen);
    }
    let approved = match answer {
        Answer::All => ask.total.clone(),
        Answer::Only(chosen) => {
            let foreign = chosen.difference(&ask.total);
            if !foreign.is_empty() {
                return Err(AnswerFault::NotAsked(foreign));
            }
            chosen.union(&ask.requested.filtered(|name| name == OPENID))
        }
    };
    let usable = ask.requested.intersection(&approved);
    let chose_something = matches!(answer, Answer::All)
        || matches!(answer, Answer::Only(chosen) if !ask.requested.intersection(chosen).is_empty());
    if !chose_something || usable.filtered(|name| name != OFFLINE_ACCESS).is_empty() {
        return Err(AnswerFault::Nothing);
    }
    let resources = ask.still_reached(&ask.resources, &usable);
    let record = ask.record(approved, &resources, new_id, now, policy_lifetime);
    let proof = GrantedConsent::limited(&record, (usable, resources, ask.requested_details()));
    let upsert = match &ask.existing {
        Some(existing) => ConsentUpsert::Replace { record, expected_version: existing.version },
        None => ConsentUpsert::Create { record, supersedes: ask.supersedes },
    };
    Ok((upsert, proof))
}

impl ConsentAsk {
    /// Of `resources`, those that the question had no scope of, or that `approved` still reaches.
    fn still_reached(&self, resources: &[String], approved: &Scope) -> Vec<String> {
        let reached: BTreeSet<&String> =
            approved.iter().filter_map(|token| self.audiences.get(token)).collect();
        let asked: BTreeSet<&String> = self.audiences.values().collect();
        let kept =
            resources.iter().filter(|resource| reached.contains(resource) || !asked.contains(resource));
        kept.cloned().collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// What the record does not have yet.
    fn granted_anew(&self) -> AuthorizationDetails {
        self.details.iter().filter(|item| item.new).map(|item| item.detail.clone()).collect()
    }

    fn record(
        &self,
        scope: Scope,
        resources: &[String],
        new_id: ConsentId,
        now: DateTime<Utc>,
        policy_lifetime: Option<TimeDelta>,
    ) -> ConsentRecord {
        let before = self.existing.as_ref();
        let standing = before.map_or(&[][..], |record| &record.resources);
        let standing = self.still_reached(standing, &scope);
        let resources: BTreeSet<String> = resources.iter().cloned().chain(standing).collect();
        ConsentRecord {
            id: before.map_or(new_id, |record| record.id),
            user: self.user,
            client: self.client.clone(),
            resources: resources.into_iter().collect(),
            details: after(&self.standing, &self.granted_anew()),
            granted_at: before.map_or(now, |record| record.granted_at),
            updated_at: now,
            expires_at: self.expiry_of(&scope, now, policy_lifetime),
            withdrawn_at: None,
            version: before.map_or(1, |record| record.version + 1),
            scope,
        }
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
