//! Token issuance, where everything meets.
//!
//! Clients and their authentication, the checks of an authorization request, the interaction and
//! its next step, grants, codes, refresh families and the mint. Every decision in here is a pure
//! function: values, time and entropy in; data out. `flows` loads the values and applies the data.
//!
//! The path of a token, each step gated by the proof type of the one before:
//!
//! 1. [`redirect`]: may anybody be answered at all? [`VerifiedRedirect`](redirect::VerifiedRedirect)
//! 2. [`checks`]: the list. [`ValidatedAuthorization`](checks::ValidatedAuthorization)
//! 3. [`step`]: what must the person do next? `Authentication`, `GrantedConsent`
//! 4. [`issue`]: a code under a grant.
//! 5. [`client_auth`]: which client redeems it? [`AuthenticatedClient`](client_auth::AuthenticatedClient)
//! 6. [`sender`]: which key will its tokens be bound to? [`Sender`](sender::Sender)
//! 7. [`code`], [`refresh`], [`credentials_grant`]: may it? [`LiveGrant`](grant::LiveGrant)
//! 8. [`mint`]: the tokens.
//! 9. [`presented`]: what a token says to whoever it is shown to; [`logout`]: the end.

pub mod assertion_grant;
pub mod checks;
pub mod client;
pub mod client_auth;
pub mod client_document;
pub mod code;
pub mod credentials_grant;
pub mod device;
pub mod disclosed;
pub mod envelope;
pub mod exchange;
pub mod grant;
pub mod initial_token;
pub mod interaction;
pub mod introspection_jwt;
pub mod issue;
pub mod logout;
pub mod mint;
mod oxide;
pub mod policy;
pub mod presented;
pub mod profile;
pub mod pushed;
pub mod redirect;
pub mod refresh;
pub mod registration;
pub mod request_object;
pub mod sender;
pub mod software_statement;
pub mod step;
pub mod subject;
