//! Proofs that count once.
//!
//! A signed proof with a `jti` (a client assertion, a DPoP proof, the assertion of a grant) is good only
//! if the replay table has not seen it. Only the store can know that, atomically, so a check returns
//! [`Unreplayed`]: the store inserts its [`Mark`] with `ON CONFLICT DO NOTHING`, and the number of inserted
//! rows is the only key to what is inside.

use chrono::{DateTime, Utc};

use crate::Digest;

/// What the replay table keeps of a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Keeps proofs of different kinds apart.
    pub kind: &'static str,
    /// A digest over the kind of proof, its issuer and its `jti`.
    pub digest: Digest,
    /// When the replay table may forget it: from then on the proof is refused as expired.
    pub expires_at: DateTime<Utc>,
}

/// A verified value that becomes usable when the store confirms that it is seen for the first
/// time.
#[derive(Debug)]
#[must_use = "a proof that is not confirmed against the replay table proves nothing"]
pub struct Unreplayed<T> {
    value: T,
    mark: Mark,
}

/// The value was presented before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the proof was used before")]
pub struct Replayed;

impl<T> Unreplayed<T> {
    pub(crate) fn new(value: T, mark: Mark) -> Self {
        Self { value, mark }
    }

    /// What to insert into the replay table.
    pub fn mark(&self) -> Mark {
        self.mark
    }

    /// Gives out the value if exactly one row was inserted.
    ///
    /// # Errors
    /// [`Replayed`] for any other number of rows.
    pub fn confirm(self, rows: u64) -> Result<T, Replayed> {
        if rows == 1 { Ok(self.value) } else { Err(Replayed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::sha256;

    #[test]
    fn oc_24_only_a_first_use_is_confirmed() {
        let mark = Mark { kind: "test", digest: sha256("jti"), expires_at: DateTime::UNIX_EPOCH };
        let proof = || Unreplayed::new("inside", mark);
        assert_eq!(proof().confirm(1), Ok("inside"));
        assert_eq!(proof().confirm(0), Err(Replayed));
        assert_eq!(proof().confirm(2), Err(Replayed));
    }
}
