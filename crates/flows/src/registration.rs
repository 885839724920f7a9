//! Clients that register themselves (RFC 7591) and look after their registration (RFC 7592).
//!
//! Closed unless the configuration opens it, and then to those who bring an initial access token or a
//! software statement; to strangers only where a policy for them is named. What a client becomes is decided
//! in [`tokens::registration`]; here the credentials are looked up, and everything is written at once: the
//! use of the token, the client, its management token and the audit event, or nothing.

use audit::{Actor, EventKind};
use chrono::{DateTime, Utc};
use jose::{KeySet, digest::sha256};
use protocol::{
    ClientId,
    client::{AuthMethod, ClientMetadata},
    registration::{
        RegistrationFormFault, RegistrationRequest, RegistrationResponse, members_of, needs_secret,
    },
    secret::ClientSecret,
};
use store::Lock;
use tokens::{
    client::{Client, ClientRecord, ClientSettings, SecretDigest, SubjectType},
    initial_token::{InitialTokenRecord, InitialTokenState, Origin, Registration},
    registration::{RegistrationFault, RegistrationPolicy, asked, settle},
    software_statement::{StatementFault, stated},
};

use crate::{context::RequestContext, error::Result, service::Service, unused_clients::PREFIX};

/// Who may register clients, and what clients may be.
#[derive(Clone, Debug, Default)]
pub struct RegistrationRules {
    /// Every policy, by its name.
    pub policies: Vec<RegistrationPolicy>,
    /// The policy of those who bring nothing; `None` refuses them (DR-01).
    pub anonymous: Option<String>,
    /// Whose software statements are believed.
    pub issuers: Vec<StatementIssuer>,
}

/// Somebody whose software statements are believed (RFC 7591 §2.3).
#[derive(Clone, Debug)]
pub struct StatementIssuer {
    /// Their `iss`.
    pub issuer: String,
    /// Their keys.
    pub keys: StatementKeys,
    /// The policy of clients that bring a statement of theirs and no initial access token; `None` where a
    /// statement alone is not enough.
    pub policy: Option<String>,
}

/// Where an issuer's keys are.
#[derive(Clone, Debug)]
pub enum StatementKeys {
    /// In the configuration.
    Known(KeySet),
    /// On the web.
    At(String),
}

impl RegistrationRules {
    /// The policy of a name.
    pub fn policy(&self, name: &str) -> Option<&RegistrationPolicy> {
        self.policies.iter().find(|policy| policy.name == name)
    }
}

