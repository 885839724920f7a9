//! `chancery consents …`

use clap::Subcommand;
use protocol::{ClientId, ConsentId};

use super::Confirm;

/// Commands about consents.
#[derive(Clone, Debug, Subcommand)]
pub enum ConsentsCommand {
    /// List them, newest first
    List {
        /// Of this customer: the name, or the id that is the `sub` of tokens
        #[arg(long)]
        user: Option<String>,
        /// For this client
        #[arg(long, value_name = "CLIENT_ID")]
        client: Option<ClientId>,
        /// Withdrawn and expired ones too
        #[arg(long)]
        all: bool,
        /// Only those older than this one
        #[arg(long, value_name = "ID")]
        before: Option<ConsentId>,
        /// At most so many
        #[arg(long, default_value_t = 100, value_name = "NUMBER")]
        limit: u32,
    },
    /// Show one
    Show {
        /// Its id
        id: ConsentId,
    },
    /// Withdraw one in the customer's place; every grant and token below it is dead at once
    Revoke {
        /// Its id
        id: ConsentId,
        /// Whether to ask
        #[command(flatten)]
        confirm: Confirm,
    },
}
