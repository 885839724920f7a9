//! For people: authorization, interaction, account, logout.

pub mod account;
pub mod authorize;
pub mod consent;
pub mod interaction;
pub mod logout;
mod parts;

pub use parts::Visit;