/// Why nothing was registered, read, changed or deleted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationRefusal {
    /// Nobody may register here.
    #[error("registration is switched off")]
    Off,
    /// Neither an initial access token nor a software statement, and strangers may not (DR-01).
    #[error("registration needs an initial access token")]
    TokenMissing,
    /// An initial access token that is unknown, spent, expired or revoked.
    #[error("the initial access token is {0}")]
    Token(&'static str),
    /// The token or statement names a policy that is configured no more.
    #[error("the policy {0} is not configured")]
    Policy(String),
    /// A statement that nobody here is ready to believe.
    #[error("software statements are not accepted here")]
    StatementUnapproved,
    /// A statement that is not believed (DR-05).
    #[error(transparent)]
    Statement(#[from] StatementFault),
    /// A client that came with a statement wants to go on without it.
    #[error("the software statement is missing")]
    StatementMissing,
    /// What it wants to be is not possible.
    #[error(transparent)]
    Fault(#[from] RegistrationFault),
    /// Not the registration access token of that client (DR-07).
    #[error("the registration access token is not one of this client")]
    Management,
    /// `client_id` is missing or another one (DR-08).
    #[error("client_id must be the client's own")]
    ClientId,
    /// `client_secret` is not the client's (DR-08).
    #[error("client_secret must be the client's own or absent")]
    ClientSecret,
    /// Only the server sets this member (DR-08).
    #[error("{0} is set by the server alone")]
    ReadOnly(&'static str),
}

impl From<RegistrationFormFault> for RegistrationRefusal {
    fn from(fault: RegistrationFormFault) -> Self {
        RegistrationFault::Form(fault).into()
    }
}

/// What a use case of registration comes to.
pub type Registered<T> = Result<std::result::Result<T, RegistrationRefusal>>;

/// What somebody may register with.
struct Ticket {
    policy: RegistrationPolicy,
    token: Option<InitialTokenRecord>,
    request: RegistrationRequest,
}

/// Leaves the enclosing function with a refusal.
macro_rules! or_refuse {
    ($decision:expr) => {
        match $decision {
            Ok(value) => value,
            Err(refusal) => return Ok(Err(RegistrationRefusal::from(refusal))),
        }
    };
}

impl Service {
    /// Registers a client (RFC 7591 §3.1). `bearer` is the initial access token, if one came.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn register(
        &self,
        context: &RequestContext,
        bearer: Option<&str>,
        body: &[u8],
    ) -> Registered<RegistrationResponse> {
        let done = self.try_register(context, bearer, body).await?;
        self.note_refused_registration(context, None, done.as_ref().err()).await?;
        Ok(done)
    }

    async fn try_register(
        &self,
        context: &RequestContext,
        bearer: Option<&str>,
        body: &[u8],
    ) -> Registered<RegistrationResponse> {
        let now = self.now();
        let Ticket { policy, token, request } = or_refuse!(self.ticket(bearer, body, now).await?);
        let (metadata, settings) = or_refuse!(self.settled(&request, &policy, None).await?);
        let secret = needs_secret(method_of(&metadata)).then(|| ClientSecret::from_entropy(self.entropy()));
        let management = ClientSecret::from_entropy(self.entropy());
        let record = ClientRecord {
            id: self.new_client_id(),
            metadata,
            settings,
            secrets: secret.iter().map(|secret| digest(secret, &policy, now)).collect(),
            disabled: false,
            created_at: now,
            updated_at: now,
        };
        or_refuse!(rules(&record));
        let registration = Registration {
            client: record.id.clone(),
            origin: Origin::Registered,
            policy: policy.name.clone(),
            initial_token: token.as_ref().map(|token| token.id),
            management: Some(sha256(management.expose())),
            software_statement: request.software_statement,
            registered_at: now,
            fetched_at: None,
        };
        let mut tx = self.0.store.begin().await?;
        tx.lock(Lock::Declarations).await?;
        or_refuse!(self.fits_in(&mut tx, &record).await?);
        if tx.insert_client(&record).await? != 1 {
            return Ok(Err(RegistrationRefusal::ClientId));
        }
        if let Some(token) = &token
            && tx.use_initial_token(&token.digest, now).await? != 1
        {
            // Others were faster.
            return Ok(Err(RegistrationRefusal::Token(InitialTokenState::Spent.as_str())));
        }
        tx.put_registration(&registration).await?;
        let event = self.event(context, EventKind::ClientRegistered, now).client(record.id.clone());
        let event = event.detail("policy", &policy.name);
        let by = token.map_or_else(|| "none".to_owned(), |token| token.id.to_string());
        tx.record(&event.detail("initial_token_id", by)).await?;
        tx.commit().await?;
        Ok(Ok(self.told(&record, &registration, secret, management)))
    }

    /// What is registered (RFC 7592 §2.1).
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn read_registration(
        &self,
        context: &RequestContext,
        id: &str,
        bearer: Option<&str>,
    ) -> Registered<RegistrationResponse> {
        let managed = self.managed(id, bearer).await?;
        let done =
            managed.map(|(record, registration, token)| self.told(&record, &registration, None, token));
        self.note_refused_registration(context, Some(id), done.as_ref().err()).await?;
        Ok(done)
    }

    /// Replaces everything that is registered (RFC 7592 §2.2, DR-08).
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn replace_registration(
        &self,
        context: &RequestContext,
        id: &str,
        bearer: Option<&str>,
        body: &[u8],
    ) -> Registered<RegistrationResponse> {
        let done = self.try_replace(context, id, bearer, body).await?;
        self.note_refused_registration(context, Some(id), done.as_ref().err()).await?;
        Ok(done)
    }

    async fn try_replace(
        &self,
        context: &RequestContext,
        id: &str,
        bearer: Option<&str>,
        body: &[u8],
    ) -> Registered<RegistrationResponse> {
        let now = self.now();
        let (before, mut registration, management) = or_refuse!(self.managed(id, bearer).await?);
        let request = or_refuse!(RegistrationRequest::parse(body));
        or_refuse!(names_itself(&request, &before, now));
        let rules_of = self.0.policies.registration.as_ref();
        let policy = rules_of.and_then(|rules| rules.policy(&registration.policy)).cloned();
        let policy = or_refuse!(policy.ok_or(RegistrationRefusal::Policy(registration.policy.clone())));
        let request = match (&request.software_statement, &registration.software_statement) {
            (None, Some(_)) => return Ok(Err(RegistrationRefusal::StatementMissing)),
            (None, None) => request,
            (Some(_), _) => or_refuse!(self.with_statement(request, now).await?).0,
        };
        let settled = self.settled(&request, &policy, Some(&before)).await?;
        let (metadata, _) = or_refuse!(settled);
        registration.software_statement = request.software_statement;
        let mut tx = self.0.store.begin().await?;
        tx.lock(Lock::Declarations).await?;
        // What others did meanwhile counts: deleted by the client itself, or ended by an operator.
        let known = tx.registration(&before.id).await?;
        let known = known.filter(|known| known.management == registration.management);
        let living = tx.client(&before.id).await?.filter(|stored| !stored.disabled);
        let (Some(_), Some(before)) = (known, living) else {
            return Ok(Err(RegistrationRefusal::Management));
        };
        let settings = policy.replaced(&before, &metadata, &self.declared().catalogue);
        or_refuse!(same_names(&before, &metadata));
        let mut record = ClientRecord { metadata, settings, updated_at: now, ..before };
        let mut secret = None;
        if !needs_secret(method_of(&record.metadata)) {
            record.secrets.clear();
        } else if !record.secrets.iter().any(|known| counts(known, now)) {
            let new = ClientSecret::from_entropy(self.entropy());
            record.secrets = vec![digest(&new, &policy, now)];
            secret = Some(new);
        }
        or_refuse!(rules(&record));
        or_refuse!(self.fits_in(&mut tx, &record).await?);
        tx.put_client(&record).await?;
        tx.put_registration(&registration).await?;
        let event = self.event(context, EventKind::ClientChanged, now).by(Actor::Client);
        tx.record(&event.client(record.id.clone()).detail("policy", &policy.name)).await?;
        tx.commit().await?;
        self.reload_committed().await;
        Ok(Ok(self.told(&record, &registration, secret, management)))
    }

    /// Ends a client by its own wish, with everything that it has (RFC 7592 §2.3, DR-09).
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn end_registration(
        &self,
        context: &RequestContext,
        id: &str,
        bearer: Option<&str>,
    ) -> Registered<()> {
        let managed = self.managed(id, bearer).await?;
        self.note_refused_registration(context, Some(id), managed.as_ref().err()).await?;
        let (record, ..) = or_refuse!(managed);
        let now = self.now();
        let mut tx = self.0.store.begin().await?;
        tx.lock(Lock::Declarations).await?;
        if tx.end_management(&record.id).await? != 1 {
            return Ok(Err(RegistrationRefusal::Management));
        }
        let ended = crate::operate::end_client(&mut tx, record.clone(), now).await?;
        let event = self.event(context, EventKind::ClientDeleted, now).by(Actor::Client).client(record.id);
        let event = event.detail("consents", ended.consents.to_string());
        tx.record(&event.detail("grants", ended.grants.to_string())).await?;
        tx.commit().await?;
        self.reload_committed().await;
        Ok(Ok(()))
    }

    /// Whom the policy is for: a token's, a statement's, or a stranger's (DR-01).
    async fn ticket(&self, bearer: Option<&str>, body: &[u8], now: DateTime<Utc>) -> Registered<Ticket> {
        let Some(rules) = &self.0.policies.registration else { return Ok(Err(RegistrationRefusal::Off)) };
        let token = match bearer {
            None => None,
            Some(bearer) => {
                let token = self.0.store.initial_token(&sha256(bearer)).await?;
                let token = or_refuse!(token.ok_or(RegistrationRefusal::Token("unknown")));
                match token.state(now) {
                    InitialTokenState::Usable => Some(token),
                    state => return Ok(Err(RegistrationRefusal::Token(state.as_str()))),
                }
            }
        };
        let closed = token.is_none()
            && rules.anonymous.is_none()
            && !rules.issuers.iter().any(|issuer| issuer.policy.is_some());
        if closed {
            return Ok(Err(RegistrationRefusal::TokenMissing));
        }
        let request = or_refuse!(RegistrationRequest::parse(body));
        let (request, of_issuer) = match &request.software_statement {
            None => (request, None),
            Some(_) => or_refuse!(self.with_statement(request, now).await?),
        };
        let name = token.as_ref().map(|token| token.policy.clone()).or(of_issuer);
        let name =
            or_refuse!(name.or_else(|| rules.anonymous.clone()).ok_or(RegistrationRefusal::TokenMissing));
        match rules.policy(&name).cloned() {
            Some(policy) => Ok(Ok(Ticket { policy, token, request })),
            None => Ok(Err(RegistrationRefusal::Policy(name))),
        }
    }

    /// The request with the values of its statement, and the policy that the statement stands for.
    async fn with_statement(
        &self,
        request: RegistrationRequest,
        now: DateTime<Utc>,
    ) -> Registered<(RegistrationRequest, Option<String>)> {
        let rules = self.0.policies.registration.as_ref();
        let issuers = rules.map(|rules| rules.issuers.as_slice()).unwrap_or_default();
        if issuers.is_empty() {
            return Ok(Err(RegistrationRefusal::StatementUnapproved));
        }
        let statement = request.software_statement.clone().unwrap_or_default();
        let mut refused = StatementFault::Signature;
        for issuer in issuers {
            let Some(keys) = self.statement_keys(issuer).await else { continue };
            let members = match stated(&statement, &issuer.issuer, &keys, &self.0.policies.issuer, now) {
                Err(StatementFault::Signature) => continue,
                // Several issuers may have one set of keys.
                Err(StatementFault::Issuer) => {
                    refused = StatementFault::Issuer;
                    continue;
                }
                done => or_refuse!(done),
            };
            let request = request.overridden_by(members).map_err(|_| StatementFault::Claim);
            return Ok(Ok((or_refuse!(request), issuer.policy.clone())));
        }
        Ok(Err(refused.into()))
    }

    async fn statement_keys(&self, issuer: &StatementIssuer) -> Option<KeySet> {
        match &issuer.keys {
            StatementKeys::Known(keys) => Some(keys.clone()),
            StatementKeys::At(url) => {
                if let Some(known) = self.0.caches.statement_keys.get(url) {
                    return Some(known);
                }
                let fetched =
                    self.0.outbound.get(url, &["application/json", "application/jwk-set+json"]).await;
                let keys = fetched.map_err(|fault| fault.to_string()).and_then(|fetched| {
                    KeySet::from_published(&fetched.body).map_err(|fault| fault.to_string())
                });
                match keys {
                    Ok(keys) => {
                        self.0.caches.statement_keys.insert(url.clone(), keys.clone());
                        Some(keys)
                    }
                    Err(fault) => {
                        tracing::warn!(issuer = issuer.issuer, fault, "keys for software statements");
                        None
                    }
                }
            }
        }
    }

    /// What the client becomes by the policy, and by what can be asked on the web.
    async fn settled(
        &self,
        request: &RegistrationRequest,
        policy: &RegistrationPolicy,
        before: Option<&ClientRecord>,
    ) -> Registered<(ClientMetadata, ClientSettings)> {
        let standing = before.and_then(|before| before.settings.profile);
        let settled = settle(request, policy, &self.declared().catalogue, standing);
        let (metadata, settings) = or_refuse!(settled);
        for (member, url) in asked(&metadata) {
            // What follows `#` is never sent; in a `request_uri` it names the version (Core §6.2).
            let url = url.split('#').next().unwrap_or_default();
            if self.0.outbound.admits(url).is_err() {
                return Ok(Err(RegistrationFault::Unreachable(member).into()));
            }
        }
        let sector = self.check_sector(&metadata, before.map(|before| &before.metadata)).await;
        or_refuse!(sector.map_err(|refusal| RegistrationFault::Sector(refusal.to_string())));
        Ok(Ok((metadata, settings)))
    }

    /// The rules of what is declared and of the keys that there are.
    async fn fits_in(
        &self,
        tx: &mut store::Tx,
        record: &ClientRecord,
    ) -> Result<std::result::Result<(), RegistrationFault>> {
        Ok(match self.operate("").acceptable(tx, record).await? {
            Ok(()) => Ok(()),
            Err(crate::operate::OperateFault::Rules(faults)) => Err(RegistrationFault::Surroundings(faults)),
            Err(other) => Err(RegistrationFault::Surroundings(vec![other.to_string()])),
        })
    }

    /// The client whose registration access token came (DR-07). Who has none learns nothing: whether there
    /// is such a client is not said.
    async fn managed(
        &self,
        id: &str,
        bearer: Option<&str>,
    ) -> Registered<(ClientRecord, Registration, ClientSecret)> {
        let refused = Ok(Err(RegistrationRefusal::Management));
        if self.0.policies.registration.is_none() {
            return Ok(Err(RegistrationRefusal::Off));
        }
        let (Some(bearer), Ok(id)) = (bearer, id.parse::<ClientId>()) else { return refused };
        let Some(registration) = self.0.store.registration(&id).await? else { return refused };
        let token = sha256(bearer);
        if !registration.management.is_some_and(|known| known == token) {
            return refused;
        }
        let record = self.0.store.client(&id).await?.filter(|record| !record.disabled);
        let Some(record) = record else { return refused };
        Ok(Ok((record, registration, ClientSecret::new(bearer))))
    }

    fn told(
        &self,
        record: &ClientRecord,
        registration: &Registration,
        secret: Option<ClientSecret>,
        management: ClientSecret,
    ) -> RegistrationResponse {
        let ends = record.secrets.iter().map(|secret| secret.expires_at.map_or(0, |end| end.timestamp()));
        RegistrationResponse {
            client_id: record.id.to_string(),
            client_id_issued_at: registration.registered_at.timestamp(),
            client_secret: secret,
            client_secret_expires_at: ends.max(),
            registration_access_token: management,
            registration_client_uri: format!("{}/register/{}", self.0.policies.issuer, record.id),
            software_statement: registration.software_statement.clone(),
            metadata: members_of(&record.metadata),
        }
    }

    /// 128 random bits that can be written into a path as they are (BCP-11).
    fn new_client_id(&self) -> ClientId {
        let random = ClientSecret::from_entropy(self.entropy());
        let text = format!("{PREFIX}{}", random.expose().get(..22).unwrap_or_default());
        text.parse().expect("letters, digits, dot, hyphen and underscore")
    }

    async fn note_refused_registration(
        &self,
        context: &RequestContext,
        client: Option<&str>,
        refusal: Option<&RegistrationRefusal>,
    ) -> Result<()> {
        let Some(refusal) = refusal else { return Ok(()) };
        let event = self.event(context, EventKind::RegistrationRefused, self.now());
        let client = client.and_then(|id| id.parse::<ClientId>().ok());
        let reason = match refusal {
            RegistrationRefusal::Fault(_) => "metadata",
            RegistrationRefusal::Statement(_)
            | RegistrationRefusal::StatementUnapproved
            | RegistrationRefusal::StatementMissing => "software_statement",
            _ => "credentials",
        };
        metrics::counter!("chancery_registrations_refused_total", "reason" => reason).increment(1);
        self.note(event.client(client).reason(reason).detail("why", refusal.to_string())).await
    }
}

fn method_of(metadata: &ClientMetadata) -> AuthMethod {
    metadata.token_endpoint_auth_method.unwrap_or(AuthMethod::ClientSecretBasic)
}

fn digest(secret: &ClientSecret, policy: &RegistrationPolicy, now: DateTime<Utc>) -> SecretDigest {
    let expires_at = policy.secret_lifetime.map(|lifetime| now + lifetime);
    SecretDigest { digest: sha256(secret.expose()), expires_at }
}

fn counts(secret: &SecretDigest, now: DateTime<Utc>) -> bool {
    secret.expires_at.is_none_or(|end| end > now)
}

fn rules(record: &ClientRecord) -> std::result::Result<(), RegistrationFault> {
    Client::parse(record).map(drop).map_err(RegistrationFault::Rules)
}

/// An update calls people as they were called before: who could move to another sector would learn by what
/// names other clients know the people that it knows (OC-21).
fn same_names(
    before: &ClientRecord,
    metadata: &ClientMetadata,
) -> std::result::Result<(), RegistrationFault> {
    let named = |metadata: &ClientMetadata| SubjectType::of(metadata);
    if named(&before.metadata) == named(metadata) { Ok(()) } else { Err(RegistrationFault::SubjectChanged) }
}

/// An update names the client that it is about, and nothing that only the server sets (DR-08).
fn names_itself(
    request: &RegistrationRequest,
    before: &ClientRecord,
    now: DateTime<Utc>,
) -> std::result::Result<(), RegistrationRefusal> {
    let named = &request.named;
    if let Some(member) = named.read_only {
        return Err(RegistrationRefusal::ReadOnly(member));
    }
    if named.client_id.as_deref() != Some(before.id.as_str()) {
        return Err(RegistrationRefusal::ClientId);
    }
    let own = |secret: &ClientSecret| {
        let digest = sha256(secret.expose());
        before.secrets.iter().any(|known| counts(known, now) && known.digest == digest)
    };
    match &named.client_secret {
        Some(secret) if !own(secret) => Err(RegistrationRefusal::ClientSecret),
        _ => Ok(()),
    }
}
