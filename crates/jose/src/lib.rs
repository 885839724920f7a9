//! Signed and encrypted JSON: JWK, JWS, JWE and JWT, with only the algorithms that Chancery allows.
//!
//! This is the one room that knows josekit, OpenSSL and aws-lc for keys. Everything here is
//! synchronous and takes its clock as an argument. A token is believed only after [`verify()`]
//! returned [`Verified`]; a proof that may be used once comes as [`Unreplayed`], and its content
//! is reached only with the answer of the replay table.
//!
//! What josekit leaves to its user is done here: RFC 7638 thumbprints, the `typ` check, algorithms
//! fixed by key rather than by header, refusal of `crit`, refusal of duplicate JSON members,
//! required claims, key sizes, and key types whose `Debug` prints no secret.

pub mod algorithm;
mod assertion;
pub mod assertion_grant;
mod aws;
pub mod certificate;
pub mod claims;
pub mod client_assertion;
pub mod digest;
pub mod dpop;
pub mod jwe;
pub mod key_set;
pub mod nonce;
pub mod own;
pub mod private;
pub mod public;
pub mod replay;
pub mod request_object;
pub mod verify;

pub use algorithm::Algorithm;
pub use assertion_grant::{
    AssertedPerson, AssertionGrantFault, AssertionGrantPolicy, peek_issuer, verify_assertion_grant,
};
pub use claims::{Audience, ClaimFault, Claims};
pub use client_assertion::{
    AssertionFault, AssertionPolicy, ClientAssertion, peek_client_id, verify_client_assertion,
};
pub use digest::Digest;
pub use dpop::{DpopFault, DpopPolicy, VerifiedDpop, verify_dpop};
pub use jwe::{ContentEncryption, DecryptionKey, Encryption, KeyManagement, PrivateDecryptionKey};
pub use key_set::{KeySet, KeySetFault};
pub use nonce::Nonces;
pub use own::{OwnTokenFault, verify_access_token, verify_id_token_hint};
pub use private::{KeyFault, PrivateKey, SignError, SigningKey};
pub use public::{JwkFault, PublicKey};
pub use replay::{Mark, Replayed, Unreplayed};
pub use request_object::{
    OpenedRequestObject, RequestObject, RequestObjectFault, RequestObjectPolicy, open_request_object,
};
pub use verify::{JoseFault, Verified, verify};
