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
//! 6. [`code`], [`refresh`], [`credentials_grant`]: may it? [`LiveGrant`](grant::LiveGrant)
//! 7. [`mint`]: the tokens.
//! 8. [`presented`]: what a token says to whoever it is shown to; [`logout`]: the end.

pub mod checks;
pub mod client;
pub mod client_auth;
pub mod code;
pub mod credentials_grant;
pub mod grant;
pub mod interaction;
pub mod issue;
pub mod logout;
pub mod mint;
mod oxide;
pub mod policy;
pub mod presented;
pub mod redirect;
pub mod refresh;
pub mod step;
