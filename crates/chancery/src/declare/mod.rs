//! The declared-resources file: a bank described in one TOML file.
//!
//! Clients, resource servers, scopes, roles and users, in the words of the standards (RFC 7591 for
//! clients, OpenID Connect Core §5.1 for people). `chancery apply` compares the file with what the
//! server has, shows the [difference](mod@difference), and makes the two agree. It is idempotent, and
//! what the file does not mention stays as it is: customers who were created elsewhere are not
//! deleted because a file forgets them.

mod current;
pub mod difference;
pub mod file;

use std::collections::BTreeMap;

use consent::{ResourceServer, Role, ScopeDefinition};
use jose::digest::Digest;
use mfa::{PasswordHash, SecondFactorPolicy, Username};
use protocol::{ClientId, claims::StandardClaims, client::ClientMetadata, secret::Password};
use store::DeclaredRole;
use tokens::client::ClientSettings;

pub use difference::{Action, Change, difference};
pub use file::FileFault;

/// Everything that a file can declare, in the types of the rooms; also what the store has, when the
/// two are compared.
#[derive(Clone, Debug, Default)]
pub struct Declared {
    /// `[[role]]`
    pub roles: Vec<DeclaredRole>,
    /// `[[resource_server]]`
    pub resource_servers: Vec<ResourceServer>,
    /// `[[scope]]`
    pub scopes: Vec<ScopeDefinition>,
    /// `[[client]]`
    pub clients: Vec<DeclaredClient>,
    /// `[[user]]`
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
}

/// A password as it was declared, or as it is stored.
#[derive(Clone, Debug)]
pub enum DeclaredPassword {
    /// In clear; hashed before it is stored.
    Plain(Password),
    /// Already hashed.
    Hash(PasswordHash),
}

/// Titles of a scope by language, as the file writes them.
type Texts = BTreeMap<String, consent::catalogue::ScopeText>;
