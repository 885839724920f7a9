//! `chancery backup` and `chancery restore`

use std::path::PathBuf;

use clap::Args;

/// What `backup` takes.
#[derive(Clone, Debug, Args)]
pub struct BackupArgs {
    /// The file to write; one that is there already is never overwritten
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
}

/// What `restore` takes.
#[derive(Clone, Debug, Args)]
pub struct RestoreArgs {
    /// The file that `backup` wrote
    #[arg(long, value_name = "FILE")]
    pub from: PathBuf,
    /// Restore over a database that has something in it. Its tables are kept aside: on SQLite in a file
    /// beside it, on PostgreSQL in a schema of their own. No server may be connected
    #[arg(long)]
    pub replace: bool,
    /// End nothing. Only for a backup that was taken after the last server had stopped, as when a
    /// database moves
    #[arg(long)]
    pub as_it_was: bool,
    /// Withdraw every consent too, so that each customer is asked anew
    #[arg(long, conflicts_with = "as_it_was")]
    pub end_consents: bool,
    /// Do not ask before acting
    #[arg(short, long)]
    pub yes: bool,
}
