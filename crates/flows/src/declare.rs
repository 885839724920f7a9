//! Declared resources: how an operator describes a bank.
//!
//! Roles, resource servers, scopes, clients and users are compared with what the store has and then
//! made so, all in one transaction or not at all. What is not mentioned stays as it is: customers
//! who came from elsewhere are not deleted because a file forgets them.

use audit::{Actor, Event, EventKind};
use chrono::{DateTime, Utc};
use consent::{
    BankAccount, Catalogue, CatalogueFault, DetailTypeDefinition, ResourceServer, Role, ScopeDefinition,
    accounts::MAX_ACCOUNTS,
};
use jose::digest::Digest;
use mfa::{PasswordChange, PasswordHash, PasswordRefusal, SecondFactorPolicy, User, Username};
use protocol::{ClientId, UserId, claims::StandardClaims, client::ClientMetadata, secret::Password};
use store::{DeclaredRole, Lock, Tx};
use tokens::{
    client::{Client, ClientRecord, ClientSettings, SecretDigest},
    profile::chosen_profile,
};

use crate::{
    error::{FlowError, Result},
    random::Draw,
    service::Service,
};

/// Everything that can be declared; also what the store has, when the two are compared.
#[derive(Clone, Debug, Default)]
pub struct Declared {
    /// Roles.
    pub roles: Vec<DeclaredRole>,
    /// Resource servers.
    pub resource_servers: Vec<ResourceServer>,
    /// Scopes.
    pub scopes: Vec<ScopeDefinition>,
    /// Types of authorization details.
    pub detail_types: Vec<DetailTypeDefinition>,
    /// Clients.
    pub clients: Vec<DeclaredClient>,
    /// Users.
    pub users: Vec<DeclaredUser>,
}

/// A third-party app.
#[derive(Clone, Debug, PartialEq)]
pub struct DeclaredClient {
    /// Its identifier.
    pub id: ClientId,
    /// What RFC 7591 calls client metadata.
    pub metadata: ClientMetadata,
    /// What only this server knows about it.
    pub settings: ClientSettings,
    /// SHA-256 of its secret; `None` leaves the secrets that it has.
    pub secret: Option<Digest>,
}

/// A customer.
#[derive(Clone, Debug)]
pub struct DeclaredUser {
    /// The name that the customer types.
    pub username: Username,
    /// The password; `None` leaves the one that there is.
    pub password: Option<DeclaredPassword>,
    /// The roles that the customer holds.
    pub roles: Vec<Role>,
    /// What is known about the customer.
    pub claims: StandardClaims,
    /// A second-factor policy of the account's own.
    pub second_factor: Option<SecondFactorPolicy>,
    /// The accounts among which the customer may choose on a consent page (RAR-03).
    pub accounts: Vec<BankAccount>,
}

/// A password as it was declared, or as it is stored.
#[derive(Clone, Debug)]
pub enum DeclaredPassword {
    /// In clear; hashed before it is stored.
    Plain(Password),
    /// Already hashed.
    Hash(PasswordHash),
}

/// Why a declaration can't be carried out. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeclareFault {
    /// A client breaks rules of registration, or lacks what it needs around it.
    #[error("client {id}: {faults}")]
    Client {
        /// Which.
        id: ClientId,
        /// Which rules.
        faults: String,
    },
    /// Scopes and resource servers contradict each other.
    #[error("{0}")]
    Catalogue(String),
    /// Accounts of a user that can't be told apart, or too many.
    #[error("user {username}: accounts: {problem}")]
    Accounts {
        /// Whose.
        username: String,
        /// What is wrong with them.
        problem: String,
    },
    /// A user or a scope has a role that does not exist.
    #[error("{who}: role {role} is not declared")]
    UnknownRole {
        /// Who has it.
        who: String,
        /// Which role.
        role: Role,
    },
    /// A client that was deleted can't be declared again: consents name what it was.
    #[error(
        "client {0} was deleted, and its identifier stays taken, because consents name it; choose another one"
    )]
    Deleted(ClientId),
    /// A password that can't be hashed.
    #[error("user {0}: a password has 1 to 1024 bytes")]
    Password(String),
}

