//! `chancery keys …`

use clap::Subcommand;
use keys::KeyAlgorithm;

use super::{Confirm, value::algorithm};

/// Commands about signing keys.
#[derive(Clone, Debug, Subcommand)]
pub enum KeysCommand {
    /// Show every key, to sign with or to be encrypted to, and where it is in its life
    List,
    /// Publish a successor now; it signs once every client can know it
    ///
    /// Clients and resource servers keep a copy of the published keys for a while. So a new key is
    /// published `keys.announce` before it signs, and the one before it stays published for
    /// `keys.retain` afterwards; no token is ever refused for an unknown key.
    Rotate {
        /// Only for this algorithm; repeat for several [default: all that are configured]
        #[arg(long, value_name = "ALG", value_parser = algorithm())]
        algorithm: Vec<KeyAlgorithm>,
        /// Let the successor sign at once; tokens fail wherever an older copy of the keys is kept
        #[arg(long)]
        force: bool,
        /// Whether to ask, with --force
        #[command(flatten)]
        confirm: Confirm,
    },
    /// Let a key sign no more; it stays published for as long as its tokens live
    Retire {
        /// Its `kid`
        #[arg(allow_hyphen_values = true)]
        kid: String,
        /// Even if no successor has been published for long enough
        #[arg(long)]
        force: bool,
        /// Whether to ask, with --force
        #[command(flatten)]
        confirm: Confirm,
    },
    /// Withdraw a compromised key at once; what it signed fails
    Revoke {
        /// Its `kid`
        #[arg(allow_hyphen_values = true)]
        kid: String,
        /// Whether to ask
        #[command(flatten)]
        confirm: Confirm,
    },
    /// Give up what a lost key-encryption key sealed, to serve again with another one
    ///
    /// Signing keys that the configured key does not open are revoked, authenticators that it does not
    /// open are removed, with the sessions of their owners, who enrol anew. What it opens stays.
    AbandonSealed {
        /// Whether to ask
        #[command(flatten)]
        confirm: Confirm,
    },
}
