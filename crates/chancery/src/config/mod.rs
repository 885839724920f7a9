//! Configuration: what an operator writes, checked before anything starts.
//!
//! Settings come from a TOML file and from environment variables, which win
//! (`tokens.access_token` is `CHANCERY__TOKENS__ACCESS_TOKEN`). Each section is one type in
//! [`settings`] whose documentation comments are at the same time the text of
//! `docs/configuration.md`, so the two cannot disagree. Reading never stops at the first mistake:
//! unknown keys, malformed values, unreadable secret files and settings that contradict each other
//! are all reported at once, each with file, key and remedy.
//!
//! Nothing outside this crate sees these types: the commands turn them into each room's own policy.

pub mod check;
pub mod load;
pub mod mistake;
mod mutual;
pub mod outbound;
pub mod policy;
pub mod reference;
pub mod registration;
pub mod section;
pub mod settings;
pub mod traces;
pub mod upstream;
pub mod value;

pub use mistake::Mistake;
pub use settings::Settings;
pub use value::{Issuer, Share, Span};
