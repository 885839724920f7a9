//! Values that count once.
//!
//! A one-time password or a recovery code may be right and still not count, because another request
//! used it a moment before. Only the store can tell, by a conditional statement; so a check returns
//! a [`SingleUse`], whose only exit is the number of rows that the statement changed.

/// A checked value that becomes usable when the store confirms its first use.
#[derive(Debug)]
#[must_use = "a single-use value proves nothing until the store has confirmed it"]
pub struct SingleUse<T>(T);

/// Somebody was faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value was used before")]
pub struct AlreadyUsed;

impl<T> SingleUse<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(value)
    }

    /// Gives out the value if exactly one row was changed.
    ///
    /// # Errors
    /// [`AlreadyUsed`] for any other number of rows.
    pub fn confirm(self, rows: u64) -> Result<T, AlreadyUsed> {
        if rows == 1 { Ok(self.0) } else { Err(AlreadyUsed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn se_03_only_one_row_confirms() {
        assert_eq!(SingleUse::new(7).confirm(1), Ok(7));
        assert_eq!(SingleUse::new(7).confirm(0), Err(AlreadyUsed));
        assert_eq!(SingleUse::new(7).confirm(2), Err(AlreadyUsed));
    }
}
