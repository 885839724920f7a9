//! What operators do one by one: clients, resource servers, scopes, users, consents, keys.
//!
//! [`declare`](crate::declare) makes a whole bank agree with a file; these use cases change one thing
//! and say what became of it. Whatever depends on what is stored is read, decided and written in one
//! transaction under the lock of declarations, so that two operators never undo each other's work
//! unseen. Each writes its audit event in the same transaction, by
//! [`Actor::Operator`], with the name that the operator's system gives them.

mod catalogue;
mod clients;
mod consents;
mod keys;
mod registration;
mod users;

use audit::{Actor, Event, EventKind};
use chrono::{DateTime, TimeDelta, Utc};
use consent::{Catalogue, CatalogueFault, ResourceServer, ScopeDefinition};
use jose::digest::{Digest, sha256};
use mfa::PasswordWeakness;
use protocol::secret::ClientSecret;
use store::{Lock, Tx};

pub(crate) use self::clients::end_client;
pub use self::{
    catalogue::ResourceServerAndSecret,
    clients::{ClientAndSecret, ClientCheck, ClientDraft, DeletedClient},
    keys::{MovedKeys, RotatedKey},
    registration::InitialTokenDraft,
    users::{NewUser, ResetFactor, find_user, readable_password},
};
use crate::{error::Result, random::Draw, service::Service};

/// The shortest secret of a client or resource server that is accepted, in characters: 128 bits in
/// base64url (F2-36).
pub const MIN_SECRET: usize = 22;

/// Why an operator's wish was not carried out. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperateFault {
    /// There is nothing of that name.
    #[error("there is no {what} {name}")]
    NotFound {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// There is one of that name already.
    #[error("there is a {what} {name} already")]
    Exists {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The client was deleted; consents and audit events name it for ever.
    #[error("client {0} was deleted; its identifier stays taken, because consents name it")]
    Deleted(protocol::ClientId),
    /// It would break rules; all that were found.
    #[error("{}", .0.join("\n"))]
    Rules(Vec<String>),
    /// Something else still names it.
    #[error("{what} {name} is still named by {}", .by.join(", "))]
    InUse {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
        /// What names it.
        by: Vec<String>,
    },
    /// A new password is not good enough.
    #[error("the password is not acceptable: {0}")]
    Weak(PasswordWeakness),
    /// The state that it is in does not allow it.
    #[error("{0}")]
    State(String),
}

/// What a use case of an operator comes to: the outer error is the server's trouble, the inner one
/// the operator's.
pub type Operated<T> = Result<std::result::Result<T, OperateFault>>;

/// The use cases of one operator.
pub struct Operate<'a> {
    service: &'a Service,
    operator: String,
}

impl Service {
    /// The use cases of operators. `operator` is who the operating system says it is; it stands in
    /// the audit trail.
    pub fn operate(&self, operator: impl Into<String>) -> Operate<'_> {
        Operate { service: self, operator: operator.into() }
    }
}

impl Operate<'_> {
    fn event(&self, kind: EventKind, now: DateTime<Utc>) -> Event {
        let id = self.service.random().id(now);
        Event::new(kind, now, id).by(Actor::Operator).detail("operator", &self.operator)
    }

    /// A transaction in which no other operator changes declarations.
    async fn alone(&self) -> Result<Tx> {
        let mut tx = self.service.store().begin().await?;
        tx.lock(Lock::Declarations).await?;
        Ok(tx)
    }

    /// The secret that was given, if it is good enough, or a new one.
    fn secret(&self, given: Option<ClientSecret>) -> std::result::Result<ClientSecret, OperateFault> {
        match given {
            None => Ok(ClientSecret::from_entropy(self.service.entropy())),
            Some(given) if given.expose().len() < MIN_SECRET => {
                Err(rule(format!("the secret is shorter than {MIN_SECRET} characters")))
            }
            Some(given) => Ok(given),
        }
    }
}

/// The catalogue of these scopes and resource servers, with the types of authorization details that the
/// transaction sees.
async fn catalogue_of(
    tx: &mut Tx,
    scopes: Vec<ScopeDefinition>,
    servers: Vec<ResourceServer>,
) -> Result<std::result::Result<Catalogue, CatalogueFault>> {
    let types = tx.detail_types().await?;
    Ok(Catalogue::new(scopes, servers).and_then(|catalogue| catalogue.with_detail_types(types)))
}

fn rule(text: impl Into<String>) -> OperateFault {
    OperateFault::Rules(vec![text.into()])
}

fn not_found(what: &'static str, name: impl std::fmt::Display) -> OperateFault {
    OperateFault::NotFound { what, name: name.to_string() }
}

fn digest_of(secret: &ClientSecret) -> Digest {
    sha256(secret.expose())
}

/// When a replaced secret stops to count; `None` for at once.
fn keep_until(keep_old: TimeDelta, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    (keep_old > TimeDelta::zero()).then(|| now + keep_old)
}

/// Leaves the enclosing function with a refusal, without committing.
macro_rules! or_refuse {
    ($decision:expr) => {
        match $decision {
            Ok(value) => value,
            Err(fault) => return Ok(Err(fault)),
        }
    };
}
use or_refuse;
