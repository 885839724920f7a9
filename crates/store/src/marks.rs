//! The replay table: proofs that were seen (BCP-15, OC-24, DP-04).
//!
//! A mark is kept until its proof must be refused as expired. Two proofs of one request are marked by one
//! statement, because each statement of its own costs a commit.

use jose::Mark;

use crate::{
    Store, Tx,
    engine::{change, change_alone, on_tx, on_writer, spanned},
    error::Result,
    row::Micros,
    sql::tokens as statement,
};

impl Store {
    /// Marks a proof as seen. One caller, on any node, gets the row.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn mark_once(&self, mark: &Mark) -> Result<u64> {
        let Mark { kind, digest, expires_at } = mark;
        change_alone!(self, statement::MARK, *kind, &digest.as_bytes()[..], expires_at.us())
    }

    /// Marks two proofs of different kinds as seen, each for itself: the rows of the first and of the
    /// second. One that was seen before does not keep the other from being marked.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn mark_both(&self, first: &Mark, second: &Mark) -> Result<(u64, u64)> {
        let marked: Vec<String> = spanned!(self, statement::MARK_BOTH, {
            on_writer!(self, db => {
                sqlx::query_scalar(statement::MARK_BOTH)
                    .bind(first.kind)
                    .bind(&first.digest.as_bytes()[..])
                    .bind(first.expires_at.us())
                    .bind(second.kind)
                    .bind(&second.digest.as_bytes()[..])
                    .bind(second.expires_at.us())
                    .fetch_all(db)
                    .await
            })
        })?;
        let rows = |kind| marked.iter().filter(|marked| *marked == kind).count() as u64;
        Ok((rows(first.kind), rows(second.kind)))
    }
}

impl Tx {
    /// As [`Store::mark_once`], together with what else the transaction does: what is rolled back is
    /// not marked.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError).
    pub async fn mark_once(&mut self, mark: &Mark) -> Result<u64> {
        let Mark { kind, digest, expires_at } = mark;
        change!(self, statement::MARK, *kind, &digest.as_bytes()[..], expires_at.us())
    }
}
