//! For people: authorization, interaction, account, logout.

pub mod account;
pub mod authorize;
pub mod check_session;
pub mod consent;
pub mod device;
pub mod federation;
pub mod interaction;
pub mod logout;
mod parts;
pub mod respond;
pub mod select_account;

pub use parts::Visit;