impl Service {
    /// What the store has, in the form of a declaration.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError).
    pub async fn declaration(&self) -> Result<Declared> {
        let store = &self.0.store;
        let clients = store.clients().await?.into_iter().map(|record| DeclaredClient {
            secret: record.secrets.first().map(|secret| secret.digest),
            id: record.id,
            metadata: record.metadata,
            settings: record.settings,
        });
        let mut accounts = store.everybodys_accounts().await?;
        let users = store.users().await?.into_iter().map(|user| DeclaredUser {
            accounts: accounts.remove(&user.id).unwrap_or_default(),
            username: user.username,
            password: user.password.map(DeclaredPassword::Hash),
            roles: user.roles.iter().filter_map(|role| role.parse().ok()).collect(),
            claims: user.claims,
            second_factor: user.second_factor,
        });
        Ok(Declared {
            roles: store.roles().await?,
            resource_servers: store.resource_servers().await?,
            scopes: store.scopes().await?,
            detail_types: store.detail_types().await?,
            clients: clients.collect(),
            users: users.collect(),
        })
    }

    /// Whether a declared password is the stored one, so that a file that repeats it changes
    /// nothing.
    ///
    /// # Errors
    /// [`FlowError::Busy`](crate::FlowError::Busy).
    pub async fn is_password_of(&self, username: &Username, password: &Password) -> Result<bool> {
        let Some(user) = self.0.store.user_by_name(username).await? else { return Ok(false) };
        // A disabled account is refused only after its password was found right.
        let place = self.0.passwords.queue()?;
        let verified = self.0.passwords.verify(place, password.clone(), Some(user)).await?;
        Ok(matches!(verified, Ok(_) | Err(PasswordRefusal::DisabledUser)))
    }

    /// Makes the store agree with a declaration, in one transaction.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError); the inner error when the declaration itself is wrong.
    pub async fn declare(&self, wanted: &Declared) -> Result<std::result::Result<(), DeclareFault>> {
        if let Err(fault) = self.check_declaration(wanted).await? {
            return Ok(Err(fault));
        }
        // Hashing takes long: before the transaction.
        let mut passwords = Vec::new();
        for declared in &wanted.users {
            match self.new_password(declared).await? {
                Ok(password) => passwords.push(password),
                Err(fault) => return Ok(Err(fault)),
            }
        }
        let current = self.declaration().await?;
        let catalogue = joint_catalogue(&current, wanted)
            .map_err(|fault| FlowError::StoredCatalogue(fault.to_string()))?;
        let now = self.now();
        let mut tx = self.0.store.begin().await?;
        tx.lock(Lock::Declarations).await?;
        // What is there already as declared is not written and leaves no event.
        for role in wanted.roles.iter().filter(|role| !current.roles.contains(role)) {
            tx.put_role(role).await?;
        }
        self.declare_catalogue(&mut tx, wanted, &current, now).await?;
        for declared in &wanted.clients {
            // Read under the lock: what it replaces may have changed since the check.
            let before = tx.client(&declared.id).await?;
            let kind = if before.is_some() { EventKind::ClientChanged } else { EventKind::ClientCreated };
            let record = client_record(declared, before.clone(), &catalogue, now);
            let same = |before: &ClientRecord| ClientRecord { updated_at: now, ..before.clone() } == record;
            if before.as_ref().is_some_and(same) {
                continue;
            }
            tx.put_client(&record).await?;
            let event = self.declared_event(kind, declared.id.as_str(), now);
            tx.record(&event.client(declared.id.clone())).await?;
        }
        for (declared, password) in wanted.users.iter().zip(passwords) {
            let known = current.users.iter().find(|user| user.username == declared.username);
            let same = known.map_or(declared.accounts.is_empty(), |user| user.accounts == declared.accounts);
            self.declare_user(&mut tx, declared, password, !same, now).await?;
        }
        tx.commit().await?;
        self.reload().await?;
        Ok(Ok(()))
    }

    async fn declare_catalogue(
        &self,
        tx: &mut Tx,
        wanted: &Declared,
        current: &Declared,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let servers = wanted.resource_servers.iter();
        for server in servers.filter(|server| !current.resource_servers.contains(server)) {
            let known = current.resource_servers.iter().any(|known| known.audience == server.audience);
            let kind =
                if known { EventKind::ResourceServerChanged } else { EventKind::ResourceServerCreated };
            tx.put_resource_server(server).await?;
            tx.record(&self.declared_event(kind, &server.audience, now)).await?;
        }
        for scope in wanted.scopes.iter().filter(|scope| !current.scopes.contains(scope)) {
            let known = current.scopes.iter().any(|known| known.name == scope.name);
            let kind = if known { EventKind::ScopeChanged } else { EventKind::ScopeCreated };
            tx.put_scope(scope).await?;
            tx.record(&self.declared_event(kind, scope.name.as_str(), now)).await?;
        }
        for kind in wanted.detail_types.iter().filter(|kind| !current.detail_types.contains(kind)) {
            let known = current.detail_types.iter().any(|known| known.name == kind.name);
            let event = if known { EventKind::DetailTypeChanged } else { EventKind::DetailTypeCreated };
            tx.put_detail_type(kind).await?;
            tx.record(&self.declared_event(event, &kind.name, now)).await?;
        }
        Ok(())
    }

