//! Clients: registered, changed, deleted, given a new secret.

use audit::EventKind;
use chrono::{DateTime, TimeDelta, Utc};
use consent::Catalogue;
use protocol::{
    ClientId,
    client::{AuthMethod, ClientMetadata, Profile},
    secret::ClientSecret,
};
use store::Tx;
use tokens::{
    client::{Client, ClientRecord, ClientSettings, SecretDigest},
    profile::{Finding, Verdict, chosen_profile, fitness},
};

use super::{
    Operate, OperateFault, Operated, catalogue_of, digest_of, keep_until, not_found, or_refuse, rule,
};
use crate::{error::Result, sector::asks_sector};

const CLIENT: &str = "client";

/// What an operator says about a client.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClientDraft {
    /// What RFC 7591 calls client metadata.
    pub metadata: ClientMetadata,
    /// What only this server knows about it.
    pub settings: ClientSettings,
}

impl ClientDraft {
    /// What is said about a stored client.
    pub fn of(record: &ClientRecord) -> Self {
        Self { metadata: record.metadata.clone(), settings: record.settings.clone() }
    }

    fn needs_secret(&self) -> bool {
        let method = self.metadata.token_endpoint_auth_method.unwrap_or(AuthMethod::ClientSecretBasic);
        matches!(method, AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost)
    }
}

/// A client as it is stored now, and its new secret if it got one. The secret is nowhere else.
#[derive(Clone, Debug)]
pub struct ClientAndSecret {
    /// The client.
    pub record: ClientRecord,
    /// The new secret.
    pub secret: Option<ClientSecret>,
}

/// What ended with a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeletedClient {
    /// Consents that were withdrawn.
    pub consents: u64,
    /// Grants that were revoked, with every token below them.
    pub grants: u64,
    /// Opaque access tokens of the client's own that were revoked; its JWTs are refused because it is
    /// no longer known.
    pub access_tokens: u64,
    /// Whether the client is gone. It stays, disabled and without secrets, where consents name it.
    pub removed: bool,
}

/// What keeps a client from a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCheck {
    /// The profile that it has.
    pub own: Profile,
    /// The profile that it was held against.
    pub checked: Profile,
    /// Each rule, with what became of it.
    pub findings: Vec<Finding>,
}

impl ClientCheck {
    /// Whether nothing of the registration keeps it from the profile.
    pub fn fits(&self) -> bool {
        self.findings.iter().all(|finding| finding.verdict != Verdict::Broken)
    }
}

