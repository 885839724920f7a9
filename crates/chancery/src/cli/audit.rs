//! `chancery audit …`

use std::path::PathBuf;

use audit::{EventKind, Outcome};
use clap::{Args, Subcommand};
use protocol::{ClientId, CorrelationId};
use uuid::Uuid;

use super::value::{Moment, event_kind, moment, outcome};

/// Commands about the audit trail.
#[derive(Clone, Debug, Subcommand)]
pub enum AuditCommand {
    /// Show the last events, then new ones as they happen, until interrupted
    Tail {
        /// How many of the last events
        #[arg(short = 'n', long, default_value_t = 10, value_name = "NUMBER")]
        lines: u32,
        /// Which.
        #[command(flatten)]
        filter: AuditConditions,
    },
    /// List events, newest first
    Search {
        /// Which.
        #[command(flatten)]
        filter: AuditConditions,
        /// Only those older than this event
        #[arg(long, value_name = "ID")]
        before: Option<Uuid>,
        /// At most so many
        #[arg(long, default_value_t = 100, value_name = "NUMBER")]
        limit: u32,
    },
    /// Write events as JSON lines, oldest first
    Export {
        /// Which.
        #[command(flatten)]
        filter: AuditConditions,
        /// Into this new file, readable by its owner only; to standard output otherwise
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// Which events. Times are such as 2026-05-17T08:00:00Z, 2026-05-17, or 90m for so long ago.
#[derive(Clone, Debug, Default, Args)]
pub struct AuditConditions {
    /// About this person: the name, or the id that is the `sub` of tokens
    #[arg(long)]
    pub user: Option<String>,
    /// About this client
    #[arg(long, value_name = "CLIENT_ID")]
    pub client: Option<ClientId>,
    /// Of this kind
    #[arg(long, value_parser = event_kind(), hide_possible_values = true)]
    pub kind: Option<EventKind>,
    /// That ended like this
    #[arg(long, value_parser = outcome())]
    pub outcome: Option<Outcome>,
    /// Of the request that has this name in logs and on error pages
    #[arg(long, value_name = "ID")]
    pub correlation: Option<CorrelationId>,
    /// At this time or later
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<Moment>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<Moment>,
}
