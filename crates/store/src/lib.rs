//! The one place that knows SQL.
//!
//! [`Store`] reads and [`Tx`] changes, over PostgreSQL or SQLite. Their methods are verbs with
//! guarantees, never a general update: where something may happen only once, the statement carries
//! the condition, and the number of rows it changed is the answer. Inserts and effects take the
//! struct that a pure room made. What is read comes back parsed; a row that does not parse is an
//! error that names table, key and column.
//!
//! * [`engine`] opens the database and begins transactions; [`lanes`] are the connections of requests;
//!   [`schema`] migrates.
//! * The `sql` module holds every statement once, for both engines.
//! * The other modules are the verbs: [`declared`] (clients, scopes, roles), [`people`] (users and
//!   their factors), [`sessions`], [`interactions`], [`consents`], [`grants`] (and codes),
//!   [`issued`] (tokens and marks), [`signing_keys`], [`trail`] (audit), [`sweep`], and what is for
//!   the command line alone, [`operate`] and [`backup`].
//!
//! Times are cut to microseconds on their way in, so that both engines compare them alike.

pub mod backup;
mod bind;
pub mod consents;
pub mod declared;
pub mod devices;
pub mod engine;
mod error;
pub mod exchange;
pub mod facts;
pub mod grants;
pub mod hot;
pub mod interactions;
pub mod issued;
pub mod lanes;
pub mod logouts;
pub mod marks;
pub mod operate;
pub mod people;
pub mod pools;
pub mod pushed;
pub mod registration;
mod row;
pub mod schema;
pub mod secrets;
pub mod sessions;
pub mod signing_keys;
mod sql;
pub mod sweep;
pub mod trail;
pub mod upstream;

pub use declared::{ChangeListener, Changes, DeclaredRole};
pub use engine::{Lock, Store, StoreOptions, Tx};
pub use error::{Result, StoreError};
pub use facts::{Account, Visit};
pub use operate::{ConsentFilter, UserFilter};
pub use pools::PoolState;
pub use schema::SchemaState;
pub use sweep::{SweepPlan, Swept};
pub use trail::AuditFilter;

#[cfg(test)]
mod tests;
