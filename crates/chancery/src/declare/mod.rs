//! The declared-resources file: a bank described in one TOML file.
//!
//! Clients, resource servers, scopes, roles and users, in the words of the standards (RFC 7591 for
//! clients, OpenID Connect Core §5.1 for people). `chancery apply` compares the file with what the
//! server has, shows the [difference](mod@difference), and makes the two agree. It is idempotent, and
//! what the file does not mention stays as it is: customers who were created elsewhere are not
//! deleted because a file forgets them.

pub mod difference;
pub mod file;

use std::collections::BTreeMap;

pub use flows::declare::{Declared, DeclaredClient, DeclaredPassword, DeclaredUser};

pub use difference::{Action, Change, difference};
pub use file::{FileFault, parse, read};

/// Titles of a scope by language, as the file writes them.
type Texts = BTreeMap<String, consent::catalogue::ScopeText>;
