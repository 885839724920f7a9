//! The sweep: what nobody can use or replay any more goes, a batch at a time, so that no statement
//! holds locks for long and tables stay flat under steady load. Consents and audit events stay.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    Store,
    engine::{change, on_tx},
    error::Result,
    row::Micros,
    sql::sweep as statement,
};

/// What may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SweepPlan {
    /// Rows whose time was over before this go.
    pub now: DateTime<Utc>,
    /// Failed attempts that were forgotten at this time go: now less the policy's `forget_after`.
    pub attempts_before: DateTime<Utc>,
    /// The most rows per table.
    pub batch: u32,
}

/// How many rows went, by table; grants take what is below with them. A table that gave a full
/// batch may have more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Table and number of rows, in the order of sweeping.
    pub tables: Vec<(&'static str, u64)>,
}

impl Swept {
    /// All rows together.
    pub fn total(&self) -> u64 {
        self.tables.iter().map(|(_, rows)| rows).sum()
    }

    /// Whether some table gave a full batch, so that another sweep is worth while at once.
    pub fn is_full(&self, plan: &SweepPlan) -> bool {
        self.tables.iter().any(|(_, rows)| *rows >= u64::from(plan.batch))
    }
}

/// Initial access tokens that register nobody any more are found for so long after they were made.
const SPENT_KEPT: TimeDelta = TimeDelta::days(30);
const SPENT: &str = "spent_initial_access_tokens";

/// Children come before parents, so that a parent's cascade finds little.
const ORDER: &[(&str, &str)] = &[
    ("interactions", statement::INTERACTIONS),
    ("pushed_requests", statement::PUSHED_REQUESTS),
    ("codes", statement::CODES),
    ("refresh_tokens", statement::REFRESH_TOKENS),
    ("access_tokens", statement::ACCESS_TOKENS),
    ("grants", statement::GRANTS),
    ("sessions", statement::SESSIONS),
    ("device_codes", statement::DEVICE_CODES),
    ("logout_notices", statement::LOGOUT_NOTICES),
    ("denied_tokens", statement::DENIED_TOKENS),
    ("replay_marks", statement::REPLAY_MARKS),
    ("initial_access_tokens", statement::INITIAL_TOKENS),
    (SPENT, statement::SPENT_INITIAL_TOKENS),
    ("upstream_attempts", statement::UPSTREAM_ATTEMPTS),
    ("attempts", statement::ATTEMPTS),
];

impl Store {
    /// Sweeps one batch of every table, each in a transaction of its own.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError); what was swept before stays swept.
    pub async fn sweep(&self, plan: &SweepPlan) -> Result<Swept> {
        let mut swept = Swept::default();
        for (table, statement) in ORDER.iter().copied() {
            let end = match table {
                "attempts" => plan.attempts_before,
                SPENT => plan.now - SPENT_KEPT,
                _ => plan.now,
            };
            let mut tx = self.begin().await?;
            if table == "sessions" {
                let ended = change!(&mut tx, statement::END_SESSIONS, end.us(), i64::from(plan.batch))?;
                if ended > 0 {
                    tx.tell_of_expired(end).await?;
                }
            }
            let rows = change!(&mut tx, statement, end.us(), i64::from(plan.batch))?;
            tx.commit().await?;
            swept.tables.push((table, rows));
        }
        Ok(swept)
    }
}
