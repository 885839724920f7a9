//! The connections, seen from outside: how many there are, and how many are taken.

use crate::{
    Store,
    lanes::{Engine, Lanes},
};

/// The connections for one purpose, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolState {
    /// `postgres`, or on SQLite `reader` and `writer`.
    pub name: &'static str,
    /// Connections that some request holds.
    pub in_use: u32,
    /// Connections that wait for a request.
    pub idle: u32,
    /// The most that there may be.
    pub limit: u32,
}

impl PoolState {
    fn of<DB: Engine>(name: &'static str, lanes: &Lanes<DB>) -> Self {
        let (idle, in_use) = lanes.counts();
        Self { name, in_use, idle, limit: lanes.limit() }
    }
}

impl Store {
    /// The connections that requests use, in this process.
    pub fn pools(&self) -> Vec<PoolState> {
        match self {
            Self::Postgres(_, lanes) => vec![PoolState::of("postgres", lanes)],
            Self::Sqlite(pools) => {
                vec![PoolState::of("reader", &pools.reading), PoolState::of("writer", &pools.writing)]
            }
        }
    }
}