impl Operate<'_> {
    /// Registers a client. One that authenticates by secret and is given none gets a new one.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn create_client(
        &self,
        id: ClientId,
        draft: ClientDraft,
        secret: Option<ClientSecret>,
    ) -> Operated<ClientAndSecret> {
        let now = self.service.now();
        let mut draft = draft;
        if draft.settings.profile.is_none() {
            draft.settings.profile = chosen_profile(&draft.metadata, &self.service.declared().catalogue);
        }
        let generate = draft.needs_secret() || secret.is_some();
        let secret = if generate { Some(or_refuse!(self.secret(secret))) } else { None };
        let record = ClientRecord {
            id,
            metadata: draft.metadata,
            settings: draft.settings,
            secrets: secret.iter().map(lasting).collect(),
            disabled: false,
            created_at: now,
            updated_at: now,
        };
        if Client::parse(&record).is_ok() {
            or_refuse!(self.vouched_for(&record.metadata, None).await);
        }
        let mut tx = self.alone().await?;
        if let Some(before) = tx.client(&record.id).await? {
            let name = record.id.to_string();
            let exists = OperateFault::Exists { what: CLIENT, name };
            return Ok(Err(if before.disabled { OperateFault::Deleted(record.id) } else { exists }));
        }
        or_refuse!(self.acceptable(&mut tx, &record).await?);
        tx.put_client(&record).await?;
        tx.record(&self.event(EventKind::ClientCreated, now).client(record.id.clone())).await?;
        tx.commit().await?;
        Ok(Ok(ClientAndSecret { record, secret }))
    }

    /// Changes a client: `edit` gets what is stored and gives what is to be. A change to a method that
    /// needs a secret brings a new one; a change to one that does not takes the secrets away.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn update_client(
        &self,
        id: &ClientId,
        edit: impl FnOnce(ClientDraft) -> std::result::Result<ClientDraft, Vec<String>>,
    ) -> Operated<ClientAndSecret> {
        let now = self.service.now();
        let mut tx = self.alone().await?;
        let before = or_refuse!(living(&mut tx, id).await?);
        let draft = or_refuse!(edit(ClientDraft::of(&before)).map_err(OperateFault::Rules));
        if asks_sector(&draft.metadata, Some(&before.metadata)).is_some() {
            drop(tx);
            or_refuse!(self.vouched_for(&draft.metadata, Some(&before.metadata)).await);
            tx = self.alone().await?;
            if or_refuse!(living(&mut tx, id).await?) != before {
                let text =
                    "the client was changed by somebody else meanwhile; nothing was changed, try again";
                return Ok(Err(OperateFault::State(text.to_owned())));
            }
        }
        let needs_secret = draft.needs_secret();
        let mut record =
            ClientRecord { metadata: draft.metadata, settings: draft.settings, updated_at: now, ..before };
        let mut secret = None;
        if !needs_secret {
            record.secrets.clear();
        } else if record.secrets.is_empty() {
            let new = or_refuse!(self.secret(None));
            record.secrets.push(lasting(&new));
            secret = Some(new);
        }
        or_refuse!(self.acceptable(&mut tx, &record).await?);
        tx.put_client(&record).await?;
        tx.record(&self.event(EventKind::ClientChanged, now).client(id.clone())).await?;
        tx.commit().await?;
        Ok(Ok(ClientAndSecret { record, secret }))
    }

    /// Ends everything of a client: consents, grants, tokens, secrets. It is unknown at every endpoint
    /// from then on.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn delete_client(&self, id: &ClientId) -> Operated<DeletedClient> {
        let now = self.service.now();
        let mut tx = self.alone().await?;
        let before = or_refuse!(living(&mut tx, id).await?);
        let ended = end_client(&mut tx, before, now).await?;
        let event = self.event(EventKind::ClientDeleted, now).client(id.clone());
        let event = event.detail("consents", ended.consents.to_string());
        tx.record(&event.detail("grants", ended.grants.to_string())).await?;
        tx.commit().await?;
        Ok(Ok(ended))
    }

    /// Gives a client a new secret. Those that it has count for `keep_old` yet, or as long as they
    /// would have.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn rotate_client_secret(
        &self,
        id: &ClientId,
        given: Option<ClientSecret>,
        keep_old: TimeDelta,
    ) -> Operated<ClientAndSecret> {
        let now = self.service.now();
        let secret = or_refuse!(self.secret(given));
        let mut tx = self.alone().await?;
        let before = or_refuse!(living(&mut tx, id).await?);
        let secrets = rotated(&before.secrets, &secret, keep_old, now);
        let record = ClientRecord { secrets, updated_at: now, ..before };
        or_refuse!(self.acceptable(&mut tx, &record).await?);
        tx.put_client(&record).await?;
        let event = self.event(EventKind::ClientSecretRotated, now).client(id.clone());
        tx.record(&event.detail("keep_old_seconds", keep_old.num_seconds().to_string())).await?;
        tx.commit().await?;
        Ok(Ok(ClientAndSecret { record, secret: Some(secret) }))
    }

    /// Applies the rules of registration, and says all that are broken: those of the client itself,
    /// and what it needs around it. Its sector is asked elsewhere, before the transaction.
    pub(crate) async fn acceptable(&self, tx: &mut Tx, record: &ClientRecord) -> Operated<()> {
        let mut faults: Vec<String> = match Client::parse(record) {
            Ok(_) => Vec::new(),
            Err(broken) => broken.iter().map(ToString::to_string).collect(),
        };
        faults.extend(self.service.surroundings(record, &catalogue(tx).await?));
        Ok(if faults.is_empty() { Ok(()) } else { Err(OperateFault::Rules(faults)) })
    }

    /// That the sector vouches for a client of which it was not asked yet (OC-21). Asked outside of
    /// transactions: nobody waits for somebody else's server.
    async fn vouched_for(
        &self,
        metadata: &ClientMetadata,
        before: Option<&ClientMetadata>,
    ) -> std::result::Result<(), OperateFault> {
        let sector = self.service.check_sector(metadata, before).await;
        sector.map_err(|refusal| rule(refusal.to_string()))
    }

    /// Holds every rule against a client as if it had this profile; its own, if none is named. Nothing is
    /// changed.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn check_client(&self, id: &ClientId, profile: Option<Profile>) -> Operated<ClientCheck> {
        let mut tx = self.service.store().begin().await?;
        let mut record = or_refuse!(living(&mut tx, id).await?);
        let own = record.settings.profile.unwrap_or(Profile::General);
        let checked = profile.unwrap_or(own);
        let mut findings = fitness(&record, checked);
        record.settings.profile = Some(checked);
        let around = self.service.surroundings(&record, &catalogue(&mut tx).await?);
        findings.extend(around.into_iter().map(Finding::of_registration));
        Ok(Ok(ClientCheck { own, checked, findings }))
    }
}

