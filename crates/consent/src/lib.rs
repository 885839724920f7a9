//! Consent: what a customer allowed an app to do, for how long, and what that means for tokens.
//!
//! * [`catalogue`] says which scopes and resource servers exist, in words a customer understands,
//!   and which roles each scope stands for.
//! * [`ledger`] is the record of a consent, the parent of every grant and token below it.
//! * [`decide`] answers one question: does a request need to be asked about, or was it allowed
//!   before? And it turns the customer's answer into the record that the store writes.
//! * [`detail_types`] says which types of authorization details exist, [`details`] what details mean
//!   together, and [`accounts`] how a person's choice makes them exact.
//! * [`roles`] derives from a scope what a token may say: its audience and the roles for it.
//!
//! Everything here is a pure function over values. The only way to a [`GrantedConsent`], without
//! which no token can be minted for a person, leads through [`decide`] or a live record.

pub mod accounts;
pub mod catalogue;
pub mod decide;
pub mod detail_types;
pub mod details;
pub mod introspection_answer;
pub mod ledger;
pub mod openid;
pub mod roles;

#[cfg(test)]
mod testing;

pub use accounts::{AccountChoice, BankAccount, ChoiceFault};
pub use catalogue::{
    Catalogue, CatalogueFault, FormerSecret, IntrospectionCredential, ResourceServer, Role, ScopeDefinition,
};
pub use decide::{
    Answer, AnswerFault, ConsentAsk, ConsentDecision, ConsentGroup, ConsentItem, ConsentRefusal,
    ConsentRequest, ConsentUpsert, DropReason, Dropped, evaluate, grant,
};
pub use detail_types::{DetailType, DetailTypeDefinition, DetailTypes};
pub use details::DetailFault;
pub use introspection_answer::IntrospectionAnswer;
pub use ledger::{ConsentRecord, ConsentWithdrawal, GrantedConsent, withdraw};
pub use roles::{
    AudienceFault, TokenTarget, audience_of, audience_with, held_scope, narrow, roles_for, scope_for,
    still_reached,
};