    fn declared_event(&self, kind: EventKind, name: &str, now: DateTime<Utc>) -> Event {
        Event::new(kind, now, self.random().id(now)).by(Actor::Operator).detail("name", name)
    }

    /// Writes a user. A new password of a user who was there before ends their sessions and grants
    /// (BCP-09).
    async fn declare_user(
        &self,
        tx: &mut Tx,
        declared: &DeclaredUser,
        password: Option<PasswordHash>,
        other_accounts: bool,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let before = tx.user_by_name(&declared.username).await?;
        let kind = if before.is_some() { EventKind::UserChanged } else { EventKind::UserCreated };
        let user = User {
            id: before.as_ref().map_or_else(|| UserId(self.random().id(now)), |user| user.id),
            username: declared.username.clone(),
            password: password.clone(),
            claims: declared.claims.clone(),
            roles: declared.roles.iter().map(ToString::to_string).collect(),
            second_factor: declared.second_factor,
            created_at: before.as_ref().map_or(now, |user| user.created_at),
            password_changed_at: before.as_ref().and_then(|user| user.password_changed_at),
            disabled_at: before.as_ref().and_then(|user| user.disabled_at),
        };
        let event = |kind| {
            let event = Event::new(kind, now, self.random().id(now)).by(Actor::Operator).user(user.id);
            event.detail("name", user.username.as_str())
        };
        let kept = |before: &User| User { password: user.password.clone(), ..before.clone() } == user;
        let changed = !before.as_ref().is_some_and(kept);
        if changed {
            tx.put_user(&user).await?;
        }
        if other_accounts {
            tx.put_accounts(user.id, &declared.accounts).await?;
        }
        if changed || other_accounts {
            tx.record(&event(kind)).await?;
        }
        if let (Some(_), Some(hash)) = (before, password) {
            let change = PasswordChange { user: user.id, hash, at: now, keep_session: None };
            if tx.change_password(&change).await? == 1 {
                tx.record(&event(EventKind::PasswordChanged)).await?;
            }
        }
        Ok(())
    }

    /// Applies the rooms' rules to what would be there afterwards; changes nothing.
    ///
    /// # Errors
    /// [`FlowError`](crate::FlowError); the inner error when the declaration itself is wrong.
    pub async fn check_declaration(
        &self,
        wanted: &Declared,
    ) -> Result<std::result::Result<(), DeclareFault>> {
        let current = self.declaration().await?;
        let scopes = merged(current.scopes, &wanted.scopes, |scope| scope.name.to_string());
        let servers =
            merged(current.resource_servers, &wanted.resource_servers, |server| server.audience.clone());
        let roles = merged(current.roles, &wanted.roles, |role| role.name.to_string());
        let types = merged(current.detail_types, &wanted.detail_types, |kind| kind.name.clone());
        let catalogue = Catalogue::new(scopes.clone(), servers);
        let catalogue = match catalogue.and_then(|catalogue| catalogue.with_detail_types(types.clone())) {
            Ok(catalogue) => catalogue,
            Err(fault) => return Ok(Err(DeclareFault::Catalogue(fault.to_string()))),
        };
        let known = |role: &Role| roles.iter().any(|declared| declared.name == *role);
        let scope_roles = scopes
            .iter()
            .flat_map(|scope| scope.roles.iter().map(move |role| (format!("scope {}", scope.name), role)));
        let user_roles = wanted.users.iter().flat_map(|user| {
            user.roles.iter().map(move |role| (format!("user {}", user.username.as_str()), role))
        });
        let type_roles = types.iter().flat_map(|kind| {
            kind.roles.iter().map(move |role| (format!("authorization details type {}", kind.name), role))
        });
        if let Some(fault) = wanted.users.iter().find_map(account_fault) {
            return Ok(Err(fault));
        }
        if let Some((who, role)) =
            scope_roles.chain(user_roles).chain(type_roles).find(|(_, role)| !known(role))
        {
            return Ok(Err(DeclareFault::UnknownRole { who, role: role.clone() }));
        }
        for declared in &wanted.clients {
            let before = self.0.store.client(&declared.id).await?;
            if before.as_ref().is_some_and(|before| before.disabled) {
                return Ok(Err(DeclareFault::Deleted(declared.id.clone())));
            }
            let record = client_record(declared, before.clone(), &catalogue, self.now());
            let id = declared.id.clone();
            let broken = Client::parse(&record).err().unwrap_or_default();
            let mut faults: Vec<String> = broken.iter().map(ToString::to_string).collect();
            faults.extend(self.surroundings(&record, &catalogue));
            if faults.is_empty() {
                let before = before.as_ref().map(|before| &before.metadata);
                let sector = self.check_sector(&record.metadata, before).await;
                faults.extend(sector.err().map(|refusal| refusal.to_string()));
            }
            if !faults.is_empty() {
                return Ok(Err(DeclareFault::Client { id, faults: faults.join("; ") }));
            }
        }
        Ok(Ok(()))
    }

