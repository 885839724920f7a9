//! What can go wrong although nobody did anything wrong.
//!
//! Refusals are outcomes and have their own types beside each flow. A [`FlowError`] is the server's
//! own trouble: it rolls the transaction back and becomes 503 or 500.

/// The server's own trouble.
#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    /// The database is away, or a row is damaged.
    #[error(transparent)]
    Store(#[from] store::StoreError),
    /// Something could not be signed.
    #[error(transparent)]
    Mint(#[from] tokens::mint::MintFault),
    /// An answer of introspection could not be signed or encrypted.
    #[error(transparent)]
    SignedAnswer(#[from] tokens::introspection_jwt::SignedAnswerFault),
    /// A sealed secret could not be opened or made.
    #[error(transparent)]
    Seal(#[from] keys::SealFault),
    /// A signing key could not be made or opened.
    #[error(transparent)]
    Key(#[from] keys::KeyRecordFault),
    /// The keys in the store can't sign.
    #[error(transparent)]
    Keyring(#[from] keys::KeyringError),
    /// A stored client no longer obeys the rules of registration.
    #[error("client {id} is stored but not acceptable: {faults}")]
    StoredClient {
        /// The client.
        id: protocol::ClientId,
        /// Which rules it breaks.
        faults: String,
    },
    /// The stored scopes and resource servers contradict each other.
    #[error("the stored catalogue is not acceptable: {0}")]
    StoredCatalogue(String),
    /// Too many passwords are being hashed; try again soon.
    #[error("too many password checks are waiting")]
    Busy,
    /// The database does not take audit events, and nothing may happen that it does not hear of.
    #[error("the audit trail is behind")]
    AuditBehind,
    /// Two proofs that must belong together do not: a mistake in this program.
    #[error("internal contradiction: {0}")]
    Contradiction(&'static str),
}

/// The result of a flow that has no refusal of its own.
pub type Result<T, E = FlowError> = std::result::Result<T, E>;