/// Ends everything of a client, its registration access token too (DR-09).
pub(crate) async fn end_client(
    tx: &mut Tx,
    before: ClientRecord,
    now: DateTime<Utc>,
) -> Result<DeletedClient> {
    let id = before.id.clone();
    let consents = tx.withdraw_consents_of_client(&id, now).await?;
    let grants = tx.revoke_grants_of_client(&id, now).await?;
    let access_tokens = tx.revoke_access_tokens_of_client(&id, now).await?;
    let record = ClientRecord { secrets: Vec::new(), disabled: true, updated_at: now, ..before };
    tx.put_client(&record).await?;
    tx.end_management(&id).await?;
    let removed = tx.remove_client(&id).await? == 1;
    Ok(DeletedClient { consents, grants, access_tokens, removed })
}

fn lasting(secret: &ClientSecret) -> SecretDigest {
    SecretDigest { digest: digest_of(secret), expires_at: None }
}

/// The new secret first, then the old ones that still count, each with its end.
fn rotated(
    before: &[SecretDigest],
    secret: &ClientSecret,
    keep_old: TimeDelta,
    now: DateTime<Utc>,
) -> Vec<SecretDigest> {
    let new = lasting(secret);
    let until = keep_until(keep_old, now);
    let old = before.iter().filter(|old| old.digest != new.digest).filter_map(|old| {
        let end = old.expires_at.map_or(until?, |end| end.min(now + keep_old));
        (end > now).then_some(SecretDigest { digest: old.digest, expires_at: Some(end) })
    });
    let old: Vec<_> = old.collect();
    std::iter::once(new).chain(old).collect()
}

/// A client that was not deleted.
async fn living(tx: &mut Tx, id: &ClientId) -> Operated<ClientRecord> {
    let found = tx.client(id).await?.filter(|record| !record.disabled);
    Ok(found.ok_or_else(|| not_found(CLIENT, id)))
}

/// The catalogue as the transaction sees it.
async fn catalogue(tx: &mut Tx) -> Result<Catalogue> {
    let (scopes, servers) = (tx.scopes().await?, tx.resource_servers().await?);
    let stored = catalogue_of(tx, scopes, servers).await?;
    stored.map_err(|fault| crate::FlowError::StoredCatalogue(fault.to_string()))
}