    /// The hash of a declared password, or `None` where the stored one is to stay.
    async fn new_password(
        &self,
        declared: &DeclaredUser,
    ) -> Result<std::result::Result<Option<PasswordHash>, DeclareFault>> {
        match &declared.password {
            None => Ok(Ok(None)),
            Some(DeclaredPassword::Hash(hash)) => {
                let stored = self.0.store.user_by_name(&declared.username).await?;
                let same = stored.is_some_and(|user| user.password.as_ref() == Some(hash));
                Ok(Ok((!same).then(|| hash.clone())))
            }
            Some(DeclaredPassword::Plain(plain)) => {
                if self.is_password_of(&declared.username, plain).await? {
                    return Ok(Ok(None));
                }
                let hash = self.0.passwords.hash(plain.clone(), self.random().bytes()).await?;
                let impossible = || DeclareFault::Password(declared.username.as_str().to_owned());
                Ok(hash.map(Some).ok_or_else(impossible))
            }
        }
    }
}

fn client_record(
    declared: &DeclaredClient,
    before: Option<ClientRecord>,
    catalogue: &Catalogue,
    now: DateTime<Utc>,
) -> ClientRecord {
    let mut settings = declared.settings.clone();
    if settings.profile.is_none() {
        // Whoever says nothing leaves it as it is, and lets the scope of a new client decide.
        settings.profile = match &before {
            Some(before) => before.settings.profile,
            None => chosen_profile(&declared.metadata, catalogue),
        };
    }
    let secrets = match (&declared.secret, &before) {
        (Some(digest), _) => vec![SecretDigest { digest: *digest, expires_at: None }],
        (None, Some(before)) => before.secrets.clone(),
        (None, None) => Vec::new(),
    };
    ClientRecord {
        id: declared.id.clone(),
        metadata: declared.metadata.clone(),
        settings,
        secrets,
        disabled: before.as_ref().is_some_and(|before| before.disabled),
        created_at: before.map_or(now, |before| before.created_at),
        updated_at: now,
    }
}

/// The catalogue as it would be.
fn joint_catalogue(current: &Declared, wanted: &Declared) -> std::result::Result<Catalogue, CatalogueFault> {
    let scopes = merged(current.scopes.clone(), &wanted.scopes, |scope| scope.name.to_string());
    let servers =
        merged(current.resource_servers.clone(), &wanted.resource_servers, |server| server.audience.clone());
    let types = merged(current.detail_types.clone(), &wanted.detail_types, |kind| kind.name.clone());
    Catalogue::new(scopes, servers)?.with_detail_types(types)
}

/// Accounts are told apart by their identifiers, and by their names on a page.
fn account_fault(user: &DeclaredUser) -> Option<DeclareFault> {
    let accounts = &user.accounts;
    let unfit = |text: &String| text.is_empty() || text.len() > 128;
    let problem = if accounts.len() > MAX_ACCOUNTS {
        format!("more than {MAX_ACCOUNTS}")
    } else if accounts.iter().any(|account| unfit(&account.id) || unfit(&account.name)) {
        "id and name have 1 to 128 bytes".to_owned()
    } else {
        let twice = |(index, account): (usize, &BankAccount)| {
            accounts.iter().take(index).any(|other| other.id == account.id).then(|| account.id.clone())
        };
        format!("{} is there twice", accounts.iter().enumerate().find_map(twice)?)
    };
    Some(DeclareFault::Accounts { username: user.username.as_str().to_owned(), problem })
}

/// What would be there: the wanted ones, and the present ones that they do not replace.
fn merged<T: Clone>(current: Vec<T>, wanted: &[T], key: impl Fn(&T) -> String) -> Vec<T> {
    let replaced: Vec<String> = wanted.iter().map(&key).collect();
    let kept = current.into_iter().filter(|item| !replaced.contains(&key(item)));
    kept.chain(wanted.iter().cloned()).collect()
}
